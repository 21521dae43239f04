"""Batching with a fake model: the batches that are formed, and the answer to each request."""

import asyncio
import gc
import random
import threading
import time
import weakref

import numpy as np
import pytest

from serving.batching.execution import BatchingExecution
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.metrics import Metrics
from serving.signature import Signature, TensorSpec

BAD = 666.0


def spec(alias, dtype=np.float32):
    return TensorSpec(alias, f"{alias}:0", np.dtype(dtype), 1, "float", None)


SIGNATURE = Signature("serving_default", "tensorflow/serving/predict", {"x": spec("x")}, {"y": spec("y")})
PAIR = Signature(
    "pair", "tensorflow/serving/predict", {"a": spec("a"), "b": spec("b")}, {"sum": spec("sum"), "first": spec("first")}
)


class FakeServable:
    """Fake model y = x / 2 + 2 that records its batches; the input BAD fails."""

    folder = "/models/fake/1"

    def __init__(self):
        self.batches = []
        self.inputs = []
        self.released = threading.Event()
        self.released.set()
        self.entered = threading.Semaphore(0)
        self.seconds = 0.001

    def run(self, signature, inputs, outputs):
        rows = [len(array) for array in inputs.values() if array.ndim]
        self.batches.append(rows[0] if rows else 0)
        self.inputs.append(inputs)
        self.entered.release()
        assert self.released.wait(10)
        time.sleep(self.seconds)
        if any(np.any(array == BAD) for array in inputs.values()):
            raise invalid("bad input")
        results = self.answer(signature, inputs)
        return {alias: results[alias] for alias in outputs}

    def answer(self, signature, inputs):
        if signature is PAIR:
            return {"sum": inputs["a"] + inputs["b"], "first": inputs["a"]}
        return {"y": inputs["x"] / 2 + 2}


@pytest.fixture
def model():
    return FakeServable()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def execution(tmp_path, metrics):
    def make(text=None, **options):
        if text is not None:
            path = tmp_path / "batching.config"
            path.write_text(text)
            options["batching_parameters_file"] = str(path)
        return BatchingExecution(ServerConfig(enable_batching=True, **options), metrics)

    return make


def request(*values):
    return {"x": np.float32(values)}


async def ask(execution, model, *values):
    return (await execution.run(model, SIGNATURE, request(*values), ["y"]))["y"].tolist()


async def settled(*awaitables):
    return await asyncio.gather(*awaitables, return_exceptions=True)


def asked(*awaitables):
    async def main():
        return await settled(*[each() if callable(each) else each for each in awaitables])

    return asyncio.run(main())


# With TensorFlow Serving's parameters.


def test_two_requests_fill_a_batch(execution, model):
    batching = execution("max_batch_size { value: 4 } batch_timeout_micros { value: 9000000 }")
    start = time.perf_counter()
    answers = asked(ask(batching, model, 100, 42), ask(batching, model, 71.5, 18.3))
    assert answers[0] == [52, 23]
    assert answers[1] == pytest.approx([37.75, 11.15])
    assert model.batches == [4]
    assert time.perf_counter() - start < 5  # the timeout did not delay it


def test_a_batch_that_is_not_full_waits_for_the_timeout(execution, model):
    batching = execution("max_batch_size { value: 4 } batch_timeout_micros { value: 200000 }")
    start = time.perf_counter()
    assert asked(ask(batching, model, 1.0), ask(batching, model, 2.0)) == [[2.5], [3.0]]
    assert 0.19 < time.perf_counter() - start < 2
    assert model.batches == [2]


def test_without_a_timeout_one_request_is_a_batch(execution, model):
    batching = execution("max_batch_size { value: 4 }")
    assert asked(ask(batching, model, 100, 42)) == [[52, 23]]
    assert model.batches == [2]


