"""The client over REST, asking a server that only pretends: answers, retries, errors, batches of files."""

import json
import math
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from serving.client import ModelClient, rest_transport
from serving.client.errors import (
    ImageUnreadableError,
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
from serving.client.images import batches
from serving.errors import Code

FLOATS = {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}}
ONE_OUTPUT = {"y": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}}
SEVEN = b"PNG seven"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_transport, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(rest_transport, "_JITTER_SECONDS", 0.001)


@pytest.fixture
def client(fake_server):
    with ModelClient(fake_server.url, model="digits") as client:
        yield client


def asked(server, verb: str = ":predict") -> list:
    return [request for request in server.requests if request.path.endswith(verb)]


# Import


def test_import_is_quick_and_light():
    script = """
import sys, time
start = time.perf_counter()
from serving.client import ModelClient
seconds = time.perf_counter() - start
heavy = [name for name in ("tensorflow", "numpy", "grpc", "urllib3") if name in sys.modules]
ModelClient("http://localhost:1")
heavy += [name for name in ("tensorflow", "numpy", "grpc") if name in sys.modules]
print(seconds, heavy)
"""
    root = Path(__file__).parents[3]
    said = [subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True) for _ in range(5)]
    assert {each.stdout.split(" ", 1)[1] for each in said} == {"[]\n"}, said[0].stderr
    assert min(float(each.stdout.split()[0]) for each in said) < 0.3


# Predict


def test_values_by_name(fake_server, client):
    fake_server.models["digits"].answer = {"sum": [3.0], "text": ["é"]}
    assert client.predict({"a": [1.0], "b": [2]}) == {"sum": [3.0], "text": ["é"]}
    [request] = asked(fake_server)
    assert (request.path, request.body) == ("/v1/models/digits:predict", {"inputs": {"a": [1.0], "b": [2]}})
    assert request.headers["Content-Type"] == "application/json"


def test_one_input_and_one_output_need_no_names(fake_server, client, fakes):
    fake_server.models["half"] = fakes.FakeModel(inputs=FLOATS, outputs=ONE_OUTPUT, answer=[2.5, 3.0])
    assert client.predict([1.0, 2.0], model="half") == {"y": [2.5, 3.0]}
    assert client.predict([1.0, 2.0], model="half") == {"y": [2.5, 3.0]}
    assert len(asked(fake_server, "/metadata")) == 1  # asked once, remembered


def test_several_inputs_need_names(client, fake_server, fakes):
    fake_server.models["sums"] = fakes.FakeModel(inputs={"a": FLOATS["x"], "b": FLOATS["x"]})
    with pytest.raises(UnexpectedAnswerError, match=r"has the inputs a, b; name them"):
        client.predict([1.0], model="sums")


def test_bytes_go_and_come_as_base64(fake_server, client):
    fake_server.models["digits"].answer = {"x_bytes": [[{"b64": "/w=="}], [{"b64": ""}]], "x": "text"}
    assert client.predict({"x": [b"\xff", bytearray(b"a"), memoryview(b"b")]}) == {
        "x_bytes": [[b"\xff"], [b""]],
        "x": "text",
    }
    assert asked(fake_server)[0].body["inputs"]["x"] == [{"b64": "/w=="}, {"b64": "YQ=="}, {"b64": "Yg=="}]


def test_numbers_that_json_has_not(fake_server, client):
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


def test_what_cannot_be_sent(client):
    with pytest.raises(TypeError, match="cannot be of object"):
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
def test_addresses(fake_server, given, path):
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


def test_version_and_label_are_not_both(client):
    with pytest.raises(ValueError, match="cannot be asked for together"):
        client.predict({"x": 1}, version=1, label="canary")


# Status, metadata, models


def test_status(fake_server, client):
    fake_server.models["digits"].versions = [9, 11]
    assert [(each.version, each.state, each.available) for each in client.status()] == [
        (11, "AVAILABLE", True),
        (9, "AVAILABLE", True),
    ]
    with pytest.raises(NotFoundError, match=r"Servable not found for request: Latest\(cats\); name a model"):
        client.status(model="cats")


