"""Client transport over gRPC: TensorFlow Serving's services, with answers as over REST. Imports TensorFlow."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client.errors import (
    ModelClientError,
    ServerTimeoutError,
    UnexpectedAnswerError,
    refusal,
    unreachable,
)
from serving.client.metadata import ModelMetadata
from serving.client.settings import MAX_BACKOFF_SECONDS, ClientSettings
from serving.errors import Code
from serving.model_spec import ModelSpec
from serving.saved_model_files import DEFAULT_SIGNATURE

_UNLIMITED = -1  # gRPC refuses answers above 4 MB by default
_MAX_TRIES = 5  # gRPC ignores a higher maxAttempts
# gRPC reports every failure to connect as UNAVAILABLE, as it does an overloaded server; only the wording differs.
_CONNECTION_WORDS = ("connect", "socket", "resolution", "Handshake", "handshake", "Name or service", "unreachable")


class GrpcTransport:
    """`Transport` over gRPC. Thread-safe.

    Args:
        address: Host and port, "localhost:8500".
        secure: Whether the connection uses TLS.
        settings: Timeouts, retries, credentials. gRPC connects within `timeout` and tries at most 5 times.
    """

    def __init__(self, address: str, secure: bool, settings: ClientSettings) -> None:
        self.address = f"{'grpcs' if secure else 'grpc'}://{address}"
        self._timeout = settings.timeout
        self._headers = [("authorization", f"Bearer {settings.token}")] if settings.token else []
        options = [
            ("grpc.max_receive_message_length", _UNLIMITED),
            ("grpc.max_send_message_length", _UNLIMITED),
            ("grpc.service_config", _service_config(settings)),
        ]
        if secure:
            self._channel = grpc.secure_channel(address, _credentials(settings), options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._types: dict[ModelSpec, dict[str, str]] = {}

    def predict(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
        """Runs a signature; see `Transport.predict`. Always returns a dictionary."""
        request = predict_pb2.PredictRequest(model_spec=_proto(spec))
        types = self._input_types(spec)
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(_tensor(name, value, types.get(name)))
        try:
            answer = self._call(self._predictions.Predict, request)
        except ModelClientError:
            self._types.pop(spec, None)  # a new version may have inputs of other types
            raise
        return {name: _values(name, tensor) for name, tensor in answer.outputs.items()}

    def status(self, spec: ModelSpec) -> Any:
        """Returns the status of a model's versions; see `Transport.status`."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=_proto(spec))
        return _json(self._call(self._models.GetModelStatus, request))

    def metadata(self, spec: ModelSpec) -> Any:
        """Returns the signatures of a version; see `Transport.metadata`."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_proto(spec), metadata_field=["signature_def"]
        )
        return _json(self._call(self._predictions.GetModelMetadata, request))

    def models(self) -> Any:
        """Refuses: TensorFlow Serving's gRPC services cannot list models.

        Raises:
            UnexpectedAnswerError: Always.
        """
        raise UnexpectedAnswerError(f"{self.address} cannot list its models over gRPC; name the model")

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _input_types(self, spec: ModelSpec) -> dict[str, str]:
        """Returns the types of a signature's inputs, which a list of numbers does not carry."""
        if spec not in self._types:
            unsigned = ModelSpec(spec.name, spec.version, spec.version_label)
            signatures = ModelMetadata.from_json(self.metadata(unsigned)).signatures
            found = signatures.get(spec.signature_name or DEFAULT_SIGNATURE)
            self._types[spec] = {name: info.dtype for name, info in found.inputs.items()} if found else {}
        return self._types[spec]

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout, metadata=self._headers)
        except grpc.RpcError as error:
            raise self._error(error) from error

    def _error(self, error: Any) -> ModelClientError:
        code, details = Code[error.code().name], error.details() or ""
        if code is Code.DEADLINE_EXCEEDED:
            return ServerTimeoutError(
                f"{self.address} did not answer in {self._timeout:g} s; send smaller batches, or allow a longer timeout"
            )
        if code is Code.UNAVAILABLE and any(word in details for word in _CONNECTION_WORDS):
            return unreachable(self.address, details.splitlines()[0], secure=self.address.startswith("grpcs"))
        return refusal(self.address, code, details)


def _service_config(settings: ClientSettings) -> str:
    """Returns the configuration of gRPC's own retries, which include jitter."""
    if not settings.retries:
        return "{}"
    policy = {
        "maxAttempts": min(settings.retries + 1, _MAX_TRIES),
        "initialBackoff": f"{settings.backoff:.3f}s",
        "maxBackoff": f"{max(settings.backoff, MAX_BACKOFF_SECONDS):g}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
    return json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})


def _credentials(settings: ClientSettings) -> Any:
    certificate, key = settings.client_certificate or (None, None)
    return grpc.ssl_channel_credentials(
        *(path and Path(path).read_bytes() for path in (settings.ca_file, key, certificate))
    )


def _proto(spec: ModelSpec) -> Any:
    proto = model_pb2.ModelSpec(name=spec.name, signature_name=spec.signature_name)
    if spec.version is not None:
        proto.version.value = spec.version
    elif spec.version_label is not None:
        proto.version_label = spec.version_label
    return proto


def _tensor(name: str, value: Any, type_name: str | None) -> Any:
    try:
        dtype = tf.dtypes.as_dtype(type_name.removeprefix("DT_").lower()) if type_name else None
        return tf.make_tensor_proto(value, dtype)
    except (TypeError, ValueError) as error:
        raise refusal("the client", Code.INVALID_ARGUMENT, f"{name} cannot be {type_name}: {error}") from error


def _values(name: str, tensor: Any) -> Any:
    array = tf.make_ndarray(tensor)
    if array.dtype == object and not name.endswith("_bytes"):
        array = np.vectorize(lambda text: text.decode(errors="replace"), otypes=[object])(array)
    return array.tolist()


def _json(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)