@pytest.mark.parametrize(("allowed", "size"), [("[2, 4]", 2), ("[1, 3, 4]", 3)])
def test_a_batch_is_padded_to_an_allowed_size_with_a_valid_row(execution, metrics, model, allowed, size):
    batching = execution(f"max_batch_size {{ value: 4 }} allowed_batch_sizes: {allowed}")
    assert asked(ask(batching, model, 100, 42)) == [[52, 23]]
    assert model.batches == [size]
    assert model.inputs[0]["x"].tolist() == [100, 42, 100][:size]
    text = metrics.text()
    name = ":tensorflow:serving:batching_session"
    assert f"{name}:input_batch_size_sum{{}} 2" in text
    assert f"{name}:processed_batch_size_sum{{}} {size}" in text
    assert f'{name}:padding_size_sum{{execution_batch_size="{size}"}} {size - 2}' in text
    assert f"{name}:wrapped_run_count{{}} 1" in text
    assert f'{name}:queuing_latency_count{{thread_pool_name=""}} 1' in text


def test_a_request_that_is_too_large_is_refused(execution, model):
    (error,) = asked(ask(execution("max_batch_size { value: 3 }"), model, 1, 2, 3, 4))
    assert error.code is Code.INVALID_ARGUMENT
    assert "Task size 4 is larger than maximum input batch size 3" in str(error)


def test_large_requests_are_spread_over_batches(execution, model):
    batching = execution(
        "max_batch_size { value: 10 } enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 4 } batch_timeout_micros { value: 100000 }"
    )
    answers = asked(ask(batching, model, 1, 2, 3), ask(batching, model, *range(10)))
    assert answers == [[2.5, 3, 3.5], [2 + x / 2 for x in range(10)]]
    assert sorted(model.batches) == [1, 4, 4, 4]


def test_shapes_that_differ_fail_both_when_they_are_not_padded(execution, model):
    batching = execution("max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 }")
    narrow, wide = {"x": np.zeros((1, 2, 2), np.float32)}, {"x": np.zeros((1, 3, 3), np.float32)}
    errors = asked(*(batching.run(model, SIGNATURE, each, ["y"]) for each in (narrow, wide)))
    for error in errors:
        assert error.code is Code.FAILED_PRECONDITION
        assert str(error) == (
            "Tensors with name 'x' from different tasks have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim."
        )
    assert model.batches == []


def test_a_request_in_pieces_fails_with_one_of_them(execution, model):
    batching = execution(
        "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 2 } batch_timeout_micros { value: 100000 }"
    )
    long, narrow = {"x": np.zeros((3, 1, 1), np.float32)}, {"x": np.zeros((1, 2), np.float32)}
    errors = asked(*(batching.run(model, SIGNATURE, each, ["y"]) for each in (long, narrow)))
    assert [error.code for error in errors] == [Code.FAILED_PRECONDITION] * 2


def test_shapes_that_differ_are_padded_with_zeros(execution, model):
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    small = {"x": np.float32([[[1, 2], [3, 4]]])}
    large = {"x": np.arange(5, 14, dtype=np.float32).reshape(1, 3, 3)}
    answers = asked(*(batching.run(model, SIGNATURE, each, ["y"]) for each in (small, large)))
    assert answers[0]["y"].tolist() == [[[2.5, 3, 2], [3.5, 4, 2], [2, 2, 2]]]
    assert answers[1]["y"].ravel().tolist() == [4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5]


def test_strings_are_padded_with_empty_ones(execution, model):
    model.answer = lambda signature, inputs: {"y": inputs["x"]}
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    short, long = (np.array([values], object) for values in ([b"a"], [b"b", b"c"]))
    answers = asked(*(batching.run(model, SIGNATURE, {"x": each}, ["y"]) for each in (short, long)))
    assert [answer["y"].tolist() for answer in answers] == [[[b"a", b""]], [[b"b", b"c"]]]