def test_failed_version_says_why(fake_server, client):
    status = {"version": "3", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no variables"}}
    fake_server.faults = [(200, {"model_version_status": [status]})]
    [state] = client.status()
    assert (state.version, state.state, state.error, state.available) == (3, "END", "no variables", False)


def test_metadata(fake_server, client):
    fake_server.models["digits"].labels = {"canary": 5}
    metadata = client.metadata(label="canary")
    assert (metadata.name, metadata.version) == ("digits", 5)
    signature = metadata.signatures["serving_default"]
    assert signature.image_input == "image_bytes"
    assert (signature.method, signature.outputs["scores"].shape) == ("tensorflow/serving/predict", (None, 5))


def test_unknown_rank(fake_server, client, fakes):
    fake_server.models["any"] = fakes.FakeModel(
        inputs={"x": {"dtype": "DT_INT64", "tensor_shape": {"unknown_rank": True}}}
    )
    assert client.metadata(model="any").signatures["serving_default"].inputs["x"].shape is None


def test_models(fake_server, client):
    assert client.models() == {"digits": [11]}
    fake_server.listed = False
    with pytest.raises(UnexpectedAnswerError):
        client.models()


@pytest.mark.parametrize("said", [{}, [], {"model_version_status": [{}]}, {"metadata": 1, "model_spec": 2}, "text"])
def test_another_servers_json(fake_server, client, said):
    fake_server.faults = [(200, said)] * 3
    for ask in (client.status, client.metadata, client.models):
        with pytest.raises(UnexpectedAnswerError, match="check the address"):
            ask()


# Images


def test_one_image(fake_server, client, tmp_path: Path):
    (tmp_path / "seven.png").write_bytes(SEVEN)
    for image in (SEVEN, tmp_path / "seven.png", str(tmp_path / "seven.png")):
        prediction = client.classify_image(image)
        assert (prediction.classes[0], prediction.scores[0]) == ("7", 0.9)
    assert "inputs" in asked(fake_server)[0].body


def test_one_bad_image_is_an_error(client):
    with pytest.raises(InvalidRequestError) as error:
        client.classify_image(b"text")
    assert error.value.reason == "Unknown image file format. One of JPEG, PNG, GIF, BMP required."
    assert "node" not in str(error.value)
    with pytest.raises(ImageUnreadableError, match=r"nowhere.png cannot be read: No such file or directory; check"):
        client.classify_image("nowhere.png")


def test_bad_images_spoil_no_other(fake_server, client, tmp_path: Path):
    images = [SEVEN, b"text", SEVEN, b"", "nowhere.png", SEVEN, SEVEN]
    answers = list(client.classify_images(images, batch_size=7))
    assert [answer.image for answer in answers] == images
    assert [bool(answer.prediction) for answer in answers] == [True, False, True, False, False, True, True]
    assert [type(answer.error) for answer in answers] == [
        *(type(None), InvalidRequestError, type(None), InvalidRequestError, ImageUnreadableError),
        *(type(None), type(None)),
    ]


def test_batches_of_many_come_in_order(fake_server):
    fake_server.delay = 0.02
    count = 100
    with ModelClient(fake_server.url, model="digits", concurrency=3) as client:
        taken = list(client.classify_images((b"PNG%d" % i for i in range(count)), batch_size=8))
    assert [answer.image for answer in taken] == [b"PNG%d" % i for i in range(count)]
    sizes = [len(request.body["inputs"]["image_bytes"]) for request in asked(fake_server)]
    assert sorted(sizes) == [4] + [8] * 12
    assert len(asked(fake_server, "/metadata")) == 1


def test_images_are_read_when_their_turn_comes(fake_server):
    read = []

    def images():
        for i in range(1000):
            read.append(i)
            yield SEVEN

    with ModelClient(fake_server.url, model="digits", concurrency=2) as client:
        answers = client.classify_images(images(), batch_size=4)
        next(answers)
        assert len(read) <= 3 * 4 + 1
        answers.close()


def test_batches_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serving.client.images._BATCH_BYTES", 10)
    sizes = [len(batch) for batch in batches([b"x" * 4, b"x" * 4, b"x" * 4, b"x" * 40, b"x"], 32)]
    assert sizes == [2, 1, 1, 1]


def test_no_images(client, fake_server):
    assert list(client.classify_images([])) == []
    assert asked(fake_server) == []


def test_batch_size_out_of_range(client):
    with pytest.raises(ValueError, match="at least 1"):
        list(client.classify_images([SEVEN], batch_size=0))


def test_figures_of_a_model_without_labels(client, fake_server):
    fake_server.models["digits"].answer = {"squared_error": [3.25], "code": [[0.0, 1.0]], "mean_image_error": [52]}
    prediction = client.classify_image(SEVEN)
    assert prediction.classes == ()
    assert prediction.numbers == {"mean_image_error": 52.0, "squared_error": 3.25}


def test_a_model_that_takes_no_images(client, fake_server, fakes):
    fake_server.models["half"] = fakes.FakeModel(inputs=FLOATS)
    with pytest.raises(UnexpectedAnswerError, match=r"takes x \(DT_FLOAT\), not encoded images"):
        client.classify_image(SEVEN, model="half")
    with pytest.raises(UnexpectedAnswerError, match=r"has no signature pixels, only serving_default"):
        client.classify_image(SEVEN, signature_name="pixels")


@pytest.mark.parametrize(
    "answer", [{"code": [[1.0]]}, {"classes": [["a"], ["b"]], "scores": [[1.0], [1.0]]}, {"y": 1.0}]
)
def test_answers_that_are_none_of_an_image(client, fake_server, answer):
    fake_server.models["digits"].answer = answer
    with pytest.raises(UnexpectedAnswerError):
        client.classify_image(SEVEN)


# Retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_tried_again(fake_server, client, status):
    fake_server.faults = [status, status]
    fake_server.models["digits"].answer = {"y": 1}
    assert client.predict({"x": 1}) == {"y": 1}
    assert len(fake_server.requests) == 3


def test_as_often_as_allowed(fake_server):
    fake_server.faults = [503] * 10
    with ModelClient(fake_server.url, model="digits", retries=2) as client, pytest.raises(OverloadedError) as error:
        client.status()
    assert len(fake_server.requests) == 3
    assert error.value.code is Code.UNAVAILABLE
    assert str(error.value) == f"{fake_server.url} says: fault 503; try again later"


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
def test_not_tried_again(fake_server, client, status, kind, code):
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
    monkeypatch.setattr(rest_transport, "_FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(rest_transport, "_JITTER_SECONDS", 0.25)
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
    fake_server.delay = 0.5
    with (
        ModelClient(fake_server.url, model="digits", timeout=0.05, retries=1) as client,
        pytest.raises(ServerTimeoutError, match=r"did not answer in time; send smaller batches"),
    ):
        client.status()


# Addresses that are wrong


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
        f"no model server answers at http://127.0.0.1:{port}: Connection refused; start one (`vision-tfx serve`), or "
        "give another address"
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
        with pytest.raises(UnexpectedAnswerError, match="is no model server with TensorFlow Serving's REST API"):
            client.status()
    fake_server.faults = [(200, {"predictions": []})]
    with pytest.raises(UnexpectedAnswerError, match='its answer has no "outputs"'):
        client.predict({"x": 1})


def test_empty_error(fake_server, client):
    fake_server.faults = [(400, b""), (400, {"error": ""}), (400, [])]
    for _ in range(3):
        with pytest.raises(InvalidRequestError, match="status 400 without a reason"):
            client.status()


@pytest.mark.parametrize(
    "address", ["", "ftp://x", "http://", "http://x:port", "grpc://", "http://x?y=1", "http://u:p@x"]
)
def test_no_address(address):
    with pytest.raises(ValueError, match="is no address of a model server"):
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


@pytest.mark.parametrize(
    "settings", [{"timeout": 0}, {"timeout": math.nan}, {"connect_timeout": -1}, {"retries": -1}, {"concurrency": 0}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="must be at least"):
        ModelClient("http://localhost", **settings)


# Token


def test_token(fake_server):
    fake_server.token = "secret"  # noqa: S105
    with ModelClient(fake_server.url, model="digits", token="secret") as client:  # noqa: S106
        assert client.status()[0].version == 11
    with ModelClient(fake_server.url, model="digits") as client, pytest.raises(NotAllowedError, match="give the token"):
        client.status()


def test_many_threads_share_a_client(fake_server, client):
    found = []
    threads = [threading.Thread(target=lambda: found.append(client.classify_image(SEVEN))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert json.dumps(found[0].classes) == '["7", "1", "9", "4", "3"]'
