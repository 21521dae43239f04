"""Batching under mixed load, with parameters and self-tuned: every request has its answer."""

import asyncio
import gc
import random
import threading
import time
import weakref

import numpy as np
import pytest

from serving.errors import Code, ServingError


async def settled(*awaitables):
    return await asyncio.gather(*awaitables, return_exceptions=True)


def asked(*awaitables):
    async def main():
        return await settled(*[each() if callable(each) else each for each in awaitables])

    return asyncio.run(main())


# With and without parameters.


@pytest.mark.parametrize("text", [None, "max_batch_size { value: 64 } batch_timeout_micros { value: 20000 }"])
def test_only_the_bad_request_of_a_batch_fails(execution, model, text):
    batching = execution(text)
    model.released.clear()

    async def main():
        first = [asyncio.create_task(model.ask(batching, 1)) for _ in range(2)]
        await asyncio.to_thread(model.entered.acquire)
        rest = [asyncio.create_task(model.ask(batching, model.BAD if i in (3, 11) else i)) for i in range(16)]
        await asyncio.sleep(0.03)
        model.released.set()
        return await settled(*first, *rest)

    answers = asyncio.run(main())[2:]
    for number, answer in enumerate(answers):
        if number in (3, 11):
            assert isinstance(answer, ServingError)
            assert answer.code is Code.INVALID_ARGUMENT
        else:
            assert answer == [number / 2 + 2]
    assert max(model.batches) >= 4


@pytest.mark.parametrize("text", [None, ""])
def test_an_unexpected_exception_reaches_the_caller(execution, model, text):
    def fail(*_):
        raise KeyError("a bug")

    batching = execution(text)
    model.answer = fail
    (error,) = asked(model.ask(batching, 1))
    assert isinstance(error, KeyError)
    model.answer = lambda signature, inputs: {"y": inputs["x"]}
    assert asked(model.ask(batching, 1)) == [[1]]


@pytest.mark.parametrize("text", [None, ""])
def test_no_rows_are_no_batch(execution, model, text):
    assert asked(model.ask(execution(text))) == [[]]


@pytest.mark.lengthy
def test_a_servable_is_forgotten(execution, new_model):
    batching, model = execution(), new_model()
    asked(model.ask(batching, 1))
    batching.forget(model)
    reference = weakref.ref(model)
    del model
    end = time.monotonic() + 5
    while gc.collect() >= 0 and reference() is not None:  # the batch's thread may still hold its last task
        assert time.monotonic() < end


# Self-tuned.


def test_without_load_no_request_waits(execution, model):
    batching = execution(batching_latency_ms=5000)

    async def main():
        start = time.perf_counter()
        for _ in range(5):
            await model.ask(batching, 1)
        return time.perf_counter() - start

    assert asyncio.run(main()) < 1
    assert model.batches == [1] * 5


def test_under_load_requests_run_together(execution, model):
    batching = execution()
    model.seconds = 0.02

    async def client(number):
        return [await model.ask(batching, number) for _ in range(5)]

    async def main():
        return await asyncio.gather(*(client(number) for number in range(32)))

    answers = asyncio.run(main())
    assert answers == [[[number / 2 + 2]] * 5 for number in range(32)]
    assert sum(model.batches) == 160
    assert len(model.batches) < 40


def test_shapes_that_differ_do_not_affect_each_other(execution, model):
    batching = execution()
    model.seconds = 0.01
    inputs = [{"x": np.full((1, 1 + number % 3), number, np.float32)} for number in range(12)]
    answers = asked(*(batching.run(model, model.signature, each, ["y"]) for each in inputs))
    for number, answer in enumerate(answers):
        assert answer["y"].tolist() == [[number / 2 + 2] * (1 + number % 3)]


def test_requests_that_cannot_be_batched_run_alone(execution, model):
    batching = execution()
    model.answer = lambda signature, inputs: {"sum": inputs["a"].sum() + inputs["b"].sum()}
    unequal = {"a": np.float32([3]), "b": np.float32([5, 7])}
    scalar = {"a": np.float32(3), "b": np.float32([5])}
    rows = {"a": np.float32([1]), "b": np.float32([2])}
    answers = asked(*(batching.run(model, model.pair, each, ["sum"]) for each in (unequal, scalar, rows, rows, rows)))
    assert [float(answer["sum"]) for answer in answers] == [15, 8, 3, 3, 3]


def test_short_calls_run_on_the_event_loop(execution, model):
    batching = execution()
    model.seconds = 0
    threads = set()
    model.answer = lambda signature, inputs: threads.add(threading.current_thread().name) or {"y": inputs["x"]}

    async def main():
        for _ in range(20):
            await model.ask(batching, 1)
        threads.clear()
        return await model.ask(batching, 1)

    assert asyncio.run(main()) == [1]
    assert threads == {"MainThread"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "max_batch_size { value: 6 } max_execution_batch_size { value: 4 } "
        "enable_large_batch_splitting { value: true } "
        "batch_timeout_micros { value: 1000 } max_enqueued_batches { value: 3 } num_batch_threads { value: 2 }",
    ],
)
def test_every_request_of_a_mixed_load_is_answered_and_none_stays_in_a_queue(execution, model, text):
    batching = execution(text)
    chance = random.Random(0)

    async def client(number):
        for step in range(40):
            values = [
                model.BAD if chance.random() < 0.02 else chance.randrange(9) for _ in range(chance.choice([1, 1, 2, 5]))
            ]
            try:
                async with asyncio.timeout(chance.choice([0.001, 0.01, 5])):
                    answer = await model.ask(batching, *values)
            except (TimeoutError, ServingError):
                continue
            assert answer == [value / 2 + 2 for value in values], (number, step)

    async def main():
        await asyncio.gather(*(client(number) for number in range(24)))
        await asyncio.sleep(0.1)

        # The queue is empty: requests run alone. Both threads are free: two batches run at the same time.
        model.batches.clear()
        assert await model.ask(batching, 1) == [2.5]
        assert await model.ask(batching, 1, 2) == [2.5, 3]
        assert model.batches == [1, 2]
        model.entered = threading.Semaphore(0)
        model.released.clear()
        pair = {"a": np.float32([1]), "b": np.float32([2])}
        tasks = [
            asyncio.create_task(each)
            for each in (model.ask(batching, 1), batching.run(model, model.pair, pair, ["sum"]))
        ]
        for _ in tasks:
            assert await asyncio.to_thread(model.entered.acquire, timeout=10)
        model.released.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