def test_ranks_that_differ_cannot_be_padded(execution, model):
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    flat, deep = {"x": np.zeros((1, 2), np.float32)}, {"x": np.zeros((1, 2, 2), np.float32)}
    errors = asked(*(batching.run(model, SIGNATURE, each, ["y"]) for each in (flat, deep)))
    assert [error.code for error in errors] == [Code.FAILED_PRECONDITION] * 2


def test_inputs_must_be_of_one_length(execution, metrics, model):
    batching = execution("")
    unequal = {"a": np.float32([3]), "b": np.float32([5, 7])}
    scalar = {"a": np.float32(3), "b": np.float32([5])}
    errors = asked(*(batching.run(model, PAIR, each, ["sum"]) for each in (unequal, scalar)))
    assert [error.code for error in errors] == [Code.INVALID_ARGUMENT] * 2
    assert "Batching Run() input tensors must have equal 0th-dimension size" in str(errors[0])
    assert "Batching Run() input tensors must have at least one dimension" in str(errors[1])
    assert "input_batch_size" not in metrics.text()


@pytest.mark.parametrize(
    ("output", "phrase"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (np.zeros(5, np.float32), "Batched output tensor's 0th dimension does not equal the sum"),
    ],
)
def test_outputs_must_be_rows(execution, model, output, phrase):
    model.answer = lambda signature, inputs: {"y": output}
    (error,) = asked(ask(execution(""), model, 1, 2))
    assert error.code is Code.FAILED_PRECONDITION
    assert phrase in str(error)


