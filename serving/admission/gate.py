"""Every request passes here, whichever door it comes through: counted, timed, limited, logged."""

import json
import sys
import time
from types import TracebackType
from typing import IO, Self

from serving.errors import Code, ServingError
from serving.metrics import EXAMPLE_COUNT, IN_PROGRESS, REQUEST_COUNT, REQUEST_LATENCY, Metrics

# Names come from clients: a longer one is cut before it becomes a label that stays.
_LONGEST = 128


class RequestRecord:
    """One request, as a context manager: what its door learns of it, and how it ends.

    Args:
        gate: Whose it is.
        api: What is asked, such as "Predict" over gRPC and "predict" over REST.
        entrypoint: "GRPC" or "REST".

    Attributes:
        model: Name that was asked for.
        version: The version that answered.
        signature: The signature that was run.
        rows: Examples, or rows of the batch.
        code: How it ended.
    """

    __slots__ = ("_gate", "_start", "api", "code", "entrypoint", "model", "rows", "signature", "version")

    def __init__(self, gate: "Gate", api: str, entrypoint: str) -> None:
        self._gate, self.api, self.entrypoint = gate, api, entrypoint
        self.model, self.version, self.signature, self.rows = "", None, "", 0
        self.code = Code.OK

    model: str
    version: int | None
    signature: str
    rows: int

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        try:
            self._gate._enter()
        except ServingError as error:
            self._gate._note(self, error.code, 0.0)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._gate.in_progress -= 1
        self._gate._note(self, Code.OK if error is None else _code(error), time.perf_counter() - self._start)


def _code(error: BaseException) -> Code:
    if isinstance(error, ServingError):
        return error.code
    if isinstance(error, TimeoutError):
        return Code.DEADLINE_EXCEEDED
    return Code.INTERNAL if isinstance(error, Exception) else Code.CANCELLED


class Gate:
    """Lets requests in, as many at a time as are allowed, until the server drains.

    Args:
        metrics: Receives counts and latencies.
        max_concurrent: Requests in progress beyond which new ones are refused.
        access_log: File of JSON lines; "-" for standard error, empty for none.

    Attributes:
        in_progress: Requests that are inside.
        draining: Whether new ones are refused, because the server is about to end.
    """

    def __init__(self, metrics: Metrics, max_concurrent: int = 1000, access_log: str = "") -> None:
        self.in_progress = 0
        self.draining = False
        self._metrics = metrics
        self._max_concurrent = max_concurrent
        self._log: IO[str] | None = None
        if access_log:
            self._log = sys.stderr if access_log == "-" else open(access_log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123

    def request(self, api: str, entrypoint: str) -> RequestRecord:
        """A request that begins: `with gate.request("predict", "REST") as record`.

        Raises:
            ServingError: On entering: RESOURCE_EXHAUSTED when too many are in progress, UNAVAILABLE when draining.
        """
        return RequestRecord(self, api, entrypoint)

    def _enter(self) -> None:
        if self.draining:
            raise ServingError(Code.UNAVAILABLE, "the server is shutting down; send the request to another one")
        if self.in_progress >= self._max_concurrent:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self.in_progress} requests are in progress, as many as are allowed; try again, or raise "
                "--max-concurrent-requests",
            )
        self.in_progress += 1

    def _note(self, record: RequestRecord, code: Code, seconds: float) -> None:
        record.code = code
        record.model = record.model[:_LONGEST]
        labels = {"model_name": record.model, "version": str(record.version or ""), "signature": record.signature}
        self._metrics.count(REQUEST_COUNT, status=record.code.name, **labels)
        self._metrics.gauge(IN_PROGRESS, self.in_progress)
        if record.code is Code.OK or record.entrypoint == "GRPC":  # as TensorFlow Serving has it
            micros = seconds * 1e6
            self._metrics.observe(REQUEST_LATENCY, micros, API=record.api, entrypoint=record.entrypoint, **labels)
        if record.rows:
            self._metrics.count(EXAMPLE_COUNT, record.rows, model=record.model)
        if self._log is not None:
            self._log.write(_line(record, seconds))

    def close(self) -> None:
        """Closes the access log."""
        if self._log is not None and self._log is not sys.stderr:
            self._log.close()


def _line(record: RequestRecord, seconds: float) -> str:
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
