"""`tensorflow.serving.PredictionService`. Its methods take a serialized request and return a serialized response."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.admission.request_record import RequestRecord
from serving.errors import Code, ServingError, invalid
from serving.grpc_api.handlers import Method
from serving.grpc_api.messages import (
    check_repetitions,
    fill_model_spec,
    parse,
    read_model_spec,
    serialized_examples,
)
from serving.inference import Inference
from serving.manager.handle import Handle
from serving.protobuf.tensors import fill, to_array
from serving.saved_model_files import DEFAULT_SIGNATURE
from serving.signature import CLASSIFY_METHOD, REGRESS_METHOD, Signature

_SIGNATURE_DEF = "signature_def"
_INPUTS_FIELD, _MAX_INPUTS = predict_pb2.PredictRequest.INPUTS_FIELD_NUMBER, 1000
_SMALL = 64 * 1024  # bytes; no smaller request takes long to parse


class PredictionService:
    """Service that runs models and reports their signatures.

    Args:
        inference: Inference that answers the requests.
        max_bytes: Most bytes of one tensor of a request.
        max_rows: Most examples of one request.
    """

    NAME = "tensorflow.serving.PredictionService"

    def __init__(self, inference: Inference, max_bytes: int, max_rows: int) -> None:
        self._inference = inference
        self._max_bytes = max_bytes
        self._max_rows = max_rows

    def methods(self) -> Mapping[str, Method]:
        """Returns all methods, by name."""
        return {
            "Predict": self.predict,
            "Classify": self.classify,
            "Regress": self.regress,
            "MultiInference": self.multi_inference,
            "GetModelMetadata": self.get_model_metadata,
        }

    async def predict(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `PredictRequest`."""
        if len(body) > _SMALL:
            check_repetitions(body, _INPUTS_FIELD, _MAX_INPUTS)
        request = parse(predict_pb2.PredictRequest, body)
        spec = read_model_spec(request, record)
        with self._inference.acquire(spec) as held:
            record.version = held.version
            signature = held.servable.signature(spec.signature_name)
            if signature is None:
                name = spec.signature_name or DEFAULT_SIGNATURE
                raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
            record.signature = signature.name
            inputs = {alias: to_array(proto, alias, self._max_bytes) for alias, proto in request.inputs.items()}
            for array in inputs.values():
                record.rows = len(array) if array.ndim else 1
                break
            outputs = await self._inference.predict(held, signature, inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        fill_model_spec(response.model_spec, held, signature.name)
        for alias, array in outputs.items():
            fill(response.outputs[alias], array)
        return response.SerializeToString()

    async def classify(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `ClassificationRequest`."""
        request = parse(classification_pb2.ClassificationRequest, body)
        spec = read_model_spec(request, record)
        with self._inference.acquire(spec) as held:
            signature = _signature(held, spec.signature_name, record)
            response = classification_pb2.ClassificationResponse()
            await self._classify(held, signature, self._examples(request, record), response.result)
        fill_model_spec(response.model_spec, held, signature.name)
        return response.SerializeToString()

    async def regress(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `RegressionRequest`."""
        request = parse(regression_pb2.RegressionRequest, body)
        spec = read_model_spec(request, record)
        with self._inference.acquire(spec) as held:
            signature = _signature(held, spec.signature_name, record)
            response = regression_pb2.RegressionResponse()
            await self._regress(held, signature, self._examples(request, record), response.result)
        fill_model_spec(response.model_spec, held, signature.name)
        return response.SerializeToString()

    async def multi_inference(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `MultiInferenceRequest`; the version that the first task names runs all tasks."""
        request = parse(inference_pb2.MultiInferenceRequest, body)
        if not request.tasks:
            raise invalid("ModelSpec has no name specified. The request has no task")
        spec = read_model_spec(request.tasks[0], record)
        with self._inference.acquire(spec) as held:
            record.version = held.version
            tasks = list(_tasks(held, request.tasks))
            examples = self._examples(request, record)
            response = inference_pb2.MultiInferenceResponse()
            running = []
            for method, signature in tasks:
                result = response.results.add()
                fill_model_spec(result.model_spec, held, signature.name)
                if method == CLASSIFY_METHOD:
                    running.append(self._classify(held, signature, examples, result.classification_result))
                else:
                    running.append(self._regress(held, signature, examples, result.regression_result))
            await _all(running)
        return response.SerializeToString()

    async def get_model_metadata(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `GetModelMetadataRequest`."""
        request = parse(get_model_metadata_pb2.GetModelMetadataRequest, body)
        spec = read_model_spec(request, record)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid(f'Metadata field {field} is not supported; use "{_SIGNATURE_DEF}"')
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._inference.acquire(spec) as held:
            record.version = held.version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in held.servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature.proto)
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        fill_model_spec(response.model_spec, held)
        return response.SerializeToString()

    def _examples(self, request: Any, record: RequestRecord) -> list[bytes]:
        examples = serialized_examples(request.input, self._max_rows)
        record.rows = len(examples)
        return examples

    async def _classify(self, held: Handle, signature: Signature, examples: Sequence[bytes], result: Any) -> None:
        found = await self._inference.classify(held, signature, examples)
        shape = next(array.shape for array in (found.classes, found.scores) if array is not None)
        # An output that the signature does not have becomes protobuf's default value.
        classes = np.full(shape, b"", object) if found.classes is None else found.classes
        scores = np.zeros(shape, np.float32) if found.scores is None else found.scores
        for class_row, score_row in zip(classes, scores, strict=True):
            add = result.classifications.add().classes.add
            for name, score in zip(class_row.tolist(), score_row.tolist(), strict=True):
                add(label=name.decode(errors="replace"), score=score)  # TensorFlow's strings may hold any bytes

    async def _regress(self, held: Handle, signature: Signature, examples: Sequence[bytes], result: Any) -> None:
        for value in (await self._inference.regress(held, signature, examples)).tolist():
            result.regressions.add(value=value)


def _signature(held: Handle, name: str, record: RequestRecord) -> Signature:
    record.version = held.version
    signature = held.servable.signature(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
    record.signature = signature.name
    return signature


def _tasks(held: Handle, tasks: Sequence[Any]) -> Iterator[tuple[str, Signature]]:
    """Yields the method and the signature of each task, which must all name one model and different signatures."""
    seen = set()
    for task in tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        signature = held.servable.signature(name)
        if signature is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in (CLASSIFY_METHOD, REGRESS_METHOD):
            phrase = f"Unsupported signature method_name: {task.method_name}"
            raise ServingError(Code.UNIMPLEMENTED, f'{phrase}; use "{CLASSIFY_METHOD}" or "{REGRESS_METHOD}"')
        yield task.method_name, signature


async def _all(running: Sequence[Awaitable[None]]) -> None:
    """Waits for all calls; the first error cancels the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in running:
                group.create_task(each)  # type: ignore[arg-type]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
