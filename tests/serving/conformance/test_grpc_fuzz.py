"""Damaged requests and random bytes over gRPC, on real models: the server answers all of them and keeps running."""

import collections
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

grpc = pytest.importorskip("grpc")
tf = pytest.importorskip("tensorflow")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")

from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    regression_pb2,
)

pytestmark = [
    pytest.mark.skipif(
        "VISION_TFX_SERVING_REST" in os.environ, reason="TensorFlow Serving calls some refusals INTERNAL"
    ),
    pytest.mark.lengthy,
]
# RESOURCE_EXHAUSTED is the client's: a few bytes may request zeros whose response exceeds its limit of 4 MB.
_FINE = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED",
    "OUT_OF_RANGE",
}
_PREDICTION, _MODELS = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"
_HEALTH, _REFLECTION = "/grpc.health.v1.Health", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_IN_FLIGHT, _TIMEOUT = 64, 60


def _predict(model: str, signature: str, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return f"{_PREDICTION}/Predict", request.SerializeToString()


def _seeds() -> list[tuple[str, bytes]]:
    """Valid requests, one of every kind."""
    numbers = np.arange(6).reshape(2, 3)
    seeds = [
        _predict("echoes", name, x=numbers.astype(tf.as_dtype(name).as_numpy_dtype))
        for name in ("float32", "float64", "int8", "int32", "int64", "uint64", "bool", "half", "bfloat16", "complex64")
    ]
    seeds.append(_predict("echoes", "string", x=[b"a", b"bc"]))
    seeds.append(_predict("sums", "", a=np.ones(2, np.float32), b=np.ones(2, np.float32)))
    fields = predict_pb2.PredictRequest(output_filter=["y"])
    fields.model_spec.name, fields.model_spec.version.value = "half_plus_two", 123
    fields.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros(0, np.float32)))
    fields.inputs["x"].float_val.extend([1, 2, 3])
    fields.inputs["x"].tensor_shape.dim[0].size = 3
    seeds.append((f"{_PREDICTION}/Predict", fields.SerializeToString()))
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2)
    for method, kind, signature in (
        ("Classify", classification_pb2.ClassificationRequest, "classify_labels"),
        ("Regress", regression_pb2.RegressionRequest, "regress_x_to_y"),
    ):
        request = kind()
        request.model_spec.name, request.model_spec.signature_name = "half_plus_two", signature
        request.input.example_list.examples.extend([example, example])
        seeds.append((f"{_PREDICTION}/{method}", request.SerializeToString()))
        request.input.example_list_with_context.context.CopyFrom(example)
        request.input.example_list_with_context.examples.add()
        seeds.append((f"{_PREDICTION}/{method}", request.SerializeToString()))
    several = inference_pb2.MultiInferenceRequest()
    for method, signature in (("classify", "classify_x_to_y"), ("regress", "regress_x_to_y")):
        task = several.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "half_plus_two", signature
    several.input.example_list.examples.append(example)
    seeds.append((f"{_PREDICTION}/MultiInference", several.SerializeToString()))
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "sums"
    seeds.append((f"{_PREDICTION}/GetModelMetadata", metadata.SerializeToString()))
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name, status.model_spec.version_label = "sums", "stable"
    seeds.append((f"{_MODELS}/GetModelStatus", status.SerializeToString()))
    seeds.append((f"{_HEALTH}/Check", b"\x0a\x0cModelService"))
    return seeds


