"""The client over gRPC, against fake services: the same answers as over REST."""

import socket
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from types import SimpleNamespace

import pytest

tf = pytest.importorskip("tensorflow")
grpc = pytest.importorskip("grpc")

from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import ModelClient  # noqa: E402
from serving.client.errors import (  # noqa: E402
    InvalidRequestError,
    ModelClientError,
    NotFoundError,
    ServerTimeoutError,
    ServerUnreachableError,
    UnexpectedAnswerError,
)

TYPES = {"image_bytes": tf.string, "x": tf.float32, "n": tf.int64}
SIGNATURES = {"serving_default": ["image_bytes"], "numbers": ["x", "n"]}


class Fake(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """The model "digits", whose version 5 has the label "canary"."""

    def __init__(self) -> None:
        self.requests: list = []
        self.headers: list[dict] = []
        self.faults: list = []
        self.delay = 0.0

    def _begin(self, request, context) -> int:
        self.requests.append(request)
        self.headers.append(dict(context.invocation_metadata()))
        time.sleep(self.delay)
        if self.faults:
            context.abort(self.faults.pop(0), "fault")
        spec = request.model_spec
        if spec.name != "digits":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")
        return 5 if spec.version_label == "canary" else spec.version.value or 11

    def Predict(self, request, context):  # noqa: N802
        self._begin(request, context)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = predict_pb2.PredictResponse()
        if "image_bytes" in inputs:
            images = inputs["image_bytes"].tolist()
            if not all(image.startswith(b"PNG") for image in images):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Unknown image file format.\n\t [[{{node x}}]]")
            answer.outputs["classes"].CopyFrom(tf.make_tensor_proto([["größer", "7"]] * len(images)))
            answer.outputs["scores"].CopyFrom(tf.make_tensor_proto([[0.75, 0.25]] * len(images), tf.float32))
            answer.outputs["raw_bytes"].CopyFrom(tf.make_tensor_proto([[b"\xff"]] * len(images)))
        for name in ("x", "n"):
            if name in inputs:
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(inputs[name]))
        return answer

    def GetModelMetadata(self, request, context):  # noqa: N802
        version = self._begin(request, context)
        answer = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        answer.model_spec.version.value = version
        described = get_model_metadata_pb2.SignatureDefMap()
        for signature, names in SIGNATURES.items():
            for name in names:
                info = described.signature_def[signature].inputs[name]
                info.dtype = TYPES[name].as_datatype_enum
                info.tensor_shape.dim.add(size=-1)
        answer.metadata["signature_def"].Pack(described)
        return answer

    def GetModelStatus(self, request, context):  # noqa: N802
        self._begin(request, context)
        answer = get_model_status_pb2.GetModelStatusResponse()
        answer.model_version_status.add(version=5, state=30)
        failed = answer.model_version_status.add(version=11, state=50)
        failed.status.error_code, failed.status.error_message = 2, "no variables"
        return answer


@pytest.fixture
def fake() -> Iterator[SimpleNamespace]:
    service = Fake()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield SimpleNamespace(url=f"grpc://127.0.0.1:{port}", service=service)
    server.stop(0).wait()


@pytest.fixture
def client(fake) -> Iterator[ModelClient]:
    with ModelClient(fake.url, model="digits", backoff=0.01) as client:
        yield client


def test_images(client):
    answers = list(client.classify_images([b"PNG", b"text", b"PNG2"]))
    assert [answer.prediction and answer.prediction.classes for answer in answers] == [
        ("größer", "7"),
        None,
        ("größer", "7"),
    ]
    assert answers[0].prediction.scores == (0.75, 0.25)
    assert answers[1].error.reason == "Unknown image file format."


def test_values_have_the_types_of_the_signature(client, fake):
    assert client.predict({"x": [1, 2], "n": [2**40]}, signature_name="numbers") == {"x": [1.0, 2.0], "n": [2**40]}
    sent = fake.service.requests[-1]
    assert sent.inputs["x"].dtype == tf.float32.as_datatype_enum
    assert sent.model_spec.signature_name == "numbers"


def test_bytes_and_texts(client):
    answer = client.predict([b"PNG"])
    assert (answer["classes"], answer["raw_bytes"]) == ([["größer", "7"]], [[b"\xff"]])


def test_values_of_a_wrong_type(client):
    with pytest.raises(InvalidRequestError, match="x cannot be DT_FLOAT"):
        client.predict({"x": ["text"]}, signature_name="numbers")


def test_versions_and_labels(client, fake):
    assert client.metadata(label="canary").version == 5
    assert client.metadata(version=7).version == 7
    assert client.metadata().version == 11
    assert fake.service.requests[0].model_spec.version_label == "canary"


def test_status(client):
    first, second = client.status()
    assert (first.version, first.state, first.error) == (11, "END", "no variables")
    assert (second.version, second.available) == (5, True)


def test_unknown_model(client):
    with pytest.raises(NotFoundError, match=r"Latest\(cats\); name a model"):
        client.status(model="cats")


def test_retried(client, fake):
    fake.service.faults = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert len(client.status()) == 2
    assert len(fake.service.requests) == 3
    fake.service.faults = [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(InvalidRequestError):
        client.status()
    assert len(fake.service.requests) == 4


def test_token(fake):
    with ModelClient(fake.url, model="digits", token="secret") as client:  # noqa: S106
        client.status()
    assert fake.service.headers[0]["authorization"] == "Bearer secret"


def test_no_answer_in_time(fake):
    fake.service.delay = 0.3
    with (
        ModelClient(fake.url, model="digits", timeout=0.1, retries=0) as client,
        pytest.raises(ServerTimeoutError, match=r"did not answer in 0.1 s"),
    ):
        client.status()


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"grpc://127.0.0.1:{taken.getsockname()[1]}"
        with (
            ModelClient(address, retries=0) as client,
            pytest.raises(ServerUnreachableError, match=f"no model server answers at {address}: "),
        ):
            client.status()


def test_models_cannot_be_listed(client):
    with pytest.raises(UnexpectedAnswerError, match="name the model"):
        client.models()


def test_without_grpc_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ModelClientError, match=r"install vision-tfx\[serving\], or use REST: http://somewhere:8501"):
        ModelClient("grpc://somewhere")
