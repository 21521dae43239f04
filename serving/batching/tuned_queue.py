"""Where requests for one call wait until they are a batch, when nobody has said how large batches should be."""

import math
from collections import deque

from serving.batching.batch import Task
from serving.batching.parallel_tuner import ParallelTuner
from serving.batching.parameters import BatchingParameters

_FIRST_LIMIT, _LAST_LIMIT = 8, 1024
# A larger batch is worth its latency when it brings so much more throughput.
_WORTH = 1.05
# Full batches after which a larger size that was not worth it is tried again.
_PATIENCE = 64
_SMOOTHING = 0.25
# Share of a batch's time that the next one may wait for the clients that have just got their answers to ask again.
_LINGER = 0.25
_FORGET = 0.9  # a batch
_RISE = 1.05  # a batch


class TunedQueue:
    """A queue that finds out by itself how many requests to run together.

    - While a thread is free and nothing has just been answered, a request is run at once: without load, batching adds
      nothing. While the call has all the threads that help it, requests gather.
    - A batch takes its fair share of the requests that are in the queue or running, so that two threads run 8 and 8,
      not 15 and 1.
    - Clients that have just been answered ask again within milliseconds. So a thread that has become free waits for its
      share of what was there lately, but no longer than `latency` nor than a quarter of a batch's time.
    - The largest batch doubles as long as full batches of the double size answer at least 5 % more rows per second.
    - As many batches run at the same time as answer the most; see `ParallelTuner`.

    Args:
        latency: Most seconds that a request waits for others while a thread is free.
        threads: Batches of all calls that can run at the same time.

    Attributes:
        limit: Most rows of a batch, unless a single request has more.
    """

    def __init__(self, latency: float, threads: int) -> None:
        self.parameters = BatchingParameters()
        self.limit = _FIRST_LIMIT
        self._latency = latency
        self._tuner = ParallelTuner(threads)
        self._tasks: deque[Task] = deque()
        self._running = self._running_tasks = 0
        self._peak = 0.0  # requests that were in the queue or running at the same time lately
        self._free_since = self._linger = 0.0
        self._rates: dict[int, float] = {}  # rows per second by size of the batch, rounded up to a power of two
        self._fastest: dict[int, float] = {}  # seconds, by the same
        self._patience = 0

    @property
    def parallel(self) -> int:
        """Batches of this call that may run at the same time."""
        return self._tuner.parallel(self._peak)

    @property
    def waiting(self) -> int:
        """As `BatchQueue.waiting`."""
        return len(self._tasks)

    def admit(self, rows: int) -> list[int]:
        """As `BatchQueue.admit`: everything; what bounds the queue is the number of requests in progress."""
        return [rows]

    def put(self, task: Task) -> None:
        """As `BatchQueue.put`."""
        self._tasks.append(task)
        self._peak = max(self._peak, len(self._tasks) + self._running_tasks)

    def due(self, now: float) -> float | None:
        """As `BatchQueue.due`."""
        if not self._tasks or self._running >= self.parallel:
            return None
        if len(self._tasks) >= self._share(self._peak):
            return now
        return max(now, self._free_since + self._linger)

    def take(self, now: float) -> list[Task]:
        """As `BatchQueue.take`."""
        due = self.due(now)
        if due is None or due > now:
            return []
        if not self._running and now - self._free_since > 2 * self._linger:
            self._tuner.interrupt()
        present = len(self._tasks) + self._running_tasks
        self._peak = max(present, _FORGET * self._peak)
        batch, rest = self._choose([task for task in self._tasks if not task.answer.done()], self._share(present))
        self._tasks = deque(rest)
        self._running += bool(batch)
        self._running_tasks += len(batch)
        return batch

    def _choose(self, tasks: list[Task], most: int) -> tuple[list[Task], list[Task]]:
        """The first and those of its shape that fit beside it, and the others."""
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
        """Learns from a batch that has run.

        Args:
            tasks: Its requests.
            rows: Its rows.
            seconds: How long it took.
            now: The time.
        """
        self._tuner.finished(self._peak, rows, now)
        self.learn(rows, seconds, self._running)
        self._running -= 1
        self._running_tasks -= tasks
        self._free_since, self._linger = now, min(self._latency, _LINGER * seconds)
        self._tune(_size(rows))

    def learn(self, rows: int, seconds: float, running: int = 1) -> None:
        """Learns how fast a batch was, one of so many that were running."""
        size, rate = _size(rows), running * rows / max(seconds, 1e-6)
        self._rates[size] = self._rates.get(size, rate) + _SMOOTHING * (rate - self._rates.get(size, rate))
        self._fastest[size] = min(seconds, _RISE * self._fastest.get(size, seconds))

    def expected_seconds(self, rows: int) -> float:
        """How long a batch of so many rows takes when nothing disturbs it; infinite when none as large was seen."""
        size = _size(rows)
        return min((seconds for known, seconds in self._fastest.items() if known >= size), default=math.inf)

    def _share(self, tasks: float) -> int:
        return max(1, math.ceil(tasks / self.parallel))

    def _tune(self, size: int) -> None:
        if size < self.limit or not self._tasks:  # larger batches would not have been filled
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
