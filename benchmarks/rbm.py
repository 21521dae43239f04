"""How fast an RBM trains: against scikit-learn, a plain PyTorch loop and the machine's own matrix-multiply peak.

    python benchmarks/rbm.py [--rounds N] [--torch-python PATH] [--scaling]

CD-1, 784 x 500, batches of 100, float32, one epoch of 60,000 images, momentum and weight cost as in `rbm.m`. Every
contestant lives in a process of its own, with its data in memory and one turn behind it; they take turns of three
epochs, so that whatever else the machine does hits all of them, and so that what a call of `fit` costs once, 0.1 s
here, counts as little as in a training. scikit-learn trains by persistent CD and samples less.
`--torch-python` names an interpreter that has PyTorch; by default, this one. `--scaling` shows what an epoch costs as
examples, units and k grow, and how much memory data on disk take.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, VISIBLE, HIDDEN, BATCH = 60_000, 784, 500, 100
CHUNK = 10_000  # as the pipeline does
EPOCHS = 3  # in a turn
GFLOP = 5 * 2 * ROWS * VISIBLE * HIDDEN / 1e9  # h0, v1, h1 and two outer products


def images(rows: int = ROWS, units: int = VISIBLE) -> np.ndarray:
    """Binary noise with the mean of MNIST; its content does not matter to speed."""
    return (np.random.default_rng(0).random((rows, units), dtype=np.float32) < 0.13).astype(np.float32)


def ours(rows=ROWS, visible=VISIBLE, hidden=HIDDEN, k=1):
    """Epochs of `RBM.fit`, as the pipeline calls it."""
    import tensorflow as tf

    from models.fitting.sgd import MomentumSGD
    from models.rbm import RBM

    data = tf.constant(images(rows, visible))
    chunks = tf.data.Dataset.range(0, rows, CHUNK).map(lambda start: data[start : start + CHUNK]).prefetch(2)
    rbm = RBM(hidden, gibbs_steps=k, minibatch_size=BATCH, seed=1)
    rbm.compile(MomentumSGD(0.1, momentum=0.9, initial_momentum=0.5, momentum_switch=5 * 600, weight_cost=2e-4))
    return lambda: rbm.fit(chunks, epochs=EPOCHS, verbose=0, shuffle=False)


def torch_loop():
    """The same arithmetic as one writes it in PyTorch."""
    import torch

    generator = torch.Generator().manual_seed(1)
    data = torch.from_numpy(images())
    weights = 0.1 * torch.randn(VISIBLE, HIDDEN, generator=generator)
    parameters = [weights, torch.zeros(VISIBLE), torch.zeros(HIDDEN)]
    velocities = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def epoch():
        kernel, visible_bias, hidden_bias = parameters
        for start in range(0, ROWS, BATCH):
            v0 = data[start : start + BATCH]
            h0 = torch.sigmoid(torch.addmm(hidden_bias, v0, kernel))
            states = torch.bernoulli(h0, generator=generator)
            v1 = torch.sigmoid(torch.addmm(visible_bias, states, kernel.T))
            h1 = torch.sigmoid(torch.addmm(hidden_bias, v1, kernel))
            gradients = [
                (v1.T @ h1 - v0.T @ h0) / BATCH + 2e-4 * kernel,
                (v1 - v0).mean(0),
                (h1 - h0).mean(0),
            ]
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(0.5).sub_(gradient, alpha=0.1)
                parameter.add_(velocity)

    return lambda: [epoch() for _ in range(EPOCHS)]


def scikit_learn():
    """scikit-learn's BernoulliRBM, float32."""
    from sklearn.neural_network import BernoulliRBM

    data = images()
    machine = BernoulliRBM(HIDDEN, batch_size=BATCH, n_iter=EPOCHS, random_state=1)
    return lambda: machine.fit(data)


def matrix_multiply():
    """A product of large matrices in TensorFlow, as much arithmetic as a turn has."""
    import tensorflow as tf

    size = 2048
    matrix = tf.random.normal((size, size))
    product = tf.function(lambda x: x @ matrix)
    repeats = round(EPOCHS * GFLOP * 1e9 / (2 * size**3))

    def run():
        for _ in range(repeats):
            result = product(matrix)
        return result.numpy()

    return run


CONTESTANTS = {"ours": ours, "PyTorch": torch_loop, "scikit-learn": scikit_learn, "matrix multiply": matrix_multiply}


