"""Execution that runs concurrent requests together as batches."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from serving.batching.batch import Arrays, NotBatchableError, Task, count_rows, run_batch, split_rows
from serving.batching.batch_queue import BatchQueue, ParameterQueue
from serving.batching.parallel_tuner import FIRST_PARALLEL, ParallelTuner
from serving.batching.parameters import BatchingParameters
from serving.batching.tuned_queue import TunedQueue
from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.execution import SHORT_SECONDS, DirectExecution
from serving.metrics import (
    INPUT_BATCH_SIZE,
    PADDING_SIZE,
    PROCESSED_BATCH_SIZE,
    QUEUED_REQUESTS,
    QUEUING_LATENCY,
    WRAPPED_RUNS,
    Metrics,
)
from serving.servable import Servable
from serving.signature import Signature

logger = logging.getLogger(__name__)

# Batch sizes to warm up if batching tunes itself: the sizes of the first batches under load.
_FIRST_SIZES = (1, 2, 4, 8, 16)


@dataclass(eq=False)
class _Call:
    """Properties that requests must share to be run together, and their queue."""

    queue: BatchQueue
    servable: Servable
    signature: Signature
    outputs: tuple[str, ...]
    alone: bool = False  # the outputs do not have the inputs' rows


@dataclass
class _Model:
    parameters: BatchingParameters | None  # None: batching tunes itself
    batched: bool = True
    calls: dict[tuple, _Call] = field(default_factory=dict)


class BatchingExecution:
    """Runs concurrent requests for the same signature, with the same inputs and outputs, as one batch.

    With a parameters file (`--batching-parameters-file`, or a model's own with
    `--enable-per-model-batching-parameters`) batches are formed as in TensorFlow Serving; see `BatchingParameters`.
    Without one, batching tunes itself; see `TunedQueue`. There are two differences from TensorFlow Serving: an invalid
    request does not fail the others in its batch; and requests that cannot be batched (scalars, inputs of unequal
    length, outputs without the inputs' rows) run alone, unless a parameters file makes them an error.

    Queues are used on the event loop, batches run on threads.

    Args:
        config: Batching settings of the server.
        metrics: Receives TensorFlow Serving's batching metrics.

    Raises:
        ServingError: The parameters file is invalid.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        file = config.batching_parameters_file
        self._parameters = BatchingParameters.read(file) if file else None
        self._per_model = config.enable_per_model_batching_parameters
        self._latency = config.batching_latency_ms / 1000
        self._metrics = metrics
        self._threads, self._name = max(FIRST_PARALLEL, os.cpu_count() or 1), ""
        if self._parameters:
            self._threads, self._name = self._parameters.num_batch_threads, self._parameters.thread_pool_name
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name or "batch")
        self._direct = DirectExecution(config.inference_threads)
        self._models: dict[int, _Model] = {}
        self._waiting: list[_Call] = []  # calls with requests in their queues, in the order of their turns
        self._running = 0
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None

    def prepare(self, servable: Servable) -> Sequence[int]:
        """Reads a model's own parameters; called on the thread that loads the model.

        Returns:
            Batch sizes to warm up, ascending.

        Raises:
            ServingError: The parameters are invalid.
        """
        model = self._models[id(servable)] = self._model(servable)
        if not model.batched:
            return (1,)
        if model.parameters is None:
            return _FIRST_SIZES
        return model.parameters.allowed_batch_sizes or (1,)

    def forget(self, servable: Servable) -> None:
        """Forgets a servable that is about to be closed."""
        self._models.pop(id(servable), None)
        self._direct.forget(servable)

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """Runs a signature; see `Servable.run`.

        Raises:
            ServingError: As `Servable.run`; or INVALID_ARGUMENT if the request does not fit into a batch, UNAVAILABLE
                if the queue is full, RESOURCE_EXHAUSTED if the request timed out in the queue.
        """
        call = self._call(servable, signature, inputs, outputs)
        rows = _rows_to_batch(call, inputs) if call else 0
        if call is None or not rows:
            return await self._direct.run(servable, signature, inputs, outputs)
        if isinstance(call.queue, TunedQueue) and call.queue.expected_seconds(rows) < SHORT_SECONDS:
            return self._at_once(call, call.queue, inputs, rows)
        sizes = call.queue.admit(rows)
        for _ in inputs:
            self._metrics.observe(INPUT_BATCH_SIZE, rows)
        if len(sizes) == 1:
            return await self._wait(call, inputs, rows)
        pieces = [self._put(call, piece, size) for piece, size in zip(split_rows(inputs, sizes), sizes, strict=True)]
        answers = await self._answers(pieces)
        return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in call.outputs}

    # The queue of a request.

    def _model(self, servable: Servable) -> _Model:
        if not self._per_model:
            return _Model(self._parameters)
        own = BatchingParameters.of_model(servable.folder)
        if own:
            return _Model(own.with_threads_of(self._parameters or BatchingParameters()))
        # Beside a shared parameters file, TensorFlow Serving does not batch a model without its own.
        return _Model(None, batched=self._parameters is None)

    def _call(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> _Call | None:
        model = self._models.get(id(servable))
        if model is None:
            model = self._models[id(servable)] = self._model(servable)
        if not model.batched:
            return None
        key = (signature.name, *inputs, None, *outputs)
        call = model.calls.get(key)
        if call is None:
            # In the signature's order: six outputs in every order would make 720 queues.
            wanted = tuple(alias for alias in signature.outputs if alias in outputs)
            key = (signature.name, *inputs, None, *wanted)
            call = model.calls.get(key)
        if call is None:
            call = model.calls[key] = _Call(self._queue(model.parameters), servable, signature, wanted)
        return call

    def _queue(self, parameters: BatchingParameters | None) -> BatchQueue:
        return ParameterQueue(parameters) if parameters else TunedQueue(self._latency, ParallelTuner(self._threads))

    # Requests in a queue.

    def _put(self, call: _Call, inputs: Arrays, rows: int) -> Task:
        task = Task(inputs, rows, asyncio.get_running_loop().create_future(), time.perf_counter())
        call.queue.put(task)
        if call not in self._waiting:
            self._waiting.append(call)
        if not self._woken:  # once for all requests that arrive in this turn of the event loop
            self._woken = True
            asyncio.get_running_loop().call_soon(self._start_batches)
        return task

    async def _wait(self, call: _Call, inputs: Arrays, rows: int) -> Arrays:
        return (await self._answers([self._put(call, inputs, rows)]))[0]

    async def _answers(self, tasks: list[Task]) -> list[Arrays]:
        try:
            if len(tasks) == 1:
                return [await tasks[0].answer]
            return list(await asyncio.gather(*(task.answer for task in tasks)))
        except asyncio.CancelledError:
            if any(task.started for task in tasks):
                raise
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                "Run() timeout exceeded while waiting in batching queue; the model cannot keep up with the requests",
            ) from None
        finally:
            for task in tasks:
                task.answer.cancel()  # pieces that remain after another piece failed

    # Batches.

    def _start_batches(self) -> None:
        """Hands batches to free threads, and sets a timer for the next batch."""
        self._woken = False
        now = time.perf_counter()
        while self._running < self._threads and (found := self._next(now)):
            self._start(*found)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        dues = [due for call in self._waiting if (due := call.queue.due(now)) is not None]
        if dues and self._running < self._threads:
            delay = max(0.0, min(dues) - time.perf_counter())
            self._timer = asyncio.get_running_loop().call_later(delay, self._start_batches)

    def _next(self, now: float) -> tuple[_Call, list[Task]] | None:
        for call in list(self._waiting):
            batch = call.queue.take(now)
            if batch or not call.queue.waiting:
                self._waiting.remove(call)
                if call.queue.waiting:  # its next turn comes after those of the other calls
                    self._waiting.append(call)
            if batch:
                return call, batch
        return None

    def _start(self, call: _Call, tasks: list[Task]) -> None:
        now = time.perf_counter()
        self._metrics.gauge(QUEUED_REQUESTS, sum(each.queue.waiting for each in self._waiting))
        live = [task for task in tasks if not task.answer.done()]
        if not live:
            return
        for task in live:
            task.started = True
            self._metrics.observe(QUEUING_LATENCY, (now - task.since) * 1e6, thread_pool_name=self._name)
        self._running += 1
        self._pool.submit(self._run, asyncio.get_running_loop(), call, live)

    def _run(self, loop: asyncio.AbstractEventLoop, call: _Call, tasks: list[Task]) -> None:
        """Runs a batch, on a thread."""
        results: list[Arrays | ServingError] | Exception
        start = time.perf_counter()
        try:
            results = self._results(call, tasks)
        except Exception as error:
            results = error
        seconds = time.perf_counter() - start
        try:
            loop.call_soon_threadsafe(self._finish, call, tasks, results, seconds)
        except RuntimeError:  # the loop has ended, and so have all requests
            logger.debug("a batch ended after the event loop")

    def _results(self, call: _Call, tasks: list[Task]) -> list[Arrays | ServingError]:
        requests = [task.inputs for task in tasks]

        def run(inputs: Arrays) -> Arrays:
            self._metrics.count(WRAPPED_RUNS)
            return call.servable.run(call.signature, inputs, call.outputs)

        parameters = call.queue.parameters
        rows = sum(task.rows for task in tasks)
        size = parameters.allowed_size(rows)
        self._metrics.observe(PADDING_SIZE, size - rows, execution_batch_size=str(size))
        self._metrics.observe(PROCESSED_BATCH_SIZE, size)
        try:
            return run_batch(run, requests, parameters)
        except NotBatchableError as error:
            if isinstance(call.queue, ParameterQueue):
                return [error] * len(tasks)
            call.alone = True
            return [_alone(call, inputs) for inputs in requests]

    def _finish(
        self, call: _Call, tasks: list[Task], results: list[Arrays | ServingError] | Exception, seconds: float
    ) -> None:
        """Delivers answers, on the event loop; starts the next batch first, so that the thread does not wait."""
        if isinstance(call.queue, TunedQueue):
            rows = sum(task.rows for task in tasks)
            call.queue.finished(len(tasks), rows, seconds, time.perf_counter())
        self._running -= 1
        self._start_batches()
        outcomes = [results] * len(tasks) if isinstance(results, Exception) else results
        for task, outcome in zip(tasks, outcomes, strict=True):
            if task.answer.done():
                continue
            if isinstance(outcome, Exception):
                task.answer.set_exception(outcome)
            else:
                task.answer.set_result(outcome)

    def _at_once(self, call: _Call, queue: TunedQueue, inputs: Arrays, rows: int) -> Arrays:
        """Runs a short call on the event loop, which takes less time than handing the call to a thread."""
        start = time.perf_counter()
        answer = call.servable.run(call.signature, inputs, call.outputs)
        queue.learn(rows, time.perf_counter() - start)
        return answer


def _rows_to_batch(call: _Call, inputs: Arrays) -> int:
    """Returns the number of rows of a request; 0 for a request that runs alone."""
    tuned = isinstance(call.queue, TunedQueue)
    if tuned and call.alone:
        return 0
    try:
        return count_rows(inputs)
    except ServingError:
        if tuned:
            return 0
        raise


def _alone(call: _Call, inputs: Arrays) -> Arrays | ServingError:
    try:
        return call.servable.run(call.signature, inputs, call.outputs)
    except ServingError as error:
        return error
