"""Training data in chunks, from arrays or from iterables that can be read repeatedly and have `map`, such as tf.data.

A chunk is the batch that `fit` receives; it holds several minibatches, one update each.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from models.types import Dataset, Tensor


class ArrayChunks(keras.utils.PyDataset):
    """Chunks of a NumPy array, each passed through a function, in an order that is drawn anew every epoch.

    Args:
        images: Array of shape (images, ...).
        chunk: Images per chunk, at least 1; the last chunk may be smaller.
        function: Function that turns the images of a chunk into the training data.
        seed: Seed of the orders, which also depend on the number of the epoch; None means random orders.
        first_epoch: Number of the first epoch, 0 unless training is resumed.

    Example:
        >>> chunks = ArrayChunks(np.arange(5), chunk=2, function=lambda images: 10 * images, seed=1)
        >>> len(chunks)
        3
        >>> sorted(int(value) for i in range(3) for value in chunks[i][0])
        [0, 10, 20, 30, 40]
    """

    def __init__(
        self,
        images: np.ndarray,
        chunk: int,
        function: Callable[[np.ndarray], Any],
        seed: int | None,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._images = images
        self._chunk = chunk
        self._function = function
        self._seed = seed
        self._epoch = first_epoch - 1
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._images) // self._chunk)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self._order[index * self._chunk : (index + 1) * self._chunk]
        return (self._function(self._images[rows]),)

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        self._epoch += 1
        random = np.random.default_rng(None if self._seed is None else [self._seed, self._epoch])
        self._order = random.permutation(len(self._images))


def chunk_rows(batch_size: int, most: int) -> int:
    """Returns the largest multiple of `batch_size` up to `most`, but at least `batch_size`."""
    return max(batch_size, most // batch_size * batch_size)


def mapped(
    dataset: Dataset, function: Callable[[Tensor], Any], chunk: int, seed: int | None, first_epoch: int = 0
) -> Any:
    """Returns the data with `function` applied to each batch of images, ready for `fit`; no result is kept in memory.

    Args:
        dataset: Images or (images, labels); labels are dropped.
        function: Function of a batch of images.
        chunk: Images per chunk of an array.
        seed: Seed of an array's orders; None means random orders.
        first_epoch: Number of the first epoch.
    """
    if not hasattr(dataset, "map"):
        return ArrayChunks(np.asarray(dataset), chunk, function, seed, first_epoch)
    return mapped_dataset(dataset, lambda *element: function(_images(element)))


def mapped_dataset(dataset: Dataset, function: Callable[..., Any]) -> Any:
    """Returns a tf.data.Dataset, or another object with `map`, with `function` applied to each batch.

    Raises:
        ValueError: The data are a tf.data.Dataset, which maps in TensorFlow's graph, and Keras runs on another backend.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow" and type(dataset).__module__.startswith("tensorflow"):
        raise ValueError(f"tf.data maps in TensorFlow's graph, but the backend of Keras is {backend}; pass arrays")
    dataset = dataset.map(function)
    return dataset.prefetch(2) if hasattr(dataset, "prefetch") else dataset


def batches(dataset: Dataset, chunk: int) -> Iterator[np.ndarray]:
    """Iterates once over the images, as NumPy arrays of shape (batch, units)."""
    if hasattr(dataset, "map"):
        elements = dataset
    else:
        elements = (dataset[start : start + chunk] for start in range(0, len(dataset), chunk))
    for element in elements:
        images = np.asarray(_images(element))
        yield images.reshape(len(images), -1)


def first_rows(dataset: Dataset, rows: int, chunk: int) -> np.ndarray:
    """Returns the first `rows` images, flattened: shape (rows, units), fewer rows where the data have fewer."""
    parts: list[np.ndarray] = []
    count = 0
    for part in batches(dataset, chunk):
        parts.append(part[: rows - count])
        count += len(parts[-1])
        if count >= rows:
            break
    return np.concatenate(parts)


def count_and_mean(dataset: Dataset, chunk: int) -> tuple[int, np.ndarray]:
    """Returns the number of images and their mean, shape (units,), from one pass in double precision."""
    count = 0
    total: Any = 0.0
    for part in batches(dataset, chunk):
        count += len(part)
        total = total + part.sum(axis=0, dtype="float64")
    return count, total / count


def flatten(images: Tensor) -> Tensor:
    """Flattens images row by row: (batch, height, width, channels) -> (batch, units)."""
    images = ops.convert_to_tensor(images)
    return images if len(images.shape) == 2 else ops.reshape(images, (-1, int(np.prod(images.shape[1:]))))


def _images(element: Any) -> Any:
    """Returns the images of a batch: the batch itself, or the first part of (images,) or (images, labels)."""
    while isinstance(element, (tuple, list)):
        element = element[0]
    return element