def serve(name: str) -> None:
    """In a process of its own: prints the seconds per epoch of one turn for every line that comes in."""
    run = CONTESTANTS[name]()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) / EPOCHS, flush=True)


class Contestant:
    """A process that runs when told to."""

    def __init__(self, name: str, python: str) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [python, __file__, "--serve", name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        if self._process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{name} does not run: {' '.join(command)}")

    def seconds(self) -> float:
        """Per epoch, of one turn."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def compare(rounds: int, torch_python: str) -> None:
    """Prints seconds, GFLOP/s and ratios; all in turns."""
    pythons = dict.fromkeys(CONTESTANTS, sys.executable) | {"PyTorch": torch_python}
    has_torch = subprocess.run([torch_python, "-c", "import torch"], capture_output=True).returncode == 0
    names = [name for name in CONTESTANTS if name != "PyTorch" or has_torch]
    contestants = {name: Contestant(name, pythons[name]) for name in names}
    times = {name: [] for name in names}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(contestant.seconds())
    for contestant in contestants.values():
        contestant.end()
    print(
        f"CD-1, {VISIBLE} x {HIDDEN}, batch {BATCH}, an epoch of {ROWS:,}; median of {rounds} turns of {EPOCHS} epochs"
    )
    for name in names:
        median = statistics.median(times[name])
        print(f"{name:16s} {median:6.3f} s   best {min(times[name]):6.3f} s   {GFLOP / median:5.0f} GFLOP/s")
    for name in names[1:-1]:
        print(f"ours is {_ratio(times[name], times['ours']):.2f} times as fast as {name}")
    print(f"ours reaches {100 * _ratio(times['matrix multiply'], times['ours']):.0f} % of the matrix-multiply peak")
    if not has_torch:
        print("PyTorch is not installed; --torch-python names an interpreter that has it")


def _ratio(others: list[float], own: list[float]) -> float:
    return statistics.median(other / one for other, one in zip(others, own, strict=True))


def scaling() -> None:
    """Prints what an epoch costs as one size grows, per unit of work, and the memory of data on disk."""
    base = {"rows": 30_000, "visible": VISIBLE, "hidden": HIDDEN, "k": 1}
    print("\nSeconds per epoch, and relative to the arithmetic in it (1 = as the first line)")
    for key, values in (("rows", (30_000, 60_000, 120_000)), ("hidden", (500, 1000, 2000)), ("k", (1, 5, 20))):
        first = None
        for value in values:
            sizes = base | {key: value}
            run = ours(**sizes)
            run()
            seconds = min(_timed(run) for _ in range(3)) / EPOCHS
            work = sizes["rows"] * sizes["hidden"] * (3 + 2 * sizes["k"])
            first = first or seconds / work
            print(f"{key:8s} {value:8,d}   {seconds:7.3f} s   {seconds / work / first:5.2f}")
    print("\nPeak memory of an epoch over images read from disk, in a process of its own")
    for rows in (60_000, 600_000):
        done = subprocess.run(
            [sys.executable, __file__, "--from-disk", str(rows)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        print(f"{rows:9,d} images, {rows * VISIBLE / 2**20:6.0f} MiB on disk: {done.stdout.strip()} MiB")


def _timed(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def from_disk(rows: int) -> None:
    """Trains one epoch on a file of bytes and prints the peak memory in MiB."""
    import tensorflow as tf

    from models.rbm import RBM

    with tempfile.NamedTemporaryFile(suffix=".bytes") as file:
        block = (255 * images(10_000)).astype(np.uint8).tobytes()
        for _ in range(rows // 10_000):
            file.write(block)
        file.flush()
        records = tf.data.FixedLengthRecordDataset(file.name, VISIBLE).batch(CHUNK, drop_remainder=True)
        rbm = RBM(64, minibatch_size=BATCH, seed=1)
        rbm.compile()
        pixels = records.map(lambda x: tf.reshape(tf.io.decode_raw(x, tf.uint8), (CHUNK, VISIBLE)))
        rbm.fit(pixels.map(lambda x: tf.cast(x, tf.float32) / 255), verbose=0, shuffle=False)
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contestant")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--scaling", action="store_true", help="cost by size instead, and memory")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--from-disk", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    elif options.from_disk:
        from_disk(options.from_disk)
    elif options.scaling:
        scaling()
    else:
        compare(options.rounds, options.torch_python)


if __name__ == "__main__":
    main()
