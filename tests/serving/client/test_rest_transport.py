"""The client over REST, against a fake server: JSON, retries, errors, addresses."""

import math
import socket
import threading
import time

import pytest

from serving.client import ModelClient
from serving.client.errors import (
    InvalidRequestError,
    ModelClientError,
    NotAllowedError,
    NotFoundError,
    OverloadedError,
    ServerFailureError,
    ServerTimeoutError,
    ServerUnreachableError,
    UnexpectedAnswerError,
)
from serving.errors import Code

QUICK = {"model": "digits", "backoff": 0.001}


@pytest.fixture
def client(fake_server):
    with ModelClient(fake_server.url, **QUICK) as client:
        yield client


def asked(server, verb: str = ":predict") -> list:
    return [request for request in server.requests if request.path.endswith(verb)]


# Predict


def test_values_by_name(fake_server, client):
    fake_server.models["digits"].answer = {"sum": [3.0], "text": ["é"]}
    assert client.predict({"a": [1.0], "b": [2]}) == {"sum": [3.0], "text": ["é"]}
    [request] = asked(fake_server)
    assert (request.path, request.body) == ("/v1/models/digits:predict", {"inputs": {"a": [1.0], "b": [2]}})
    assert request.headers["Content-Type"] == "application/json"


def test_bytes_are_sent_and_received_as_base64(fake_server, client):
    fake_server.models["digits"].answer = {"x_bytes": [[{"b64": "/w=="}], [{"b64": ""}]], "x": "text"}
    assert client.predict({"x": [b"\xff", bytearray(b"a"), memoryview(b"b")]}) == {
        "x_bytes": [[b"\xff"], [b""]],
        "x": "text",
    }
    assert asked(fake_server)[0].body["inputs"]["x"] == [{"b64": "/w=="}, {"b64": "YQ=="}, {"b64": "Yg=="}]


def test_numbers_that_json_lacks(fake_server, client):
    fake_server.models["digits"].answer = {"y": [math.inf, -math.inf, math.nan]}
    first, second, third = client.predict({"x": [math.nan]})["y"]
    assert (first, second) == (math.inf, -math.inf)
    assert math.isnan(third)
    assert math.isnan(asked(fake_server)[0].body["inputs"]["x"][0])


def test_arrays(fake_server, client):
    numpy = pytest.importorskip("numpy")
    fake_server.models["digits"].answer = {"y": 1}
    client.predict({"x": numpy.eye(2, dtype="float32"), "n": numpy.int64(3), "s": numpy.array([b"a"], object)})
    assert asked(fake_server)[0].body["inputs"] == {"x": [[1, 0], [0, 1]], "n": 3, "s": [{"b64": "YQ=="}]}


def test_values_of_a_foreign_type(client):
    with pytest.raises(TypeError, match="cannot be of type object"):
        client.predict({"x": object()})


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "/v1/models/digits:predict"),
        ({"version": 7}, "/v1/models/digits/versions/7:predict"),
        ({"version": 0}, "/v1/models/digits/versions/0:predict"),
        ({"label": "can/ary"}, "/v1/models/digits/labels/can%2Fary:predict"),
        ({"model": "größer/x:y"}, "/v1/models/gr%C3%B6%C3%9Fer%2Fx%3Ay:predict"),
        ({"model": "m", "version": 1, "signature_name": "pixels"}, "/v1/models/m/versions/1:predict"),
    ],
)
def test_paths(fake_server, given, path):
    fake_server.faults = [(200, {"outputs": {"y": 1}})] * 2
    with ModelClient(fake_server.url, model="digits") as client:
        client.predict({"x": 1}, **given)
    with ModelClient(
        fake_server.url, **{"model": "digits"} | {k: v for k, v in given.items() if k != "signature_name"}
    ) as own:
        own.predict({"x": 1})
    first, second = fake_server.requests
    assert first.path == second.path == path
    assert first.body.get("signature_name") == given.get("signature_name")


# Status, metadata, models


def test_status(fake_server, client):
    fake_server.models["digits"].versions = [9, 11]
    assert [(each.version, each.state, each.available) for each in client.status()] == [
        (11, "AVAILABLE", True),
        (9, "AVAILABLE", True),
    ]
    with pytest.raises(NotFoundError, match=r"Servable not found for request: Latest\(cats\); name a model"):
        client.status(model="cats")


def test_metadata(fake_server, client):
    fake_server.models["digits"].labels = {"canary": 5}
    metadata = client.metadata(label="canary")
    assert (metadata.name, metadata.version) == ("digits", 5)
    signature = metadata.signatures["serving_default"]
    assert signature.image_input == "image_bytes"
    assert (signature.method, signature.outputs["scores"].shape) == ("tensorflow/serving/predict", (None, 5))


def test_models(fake_server, client):
    assert client.models() == {"digits": [11]}
    fake_server.listed = False
    with pytest.raises(UnexpectedAnswerError):
        client.models()


# Images


def test_images(fake_server, client):
    seven, text = client.classify_images([b"PNG seven", b"text"])
    assert (seven.prediction.classes[0], seven.prediction.scores[0]) == ("7", 0.9)
    assert text.error.reason == "Unknown image file format. One of JPEG, PNG, GIF, BMP required."
    assert asked(fake_server)[0].body["inputs"] == {"image_bytes": [{"b64": "UE5HIHNldmVu"}, {"b64": "dGV4dA=="}]}