def _damaged(body: bytes, chance: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(chance.randint(0, 3)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if place < len(data):
                data[place] = chance.randrange(256)
            case 1 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case 2:
                data[place:place] = chance.randbytes(chance.randint(1, 8))
            case 3:
                del data[place : place + chance.randint(1, 8)]
            case 4:
                end = chance.randrange(place, len(data) + 1)
                data[place:place] = data[place:end] * chance.randint(1, 3)
    return bytes(data)


def cases(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yields methods and bodies: mostly damaged bodies, some sent to another method, some random bytes."""
    chance = random.Random(seed)
    seeds = _seeds()
    methods = [method for method, _ in seeds] + [f"{_MODELS}/HandleReloadConfigRequest"]
    for _ in range(count):
        method, body = chance.choice(seeds)
        if chance.random() < 0.1:
            method = chance.choice(methods)
        yield method, chance.randbytes(chance.randint(0, 200)) if chance.random() < 0.1 else _damaged(body, chance)


def _resident(process) -> int:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _send(channel, wanted: Iterator[tuple[str, bytes]], codes: collections.Counter) -> None:
    calls, flying = {}, collections.deque()

    def land() -> None:
        method, body, future = flying.popleft()
        error = future.exception(_TIMEOUT)
        code = error.code().name if error else "OK"
        codes[code] += 1
        assert code in _FINE, (code, error.details(), method, body)

    for method, body in wanted:
        call = calls.setdefault(method, channel.unary_unary(method))
        flying.append((method, body, call.future(body, timeout=_TIMEOUT)))
        if len(flying) >= _IN_FLIGHT:
            land()
    while flying:
        land()


def _answers(channel) -> bool:
    method, body = _predict("half_plus_two", "", x=np.ones(1, np.float32))
    response = predict_pb2.PredictResponse.FromString(channel.unary_unary(method)(body, timeout=_TIMEOUT))
    return list(response.outputs["y"].float_val) == [2.5]


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_damaged_requests(count, channel, server):
    codes = collections.Counter()
    _send(channel, cases(1, 1000), codes)  # the first requests allocate threads, pools and arenas that stay
    before = _resident(server.process)
    _send(channel, cases(2, count), codes)
    assert codes["OK"] > count / 20, codes
    assert codes["INVALID_ARGUMENT"] > count / 20, codes
    assert _answers(channel)
    assert _resident(server.process) < before + 50e6, codes


def test_damaged_streams(channel):
    chance = random.Random(3)
    reflection = channel.stream_stream(_REFLECTION)
    watch = channel.unary_stream(f"{_HEALTH}/Watch")
    for _ in range(300):
        bodies = [_damaged(b"\x22\x0anothing.No", chance) for _ in range(chance.randint(0, 3))]
        try:
            answers = len(list(reflection(iter(bodies), timeout=_TIMEOUT)))
            assert answers == len(bodies)
        except grpc.RpcError as error:
            assert error.code().name == "INVALID_ARGUMENT", (error, bodies)
        body = _damaged(b"\x0a\x0cModelService", chance)
        call = watch(body, timeout=_TIMEOUT)
        try:
            next(call)
            call.cancel()
        except grpc.RpcError as error:
            assert error.code().name == "INVALID_ARGUMENT", (error, body)
    assert _answers(channel)


def test_noise_on_the_port(channel, server):
    """Connections that do not speak HTTP/2, that begin with its preface, and that stay open and silent."""
    chance = random.Random(4)
    host, port = server.grpc.rsplit(":", 1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    silent = [socket.create_connection((host, int(port))) for _ in range(50)]
    for number in range(300):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            noise = chance.randbytes(chance.randint(1, 500))
            try:
                connection.sendall((b"", preface, b"GET / HTTP/1.1\r\n\r\n")[number % 3] + noise)
                if number % 10 == 0:
                    connection.settimeout(0.05)
                    connection.recv(100)
            except (TimeoutError, OSError):
                pass
    assert _answers(channel)
    for connection in silent:
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b"\x12\x00" * 3_000_000,  # a map of 3 million empty entries
        b"\x12\x04\x0a\x00\x12\x00" * 1_000_000,
        b"".join(b"\x12\x06\x0a\x04" + f"{each:04x}".encode() for each in range(60_000)),
        b"\x0a\x09\x0a\x07half\xff\xfe\x00",
    ],
    ids=["empty entries", "the same entry", "many entries", "no UTF-8"],
)
def test_repeated_fields(channel, body):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{_PREDICTION}/Predict")(body, timeout=10)
    assert caught.value.code().name == "INVALID_ARGUMENT", caught.value
    assert _answers(channel)


def test_many_examples(channel):
    examples = b"\x0a\x00" * 20_000
    listed = b"\x0a" + _varint(len(examples)) + examples
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", "classify_x_to_y"
    body = request.SerializeToString() + b"\x12" + _varint(len(listed)) + listed
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{_PREDICTION}/Classify")(body, timeout=10)
    assert caught.value.code().name == "INVALID_ARGUMENT"
    assert "20000 examples" in caught.value.details()


def test_long_names(channel, server):
    """Names of unknown models leave nothing behind."""
    call = channel.unary_unary(f"{_PREDICTION}/Predict")
    before = 0
    for number in range(400):
        if number == 200:  # the allocator has reached its steady size
            before = _resident(server.process)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = f"{number}" + "n" * 1_000_000
        with pytest.raises(grpc.RpcError) as caught:
            call(request.SerializeToString(), timeout=10)
        assert caught.value.code().name == "NOT_FOUND"
    assert _resident(server.process) < before + 100e6


def test_long_lists_of_models(channel):
    request = model_management_pb2.ReloadConfigRequest()
    for _ in range(1000):
        request.config.model_config_list.config.add(name="x" * 1000)
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{_MODELS}/HandleReloadConfigRequest")(request.SerializeToString(), timeout=10)
    assert caught.value.code().name == "INVALID_ARGUMENT"


def _varint(number: int) -> bytes:
    head = bytearray()
    while number >= 0x80:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*head, number])
