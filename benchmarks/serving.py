"""How fast the model server is: against the SavedModel called in a loop, LitServe, MLflow and a plain gRPC servicer.

    python benchmarks/serving.py [--only PART...] [--seconds S] [--rounds N] [--litserve-python PATH]

Parts: small (64 -> 256 -> 10, one row a request, REST and gRPC), json (100 x 784 floats over REST), alexnet (JPEG,
concurrency 16, REST and gRPC, batching on), swap (new versions under load), start, mlflow. Servers and clients are
processes of their own; they take turns, so that whatever else the machine does hits all of them. Needs `wrk`;
`--litserve-python` names an interpreter that has litserve and tensorflow. Ratios are to what the same run measured.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).with_name("serving_peers.py")
LITSERVE = Path(__file__).with_name("serving_litserve.py")
PYTHON = sys.executable


# Models ----------------------------------------------------------------------------------------------------------


def small_weights(units=64):
    """A and B of softmax(relu(x A) B), 256 hidden units, 10 classes."""
    random = np.random.default_rng(0)
    return random.normal(0, 0.1, (units, 256)), random.normal(0, 0.1, (256, 10))


def save_small(folder, units=64):
    """The small model as a SavedModel."""
    import tensorflow as tf

    class Small(tf.Module):
        def __init__(self):
            self.a, self.b = (tf.Variable(weights, dtype=tf.float32) for weights in small_weights(units))

        @tf.function(input_signature=[tf.TensorSpec((None, units), tf.float32, name="x")])
        def serve(self, x):
            return {"y": tf.nn.softmax(tf.nn.relu(x @ self.a) @ self.b)}

    model = Small()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})


def save_alexnet(folder):
    """AlexNet of one column (Krizhevsky 2014), from JPEG bytes to the five best classes."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            layers.Conv2D(64, 11, 4, activation="relu"),
            layers.MaxPool2D(3, 2),
            layers.Conv2D(192, 5, padding="same", activation="relu"),
            layers.MaxPool2D(3, 2),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.MaxPool2D(3, 2),
            layers.Flatten(),
            layers.Dense(4096, activation="relu"),
            layers.Dense(4096, activation="relu"),
            layers.Dense(1000),
        ]
    )

    def decode(image):
        pixels = tf.io.decode_jpeg(image, channels=3)
        return tf.cast(tf.image.resize_with_crop_or_pad(pixels, 227, 227), tf.float32) / 255.0 - 0.5

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def serve(image_bytes):
        images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec((227, 227, 3), tf.float32))
        scores, classes = tf.math.top_k(tf.nn.softmax(net(images)), 5)
        return {"scores": scores, "classes": classes}

    # A Keras variable saved as such is one that a graph's restore operation does not fill.
    holder = tf.Module()
    holder.weights = [variable.value for variable in net.variables]
    tf.saved_model.save(holder, str(folder), signatures={"serving_default": serve})


def jpeg():
    """A 256 x 256 photograph-like JPEG of some 15 kB."""
    from PIL import Image

    small = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


# Servers and clients ---------------------------------------------------------------------------------------------


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(*words, ready):
    """A server in a process of its own, from `ready()` on."""
    with tempfile.TemporaryFile("w+") as log:
        running = subprocess.Popen(
            [str(word) for word in words],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
            # MLflow starts the `uvicorn` that it finds.
            env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}"},
        )
        try:
            end = time.monotonic() + 180
            while not ready():
                if running.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"{words[:6]} did not start: {log.read()[-2000:]}")
                time.sleep(0.1)
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)


def answers(url, body=None):
    """Whether a URL answers with 200."""
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        return urllib.request.urlopen(request, timeout=60).status == 200
    except OSError:
        return False


