"""Batching with TensorFlow Serving's parameters: the batches that are formed, and the answer to each request."""

import asyncio
import time

import numpy as np
import pytest

from serving.config import ServerConfig
from serving.errors import Code, ServingError


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
    answers = asked(model.ask(batching, 100, 42), model.ask(batching, 71.5, 18.3))
    assert answers[0] == [52, 23]
    assert answers[1] == pytest.approx([37.75, 11.15])
    assert model.batches == [4]
    assert time.perf_counter() - start < 5  # the timeout did not delay it


def test_a_batch_that_is_not_full_waits_for_the_timeout(execution, model):
    batching = execution("max_batch_size { value: 4 } batch_timeout_micros { value: 200000 }")
    start = time.perf_counter()
    assert asked(model.ask(batching, 1.0), model.ask(batching, 2.0)) == [[2.5], [3.0]]
    assert 0.19 < time.perf_counter() - start < 2
    assert model.batches == [2]


def test_without_a_timeout_one_request_is_a_batch(execution, model):
    batching = execution("max_batch_size { value: 4 }")
    assert asked(model.ask(batching, 100, 42)) == [[52, 23]]
    assert model.batches == [2]


@pytest.mark.parametrize(("allowed", "size"), [("[2, 4]", 2), ("[1, 3, 4]", 3)])
def test_a_batch_is_padded_to_an_allowed_size_with_a_valid_row(execution, metrics, model, allowed, size):
    batching = execution(f"max_batch_size {{ value: 4 }} allowed_batch_sizes: {allowed}")
    assert asked(model.ask(batching, 100, 42)) == [[52, 23]]
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
    (error,) = asked(model.ask(execution("max_batch_size { value: 3 }"), 1, 2, 3, 4))
    assert error.code is Code.INVALID_ARGUMENT
    assert "Task size 4 is larger than maximum input batch size 3" in str(error)


def test_large_requests_are_spread_over_batches(execution, model):
    batching = execution(
        "max_batch_size { value: 10 } enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 4 } batch_timeout_micros { value: 100000 }"
    )
    answers = asked(model.ask(batching, 1, 2, 3), model.ask(batching, *range(10)))
    assert answers == [[2.5, 3, 3.5], [2 + x / 2 for x in range(10)]]
    assert sorted(model.batches) == [1, 4, 4, 4]


def test_shapes_that_differ_fail_both_when_they_are_not_padded(execution, model):
    batching = execution("max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 }")
    narrow, wide = {"x": np.zeros((1, 2, 2), np.float32)}, {"x": np.zeros((1, 3, 3), np.float32)}
    errors = asked(*(batching.run(model, model.signature, each, ["y"]) for each in (narrow, wide)))
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
    errors = asked(*(batching.run(model, model.signature, each, ["y"]) for each in (long, narrow)))
    assert [error.code for error in errors] == [Code.FAILED_PRECONDITION] * 2


def test_shapes_that_differ_are_padded_with_zeros(execution, model):
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    small = {"x": np.float32([[[1, 2], [3, 4]]])}
    large = {"x": np.arange(5, 14, dtype=np.float32).reshape(1, 3, 3)}
    answers = asked(*(batching.run(model, model.signature, each, ["y"]) for each in (small, large)))
    assert answers[0]["y"].tolist() == [[[2.5, 3, 2], [3.5, 4, 2], [2, 2, 2]]]
    assert answers[1]["y"].ravel().tolist() == [4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5]


def test_strings_are_padded_with_empty_ones(execution, model):
    model.answer = lambda signature, inputs: {"y": inputs["x"]}
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    short, long = (np.array([values], object) for values in ([b"a"], [b"b", b"c"]))
    answers = asked(*(batching.run(model, model.signature, {"x": each}, ["y"]) for each in (short, long)))
    assert [answer["y"].tolist() for answer in answers] == [[[b"a", b""]], [[b"b", b"c"]]]


def test_ranks_that_differ_cannot_be_padded(execution, model):
    batching = execution(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } pad_variable_length_inputs: true"
    )
    flat, deep = {"x": np.zeros((1, 2), np.float32)}, {"x": np.zeros((1, 2, 2), np.float32)}
    errors = asked(*(batching.run(model, model.signature, each, ["y"]) for each in (flat, deep)))
    assert [error.code for error in errors] == [Code.FAILED_PRECONDITION] * 2


def test_inputs_must_be_of_one_length(execution, metrics, model):
    batching = execution("")
    unequal = {"a": np.float32([3]), "b": np.float32([5, 7])}
    scalar = {"a": np.float32(3), "b": np.float32([5])}
    errors = asked(*(batching.run(model, model.pair, each, ["sum"]) for each in (unequal, scalar)))
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
    (error,) = asked(model.ask(execution(""), 1, 2))
    assert error.code is Code.FAILED_PRECONDITION
    assert phrase in str(error)


def test_a_full_queue_refuses(execution, model):
    batching = execution("max_batch_size { value: 2 } max_enqueued_batches { value: 2 } num_batch_threads { value: 1 }")
    model.released.clear()

    async def main():
        first = asyncio.create_task(model.ask(batching, 1, 1))
        await asyncio.to_thread(model.entered.acquire)
        waiting = [asyncio.create_task(model.ask(batching, 2, 2)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError) as caught:
            await model.ask(batching, 3, 3)
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
    (error,) = asked(model.ask(batching, 1, 2, 3, 4, 5))
    assert error.code is Code.UNAVAILABLE
    assert "task size is 5 but scheduling capacity is only 4" in str(error)
    assert asked(model.ask(batching, 1, 2, 3, 4)) == [[2.5, 3, 3.5, 4]]


def test_a_request_that_times_out_in_the_queue(execution, model):
    batching = execution("max_batch_size { value: 1 } num_batch_threads { value: 1 }")
    model.released.clear()

    async def main():
        first = asyncio.create_task(model.ask(batching, 1))
        await asyncio.to_thread(model.entered.acquire)
        with pytest.raises(ServingError) as caught:
            async with asyncio.timeout(0.05):
                await model.ask(batching, 2)
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
                await model.ask(batching, 1)
        model.released.set()
        return await model.ask(batching, 2)

    assert asyncio.run(main()) == [3]


def test_signatures_and_outputs_have_queues_of_their_own(execution, model):
    batching = execution("max_batch_size { value: 2 } batch_timeout_micros { value: 300000 }")
    pair = {"a": np.float32([1]), "b": np.float32([2])}
    answers = asked(
        model.ask(batching, 1.0),
        batching.run(model, model.pair, pair, ["sum"]),
        batching.run(model, model.pair, pair, ["first", "sum"]),
        model.ask(batching, 2.0),
        batching.run(model, model.pair, pair, ["sum"]),
        batching.run(model, model.pair, pair, ["sum", "first"]),  # another order, the same queue
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
        first = [asyncio.create_task(noted("x", model.ask(batching, 1))) for _ in range(4)]
        await asyncio.to_thread(model.entered.acquire)
        second = [asyncio.create_task(noted("p", batching.run(model, model.pair, pair, ["sum"]))) for _ in range(2)]
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
    answer, error = asked(model.ask(batching, 1, 2), model.ask(batching, 1, 2, 3))
    assert answer == [2.5, 3]
    assert "larger than maximum input batch size 2" in str(error)
    model.released.clear()

    async def main():
        tasks = [asyncio.create_task(model.ask(batching, 1, 2)) for _ in range(5)]
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
    assert asked(model.ask(batching, 1, 2, 3)) == [[2.5, 3, 3.5]]


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
