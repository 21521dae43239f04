"""Warm-up of a model before it becomes available, so that the first request is fast."""

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.inference import Inference, complete_inputs
from serving.manager.handle import Handle
from serving.metrics import WARMUP_LATENCY, WARMUP_RECORDS, Metrics
from serving.saved_model_files import DEFAULT_SIGNATURE, WARMUP_FILE
from serving.servable import Servable
from serving.signature import PREDICT_METHOD, Signature, TensorSpec

logger = logging.getLogger(__name__)

MAX_RECORDS = 1000  # TensorFlow Serving's limit
# A batch that takes longer is the last one to be warmed up, so that a slow model does not take minutes to load.
_MAX_BATCH_SECONDS = 1.0
_MAX_ELEMENTS = 50_000_000  # of one synthetic input
# Values for string inputs: a serialized tf.Example without features, an image (a PNG of one pixel), and a text.
_PNG = base64.b64decode(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC")
_STRINGS = (b"", _PNG, b"0")


class Warmup:
    """Warms up a servable on the thread that loads it.

    The requests come from the model's `WARMUP_FILE`, as in TensorFlow Serving, where a stored request that fails makes
    the load fail. A model without that file gets synthetic requests made from its signatures: the default one and all
    that classify or regress, because others may train; if these fail, the failure is only logged. In both cases the
    relevant batch sizes are warmed up too, because oneDNN, cuDNN and the allocators prepare for each size separately.

    Args:
        config: Whether to warm up, and how often to repeat stored requests.
        metrics: Metrics that record times and counts.
        batch_sizes: Function that returns the batch sizes to warm up, ascending; called for each servable, even when
            warm-up is off.
    """

    def __init__(
        self,
        config: ServerConfig,
        metrics: Metrics,
        batch_sizes: Callable[[Servable], Sequence[int]] = lambda _: (1,),
    ) -> None:
        self._config, self._metrics, self._batch_sizes = config, metrics, batch_sizes

    def __call__(self, servable: Servable) -> None:
        """Warms up a servable.

        Raises:
            ServingError: A stored request is malformed or fails, or the batching parameters are wrong.
        """
        sizes = self._batch_sizes(servable)
        if not self._config.enable_model_warmup:
            return
        start, status = time.perf_counter(), Code.OK
        recorder = _Recorder()
        try:
            found = self._replay_stored(servable, recorder)
            if not found and self._config.synthetic_warmup:
                _run_synthetic(servable, recorder)
        except ServingError as error:
            status = error.code
            raise
        finally:
            micros = (time.perf_counter() - start) * 1e6
            self._metrics.observe(WARMUP_LATENCY, micros, model_path=servable.folder, status=status.name)
        recorder.repeat(servable, sizes)
        logger.info("%s: warmed up in %.1f s", servable.folder, time.perf_counter() - start)

    def _replay_stored(self, servable: Servable, recorder: "_Recorder") -> bool:
        """Replays the stored requests; returns whether the model has a file of them."""
        import tensorflow as tf

        path = f"{servable.folder.rstrip('/')}/{WARMUP_FILE}"
        if not tf.io.gfile.exists(path):
            return False
        count = 0
        with asyncio.Runner() as runner:
            for record in _records(path):
                log = _parse(record, path)
                for _ in range(self._config.num_request_iterations_for_warmup):
                    runner.run(_replay(log, servable, recorder))
                count += 1
                if count > MAX_RECORDS:
                    raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
                self._metrics.count(WARMUP_RECORDS, model_path=servable.folder)
        return True


class _Recorder:
    """Execution on the calling thread that records the first inputs of each call."""

    def __init__(self) -> None:
        self._calls: dict[tuple, tuple[Signature, Mapping[str, np.ndarray], Sequence[str]]] = {}

    async def run(
        self, servable: Servable, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        return self.run_now(servable, signature, inputs, outputs)

    def run_now(
        self, servable: Servable, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        results = servable.run(signature, inputs, outputs)
        self._calls.setdefault((signature.name, *outputs), (signature, inputs, outputs))
        return results

    def prepare(self, servable: Servable) -> Sequence[int]:
        return (1,)

    def forget(self, servable: Servable) -> None:
        pass

    def repeat(self, servable: Servable, sizes: Sequence[int]) -> None:
        """Runs each recorded call with batches of these sizes."""
        for signature, inputs, outputs in self._calls.values():
            if not all(array.ndim and len(array) for array in inputs.values()):
                continue
            for size in sizes:
                batch = {alias: np.repeat(array[:1], size, axis=0) for alias, array in inputs.items()}
                start = time.perf_counter()
                try:
                    servable.run(signature, batch, outputs)
                except ServingError as error:
                    logger.info("%s: %s refuses a batch of %d: %s", servable.folder, signature.name, size, error)
                    break
                if time.perf_counter() - start > _MAX_BATCH_SECONDS:
                    break


class _OneServable:
    """Stand-in for a `ModelManager` that returns one servable for every model."""

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    @contextlib.contextmanager
    def acquire(self, _: Any) -> Iterator[Handle]:
        yield Handle("", 1, self._servable)


def _records(path: str) -> Iterator[bytes]:
    import tensorflow as tf

    try:
        yield from tf.data.TFRecordDataset(path).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        phrase = "Please verify your warmup data is in TFRecord format."
        raise ServingError(Code.DATA_LOSS, f"{error.message}. {phrase} {path}") from error
    except tf.errors.OpError as error:
        raise ServingError(Code.of_number(error.error_code), error.message) from error


def _parse(record: bytes, path: str) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid(f"Failed to parse warmup record: {record[:100]!r} from {path}") from error


async def _replay(log: Any, servable: Servable, recorder: _Recorder) -> None:
    """Replays one record through the code that answers requests over gRPC."""
    from serving.admission.request_record import RequestRecord
    from serving.grpc_api.prediction_service import PredictionService

    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind in ("session_run_log", "predict_streamed_log"):
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number} ({kind})")
    request = getattr(log, kind).request
    for part in request.tasks if kind == "multi_inference_log" else [request]:
        part.model_spec.name = "warmup"  # the request goes to this model, whatever name the record stores
    inference = Inference(_OneServable(servable), recorder)  # type: ignore[arg-type]
    service = PredictionService(inference, max_bytes=_MAX_ELEMENTS * 16, max_rows=2**31)
    method = {
        "predict_log": service.predict,
        "classify_log": service.classify,
        "regress_log": service.regress,
        "multi_inference_log": service.multi_inference,
    }[kind]
    await method(RequestRecord("warmup", "GRPC"), request.SerializeToString())


def _run_synthetic(servable: Servable, recorder: _Recorder) -> None:
    problems = {
        signature.name: _try_strings(servable, signature, recorder) for signature in _stateless(servable.signatures)
    }
    if cold := {name: problem for name, problem in problems.items() if problem}:
        logger.info(
            "%s: cannot make a warm-up request for %s (%s); store requests in %s",
            servable.folder,
            ", ".join(cold),
            next(iter(cold.values())),
            WARMUP_FILE,
        )


def _try_strings(servable: Servable, signature: Signature, recorder: _Recorder) -> str:
    """Runs a signature with the first string value that it accepts; returns "", or the reason why it accepts none."""
    problems = []
    for text in _STRINGS:
        try:
            inputs = complete_inputs(signature, _synthetic_inputs(signature, text))
            recorder.run_now(servable, signature, inputs, tuple(signature.outputs))
            return ""
        except (ServingError, MemoryError) as error:
            problems.append(str(error).partition("\n")[0])
    return problems[0]


def _stateless(signatures: Mapping[str, Signature]) -> list[Signature]:
    """Returns the signatures that do not change the model, as far as their names and methods show."""
    found = [each for each in signatures.values() if each.name == DEFAULT_SIGNATURE or each.method != PREDICT_METHOD]
    return found or (list(signatures.values()) if len(signatures) == 1 else [])


def _synthetic_inputs(signature: Signature, text: bytes) -> dict[str, np.ndarray]:
    return {
        alias: _synthetic_input(spec, text)
        for alias, spec in signature.inputs.items()
        if alias not in signature.defaults
    }


def _synthetic_input(spec: TensorSpec, text: bytes) -> np.ndarray:
    shape = [1 if length is None else length for length in ((None,) if spec.shape is None else spec.shape)]
    if np.prod(shape, dtype=float) > _MAX_ELEMENTS:
        raise invalid(f"input {spec.alias} has more than {_MAX_ELEMENTS:,} elements")
    return np.full(shape, text, object) if spec.dtype == object else np.zeros(shape, spec.dtype)
