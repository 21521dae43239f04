"""Log of sampled requests and responses as PredictionLog records, for warm-up, replay and training."""

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from serving.manager.handle import Handle
from serving.metrics import LOG_COUNT, Metrics

logger = logging.getLogger(__name__)

# The limit of a warm-up file, so that each file can serve as one.
RECORDS_PER_FILE = 1000
# Most requests, and most of their bytes, that wait to be written; when the disk is too slow, further ones are dropped.
_MAX_WAITING, _MAX_WAITING_BYTES = 256, 64 * 1024 * 1024
_MAX_OPEN_FILES = 32
_PREDICT, _CLASSIFY, _REGRESS = "predict_log", "classify_log", "regress_log"


class RequestLog:
    """Writes a share of the requests to TFRecord files, on a thread of its own.

    Files are `<folder>/<model>/<version>/requests-<time>-<process>-<number>.tfrecord`. They hold at most 1,000 records
    and are complete when the next one appears or the server has ended. Each can be copied unchanged to a model's
    `serving.saved_model_files.WARMUP_FILE`.

    Args:
        folder: Folder of the files; empty disables the log.
        rate: Share of the requests to log, 0 to 1.
        metrics: Metrics that count the records; None counts nothing.
        open_file: Function that opens a TFRecord file for writing; None means `tf.io.TFRecordWriter`.
    """

    def __init__(
        self,
        folder: str,
        rate: float,
        metrics: Metrics | None = None,
        open_file: Callable[[str], Any] | None = None,
    ) -> None:
        self._folder, self._rate, self._metrics = folder, rate if folder else 0.0, metrics
        self._open_file = open_file or _tf_record_writer
        self._waiting: queue.Queue[tuple | None] = queue.Queue(_MAX_WAITING)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._writers: dict[tuple[str, int], _File] = {}
        self._thread: threading.Thread | None = None
        if self._rate:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._thread = threading.Thread(target=self._write_all, name="request log", daemon=True)
            self._thread.start()

    def sampled(self) -> bool:
        """Decides at random whether to log the next request."""
        return self._rate > 0 and random.random() < self._rate

    def predict(
        self, held: Handle, signature_name: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> None:
        """Logs a predict request and its response: arrays by alias."""
        self._put(_PREDICT, held, signature_name, inputs, outputs)

    def classify(
        self,
        held: Handle,
        signature_name: str,
        examples: Sequence[bytes],
        classes: np.ndarray | None,
        scores: np.ndarray | None,
    ) -> None:
        """Logs a classify request and its response.

        Args:
            held: The version that answered.
            signature_name: Name of the signature.
            examples: Serialized `tf.Example`s.
            classes: Class names as bytes, shape (examples, classes); None if the signature has no such output.
            scores: Scores, shape (examples, classes); None if the signature has no such output.
        """
        self._put(_CLASSIFY, held, signature_name, examples, (classes, scores))

    def regress(self, held: Handle, signature_name: str, examples: Sequence[bytes], values: np.ndarray) -> None:
        """Logs a regress request and its response: serialized `tf.Example`s, and values of shape (examples,)."""
        self._put(_REGRESS, held, signature_name, examples, values)

    def close(self) -> None:
        """Writes the waiting requests and closes the files."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _put(self, kind: str, held: Handle, signature_name: str, request: Any, response: Any) -> None:
        size = _size(request) + _size(response)
        try:
            if self._waiting_bytes + size > _MAX_WAITING_BYTES:
                raise queue.Full
            self._waiting.put_nowait((size, kind, held.name, held.version, signature_name, request, response))
        except queue.Full:
            self._count(held.name, "RESOURCE_EXHAUSTED")
        else:
            self._add_waiting_bytes(size)

    def _count(self, name: str, status: str) -> None:
        if self._metrics:
            self._metrics.count(LOG_COUNT, model_name=name, status=status)

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            size, kind, name, version, signature_name, request, response = item
            try:
                record = _record(kind, name, version, signature_name, request, response, self._rate)
                self._file(name, version).write(record)
                self._count(name, "OK")
            except Exception as error:  # a full disk must stop neither the server nor, once it has space, the log
                logger.warning("cannot log a request of model %s: %s", name, error)
                self._count(name, "INTERNAL")
            self._add_waiting_bytes(-size)
        for file in self._writers.values():
            file.close()

    def _file(self, name: str, version: int) -> "_File":
        file = self._writers.get((name, version))
        if file and file.records < RECORDS_PER_FILE:
            return file
        if file or len(self._writers) >= _MAX_OPEN_FILES:
            self._writers.pop((name, version) if file else next(iter(self._writers))).close()
        file = self._writers[name, version] = _File(self._folder, name, version, self._open_file)
        return file

    def _add_waiting_bytes(self, size: int) -> None:
        with self._lock:
            self._waiting_bytes += size


class _File:
    _number = 0

    def __init__(self, folder: str, name: str, version: int, open_file: Callable[[str], Any]) -> None:
        safe = quote(name, safe="")
        if not safe.strip("."):  # ".." would be another folder
            safe = safe.replace(".", "%2E")
        place = Path(folder, safe, str(version))
        place.mkdir(parents=True, exist_ok=True)
        _File._number += 1
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.path = place / f"requests-{stamp}-{os.getpid()}-{_File._number}.tfrecord"
        self.records = 0
        self._writer = open_file(os.fspath(self.path))

    def write(self, record: bytes) -> None:
        self._writer.write(record)
        self._writer.flush()  # so that a killed server leaves the requests that it answered
        self.records += 1

    def close(self) -> None:
        self._writer.close()


def _tf_record_writer(path: str) -> Any:
    import tensorflow as tf

    return tf.io.TFRecordWriter(path)


def _size(arrays: Any) -> int:
    """Returns the number of bytes in arrays or strings, or in mappings or sequences of them."""
    if isinstance(arrays, bytes):
        return len(arrays)
    if isinstance(arrays, np.ndarray):
        return sum(map(_size, arrays.flat)) if arrays.dtype == object else arrays.nbytes
    if isinstance(arrays, Mapping):
        return sum(map(_size, arrays.values()))
    return 0 if arrays is None else sum(map(_size, arrays))


def _record(kind: str, name: str, version: int, signature_name: str, request: Any, response: Any, rate: float) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.log_metadata.sampling_config.sampling_rate = rate
    log.log_metadata.timestamp_secs = int(time.time())
    entry = getattr(log, kind)
    for spec in (log.log_metadata.model_spec, entry.request.model_spec, entry.response.model_spec):
        spec.name, spec.signature_name, spec.version.value = name, signature_name, version
    fills: Mapping[str, Callable] = {_PREDICT: _fill_predict, _CLASSIFY: _fill_classify, _REGRESS: _fill_regress}
    fills[kind](entry, request, response)
    return log.SerializeToString()


def _fill_predict(entry: Any, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    from serving.protobuf.tensors import fill

    for alias, array in inputs.items():
        fill(entry.request.inputs[alias], array)
    for alias, array in outputs.items():
        fill(entry.response.outputs[alias], array)


def _fill_classify(entry: Any, examples: Sequence[bytes], output: tuple[np.ndarray | None, np.ndarray | None]) -> None:
    classes, scores = output
    for row, example in enumerate(examples):
        entry.request.input.example_list.examples.add().ParseFromString(example)
        entries = entry.response.result.classifications.add().classes
        for column in range((scores if classes is None else classes).shape[1]):  # type: ignore[union-attr]
            added = entries.add()
            if classes is not None:
                added.label = classes[row, column].decode(errors="replace")
            if scores is not None:
                added.score = scores[row, column]


def _fill_regress(entry: Any, examples: Sequence[bytes], values: np.ndarray) -> None:
    for example, value in zip(examples, values.tolist(), strict=True):
        entry.request.input.example_list.examples.add().ParseFromString(example)
        entry.response.result.regressions.add(value=value)
