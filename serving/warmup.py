"""What a model answers before anybody asks: stored requests, or made-up ones, so that the first real one is fast."""

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
from serving.inference import Core, complete_inputs
from serving.manager.version import Handle
from serving.metrics import WARMUP_LATENCY, WARMUP_RECORDS, Metrics
from serving.servable import Servable
from serving.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

logger = logging.getLogger(__name__)

REQUESTS_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
# A batch that takes longer is the last that is warmed up: a slow model must not take minutes to load.
_ENOUGH_SECONDS = 1.0
_MAX_ELEMENTS = 50_000_000  # of a made-up input
_PREDICT = "tensorflow/serving/predict"
# What a string may be: a serialized tf.Example without features, or an image (a PNG of one pixel), or a text.
_PNG = base64.b64decode(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC")
_STRINGS = (b"", _PNG, b"0")


class Warmup:
    """Warms up a servable on the thread that loads it.

    Requests come from the model's `assets.extra/tf_serving_warmup_requests`, as in TensorFlow Serving: there, a request
    that fails fails the load. A model without that file gets requests made from its signatures (its default one, and
    those that classify or regress; others may train), and what fails then is only logged. In both cases the sizes of
    batch that matter are warmed up, too: oneDNN, cuDNN and the allocators prepare themselves for each size anew.

    Args:
        config: Whether and how often.
        metrics: Receives times and counts.
        batch_sizes: Called for each servable, also when warm-up is turned off: the sizes that matter, ascending.
    """

    def __init__(
        self,
        config: ServerConfig,
        metrics: Metrics,
        batch_sizes: Callable[[Servable], Sequence[int]] = lambda _: (1,),
    ) -> None:
        self._config, self._metrics, self._batch_sizes = config, metrics, batch_sizes

    def __call__(self, servable: Servable) -> None:
        """Warms up.

        Raises:
            ServingError: A stored request is broken or fails, or the parameters of batching are wrong.
        """
        sizes = self._batch_sizes(servable)
        if not self._config.enable_model_warmup:
            return
        start, status = time.perf_counter(), Code.OK
        recorder = _Recorder()
        try:
            found = self._stored(servable, recorder)
            if not found and self._config.synthetic_warmup:
                _make_up(servable, recorder)
        except ServingError as error:
            status = error.code
            raise
        finally:
            micros = (time.perf_counter() - start) * 1e6
            self._metrics.observe(WARMUP_LATENCY, micros, model_path=servable.folder, status=status.name)
        recorder.repeat(servable, sizes)
        logger.info("%s: warmed up in %.1f s", servable.folder, time.perf_counter() - start)

    def _stored(self, servable: Servable, recorder: "_Recorder") -> bool:
        """Runs the stored requests; false when there is no file of them."""
        import tensorflow as tf

        path = f"{servable.folder.rstrip('/')}/{REQUESTS_FILE}"
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
    """An execution that runs at once, on the calling thread, and keeps the first inputs of each call."""

    def __init__(self) -> None:
        self._calls: dict[tuple, tuple[Signature, Mapping[str, np.ndarray], Sequence[str]]] = {}

    async def run(
        self, servable: Servable, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        return self.run_now(servable, signature, inputs, outputs)

    def run_now(
        self, servable: Servable, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        answer = servable.run(signature, inputs, outputs)
        self._calls.setdefault((signature.name, *outputs), (signature, inputs, outputs))
        return answer

    def prepare(self, servable: Servable) -> Sequence[int]:
        return (1,)

    def forget(self, servable: Servable) -> None:
        pass

    def repeat(self, servable: Servable, sizes: Sequence[int]) -> None:
        """Runs each call with batches of these sizes."""
        for signature, inputs, outputs in self._calls.values():
            if not all(array.ndim and len(array) for array in inputs.values()):
                continue
            for size in sizes:
                batch = {alias: np.repeat(array[:1], size, axis=0) for alias, array in inputs.items()}
                start = time.perf_counter()
                try:
                    servable.run(signature, batch, outputs)
                except ServingError as error:
                    logger.info("%s: %s takes no batch of %d: %s", servable.folder, signature.name, size, error)
                    break
                if time.perf_counter() - start > _ENOUGH_SECONDS:
                    break


class _Only:
    """In place of a `ModelManager`: one servable, whatever model is asked for."""

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    @contextlib.contextmanager
    def acquire(self, _: Any) -> Iterator[Handle]:
        yield Handle("", 1, self._servable)


def _records(path: str) -> Iterator[bytes]:
    import tensorflow as tf
    from tensorflow.python.lib.io import tf_record

    try:
        reader, position = tf_record.tf_record_random_reader(path), 0
        while True:
            record, position = reader.read(position)
            yield record
    except IndexError:
        return
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
    """Asks what a record says, by the very code that answers over gRPC."""
    from serving.admission.gate import Gate
    from serving.grpc_api.prediction_service import PredictionService

    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind in ("session_run_log", "predict_streamed_log"):
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number} ({kind})")
    request = getattr(log, kind).request
    for asked in request.tasks if kind == "multi_inference_log" else [request]:
        asked.model_spec.name = "warmup"  # it is this model that is asked, whatever the record calls it
    service = PredictionService(Core(_Only(servable), recorder), _MAX_ELEMENTS * 16, 2**31)  # type: ignore[arg-type]
    method = {
        "predict_log": service.predict,
        "classify_log": service.classify,
        "regress_log": service.regress,
        "multi_inference_log": service.multi_inference,
    }[kind]
    await method(Gate(Metrics()).request("warmup", "GRPC"), request.SerializeToString())


def _make_up(servable: Servable, recorder: _Recorder) -> None:
    problems = {signature.name: _ask(servable, signature, recorder) for signature in _answering(servable.signatures)}
    if cold := {name: problem for name, problem in problems.items() if problem}:
        logger.info(
            "%s: no request for %s could be made up (%s); store some in %s",
            servable.folder,
            ", ".join(cold),
            next(iter(cold.values())),
            REQUESTS_FILE,
        )


def _ask(servable: Servable, signature: Signature, recorder: _Recorder) -> str:
    """Asks with whatever it may take; why it took nothing, or an empty text."""
    problems = []
    for text in _STRINGS:
        try:
            inputs = complete_inputs(signature, _inputs(signature, text))
            recorder.run_now(servable, signature, inputs, tuple(signature.outputs))
            return ""
        except (ServingError, MemoryError) as error:
            problems.append(str(error).partition("\n")[0])
    return problems[0]


def _answering(signatures: Mapping[str, Signature]) -> list[Signature]:
    """Those that only answer, as far as their names and methods tell."""
    found = [each for each in signatures.values() if each.name == DEFAULT_SIGNATURE or each.method != _PREDICT]
    return found or (list(signatures.values()) if len(signatures) == 1 else [])


def _inputs(signature: Signature, text: bytes) -> dict[str, np.ndarray]:
    return {alias: _made_up(spec, text) for alias, spec in signature.inputs.items() if alias not in signature.defaults}


def _made_up(spec: TensorSpec, text: bytes) -> np.ndarray:
    shape = [1 if length is None else length for length in ((None,) if spec.shape is None else spec.shape)]
    if np.prod(shape, dtype=float) > _MAX_ELEMENTS:
        raise invalid(f"input {spec.alias} is too large to be made up")
    return np.full(shape, text, object) if spec.dtype == object else np.zeros(shape, spec.dtype)
