"""TensorFlow Serving's batching parameters, read from protobuf's text format and checked."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from serving.errors import invalid
from serving.protobuf.text_format import parse_text_proto
from serving.storage.paths import exists, read_bytes

_PER_MODEL_FILE = "batching_params.pbtxt"
_NUMBERS = (
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
    "max_execution_batch_size",
)
_FIELDS: Mapping[str, Any] = {
    **{name: {"value": int} for name in _NUMBERS},
    "thread_pool_name": {"value": str},
    "enable_large_batch_splitting": {"value": bool},
    "allowed_batch_sizes": [int],
    "pad_variable_length_inputs": bool,
}
_ZEROS = {"thread_pool_name": "", "enable_large_batch_splitting": False}


@dataclass(frozen=True)
class BatchingParameters:
    """Parameters of batching, with TensorFlow Serving's names, defaults and meaning.

    Args:
        max_batch_size: Largest number of rows of a request, and of a batch unless `max_execution_batch_size` is
            smaller; at least 1.
        batch_timeout_micros: Microseconds that a batch waits to be filled, counted from its first request; at least 0.
        max_enqueued_batches: Number of batches that may wait for a thread, including the one that is being filled; at
            least 1.
        num_batch_threads: Number of batches of all models that run at the same time; at least 1, one per core by
            default.
        thread_pool_name: Name of the thread pool in the metrics.
        allowed_batch_sizes: Batch sizes with which the model is run, ascending; other batches are padded with a
            repeated row. Empty allows every size.
        pad_variable_length_inputs: Whether inputs of different shapes are padded with zeros to a common shape.
        enable_large_batch_splitting: Whether a request may be spread over several batches.
        max_execution_batch_size: Largest number of rows of a batch if requests may be split, at least 1; None means
            `max_batch_size`.

    Raises:
        ServingError: INVALID_ARGUMENT: Values are out of range or contradict each other.

    Example:
        >>> parameters = BatchingParameters(max_batch_size=8, allowed_batch_sizes=(2, 8))
        >>> parameters.allowed_size(3)
        8
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = ""
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    @property
    def most_rows(self) -> int:
        """Number of rows of a full batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return self.max_execution_batch_size
        return self.max_batch_size

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value, lowest = getattr(self, name), int(name != "batch_timeout_micros")
            if value is not None and value < lowest:
                raise invalid(f"{name} must be {'positive' if lowest else 'non-negative'}; was {value}")
        if self.most_rows > self.max_batch_size:
            raise invalid(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
                f"max_execution_batch_size. max_batch_size is {self.max_batch_size}, max_execution_batch_size "
                f"{self.most_rows}"
            )
        sizes = self.allowed_batch_sizes
        if any(after <= before for before, after in itertools.pairwise(sizes)) or (sizes and sizes[0] < 1):
            raise invalid(f"allowed_batch_sizes entries must be monotonically increasing; got {list(sizes)}")
        if sizes and sizes[-1] != self.most_rows:
            split = self.enable_large_batch_splitting
            raise invalid(
                f"Last entry in allowed_batch_sizes must {'be equal to max_execution' if split else 'match max'}"
                f"_batch_size; last entry was {sizes[-1]}; expected {self.most_rows}"
            )

    def allowed_size(self, rows: int) -> int:
        """Returns the number of rows to which a batch of `rows` rows is padded."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)

    @classmethod
    def read(cls, path: str) -> Self:
        """Reads parameters from a file in protobuf's text format.

        Args:
            path: Path, or a URI that TensorFlow's file systems can read.

        Raises:
            ServingError: INVALID_ARGUMENT: The file cannot be read, is not a `BatchingParameters` message, or has
                invalid values; the message names the file.
        """
        try:
            text = read_bytes(path).decode("utf-8")
        except Exception as error:  # a file system may raise anything
            raise invalid(f"cannot read {path}: {error}") from error
        found = parse_text_proto(text, path, "BatchingParameters", _FIELDS)
        values = {
            name: value.get("value", _ZEROS.get(name, 0)) if isinstance(value, dict) else value
            for name, value in found.items()
        }
        if "allowed_batch_sizes" in values:
            values["allowed_batch_sizes"] = tuple(values["allowed_batch_sizes"])
        try:
            return cls(**values)
        except Exception as error:
            raise invalid(f"{error} ({path})") from error

    @classmethod
    def of_model(cls, folder: str) -> Self | None:
        """Reads a model's own parameters; returns None if the version's folder or URI has no such file.

        Raises:
            ServingError: As `read`.
        """
        path = f"{folder.rstrip('/')}/{_PER_MODEL_FILE}"
        return cls.read(path) if exists(path) else None

    def with_threads_of(self, other: "BatchingParameters") -> "BatchingParameters":
        """Returns these parameters with the threads, which all models share, of `other`."""
        return replace(self, num_batch_threads=other.num_batch_threads, thread_pool_name=other.thread_pool_name)
