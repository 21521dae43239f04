"""The client on a transport in memory: signatures, batches of images, documents of other servers."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.client import ModelClient
from serving.client.errors import ImageUnreadableError, InvalidRequestError, UnexpectedAnswerError, refusal
from serving.errors import Code

FLOATS = {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}}
IMAGES = {"image_bytes": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}}
SCORES = {"scores": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "5"}]}}}
SEVEN = b"PNG seven"


class MemoryTransport:
    """A model whose images start with PNG and show sevens.

    Attributes:
        inputs: Inputs of its signature.
        outputs: Outputs of its signature.
        answer: Outputs of every prediction, in place of sevens.
        documents: Answers of `status`, `metadata` and `models` by method, in place of the usual ones.
        sent: Spec and inputs of every prediction.
        asked: Name and spec of every other request.
        delay: Seconds that a prediction takes.
    """

    address = "memory"

    def __init__(self, inputs=IMAGES, outputs=SCORES, answer=None):
        self.inputs, self.outputs, self.answer = inputs, outputs, answer
        self.documents, self.sent, self.asked = {}, [], []
        self.delay = 0.0

    def predict(self, spec, inputs):
        self.sent.append((spec, inputs))
        time.sleep(self.delay)
        if self.answer is not None:
            return self.answer
        images = inputs["image_bytes"]
        if not all(image.startswith(b"PNG") for image in images):
            raise refusal(self.address, Code.INVALID_ARGUMENT, "Unknown image file format.\n\t [[{{node x}}]]")
        return {"classes": [["7", "1"]] * len(images), "scores": [[0.9, 0.1]] * len(images)}

    def status(self, spec):
        states = [{"version": version, "state": "AVAILABLE"} for version in ("9", "11")]
        return self._document("status", spec, {"model_version_status": states})

    def metadata(self, spec):
        signature = {"inputs": self.inputs, "outputs": self.outputs, "method_name": "tensorflow/serving/predict"}
        signatures = {"signature_def": {"signature_def": {"serving_default": signature}}}
        return self._document(
            "metadata", spec, {"model_spec": {"name": spec.name, "version": "11"}, "metadata": signatures}
        )

    def models(self):
        return self._document("models", None, {"models": [{"name": "digits", "versions": [9, "11"]}]})

    def _document(self, method, spec, usual):
        self.asked.append((method, spec))
        return self.documents.get(method, usual)

    def close(self):
        self.asked.append(("close", None))


@pytest.fixture
def transport():
    return MemoryTransport()


@pytest.fixture
def client(transport):
    return ModelClient(transport=transport, model="digits")


def test_import_is_quick_and_light():
    script = """
