"""Requests that are run together."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from serving.batching.batch import Arrays, NotBatchableError, Task, count_rows, cut, run_batch
from serving.batching.batch_queue import BatchQueue, ParameterQueue
from serving.batching.parallel_tuner import FIRST
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

# Sizes to warm up when batching tunes itself: the first batches under load have them.
_FIRST_SIZES = (1, 2, 4, 8, 16)


@dataclass(eq=False)
class _Call:
    """What requests must have in common to be run together."""

    queue: BatchQueue
    servable: Servable
    signature: Signature
    outputs: tuple[str, ...]
    alone: bool = False  # its outputs are no rows


@dataclass
class _Model:
    parameters: BatchingParameters | None  # none: it tunes itself
    batched: bool = True
    calls: dict[tuple, _Call] = field(default_factory=dict)


class BatchingExecution:
    """Puts requests for the same signature, with the same inputs and outputs, together and runs them as one.

    With a parameters file (`--batching-parameters-file`, or a model's own with
    `--enable-per-model-batching-parameters`) it does what TensorFlow Serving does; see `BatchingParameters`. Without
    one it tunes itself; see `TunedQueue`. Two things are better than there: a request that makes a batch fail fails
    alone, and what cannot be batched (scalars, inputs of unequal length, outputs that are no rows) is run by itself as
    long as no parameters file asks for the error.

    Queues live on the event loop, batches run on threads.

    Args:
        config: Parameters, or `batching_latency_ms`.
        metrics: Receives TensorFlow Serving's batching metrics.

    Raises:
        ServingError: The parameters file is wrong.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        file = config.batching_parameters_file
        self._parameters = BatchingParameters.read(file) if file else None
        self._per_model = config.enable_per_model_batching_parameters
        self._latency = config.batching_latency_ms / 1000
        self._metrics = metrics
        self._threads, self._name = max(FIRST, os.cpu_count() or 1), ""
        if self._parameters:
            self._threads, self._name = self._parameters.num_batch_threads, self._parameters.thread_pool_name
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name or "batch")
        self._direct = DirectExecution(config.inference_threads)
        self._models: dict[int, _Model] = {}
        self._waiting: list[_Call] = []  # those with requests, in the order of their turns
        self._running = 0
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None

    def prepare(self, servable: Servable) -> Sequence[int]:
        """Reads a model's own parameters; called on the thread that loads it.

        Returns:
            The batch sizes that are worth a warm-up, ascending.

        Raises:
            ServingError: The parameters are wrong.
        """
        model = self._models[id(servable)] = self._model(servable)
        if not model.batched:
            return (1,)
        if model.parameters is None:
            return _FIRST_SIZES
        return model.parameters.allowed_batch_sizes or (1,)

    def forget(self, servable: Servable) -> None:
        """Drops what is remembered of a servable that is about to be closed."""
        self._models.pop(id(servable), None)
        self._direct.forget(servable)

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """As `Servable.run`.

        Raises:
            ServingError: What `Servable.run` raises; or the request does not fit into a batch (INVALID_ARGUMENT), the
                queue is full (UNAVAILABLE), the request was given up while it waited (RESOURCE_EXHAUSTED).
        """
        call = self._call(servable, signature, inputs, outputs)
        if call is None:
            return await self._direct.run(servable, signature, inputs, outputs)
        queue = call.queue
        try:
            rows = count_rows(inputs)
        except ServingError:
            if isinstance(queue, TunedQueue):
                return await self._direct.run(servable, signature, inputs, outputs)
            raise
        if not rows or (call.alone and isinstance(queue, TunedQueue)):
            return await self._direct.run(servable, signature, inputs, outputs)
        if isinstance(queue, TunedQueue) and queue.expected_seconds(rows) < SHORT_SECONDS:
            return self._at_once(call, queue, inputs, rows)
        sizes = queue.admit(rows)
        for _ in inputs:
            self._metrics.observe(INPUT_BATCH_SIZE, rows)
        if len(sizes) == 1:
            return await self._wait(call, inputs, rows)
        pieces = [self._put(call, piece, size) for piece, size in zip(cut(inputs, sizes), sizes, strict=True)]
        answers = await self._answers(pieces)
        return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in call.outputs}

    # Choosing the queue.

    def _model(self, servable: Servable) -> _Model:
        if not self._per_model:
            return _Model(self._parameters)
        own = BatchingParameters.of_model(servable.folder)
        if own:
            return _Model(own.with_threads_of(self._parameters or BatchingParameters()))
        return _Model(None, batched=self._parameters is None)  # TensorFlow Serving does not batch such a model

    def _call(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> _Call | None:
        model = self._models.get(id(servable))
        if model is None:
            model = self._models[id(servable)] = self._model(servable)
        if not model.batched:
            return None
        key = (signature.name, *inputs, None, *outputs)
        call = model.calls.get(key)
        if call is None:
            # In the signature's order: six outputs in any order would be 720 queues.
            wanted = tuple(alias for alias in signature.outputs if alias in outputs)
            key = (signature.name, *inputs, None, *wanted)
            call = model.calls.get(key)
        if call is None:
            queue: BatchQueue
            queue = ParameterQueue(model.parameters) if model.parameters else TunedQueue(self._latency, self._threads)
            call = model.calls[key] = _Call(queue, servable, signature, wanted)
        return call

    # Waiting.

    def _put(self, call: _Call, inputs: Arrays, rows: int) -> Task:
        task = Task(inputs, rows, asyncio.get_running_loop().create_future(), time.perf_counter())
        call.queue.put(task)
        if call not in self._waiting:
            self._waiting.append(call)
        if not self._woken:  # once for all requests that this turn of the event loop brings
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
                "Run() timeout exceeded while waiting in batching queue; more is asked for than the model can do",
            ) from None
        finally:
            for task in tasks:
                task.answer.cancel()  # what is left when another piece failed

    # Running.

    def _start_batches(self) -> None:
        """Hands batches to free threads, and sets the alarm for the next that will be due."""
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
                if call.queue.waiting:  # its next turn comes after that of the others
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
        """On a thread."""
        results: list[Arrays | ServingError] | Exception
        start = time.perf_counter()
        try:
            results = self._results(call, tasks)
        except Exception as error:
            results = error
        seconds = time.perf_counter() - start
        try:
            loop.call_soon_threadsafe(self._finish, call, tasks, results, seconds)
        except RuntimeError:  # the loop has ended, and with it everybody who waited
            logger.debug("a batch outlived the event loop")

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
        """On the event loop: the next batch first, so that the thread need not wait for the answers to be written."""
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
        """On the event loop, which a short call holds up for less time than handing it to a thread would."""
        start = time.perf_counter()
        answer = call.servable.run(call.signature, inputs, call.outputs)
        queue.learn(rows, time.perf_counter() - start)
        return answer


def _alone(call: _Call, inputs: Arrays) -> Arrays | ServingError:
    try:
        return call.servable.run(call.signature, inputs, call.outputs)
    except ServingError as error:
        return error