def listens(port):
    """Whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ours(base, *options):
    """Our server on a base path: (context manager, REST port, gRPC port)."""
    rest, grpc = free_port(), free_port()
    words = (PYTHON, "-m", "pipeline.cli", "serve", "--model-name", "m", "--model-base-path", base)
    ports = ("--port", grpc, "--rest-api-port", rest)
    return process(*words, *ports, *options, ready=lambda: listens(rest) and listens(grpc)), rest, grpc


def wrk(url, body, concurrency, seconds):
    """Requests/s and p50, p95, p99 in milliseconds of POSTs; stops when any of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder, "body.json"), Path(folder, "post.lua")
        data.write_bytes(body)
        script.write_text(
            f'local f = io.open("{data}", "rb")\nwrk.method = "POST"\nwrk.body = f:read("*all")\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            "function done(summary, latency, requests)\n"
            'io.write(string.format("RESULT %f %d %f %f %f\\n", summary.requests / summary.duration * 1e6, '
            "summary.errors.status + summary.errors.read + summary.errors.timeout, latency:percentile(50) / 1000, "
            "latency:percentile(95) / 1000, latency:percentile(99) / 1000))\nend\n"
        )
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script), url]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, errors, *percentiles = map(float, re.search(r"RESULT (.*)", printed)[1].split())
    if errors:
        raise RuntimeError(f"{errors:.0f} requests to {url} failed")
    return rate, *percentiles


def grpc_clients(port, body, concurrency, seconds):
    """The same over gRPC, from one client process."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        words = [PYTHON, str(PEERS), "clients", f"127.0.0.1:{port}", file.name, str(seconds), str(concurrency)]
        printed = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(map(float, printed.split()))


def predict_request(name, **inputs):
    """A serialized PredictRequest to model "m"."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request.SerializeToString()


def in_turns(contestants, rounds):
    """Medians over rounds in which every contestant has a turn: name -> (requests/s, p50, p95, p99)."""
    seen = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, turn in contestants.items():
            seen[name].append(turn())
    return {name: tuple(map(statistics.median, zip(*results, strict=True))) for name, results in seen.items()}


def show(title, results, peers, required):
    """One line per contestant, and the ratio of the first to each peer."""
    print(f"\n{title}")
    for name, (rate, *percentiles) in results.items():
        latencies = "  ".join(f"p{q} {ms:.1f} ms" for q, ms in zip((50, 95, 99), percentiles, strict=False))
        print(f"  {name:<34} {rate:>9.1f} requests/s  {latencies}")
    first = next(iter(results))
    for peer in peers:
        ratio = results[first][0] / results[peer][0]
        print(f"  ratio to {peer}: {ratio:.2f} (required {required[peer]})", flush=True)


# Parts -----------------------------------------------------------------------------------------------------------


def small(root, options):
    """One row a request over REST against LitServe and MLflow, over gRPC against a naive servicer."""
    save_small(root / "small" / "1")
    row = np.random.default_rng(0).random((1, 64), dtype=np.float32)
    body = json.dumps({"instances": row.round(6).tolist()}).encode()
    request = predict_request("m", x=row)
    naive_port, litserve_port = free_port(), free_port()
    server, rest, grpc = ours(root / "small")
    naive = process(PYTHON, PEERS, "naive", root / "small" / "1", naive_port, ready=lambda: listens(naive_port))
    litserve = process(
        *(options.litserve_python, LITSERVE, root / "small" / "1", litserve_port),
        ready=lambda: answers(f"http://127.0.0.1:{litserve_port}/predict", body),
    )
    url = f"http://127.0.0.1:{rest}/v1/models/m:predict"
    with server, litserve:
        for concurrency in (8, 32):
            turns = {
                "ours, REST": lambda c=concurrency: wrk(url, body, c, options.seconds),
                "LitServe": lambda c=concurrency: wrk(
                    f"http://127.0.0.1:{litserve_port}/predict", body, c, options.seconds
                ),
            }
            results = in_turns(turns, options.rounds)
            show(f"Small model, one row, concurrency {concurrency}", results, ["LitServe"], {"LitServe": 1.3})
        with naive:
            turns = {
                "ours, gRPC": lambda: grpc_clients(grpc, request, 8, options.seconds),
                "naive asyncio servicer": lambda: grpc_clients(naive_port, request, 8, options.seconds),
            }
            peer = "naive asyncio servicer"
            show("Small model, one row, concurrency 8", in_turns(turns, options.rounds), [peer], {peer: 1.5})


