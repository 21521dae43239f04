"""Queue of requests for one call that tunes the size of its batches itself."""

import math
from collections import deque

from serving.batching.batch import Task
from serving.batching.parallel_tuner import ParallelTuner
from serving.batching.parameters import BatchingParameters

_FIRST_LIMIT, _LAST_LIMIT = 8, 1024
# A larger batch is worth its latency if its throughput is higher by this factor.
_WORTH = 1.05
# Full batches after which a larger size that was not worth its latency is tried again.
_PATIENCE = 64
_SMOOTHING = 0.25
# Fraction of a batch's time that the next batch may wait for the clients that were just answered to send again.
_LINGER = 0.25
_DECAY = 0.9  # of the highest number of pending requests, per batch
_RISE = 1.05  # of the shortest time of a batch, per batch


class TunedQueue:
    """Queue that determines by itself how many requests to run together.

    - While a thread is free and no batch has just finished, a request runs at once: without load, batching adds no
      latency. While the call has all the threads that help it, requests gather in the queue.
    - A batch gets its fair share of the pending requests (waiting or running), so that two threads run 8 and 8, not 15
      and 1.
    - Clients that were just answered send again within milliseconds. A thread that has become free therefore waits for
      its share of the requests that were pending lately, but at most for `latency` or a quarter of a batch's time.
    - The largest batch doubles as long as full batches of the double size answer at least 5 % more rows per second.
    - The number of batches that run at the same time is the one with the highest throughput; see `ParallelTuner`.

    Args:
        latency: Longest time in seconds that a request waits for others while a thread is free.
        tuner: Chooses the number of batches that run at the same time.

    Attributes:
        parameters: Default parameters: batches are not padded.
        limit: Largest number of rows of a batch, unless a single request has more.

    Example:
        >>> queue = TunedQueue(latency=0.01, tuner=ParallelTuner(threads=2))
        >>> queue.admit(5000), queue.limit, queue.waiting
        ([5000], 8, 0)
    """

    def __init__(self, latency: float, tuner: ParallelTuner) -> None:
        self.parameters = BatchingParameters()
        self.limit = _FIRST_LIMIT
        self._latency = latency
        self._tuner = tuner
        self._tasks: deque[Task] = deque()
        self._running = self._running_tasks = 0
        self._peak = 0.0  # highest number of pending requests lately
        self._free_since = self._linger = 0.0
        self._rates: dict[int, float] = {}  # rows per second by batch size, rounded up to a power of two
        self._fastest: dict[int, float] = {}  # shortest time in seconds by the same size
        self._patience = 0

    @property
    def parallel(self) -> int:
        """Number of batches of this call that may run at the same time."""
        return self._tuner.parallel(self._peak)

    @property
    def waiting(self) -> int:
        """See `BatchQueue.waiting`."""
        return len(self._tasks)

    def admit(self, rows: int) -> list[int]:
        """See `BatchQueue.admit`. Admits every request; the limit of requests in progress bounds the queue."""
        return [rows]

    def put(self, task: Task) -> None:
        """See `BatchQueue.put`."""
        self._tasks.append(task)
        self._peak = max(self._peak, len(self._tasks) + self._running_tasks)

    def due(self, now: float) -> float | None:
        """See `BatchQueue.due`."""
        if not self._tasks or self._running >= self.parallel:
            return None
        if len(self._tasks) >= self._share(self._peak):
            return now
        return max(now, self._free_since + self._linger)

    def take(self, now: float) -> list[Task]:
        """See `BatchQueue.take`."""
        due = self.due(now)
        if due is None or due > now:
            return []
        if not self._running and now - self._free_since > 2 * self._linger:
            self._tuner.interrupt()
        present = len(self._tasks) + self._running_tasks
        self._peak = max(present, _DECAY * self._peak)
        batch, rest = self._choose([task for task in self._tasks if not task.answer.done()], self._share(present))
        self._tasks = deque(rest)
        self._running += bool(batch)
        self._running_tasks += len(batch)
        return batch

    def _choose(self, tasks: list[Task], most: int) -> tuple[list[Task], list[Task]]:
        """Returns the first request with the ones of its shapes that fit into its batch, and the rest."""
        batch: list[Task] = []
        rest: list[Task] = []
        rows, shapes = 0, _shapes(tasks[0]) if tasks else []
        for position, task in enumerate(tasks):
            if len(batch) == most or rows >= self.limit:
                rest += tasks[position:]
                break
            if not batch or (rows + task.rows <= self.limit and _shapes(task) == shapes):
                batch.append(task)
                rows += task.rows
            else:
                rest.append(task)
        return batch, rest

    def finished(self, tasks: int, rows: int, seconds: float, now: float) -> None:
        """Records a finished batch.

        Args:
            tasks: Number of requests in the batch.
            rows: Number of rows in the batch.
            seconds: Duration of the batch.
            now: Current time in seconds.
        """
        self._tuner.finished(self._peak, rows, now)
        self.learn(rows, seconds, self._running)
        self._running -= 1
        self._running_tasks -= tasks
        self._free_since, self._linger = now, min(self._latency, _LINGER * seconds)
        self._tune(_size(rows))

    def learn(self, rows: int, seconds: float, running: int = 1) -> None:
        """Records the duration of a batch.

        Args:
            rows: Number of rows in the batch.
            seconds: Duration of the batch.
            running: Number of batches that were running at the same time.
        """
        size, rate = _size(rows), running * rows / max(seconds, 1e-6)
        self._rates[size] = self._rates.get(size, rate) + _SMOOTHING * (rate - self._rates.get(size, rate))
        self._fastest[size] = min(seconds, _RISE * self._fastest.get(size, seconds))

    def expected_seconds(self, rows: int) -> float:
        """Returns the shortest duration of a batch with at least so many rows; infinite if there was none."""
        size = _size(rows)
        return min((seconds for known, seconds in self._fastest.items() if known >= size), default=math.inf)

    def _share(self, tasks: float) -> int:
        return max(1, math.ceil(tasks / self.parallel))

    def _tune(self, size: int) -> None:
        if size < self.limit or not self._tasks:  # a larger batch would not have been filled
            return
        rate, smaller, larger = (self._rates.get(each, 0.0) for each in (size, size // 2, 2 * size))
        if smaller and rate < smaller / _WORTH and size == self.limit:
            self.limit = max(1, size // 2)
            self._patience = _PATIENCE
        elif rate >= _WORTH * smaller and size < _LAST_LIMIT:
            self._patience -= 1
            if self._patience < 0 or larger >= _WORTH * rate:
                self.limit = 2 * size
                self._patience = _PATIENCE if larger else 0


def _shapes(task: Task) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in task.inputs.values()]


def _size(rows: int) -> int:
    return 1 << max(0, rows - 1).bit_length()