def test_many_threads_share_a_client(client):
    found = []
    threads = [threading.Thread(target=lambda: found.append(client.classify_image(b"PNG"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [prediction.classes for prediction in found] == [("7", "1", "9", "4", "3")] * 16


# Retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retried(fake_server, client, status):
    fake_server.faults = [status, status]
    fake_server.models["digits"].answer = {"y": 1}
    assert client.predict({"x": 1}) == {"y": 1}
    assert len(fake_server.requests) == 3


def test_retried_as_often_as_allowed(fake_server):
    fake_server.faults = [503] * 10
    with ModelClient(fake_server.url, **QUICK, retries=2) as client, pytest.raises(OverloadedError) as error:
        client.status()
    assert len(fake_server.requests) == 3
    assert error.value.code is Code.UNAVAILABLE
    assert str(error.value) == f"{fake_server.url} answered: fault 503; try again later"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, InvalidRequestError, Code.INVALID_ARGUMENT),
        (413, InvalidRequestError, Code.INVALID_ARGUMENT),
        (501, InvalidRequestError, Code.UNIMPLEMENTED),
        (404, NotFoundError, Code.NOT_FOUND),
        (401, NotAllowedError, Code.UNAUTHENTICATED),
        (403, NotAllowedError, Code.PERMISSION_DENIED),
        (409, ServerFailureError, Code.ABORTED),
        (499, ServerFailureError, Code.CANCELLED),
        (500, ServerFailureError, Code.INTERNAL),
    ],
)
def test_not_retried(fake_server, client, status, kind, code):
    fake_server.faults = [status]
    with pytest.raises(kind) as error:
        client.predict({"x": 1})
    assert type(error.value) is kind
    assert error.value.code is code
    assert f"fault {status}" in str(error.value)
    assert isinstance(error.value, ModelClientError)
    assert len(fake_server.requests) == 1


def drop_connection(handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def half_an_answer(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    handler.close_connection = True


@pytest.mark.parametrize("fault", [drop_connection, half_an_answer])
def test_lost_connection(fake_server, client, fault):
    fake_server.faults = [fault]
    assert client.status()[0].version == 11
    fake_server.faults = [fault] * 4
    with pytest.raises(ServerUnreachableError, match="no model server answers at"):
        client.status()


def test_pauses_grow_and_differ(fake_server, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for _ in range(4):
        fake_server.faults = [503] * 5
        with ModelClient(fake_server.url, model="digits", retries=4) as client, pytest.raises(OverloadedError):
            client.status()
    pauses = [pause for pause in slept if pause >= 0.1]
    assert len(set(pauses)) == len(pauses) == 12  # the first try again is immediate
    assert max(pauses) < 1.2


def test_no_answer_in_time(fake_server):
    fake_server.delay = 0.2
    with (
        ModelClient(fake_server.url, **QUICK, timeout=0.05, retries=1) as client,
        pytest.raises(ServerTimeoutError, match=r"did not answer in time; send smaller batches"),
    ):
        client.status()


# Addresses


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with (
            ModelClient(f"http://127.0.0.1:{port}", retries=0) as client,
            pytest.raises(ServerUnreachableError) as error,
        ):
            client.status()
    assert str(error.value) == (
        f"no model server answers at http://127.0.0.1:{port}: Connection refused; start one with `vision-tfx serve`, "
        "or correct the address"
    )


def test_https_asked_of_http(fake_server):
    with (
        ModelClient(fake_server.url.replace("http", "https"), retries=0) as client,
        pytest.raises(ServerUnreachableError, match=r"no secure connection to https://.*check https against http"),
    ):
        client.status()


def test_another_server(fake_server, client):
    fake_server.faults = [(200, b"<html>MLflow</html>"), (404, b"<html>"), (418, {}), (302, b"")]
    for _ in range(4):
        with pytest.raises(UnexpectedAnswerError, match="is not a model server with TensorFlow Serving's REST API"):
            client.status()
    fake_server.faults = [(200, {"predictions": []})]
    with pytest.raises(UnexpectedAnswerError, match='the answer has no "outputs"'):
        client.predict({"x": 1})


def test_empty_error(fake_server, client):
    fake_server.faults = [(400, b""), (400, {"error": ""}), (400, [])]
    for _ in range(3):
        with pytest.raises(InvalidRequestError, match="status 400 without a reason"):
            client.status()


@pytest.mark.parametrize(
    "address", ["", "ftp://x", "http://", "http://x:port", "http://[::1", "grpc://", "http://x?y=1", "http://u:p@x"]
)
def test_not_an_address(address):
    with pytest.raises(ValueError, match="is not the address of a model server"):
        ModelClient(address)


def test_forms_of_an_address(fake_server):
    for address in (
        f"127.0.0.1:{fake_server.port}",
        f"{fake_server.url}/",
        f"{fake_server.url}/v1/models/digits:predict",
    ):
        with ModelClient(address, model="digits") as client:
            assert client.status()[0].version == 11


def test_a_path_before_the_api(fake_server):
    fake_server.faults = [(200, {"outputs": {"y": 1}})]
    with ModelClient(f"{fake_server.url}/models/east/", model="m") as client:
        client.predict({"x": 1})
    assert fake_server.requests[0].path == "/models/east/v1/models/m:predict"


# Token


def test_token(fake_server):
    fake_server.token = "secret"  # noqa: S105
    with ModelClient(fake_server.url, model="digits", token="secret") as client:  # noqa: S106
        assert client.status()[0].version == 11
    with (
        ModelClient(fake_server.url, model="digits") as client,
        pytest.raises(NotAllowedError, match="send the token that the server requires"),
    ):
        client.status()