def mlflow(root, options):
    """The same small model behind `mlflow models serve`."""
    import mlflow as library

    save_small(root / "mlflow-small" / "1")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    library.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    folder = root / "mlflow-model"
    library.tensorflow.save_model(_small_keras(), str(folder), signature=_mlflow_signature())
    row = np.random.default_rng(0).random((1, 64), dtype=np.float32)
    body = json.dumps({"instances": row.round(6).tolist()}).encode()
    port = free_port()
    words = (PYTHON, "-m", "mlflow", "models", "serve", "-m", folder, "-p", port, "--env-manager", "local")
    server, rest, _ = ours(root / "mlflow-small")
    with server, process(*words, ready=lambda: answers(f"http://127.0.0.1:{port}/invocations", body)):
        turns = {
            "ours, REST": lambda: wrk(f"http://127.0.0.1:{rest}/v1/models/m:predict", body, 8, options.seconds),
            "mlflow models serve": lambda: wrk(f"http://127.0.0.1:{port}/invocations", body, 8, options.seconds),
        }
        peer = "mlflow models serve"
        show("Small model, one row, concurrency 8", in_turns(turns, options.rounds), [peer], {peer: 1})


def _small_keras():
    """The small model as MLflow takes it: Keras layers with the same weights."""
    import keras

    dense = keras.layers.Dense
    layers = [dense(256, "relu", use_bias=False), dense(10, "softmax", use_bias=False)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.set_weights(small_weights())
    return model


def _mlflow_signature():
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 64))]))


def big_json(root, options):
    """100 rows of 784 floats as JSON."""
    save_small(root / "wide" / "1", units=784)
    rows = np.random.default_rng(0).random((100, 784), dtype=np.float32)
    body = json.dumps({"instances": rows.round(6).tolist()}).encode()
    port = free_port()
    server, rest, _ = ours(root / "wide")
    url = f"http://127.0.0.1:{port}/predict"
    words = (options.litserve_python, LITSERVE, root / "wide" / "1", port)
    with server, process(*words, ready=lambda: answers(url, body)):
        turns = {
            "ours, REST": lambda: wrk(f"http://127.0.0.1:{rest}/v1/models/m:predict", body, 8, options.seconds),
            "LitServe": lambda: wrk(url, body, 8, options.seconds),
        }
        results = in_turns(turns, options.rounds)
        show("100 x 784 floats as JSON, concurrency 8", results, ["LitServe"], {"LitServe": 1.5})


