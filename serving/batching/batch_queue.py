"""Queues of requests for one call: the interface, and the queue with TensorFlow Serving's parameters."""

from collections import deque
from typing import Protocol

from serving.batching.batch import Task
from serving.batching.parameters import BatchingParameters
from serving.errors import Code, ServingError, invalid


class BatchQueue(Protocol):
    """Queue of requests for one call. Used on the event loop; times are seconds of `time.perf_counter`.

    Attributes:
        parameters: Padding and size of the batches.
    """

    parameters: BatchingParameters

    @property
    def waiting(self) -> int:
        """Number of requests, or pieces of requests, in the queue."""

    def admit(self, rows: int) -> list[int]:
        """Returns the numbers of rows of the pieces into which a request must be split.

        The caller puts all pieces into the queue before anything else happens.

        Raises:
            ServingError: The request is too large, or the queue is full.
        """

    def put(self, task: Task) -> None:
        """Appends a request, or a piece of one."""

    def due(self, now: float) -> float | None:
        """Returns the time at which `take` has a batch if nothing else happens; None if another event must come."""

    def take(self, now: float) -> list[Task]:
        """Removes and returns the next batch for a free thread; empty if there is none yet."""


class ParameterQueue:
    """TensorFlow Serving's queue: batches that are full or have waited long enough, and one that is being filled.

    Args:
        parameters: Sizes and times.

    Example:
        >>> from serving.batching.parameters import BatchingParameters
        >>> ParameterQueue(BatchingParameters(max_batch_size=8)).admit(5)
        [5]
    """

    def __init__(self, parameters: BatchingParameters) -> None:
        self.parameters = parameters
        self._closed: deque[list[Task]] = deque()
        self._open: list[Task] = []
        self._open_rows = 0

    @property
    def waiting(self) -> int:
        """See `BatchQueue.waiting`."""
        return sum(map(len, self._closed)) + len(self._open)

    def admit(self, rows: int) -> list[int]:
        """See `BatchQueue.admit`."""
        parameters, batches = self.parameters, len(self._closed) + 1
        if rows > parameters.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size {parameters.max_batch_size}; send fewer "
                "rows, or raise max_batch_size"
            )
        if not parameters.enable_large_batch_splitting:
            if self._open_rows + rows > parameters.max_batch_size and batches >= parameters.max_enqueued_batches:
                most = parameters.max_enqueued_batches
                raise _full(f"currently {batches} batches enqueued and max_enqueued_batches is {most}")
            return [rows]
        most = parameters.most_rows
        free = most - self._open_rows
        capacity = (parameters.max_enqueued_batches - batches) * most + free
        if rows > capacity:
            raise _full(
                f"task size is {rows} but scheduling capacity is only {capacity} (num_enqueued_batches={batches}, "
                f"max_enqueued_batches={parameters.max_enqueued_batches}, open_batch_size={self._open_rows}, "
                f"max_execution_batch_size={most})"
            )
        first = min(free, rows)
        full, last = divmod(rows - first, most)
        return [size for size in (first, *[most] * full, last) if size]

    def put(self, task: Task) -> None:
        """See `BatchQueue.put`."""
        if self._open_rows + task.rows > self.parameters.most_rows:
            self._closed.append(self._open)
            self._open, self._open_rows = [], 0
        self._open.append(task)
        self._open_rows += task.rows

    def due(self, now: float) -> float | None:
        """See `BatchQueue.due`."""
        if self._closed or self._open_rows >= self.parameters.most_rows:
            return now
        return self._open[0].since + self.parameters.batch_timeout_micros / 1e6 if self._open else None

    def take(self, now: float) -> list[Task]:
        """See `BatchQueue.take`."""
        if self._closed:
            return self._closed.popleft()
        if (due := self.due(now)) is None or due > now:
            return []
        batch, self._open, self._open_rows = self._open, [], 0
        return batch


def _full(reason: str) -> ServingError:
    return ServingError(
        Code.UNAVAILABLE, f"The batch scheduling queue to which this task was submitted is full; {reason}"
    )
