"""Admission control for both ports: counts, times, limits and logs every request."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import IO

from serving.admission.request_record import RequestRecord
from serving.errors import Code, ServingError
from serving.metrics import EXAMPLE_COUNT, IN_PROGRESS, REQUEST_COUNT, REQUEST_LATENCY, Metrics

# Clients choose model names, and each becomes a metric label that stays in memory.
_MAX_NAME_LENGTH = 128


class AdmissionControl:
    """Admits requests up to a limit of concurrent ones, and none once the server drains.

    Args:
        metrics: Receives request counts and latencies.
        max_concurrent: Number of requests in progress from which on new ones are refused.
        access_log: Path of a JSON Lines file; "-" for standard error, empty for no log.

    Attributes:
        in_progress: Number of admitted requests that have not ended.
        draining: Whether new requests are refused because the server shuts down.

    Example:
        >>> from serving.metrics import REQUEST_COUNT, Metrics
        >>> metrics = Metrics()
        >>> admission = AdmissionControl(metrics, max_concurrent=1)
        >>> with admission.request("predict", "REST") as record:
        ...     record.model = "digits"
        ...     admission.in_progress
        1
        >>> admission.in_progress, record.code.name, metrics.value(REQUEST_COUNT)
        (0, 'OK', 1)
    """

    def __init__(self, metrics: Metrics, max_concurrent: int = 1000, access_log: str = "") -> None:
        self.in_progress = 0
        self.draining = False
        self._metrics = metrics
        self._max_concurrent = max_concurrent
        self._log: IO[str] | None = None
        if access_log:
            self._log = sys.stderr if access_log == "-" else open(access_log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123

    @contextlib.contextmanager
    def request(self, api: str, entrypoint: str) -> Iterator[RequestRecord]:
        """Admits one request for the length of the block: `with admission.request("predict", "REST") as record`.

        Args:
            api: Name of the API; empty for an unknown route.
            entrypoint: Protocol, "GRPC" or "REST".

        Yields:
            The record to fill in. An exception that leaves the block sets its code.

        Raises:
            ServingError: On entering: RESOURCE_EXHAUSTED when too many requests are in progress, UNAVAILABLE while
                the server drains.
        """
        record, start = RequestRecord(api, entrypoint), time.perf_counter()
        try:
            self._admit()
        except ServingError as error:
            record.code = error.code
            self._report(record, 0.0)
            raise
        try:
            yield record
        except BaseException as error:
            record.code = _code(error)
            raise
        finally:
            self.in_progress -= 1
            self._report(record, time.perf_counter() - start)

    def close(self) -> None:
        """Closes the access log."""
        if self._log is not None and self._log is not sys.stderr:
            self._log.close()

    def _admit(self) -> None:
        if self.draining:
            raise ServingError(Code.UNAVAILABLE, "the server is shutting down; send the request to another one")
        if self.in_progress >= self._max_concurrent:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self.in_progress} requests are in progress, which is the limit; try again later, or raise "
                "--max-concurrent-requests",
            )
        self.in_progress += 1

    def _report(self, record: RequestRecord, seconds: float) -> None:
        record.model = record.model[:_MAX_NAME_LENGTH]
        labels = {"model_name": record.model, "version": str(record.version or ""), "signature": record.signature}
        self._metrics.count(REQUEST_COUNT, status=record.code.name, **labels)
        self._metrics.gauge(IN_PROGRESS, self.in_progress)
        if record.code is Code.OK or record.entrypoint == "GRPC":  # TensorFlow Serving does the same
            micros = seconds * 1e6
            self._metrics.observe(REQUEST_LATENCY, micros, API=record.api, entrypoint=record.entrypoint, **labels)
        if record.rows:
            self._metrics.count(EXAMPLE_COUNT, record.rows, model=record.model)
        if self._log is not None:
            self._log.write(_log_line(record, seconds))


def _code(error: BaseException) -> Code:
    if isinstance(error, ServingError):
        return error.code
    if isinstance(error, TimeoutError):
        return Code.DEADLINE_EXCEEDED
    return Code.INTERNAL if isinstance(error, Exception) else Code.CANCELLED


def _log_line(record: RequestRecord, seconds: float) -> str:
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "entrypoint": record.entrypoint,
        "api": record.api,
        "model": record.model,
        "version": record.version,
        "signature": record.signature,
        "rows": record.rows,
        "status": record.code.name,
        "ms": round(seconds * 1000, 3),
    }
    return json.dumps(entry, ensure_ascii=False) + "\n"