def test_a_full_queue_refuses(execution, model):
    batching = execution("max_batch_size { value: 2 } max_enqueued_batches { value: 2 } num_batch_threads { value: 1 }")
    model.released.clear()

    async def main():
        first = asyncio.create_task(ask(batching, model, 1, 1))
        await asyncio.to_thread(model.entered.acquire)
        waiting = [asyncio.create_task(ask(batching, model, 2, 2)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError) as caught:
            await ask(batching, model, 3, 3)
        model.released.set()
        return caught.value, await settled(first, *waiting)

    error, answers = asyncio.run(main())
    assert error.code is Code.UNAVAILABLE
    assert str(error).startswith("The batch scheduling queue to which this task was submitted is full")
    assert answers == [[2.5, 2.5], [3, 3], [3, 3]]


def test_a_full_queue_refuses_a_request_that_needs_too_many_pieces(execution, model):
    batching = execution(
        "max_batch_size { value: 9 } max_execution_batch_size { value: 2 } max_enqueued_batches { value: 2 } "
        "enable_large_batch_splitting { value: true }"
    )
    (error,) = asked(ask(batching, model, 1, 2, 3, 4, 5))
    assert error.code is Code.UNAVAILABLE
    assert "task size is 5 but scheduling capacity is only 4" in str(error)
    assert asked(ask(batching, model, 1, 2, 3, 4)) == [[2.5, 3, 3.5, 4]]


def test_a_request_that_times_out_in_the_queue(execution, model):
    batching = execution("max_batch_size { value: 1 } num_batch_threads { value: 1 }")
    model.released.clear()

    async def main():
        first = asyncio.create_task(ask(batching, model, 1))
        await asyncio.to_thread(model.entered.acquire)
        with pytest.raises(ServingError) as caught:
            async with asyncio.timeout(0.05):
                await ask(batching, model, 2)
        model.released.set()
        return caught.value, await first

    error, answer = asyncio.run(main())
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert "Run() timeout exceeded while waiting in batching queue" in str(error)
    assert answer == [2.5]
    assert model.batches == [1]  # it was never run


def test_a_request_that_times_out_while_it_runs(execution, model):
    batching = execution("")
    model.released.clear()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(batching, model, 1)
        model.released.set()
        return await ask(batching, model, 2)

    assert asyncio.run(main()) == [3]


def test_signatures_and_outputs_have_queues_of_their_own(execution, model):
    batching = execution("max_batch_size { value: 2 } batch_timeout_micros { value: 300000 }")
    pair = {"a": np.float32([1]), "b": np.float32([2])}
    answers = asked(
        ask(batching, model, 1.0),
        batching.run(model, PAIR, pair, ["sum"]),
        batching.run(model, PAIR, pair, ["first", "sum"]),
        ask(batching, model, 2.0),
        batching.run(model, PAIR, pair, ["sum"]),
        batching.run(model, PAIR, pair, ["sum", "first"]),  # another order, the same queue
    )
    assert answers[0] == [2.5]
    assert answers[1]["sum"].tolist() == [3]
    assert {alias: array.tolist() for alias, array in answers[2].items()} == {"sum": [3], "first": [1]}
    assert model.batches == [2, 2, 2]


def test_queues_take_turns(execution, model):
    batching = execution("max_batch_size { value: 1 } num_batch_threads { value: 1 }")
    model.released.clear()
    order = []

    async def noted(name, awaitable):
        await awaitable
        order.append(name)

    async def main():
        pair = {"a": np.float32([1]), "b": np.float32([2])}
        first = [asyncio.create_task(noted("x", ask(batching, model, 1))) for _ in range(4)]
        await asyncio.to_thread(model.entered.acquire)
        second = [asyncio.create_task(noted("p", batching.run(model, PAIR, pair, ["sum"]))) for _ in range(2)]
        await asyncio.sleep(0.01)
        model.released.set()
        await asyncio.gather(*first, *second)

    asyncio.run(main())
    assert "".join(order) == "xxpxpx"


def test_a_models_own_parameters(execution, model, tmp_path):
    model.folder = str(tmp_path)
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 2 } num_batch_threads { value: 9 }")
    batching = execution(
        "max_batch_size { value: 1 } num_batch_threads { value: 3 }", enable_per_model_batching_parameters=True
    )
    assert batching.prepare(model) == (1,)
    answer, error = asked(ask(batching, model, 1, 2), ask(batching, model, 1, 2, 3))
    assert answer == [2.5, 3]
    assert "larger than maximum input batch size 2" in str(error)
    model.released.clear()

    async def main():
        tasks = [asyncio.create_task(ask(batching, model, 1, 2)) for _ in range(5)]
        for _ in range(3 + 1):  # three batches, and the one above
            await asyncio.to_thread(model.entered.acquire)
        assert not await asyncio.to_thread(model.entered.acquire, timeout=0.05)
        model.released.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [[2.5, 3]] * 5  # on three threads, which all models share


def test_a_model_without_parameters_of_its_own_is_not_batched(execution, model, tmp_path):
    model.folder = str(tmp_path)
    batching = execution("max_batch_size { value: 2 }", enable_per_model_batching_parameters=True)
    assert batching.prepare(model) == (1,)
    assert asked(ask(batching, model, 1, 2, 3)) == [[2.5, 3, 3.5]]


def test_invalid_parameters_of_a_model_fail_its_load(execution, model, tmp_path):
    model.folder = str(tmp_path)
    (tmp_path / "batching_params.pbtxt").write_text("nonsense")
    batching = execution("", enable_per_model_batching_parameters=True)
    with pytest.raises(ServingError, match=r"Error parsing text-format.*batching_params\.pbtxt"):
        batching.prepare(model)


def test_sizes_to_warm_up(execution, model):
    assert execution("max_batch_size { value: 8 } allowed_batch_sizes: [2, 8]").prepare(model) == (2, 8)
    assert execution("").prepare(model) == (1,)
    assert execution().prepare(model) == (1, 2, 4, 8, 16)


def test_parameters_without_batching_are_an_error(tmp_path):
    from serving.server import ModelServer

    config = ServerConfig(batching_parameters_file=str(tmp_path / "batching.config"))
    with pytest.raises(ServingError, match="batching_parameters_file is set without setting enable_batching to true"):
        ModelServer(config)


