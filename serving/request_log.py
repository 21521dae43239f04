"""A sample of the requests, with their answers, as PredictionLog records: for warm-up, replay and training."""

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

from serving.manager.version import Handle
from serving.metrics import LOG_COUNT, Metrics

logger = logging.getLogger(__name__)

# As many as a warm-up file may have, so that each file can serve as one.
RECORDS_PER_FILE = 1000
# Requests, and bytes of them, that wait to be written; when the disk does not keep up, what is beyond is not logged.
_MAX_WAITING, _MAX_WAITING_BYTES = 256, 64 * 1024 * 1024
_MAX_OPEN = 32  # files
_PREDICT, _CLASSIFY, _REGRESS = "predict_log", "classify_log", "regress_log"


class RequestLog:
    """Writes a share of the requests to TFRecord files, on a thread of its own.

    Files are `<folder>/<model>/<version>/requests-<time>-<process>-<number>.tfrecord`, of at most 1,000 records, and
    complete when the next one appears or the server has ended. Each of them can be copied to a model's
    `assets.extra/tf_serving_warmup_requests` as it is.

    Args:
        folder: Where; empty for nowhere.
        rate: Share of the requests, 0 to 1.
        metrics: Receives the number of records.
    """

    def __init__(self, folder: str, rate: float, metrics: Metrics | None = None) -> None:
        self._folder, self._rate, self._metrics = folder, rate if folder else 0.0, metrics
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
        """Whether this request is one of the share."""
        return self._rate > 0 and random.random() < self._rate

    def predict(
        self, held: Handle, signature_name: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> None:
        """Logs a request for any signature: arrays by alias."""
        self._put(_PREDICT, held, signature_name, inputs, outputs)

    def classify(
        self,
        held: Handle,
        signature_name: str,
        examples: Sequence[bytes],
        labels: np.ndarray | None,
        scores: np.ndarray | None,
    ) -> None:
        """Logs a request for classes: serialized examples; labels and scores of shape (examples, classes), or none."""
        self._put(_CLASSIFY, held, signature_name, examples, (labels, scores))

    def regress(self, held: Handle, signature_name: str, examples: Sequence[bytes], values: np.ndarray) -> None:
        """Logs a request for a regression: serialized examples, and values of shape (examples,)."""
        self._put(_REGRESS, held, signature_name, examples, values)

    def close(self) -> None:
        """Writes what waits, and closes the files."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _put(self, kind: str, held: Handle, signature_name: str, asked: Any, answered: Any) -> None:
        size = _size(asked) + _size(answered)
        try:
            if self._waiting_bytes + size > _MAX_WAITING_BYTES:
                raise queue.Full
            self._waiting.put_nowait((size, kind, held.name, held.version, signature_name, asked, answered))
        except queue.Full:
            self._count(held.name, "RESOURCE_EXHAUSTED")
        else:
            self._wait_for(size)

    def _count(self, name: str, status: str) -> None:
        if self._metrics:
            self._metrics.count(LOG_COUNT, model_name=name, status=status)

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            size, kind, name, version, signature_name, asked, answered = item
            try:
                record = _record(kind, name, version, signature_name, asked, answered, self._rate)
                self._file(name, version).write(record)
                self._count(name, "OK")
            except Exception as error:  # a full disk must not stop the server, nor the log for ever
                logger.warning("a request of model %s could not be logged: %s", name, error)
                self._count(name, "INTERNAL")
            self._wait_for(-size)
        for file in self._writers.values():
            file.close()

    def _file(self, name: str, version: int) -> "_File":
        file = self._writers.get((name, version))
        if file and file.records < RECORDS_PER_FILE:
            return file
        if file or len(self._writers) >= _MAX_OPEN:
            self._writers.pop((name, version) if file else next(iter(self._writers))).close()
        file = self._writers[name, version] = _File(self._folder, name, version)
        return file

    def _wait_for(self, size: int) -> None:
        with self._lock:
            self._waiting_bytes += size


class _File:
    _number = 0

    def __init__(self, folder: str, name: str, version: int) -> None:
        import tensorflow as tf

        safe = quote(name, safe="")
        if not safe.strip("."):  # ".." would be another folder
            safe = safe.replace(".", "%2E")
        place = Path(folder, safe, str(version))
        place.mkdir(parents=True, exist_ok=True)
        _File._number += 1
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.path = place / f"requests-{stamp}-{os.getpid()}-{_File._number}.tfrecord"
        self.records = 0
        self._writer = tf.io.TFRecordWriter(os.fspath(self.path))

    def write(self, record: bytes) -> None:
        self._writer.write(record)
        self._writer.flush()  # what a killed server has answered is there
        self.records += 1

    def close(self) -> None:
        self._writer.close()


def _size(arrays: Any) -> int:
    """Bytes of arrays, or of strings, in whatever they come."""
    if isinstance(arrays, bytes):
        return len(arrays)
    if isinstance(arrays, np.ndarray):
        return sum(map(_size, arrays.flat)) if arrays.dtype == object else arrays.nbytes
    if isinstance(arrays, Mapping):
        return sum(map(_size, arrays.values()))
    return 0 if arrays is None else sum(map(_size, arrays))


def _record(kind: str, name: str, version: int, signature_name: str, asked: Any, answered: Any, rate: float) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.log_metadata.sampling_config.sampling_rate = rate
    log.log_metadata.timestamp_secs = int(time.time())
    entry = getattr(log, kind)
    for spec in (log.log_metadata.model_spec, entry.request.model_spec, entry.response.model_spec):
        spec.name, spec.signature_name, spec.version.value = name, signature_name, version
    fills: Mapping[str, Callable] = {_PREDICT: _fill_predict, _CLASSIFY: _fill_classify, _REGRESS: _fill_regress}
    fills[kind](entry, asked, answered)
    return log.SerializeToString()


def _fill_predict(entry: Any, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    from serving.protobuf.tensors import fill

    for alias, array in inputs.items():
        fill(entry.request.inputs[alias], array)
    for alias, array in outputs.items():
        fill(entry.response.outputs[alias], array)


def _fill_classify(entry: Any, examples: Sequence[bytes], answer: tuple[np.ndarray | None, np.ndarray | None]) -> None:
    labels, scores = answer
    for row, example in enumerate(examples):
        entry.request.input.example_list.examples.add().ParseFromString(example)
        classes = entry.response.result.classifications.add().classes
        for column in range((scores if labels is None else labels).shape[1]):  # type: ignore[union-attr]
            each = classes.add()
            if labels is not None:
                each.label = labels[row, column].decode(errors="replace")
            if scores is not None:
                each.score = scores[row, column]


def _fill_regress(entry: Any, examples: Sequence[bytes], values: np.ndarray) -> None:
    for example, value in zip(examples, values.tolist(), strict=True):
        entry.request.input.example_list.examples.add().ParseFromString(example)
        entry.response.result.regressions.add(value=value)