def alexnet(root, options):
    """JPEG bytes at concurrency 16 against the SavedModel in a loop at its best batch size."""
    save_alexnet(root / "alexnet" / "1")
    image = jpeg()
    body = json.dumps({"instances": [{"b64": base64.b64encode(image).decode()}]}).encode()
    request = predict_request("m", image_bytes=np.array([image], object))
    server, rest, grpc = ours(root / "alexnet", "--enable-batching")
    seconds = max(options.seconds, 10)
    with (
        server,
        subprocess.Popen(
            [PYTHON, __file__, "--loop", str(root / "alexnet" / "1")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as loop,
    ):
        sizes = {}
        for size in (8, 16, 32, 64):
            sizes[size] = _loop_turn(loop, size, 5)
        best = max(sizes, key=sizes.get)
        print(f"\nSavedModel in a loop, images/s by batch size: { {k: round(v, 1) for k, v in sizes.items()} }")
        limit = f"limit: loop at batch size {best}"
        url = f"http://127.0.0.1:{rest}/v1/models/m:predict"
        turns = {
            "ours, gRPC": lambda: grpc_clients(grpc, request, 16, seconds),
            "ours, REST with b64": lambda: wrk(url, body, 16, seconds),
            limit: lambda: (_loop_turn(loop, best, seconds), 0, 0, 0),
        }
        results = in_turns(turns, options.rounds)
        show(f"AlexNet, JPEG of {len(image)} bytes, concurrency 16", results, [limit], {limit: 0.9})
        print(f"  REST's ratio to it: {results['ours, REST with b64'][0] / results[limit][0]:.2f} (required 0.85)")
        loop.stdin.close()


def _loop_turn(loop, size, seconds):
    loop.stdin.write(f"{size} {seconds}\n")
    loop.stdin.flush()
    return float(loop.stdout.readline())


def run_loop(folder):
    """The limit: an eager signature called over and over; reads "batch seconds" lines, prints images/s."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    call, image = loaded.signatures["serving_default"], jpeg()
    for line in sys.stdin:
        size, seconds = map(float, line.split())
        batch = tf.constant([image] * int(size))
        call(image_bytes=batch)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            call(image_bytes=batch)["scores"].numpy()
            count += int(size)
        print(count / (time.perf_counter() - start), flush=True)


def swap(root, options):
    """New versions under load: failed requests, p99 during swaps against the steady one, memory."""
    base = root / "swap"
    save_small(base / "1")
    body = json.dumps({"instances": [[0.5] * 64]}).encode()
    server, rest, _ = ours(base, "--file-system-poll-wait-seconds", "0.2")
    url = f"http://127.0.0.1:{rest}/v1/models/m"
    with server as running:

        def window():
            return wrk(f"{url}:predict", body, 4, 5)[3]

        steady = [window() for _ in range(4)]
        memory, during, ended = [], [], threading.Event()

        def load():
            while not ended.is_set():
                during.append(window())

        thread = threading.Thread(target=load)
        thread.start()
        for version in range(2, 52):
            shutil.copytree(base / "1", root / f"aside-{version}")
            (root / f"aside-{version}").rename(base / str(version))
            _until(f"{url}/versions/{version}", "AVAILABLE")
            if version > 2:
                shutil.rmtree(base / str(version - 1), ignore_errors=version == 2)
            memory.append(_resident(running.pid))
        ended.set()
        thread.join()
        during.pop()  # it may have outlasted the last swap
        steady += [window() for _ in range(4)]
    print("\n50 swaps under load: no failed request")
    for name, found in (("steady", steady), ("during swaps", during)):
        print(f"  p99 {name}, windows of 5 s, ms: " + " ".join(f"{value:.1f}" for value in found))
    ratio = statistics.median(during) / statistics.median(steady)
    print(f"  ratio of the medians {ratio:.2f} (required at most 2), largest {max(during) / max(steady):.2f}")
    print(f"  resident memory after 1, 20, 50 swaps: {memory[0]:.0f}, {memory[19]:.0f}, {memory[49]:.0f} MiB: ", end="")
    print(f"ratio after 20 {memory[19] / memory[0]:.3f} (required at most 1.1)", flush=True)


def _until(url, state):
    while True:
        with contextlib.suppress(OSError):
            answer = json.load(urllib.request.urlopen(url, timeout=10))
            if answer["model_version_status"][0]["state"] == state:
                return
        time.sleep(0.05)


def _resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def start(root, options):
    """From the command to the first good answer."""
    save_small(root / "start" / "1")
    body = json.dumps({"instances": [[0.5] * 64]}).encode()
    taken = []
    for _ in range(options.rounds):
        begun = time.perf_counter()
        server, rest, _ = ours(root / "start")
        with server:
            while not answers(f"http://127.0.0.1:{rest}/v1/models/m:predict", body):
                time.sleep(0.02)
            taken.append(time.perf_counter() - begun)
    print(
        f"\nFrom the command to the first good answer: {statistics.median(taken):.1f} s (required at most 15)",
        flush=True,
    )


PARTS = {"small": small, "json": big_json, "alexnet": alexnet, "swap": swap, "start": start, "mlflow": mlflow}


def main():
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve-python", default=PYTHON)
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        run_loop(options.loop)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            PARTS[name](Path(folder), options)


if __name__ == "__main__":
    main()
