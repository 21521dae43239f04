"""A batch: requests for the same call, put together, run once and taken apart again. Runs on a thread."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.batching.parameters import BatchingParameters
from serving.errors import Code, ServingError, invalid

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


class NotBatchableError(ServingError):
    """The call's tensors cannot be put together or taken apart; it is no single request's fault."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.FAILED_PRECONDITION, message)


@dataclass(eq=False, slots=True)
class Task:
    """A request, or a piece of one, that waits for its batch.

    Args:
        inputs: Arrays by alias, each of shape (rows, ...).
        rows: How many.
        answer: Receives the outputs.
        since: When it came, in seconds of `time.perf_counter`.
        started: Whether its batch is running or has run.
    """

    inputs: Arrays
    rows: int
    answer: "asyncio.Future[Arrays]"
    since: float
    started: bool = False


def count_rows(inputs: Arrays) -> int:
    """The rows that all inputs have.

    Raises:
        ServingError: INVALID_ARGUMENT when one has no rows, or another number of them.
    """
    rows = {array.shape[0] if array.ndim else None for array in inputs.values()}
    if None in rows or not rows:
        raise invalid("Batching Run() input tensors must have at least one dimension")
    if len(rows) > 1:
        raise invalid(f"Batching Run() input tensors must have equal 0th-dimension size; got {sorted(rows, key=str)}")
    return rows.pop()  # type: ignore[return-value]


def cut(inputs: Arrays, sizes: Sequence[int]) -> list[Arrays]:
    """Cuts inputs, or outputs, into pieces of so many rows; what is left over is dropped. No copies."""
    ends = np.cumsum(sizes)
    return [
        {alias: array[end - size : end] for alias, array in inputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def run_batch(run: Run, requests: Sequence[Arrays], parameters: BatchingParameters) -> list[Arrays | ServingError]:
    """Runs requests together.

    When they fail together they are run again in halves, and these in halves, so that only what is wrong in itself
    fails: one broken JPEG among 32 costs ten more calls, half of which end when it is decoded.

    Args:
        run: Calls the model.
        requests: Inputs of each, at least one.
        parameters: How to pad.

    Returns:
        Outputs of each, or why it has none.

    Raises:
        NotBatchableError: The requests' shapes differ, or the outputs are no rows.
    """
    sizes = [len(next(iter(inputs.values()))) for inputs in requests]
    rows = sum(sizes)
    inputs = _together(requests, parameters.allowed_size(rows) - rows, parameters.pad_variable_length_inputs)
    try:
        outputs = run(inputs)
    except ServingError as error:
        if len(requests) == 1:
            return [error]
        half = len(requests) // 2
        return run_batch(run, requests[:half], parameters) + run_batch(run, requests[half:], parameters)
    for array in outputs.values():
        if not array.ndim:
            raise NotBatchableError("Batched output tensor has 0 dimensions")
        if len(array) != parameters.allowed_size(rows):
            raise NotBatchableError(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors"
            )
    if len(sizes) == 1 and parameters.allowed_size(rows) == rows:
        return [outputs]
    return list(cut(outputs, sizes))


def _together(requests: Sequence[Arrays], padding: int, pad_shapes: bool) -> Arrays:
    if len(requests) == 1 and not padding:
        return requests[0]
    return {alias: _stack(alias, [inputs[alias] for inputs in requests], padding, pad_shapes) for alias in requests[0]}


def _stack(alias: str, arrays: list[np.ndarray], padding: int, pad_shapes: bool) -> np.ndarray:
    if any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        if not pad_shapes:
            raise NotBatchableError(
                f"Tensors with name '{alias}' from different tasks have different shapes and padding is turned off. "
                "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim."
            )
        arrays = _same_shape(alias, arrays)
    if padding:
        arrays.append(np.repeat(arrays[-1][:1], padding, axis=0))  # a real row, which the model will not stumble over
    return np.concatenate(arrays)


def _same_shape(alias: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if len({array.ndim for array in arrays}) > 1:
        raise NotBatchableError(f"Tensors with name '{alias}' from different tasks have different ranks")
    longest = np.max([array.shape[1:] for array in arrays], axis=0)
    padded = []
    for array in arrays:
        wide = np.full((len(array), *longest), b"" if array.dtype == object else 0, array.dtype)
        wide[tuple(map(slice, array.shape))] = array
        padded.append(wide)
    return padded
