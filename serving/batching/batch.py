"""A batch: requests for the same call are concatenated, run once, and their outputs split again, on a thread."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.batching.parameters import BatchingParameters
from serving.errors import Code, ServingError, invalid

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


class NotBatchableError(ServingError):
    """The call's tensors cannot be concatenated or split, through no fault of a single request."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.FAILED_PRECONDITION, message)


@dataclass(eq=False, slots=True)
class Task:
    """A request, or a piece of one, that waits for its batch.

    Args:
        inputs: Arrays by alias, each of shape (rows, ...).
        rows: Number of rows.
        answer: Receives the outputs.
        since: Time of arrival in seconds of `time.perf_counter`.
        started: Whether the batch is running or has run.
    """

    inputs: Arrays
    rows: int
    answer: "asyncio.Future[Arrays]"
    since: float
    started: bool = False


def count_rows(inputs: Arrays) -> int:
    """Returns the number of rows that all inputs have.

    Raises:
        ServingError: INVALID_ARGUMENT: An input is a scalar, or the inputs have different numbers of rows.

    Example:
        >>> count_rows({"a": np.zeros((3, 2)), "b": np.zeros(3)})
        3
    """
    rows = {array.shape[0] if array.ndim else None for array in inputs.values()}
    if None in rows or not rows:
        raise invalid("Batching Run() input tensors must have at least one dimension")
    if len(rows) > 1:
        raise invalid(f"Batching Run() input tensors must have equal 0th-dimension size; got {sorted(rows, key=str)}")
    return rows.pop()  # type: ignore[return-value]


def split_rows(inputs: Arrays, sizes: Sequence[int]) -> list[Arrays]:
    """Splits arrays into pieces of the given numbers of rows, without copies; further rows are dropped.

    Example:
        >>> [piece["x"].tolist() for piece in split_rows({"x": np.arange(4)}, [1, 2])]
        [[0], [1, 2]]
    """
    ends = np.cumsum(sizes)
    return [
        {alias: array[end - size : end] for alias, array in inputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def run_batch(run: Run, requests: Sequence[Arrays], parameters: BatchingParameters) -> list[Arrays | ServingError]:
    """Runs requests as one batch.

    A batch that fails is run again in halves, and these in halves, so that only the invalid requests fail: one broken
    JPEG among 32 costs ten more calls, half of which end when it is decoded.

    Args:
        run: Calls the model.
        requests: Inputs of each request; at least one request.
        parameters: Padding.

    Returns:
        The outputs of each request, or its error.

    Raises:
        NotBatchableError: The requests' shapes differ, or the outputs do not have the inputs' rows.
    """
    sizes = [len(next(iter(inputs.values()))) for inputs in requests]
    rows = sum(sizes)
    inputs = _concatenate(requests, parameters.allowed_size(rows) - rows, parameters.pad_variable_length_inputs)
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
    return list(split_rows(outputs, sizes))


def _concatenate(requests: Sequence[Arrays], padding: int, pad_shapes: bool) -> Arrays:
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
        arrays.append(np.repeat(arrays[-1][:1], padding, axis=0))  # a valid row; zeros could be invalid input
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
