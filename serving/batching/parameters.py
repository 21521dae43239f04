"""TensorFlow Serving's batching parameters: from a text proto, checked."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from serving.errors import invalid
from serving.protobuf.text_format import parse_text_proto

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
    """How requests are put together. Names, defaults and meaning are those of TensorFlow Serving.

    Args:
        max_batch_size: Most rows of one request, and of one batch unless `max_execution_batch_size` is smaller.
        batch_timeout_micros: Microseconds, from its first request, that a batch waits until it is full.
        max_enqueued_batches: Batches that may wait for a thread, the one that is being filled included.
        num_batch_threads: Batches that run at the same time, over all models.
        thread_pool_name: Name in the metrics.
        allowed_batch_sizes: Sizes that the model is run with, ascending; others are padded with a repeated row.
        pad_variable_length_inputs: Whether inputs of different shapes are padded with zeros to a common one.
        enable_large_batch_splitting: Whether a request may be spread over several batches.
        max_execution_batch_size: Most rows of one batch when requests may be split; none means `max_batch_size`.

    Raises:
        ServingError: INVALID_ARGUMENT when values are out of range or contradict each other.
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
        """Rows of a full batch."""
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
        """The number of rows that a batch of `rows` is padded to."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)

    @classmethod
    def read(cls, path: str) -> Self:
        """Reads a text proto; `path` may be a URI that TensorFlow's file systems read.

        Raises:
            ServingError: It cannot be read, is no `BatchingParameters`, or is wrong in itself; the message names it.
        """
        found = parse_text_proto(_text(path), path, "BatchingParameters", _FIELDS)
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
        """Reads a model's own parameters; none when its folder, or URI, has no such file.

        Raises:
            ServingError: As `read`.
        """
        path = f"{folder.rstrip('/')}/{_PER_MODEL_FILE}"
        return cls.read(path) if _exists(path) else None

    def with_threads_of(self, other: "BatchingParameters") -> "BatchingParameters":
        """These, with what concerns the threads, which all models share, from `other`."""
        return replace(self, num_batch_threads=other.num_batch_threads, thread_pool_name=other.thread_pool_name)


def _exists(path: str) -> bool:
    if "://" not in path:
        return Path(path).exists()
    import tensorflow as tf

    return bool(tf.io.gfile.exists(path))


def _text(path: str) -> str:
    try:
        if "://" not in path:
            return Path(path).read_text(encoding="utf-8")
        import tensorflow as tf

        with tf.io.gfile.GFile(path) as file:
            return file.read()
    except Exception as error:  # whatever a file system raises
        raise invalid(f"{path} cannot be read: {error}") from error