import sys, time
start = time.process_time()  # other processes do not count
from serving.client import ModelClient
seconds = time.process_time() - start
heavy = [name for name in ("tensorflow", "numpy", "grpc", "urllib3") if name in sys.modules]
ModelClient("http://localhost:1")
heavy += [name for name in ("tensorflow", "numpy", "grpc") if name in sys.modules]
print(seconds, heavy)
"""
    root = Path(__file__).parents[3]

    def seconds() -> float:
        run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
        took, heavy = run.stdout.split(" ", 1)
        assert heavy == "[]\n", run.stderr
        return float(took)

    assert any(seconds() < 0.3 for _ in range(5))  # the first run may read the disk


def test_a_context_manager_closes_the_transport(transport):
    with ModelClient(transport=transport) as client:
        client.status()
    assert [method for method, _ in transport.asked] == ["status", "close"]


# Signatures


def test_one_input_and_one_output_need_no_names():
    transport = MemoryTransport(FLOATS, {"y": FLOATS["x"]}, answer=[2.5, 3.0])
    client = ModelClient(transport=transport)
    assert client.predict([1.0, 2.0]) == {"y": [2.5, 3.0]}
    assert client.predict([1.0, 2.0]) == {"y": [2.5, 3.0]}
    assert len(transport.asked) == 1  # the metadata is requested once


def test_metadata_is_requested_again_after_a_refusal(transport, client):
    with pytest.raises(InvalidRequestError):
        client.predict([b"text"])
    client.predict([SEVEN])
    assert [method for method, _ in transport.asked] == ["metadata", "metadata"]


def test_several_inputs_need_names():
    client = ModelClient(transport=MemoryTransport({"a": FLOATS["x"], "b": FLOATS["x"]}))
    with pytest.raises(UnexpectedAnswerError, match=r"has the inputs a, b; pass a dictionary by name"):
        client.predict([1.0])


def test_own_model_version_and_label_hold_where_a_call_names_none(transport):
    client = ModelClient(transport=transport, model="digits", label="canary")
    client.status()
    client.status(version=3)
    client.status(model="cats")
    specs = [(spec.name, spec.version, spec.version_label) for _, spec in transport.asked]
    assert specs == [("digits", None, "canary"), ("digits", 3, None), ("cats", None, None)]


def test_version_and_label_exclude_each_other(client, transport):
    with pytest.raises(ValueError, match="exclude each other"):
        client.predict({"x": 1}, version=1, label="canary")
    with pytest.raises(ValueError, match="exclude each other"):
        ModelClient(transport=transport, version=1, label="canary")


# Status, metadata, models


def test_status(client):
    assert [(each.version, each.state, each.available) for each in client.status()] == [
        (11, "AVAILABLE", True),
        (9, "AVAILABLE", True),
    ]


def test_a_failed_version_has_a_reason(client, transport):
    status = {"version": "3", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no variables"}}
    transport.documents["status"] = {"model_version_status": [status]}
    [state] = client.status()
    assert (state.version, state.state, state.error, state.available) == (3, "END", "no variables", False)


def test_metadata(client):
    metadata = client.metadata()
    assert (metadata.name, metadata.version) == ("digits", 11)
    signature = metadata.signatures["serving_default"]
    assert signature.image_input == "image_bytes"
    assert (signature.method, signature.outputs["scores"].shape) == ("tensorflow/serving/predict", (None, 5))


def test_unknown_rank():
    transport = MemoryTransport({"x": {"dtype": "DT_INT64", "tensor_shape": {"unknown_rank": True}}})
    metadata = ModelClient(transport=transport).metadata()
    assert metadata.signatures["serving_default"].inputs["x"].shape is None


def test_models(client):
    assert client.models() == {"digits": [11, 9]}


@pytest.mark.parametrize("document", [{}, [], {"model_version_status": [{}]}, {"metadata": 1, "model_spec": 2}, "text"])
def test_documents_of_another_server(client, transport, document):
    transport.documents = dict.fromkeys(("status", "metadata", "models"), document)
    for request in (client.status, client.metadata, client.models):
        with pytest.raises(UnexpectedAnswerError, match="check the address"):
            request()


# Images


def test_one_image(client, tmp_path: Path):
    (tmp_path / "seven.png").write_bytes(SEVEN)
    for image in (SEVEN, tmp_path / "seven.png", str(tmp_path / "seven.png")):
        prediction = client.classify_image(image)
        assert (prediction.classes[0], prediction.scores[0]) == ("7", 0.9)


def test_one_bad_image_is_an_error(client):
    with pytest.raises(InvalidRequestError) as error:
        client.classify_image(b"text")
    assert error.value.reason == "Unknown image file format."
    assert "node" not in str(error.value)
    with pytest.raises(ImageUnreadableError, match=r"cannot read the image nowhere.png: No such file or directory; ch"):
        client.classify_image("nowhere.png")


def test_bad_images_do_not_affect_the_others(client):
    images = [SEVEN, b"text", SEVEN, b"", "nowhere.png", SEVEN, SEVEN]
    answers = list(client.classify_images(images, batch_size=7))
    assert [answer.image for answer in answers] == images
    assert [bool(answer.prediction) for answer in answers] == [True, False, True, False, False, True, True]
    assert [type(answer.error) for answer in answers] == [
        *(type(None), InvalidRequestError, type(None), InvalidRequestError, ImageUnreadableError),
        *(type(None), type(None)),
    ]


def test_answers_of_many_batches_come_in_order(transport):
    transport.delay = 0.005
    count = 100
    client = ModelClient(transport=transport, concurrency=3)
    answers = list(client.classify_images((b"PNG%d" % i for i in range(count)), batch_size=8))
    assert [answer.image for answer in answers] == [b"PNG%d" % i for i in range(count)]
    assert sorted(len(inputs["image_bytes"]) for _, inputs in transport.sent) == [4] + [8] * 12
    assert len(transport.asked) == 1


def test_images_are_read_shortly_before_they_are_sent(transport):
    read = []

    def images():
        for i in range(1000):
            read.append(i)
            yield SEVEN

    answers = ModelClient(transport=transport, concurrency=2).classify_images(images(), batch_size=4)
    next(answers)
    assert len(read) <= 3 * 4 + 1
    answers.close()


def test_batches_are_bounded_in_bytes(transport):
    client = ModelClient(transport=transport, batch_bytes=10, concurrency=1)
    sizes = (4, 4, 4, 40, 4)
    assert all(answer.prediction for answer in client.classify_images([b"PNG".ljust(size) for size in sizes]))
    assert [len(inputs["image_bytes"]) for _, inputs in transport.sent] == [2, 1, 1, 1]


def test_no_images(client, transport):
    assert list(client.classify_images([])) == []
    assert transport.sent == []


def test_batch_size_out_of_range(client):
    with pytest.raises(ValueError, match="at least 1"):
        list(client.classify_images([SEVEN], batch_size=0))


def test_numbers_of_a_model_without_labels(client, transport):
    transport.answer = {"squared_error": [3.25], "code": [[0.0, 1.0]], "mean_image_error": [52]}
    prediction = client.classify_image(SEVEN)
    assert prediction.classes == ()
    assert prediction.numbers == {"mean_image_error": 52.0, "squared_error": 3.25}


def test_a_model_that_does_not_accept_images():
    client = ModelClient(transport=MemoryTransport(FLOATS))
    with pytest.raises(UnexpectedAnswerError, match=r"has the input x \(DT_FLOAT\), not encoded images"):
        client.classify_image(SEVEN)
    with pytest.raises(UnexpectedAnswerError, match=r"has no signature pixels, only serving_default"):
        client.classify_image(SEVEN, signature_name="pixels")


@pytest.mark.parametrize(
    "answer", [{"code": [[1.0]]}, {"classes": [["a"], ["b"]], "scores": [[1.0], [1.0]]}, {"y": 1.0}]
)
def test_answers_that_do_not_fit_one_image(client, transport, answer):
    transport.answer = answer
    with pytest.raises(UnexpectedAnswerError):
        client.classify_image(SEVEN)


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"timeout": math.nan},
        {"connect_timeout": -1},
        {"retries": -1},
        {"backoff": 0},
        {"concurrency": 0},
        {"batch_bytes": 0},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="use a value of at least"):
        ModelClient("http://localhost", **settings)