# With and without parameters.


@pytest.mark.parametrize("text", [None, "max_batch_size { value: 64 } batch_timeout_micros { value: 20000 }"])
def test_only_the_bad_request_of_a_batch_fails(execution, model, text):
    batching = execution(text)
    model.released.clear()

    async def main():
        first = [asyncio.create_task(ask(batching, model, 1)) for _ in range(2)]
        await asyncio.to_thread(model.entered.acquire)
        rest = [asyncio.create_task(ask(batching, model, BAD if i in (3, 11) else i)) for i in range(16)]
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
    (error,) = asked(ask(batching, model, 1))
    assert isinstance(error, KeyError)
    model.answer = lambda signature, inputs: {"y": inputs["x"]}
    assert asked(ask(batching, model, 1)) == [[1]]


@pytest.mark.parametrize("text", [None, ""])
def test_no_rows_are_no_batch(execution, model, text):
    assert asked(ask(execution(text), model)) == [[]]


def test_a_servable_is_forgotten(execution):
    batching, model = execution(), FakeServable()
    asked(ask(batching, model, 1))
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
            await ask(batching, model, 1)
        return time.perf_counter() - start

    assert asyncio.run(main()) < 1
    assert model.batches == [1] * 5


def test_under_load_requests_run_together(execution, model):
    batching = execution()
    model.seconds = 0.02

    async def client(number):
        return [await ask(batching, model, number) for _ in range(5)]

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
    answers = asked(*(batching.run(model, SIGNATURE, each, ["y"]) for each in inputs))
    for number, answer in enumerate(answers):
        assert answer["y"].tolist() == [[number / 2 + 2] * (1 + number % 3)]


def test_requests_that_cannot_be_batched_run_alone(execution, model):
    batching = execution()
    model.answer = lambda signature, inputs: {"sum": inputs["a"].sum() + inputs["b"].sum()}
    unequal = {"a": np.float32([3]), "b": np.float32([5, 7])}
    scalar = {"a": np.float32(3), "b": np.float32([5])}
    rows = {"a": np.float32([1]), "b": np.float32([2])}
    answers = asked(*(batching.run(model, PAIR, each, ["sum"]) for each in (unequal, scalar, rows, rows, rows)))
    assert [float(answer["sum"]) for answer in answers] == [15, 8, 3, 3, 3]


def test_short_calls_run_on_the_event_loop(execution, model):
    batching = execution()
    model.seconds = 0
    threads = set()
    model.answer = lambda signature, inputs: threads.add(threading.current_thread().name) or {"y": inputs["x"]}

    async def main():
        for _ in range(20):
            await ask(batching, model, 1)
        threads.clear()
        return await ask(batching, model, 1)

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
                BAD if chance.random() < 0.02 else chance.randrange(9) for _ in range(chance.choice([1, 1, 2, 5]))
            ]
            try:
                async with asyncio.timeout(chance.choice([0.001, 0.01, 5])):
                    answer = await ask(batching, model, *values)
            except (TimeoutError, ServingError):
                continue
            assert answer == [value / 2 + 2 for value in values], (number, step)

    async def main():
        await asyncio.gather(*(client(number) for number in range(24)))
        await asyncio.sleep(0.1)

        # The queue is empty: requests run alone. Both threads are free: two batches run at the same time.
        model.batches.clear()
        assert await ask(batching, model, 1) == [2.5]
        assert await ask(batching, model, 1, 2) == [2.5, 3]
        assert model.batches == [1, 2]
        model.entered = threading.Semaphore(0)
        model.released.clear()
        pair = {"a": np.float32([1]), "b": np.float32([2])}
        tasks = [
            asyncio.create_task(each) for each in (ask(batching, model, 1), batching.run(model, PAIR, pair, ["sum"]))
        ]
        for _ in tasks:
            assert await asyncio.to_thread(model.entered.acquire, timeout=10)
        model.released.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
