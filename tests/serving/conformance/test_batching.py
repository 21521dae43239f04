"""Batching with TensorFlow Serving's parameters, each model with its own: the answers of concurrent requests."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import urllib3

pytestmark = pytest.mark.lengthy

TIMEOUT_MS = 3000
SHARED = 'num_batch_threads { value: 2 } thread_pool_name { value: "shared" }'
PARAMETERS = {
    "full": "max_batch_size { value: 4 } batch_timeout_micros { value: 60000000 }",
    "padded": "max_batch_size { value: 4 } allowed_batch_sizes: 1 allowed_batch_sizes: 3 allowed_batch_sizes: 4",
    "split": "max_batch_size { value: 8 } max_execution_batch_size { value: 2 } enable_large_batch_splitting "
    "{ value: true } batch_timeout_micros { value: 100000 }",
    "equal": "max_batch_size { value: 2 } batch_timeout_micros { value: 60000000 }",
    "variable": "max_batch_size { value: 2 } batch_timeout_micros { value: 60000000 } pad_variable_length_inputs: true",
    "sums": "",
    "slow": "max_batch_size { value: 1 } max_enqueued_batches { value: 1 }",
    "images": "max_batch_size { value: 8 } batch_timeout_micros { value: 60000000 }",
    "unbatched": None,
}


def matrix_half_plus_two():
    """y = x / 2 + 2, for 3 x 3 matrices only."""
    import tensorflow as tf

    x = tf.compat.v1.placeholder(tf.float32, [None, None, None], "x")
    y = tf.ensure_shape(x, [None, 3, 3]) / 2.0 + 2.0
    return {"serving_default": ("tensorflow/serving/predict", {"x": x}, {"y": y})}


def images():
    """Returns the height and width of encoded images."""
    import tensorflow as tf

    data = tf.compat.v1.placeholder(tf.string, [None], "image_bytes")
    shapes = tf.map_fn(
        lambda each: tf.shape(tf.io.decode_image(each, 3, expand_animations=False))[:2],
        data,
        fn_output_signature=tf.TensorSpec([2], tf.int32),
    )
    return {"serving_default": ("tensorflow/serving/predict", {"image_bytes": data}, {"size": shapes})}


@pytest.fixture(scope="module")
def server(serve_all, models, tmp_path_factory):
    root = tmp_path_factory.mktemp("batched")
    build = {"equal": matrix_half_plus_two, "variable": matrix_half_plus_two, "images": images}
    build |= {"sums": models.sums, "slow": models.slow}
    entries = []
    for name, text in PARAMETERS.items():
        folder = models.save(root / name / "1", build.get(name, models.half_plus(2.0)))
        if text is not None:
            (folder / "batching_params.pbtxt").write_text(text)
        entries.append(models.ONE.format(name=name, base=root / name))
    (root / "models.config").write_text(models.CONFIG.format(models="".join(entries)))
    (root / "batching.config").write_text(SHARED)
    yield serve_all(
        *("--model-config-file", root / "models.config", "--enable-batching", "true"),
        *("--batching-parameters-file", root / "batching.config", "--enable-per-model-batching-parameters", "true"),
        *("--rest-api-timeout-in-ms", TIMEOUT_MS),
    )


@pytest.fixture
def ask(server):
    """Sends requests at the same time, in order; returns status and document of each."""
    pool = urllib3.PoolManager(maxsize=32)

    def one(model, body):
        answer = pool.request("POST", f"{server.rest}/v1/models/{model}:predict", body=json.dumps(body), timeout=60)
        return answer.status, answer.json()

    def all_of(model, *bodies):
        with ThreadPoolExecutor(len(bodies)) as threads:
            answers = []
            for body in bodies:
                answers.append(threads.submit(one, model, body))
                time.sleep(0.02)
            return [answer.result() for answer in answers]

    return all_of


def metric(server, line):
    """Returns the value on a line of the metrics; 0 without such a line."""
    text = urllib3.request("GET", f"{server.rest}/monitoring/prometheus/metrics").data.decode()
    name = f":tensorflow:serving:batching_session:{line}"
    return next((float(each.split()[-1]) for each in text.splitlines() if each.startswith(name)), 0.0)


def test_a_full_batch_does_not_wait(ask):
    start = time.monotonic()
    first, second = ask("full", {"instances": [100.0, 42.0]}, {"instances": [71.5, 18.25]})
    assert first == (200, {"predictions": [52.0, 23.0]})
    assert second == (200, {"predictions": [37.75, 11.125]})
    assert time.monotonic() - start < 3


def test_a_batch_is_padded_to_an_allowed_size(ask, server):
    before = [metric(server, f"{name}_sum") for name in ("input_batch_size", "processed_batch_size")]
    padding = metric(server, 'padding_size_sum{execution_batch_size="3"}')
    assert ask("padded", {"instances": [100.0, 42.0]}) == [(200, {"predictions": [52.0, 23.0]})]
    after = [metric(server, f"{name}_sum") for name in ("input_batch_size", "processed_batch_size")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 3]
    assert metric(server, 'padding_size_sum{execution_batch_size="3"}') - padding == 1
    assert metric(server, 'queuing_latency_count{thread_pool_name="shared"}') >= 1


def test_more_rows_than_a_batch_may_have(ask):
    ((status, document),) = ask("full", {"instances": [1.0] * 5})
    assert status == 400
    assert "Task size 5 is larger than maximum input batch size 4" in document["error"]


def test_a_large_request_is_split(ask, server):
    runs = metric(server, "wrapped_run_count")
    answers = ask("split", {"instances": [0.0, 2.0, 4.0]}, {"instances": [6.0, 8.0, 10.0, 12.0]})
    assert answers == [(200, {"predictions": [2.0, 3.0, 4.0]}), (200, {"predictions": [5.0, 6.0, 7.0, 8.0]})]
    assert metric(server, "wrapped_run_count") - runs == 4


def test_shapes_that_differ_without_padding(ask):
    for status, document in ask("equal", {"instances": [[[1, 2], [3, 4]]]}, {"instances": np.eye(3)[None].tolist()}):
        assert status == 400
        assert "Tensors with name 'x' from different tasks have different shapes" in document["error"]
        assert "padding is turned off. Set pad_variable_length_inputs to true" in document["error"]


def test_shapes_that_differ_are_padded_with_zeros(ask):
    large = np.arange(5.0, 14.0).reshape(1, 3, 3)
    first, second = ask("variable", {"instances": [[[1, 2], [3, 4]]]}, {"instances": large.tolist()})
    assert first == (200, {"predictions": [[[2.5, 3.0, 2.0], [3.5, 4.0, 2.0], [2.0, 2.0, 2.0]]]})
    assert second == (200, {"predictions": (large / 2 + 2).tolist()})


def test_inputs_of_unequal_length(ask):
    ((status, document),) = ask("sums", {"inputs": {"a": [3], "b": [5, 7]}})
    assert status == 400
    assert "Batching Run() input tensors must have equal 0th-dimension size" in document["error"]


def test_a_scalar_output(ask):
    ((status, document),) = ask("sums", {"signature_name": "scalar", "inputs": {"a": [3], "b": [5]}})
    assert status == 400
    assert "Batched output tensor has 0 dimensions" in document["error"]


def test_signatures_are_batched_apart(ask):
    first, second = ask(
        "sums", {"inputs": {"a": [3], "b": [5]}}, {"signature_name": "scalar", "inputs": {"a": [3], "b": [5]}}
    )
    assert first == (200, {"outputs": {"sum": [8.0], "difference": [-2.0]}})
    assert second[0] == 400


def test_a_model_without_parameters_is_not_batched(ask, server):
    runs = metric(server, "wrapped_run_count")
    assert ask("unbatched", {"instances": [2.0] * 50}) == [(200, {"predictions": [3.0] * 50})]
    assert metric(server, "wrapped_run_count") == runs


def test_only_the_broken_image_of_a_batch_fails(ask):
    import base64

    from tensorflow import io

    def body(data):
        return {"instances": [{"b64": base64.b64encode(data).decode()}]}

    whole = [io.encode_jpeg(np.zeros((8, width, 3), np.uint8)).numpy() for width in range(1, 9)]
    whole[3] = whole[3][:100]
    answers = ask("images", *map(body, whole))
    for number, (status, document) in enumerate(answers):
        if number == 3:
            assert status == 400
            assert "error" in document
        else:
            assert (status, document) == (200, {"predictions": [[8, number + 1]]})


def test_a_request_over_grpc_joins_one_over_rest(ask, server):
    grpc = pytest.importorskip("grpc")
    from tensorflow import make_ndarray, make_tensor_proto
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "full"
    request.inputs["x"].CopyFrom(make_tensor_proto(np.float32([2, 4])))
    with grpc.insecure_channel(server.grpc) as channel:
        future = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict.future(request, timeout=30)
        time.sleep(0.2)
        assert not future.done()
        assert ask("full", {"instances": [6.0, 8.0]}) == [(200, {"predictions": [5.0, 6.0]})]
        assert make_ndarray(future.result().outputs["y"]).tolist() == [3, 4]


def test_a_full_queue_and_a_request_that_waits_too_long(ask):
    # Two threads are busy for longer than the timeout; one request may wait, and the fourth is one too many.
    busy = {"instances": [15_000]}
    first, second, third, fourth = ask("slow", busy, busy, {"instances": [1]}, {"instances": [1]})
    assert fourth[0] == 503
    assert fourth[1]["error"].startswith("The batch scheduling queue to which this task was submitted is full")
    assert third[0] == 429
    assert "Run() timeout exceeded while waiting in batching queue" in third[1]["error"]
    assert (first[0], second[0]) == (504, 504)


def test_invalid_parameters_end_the_start(serve, model_root, tmp_path):
    path = Path(tmp_path, "batching.config")
    path.write_text("max_batch_size { value: 4 } allowed_batch_sizes: [2, 8]")
    options = ("--enable-batching", "true", "--batching-parameters-file", path)
    with pytest.raises(RuntimeError, match="Last entry in allowed_batch_sizes must match max_batch_size"):
        serve("--model-base-path", model_root / "half_plus_two", *options)
