"""Labelled data for nets that learn images and labels: a pair of arrays, or tf.data of batches (images, labels)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from models.fitting.chunks import ArrayChunks, mapped_dataset
from models.types import Dataset, Tensor


def images_of(dataset: Dataset) -> Dataset:
    """Returns the part of the data that holds the images: the first array of a pair, or the same tf.data."""
    return dataset if hasattr(dataset, "map") else np.asarray(dataset[0])


def batches(dataset: Dataset, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterates once over pairs of arrays, images (rows, ...) and labels (rows,)."""
    if hasattr(dataset, "map"):
        yield from ((np.asarray(images), np.asarray(labels)) for images, labels in dataset)
    else:
        images, labels = dataset
        for start in range(0, len(images), chunk):
            yield images[start : start + chunk], labels[start : start + chunk]


def mapped(
    dataset: Dataset, function: Callable[[Any, Any], Tensor], chunk: int, seed: int | None, first_epoch: int = 0
) -> Any:
    """Returns the data with `function` of images and labels applied to each batch; see `models.fitting.chunks`."""
    if hasattr(dataset, "map"):
        return mapped_dataset(dataset, function)
    images, labels = (np.asarray(part) for part in dataset)
    return ArrayChunks(
        np.arange(len(images)), chunk, lambda rows: function(images[rows], labels[rows]), seed, first_epoch
    )


def pairs(dataset: Dataset, chunk: int, seed: int | None, first_epoch: int = 0) -> Any:
    """Returns the data unchanged, ready for `fit` as x and y; arrays come in a new order every epoch."""
    return dataset if hasattr(dataset, "map") else _Pairs(dataset, chunk, seed, first_epoch)


def check(dataset: Dataset | None, num_classes: int) -> None:
    """Checks that the data are pairs of images and labels.

    Args:
        dataset: Pair of arrays, checked completely; tf.data, of which the first batch is read; or None, which passes.
        num_classes: Number of classes; labels are from 0 to `num_classes` - 1.

    Raises:
        ValueError: The data are not pairs, the numbers of images and labels differ, or labels are not integers
            (images,) in that range.
    """
    if dataset is None:
        return
    pair = next(iter(dataset), ()) if hasattr(dataset, "map") else dataset
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        received = f"{len(pair)} parts" if isinstance(pair, (tuple, list)) else type(pair).__name__
        raise ValueError(f"expected a pair (images, labels), or a tf.data.Dataset of such pairs; received {received}")
    images, labels = len(pair[0]), np.asarray(pair[1])
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            "labels must be integers of shape (images,), such as `one_hot.argmax(axis=1)` of one-hot labels; "
            f"received {labels.dtype} of shape {labels.shape}"
        )
    if images != len(labels):
        raise ValueError(f"expected as many images as labels; received {images} images and {len(labels)} labels")
    check_labels(labels, num_classes)


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Raises a ValueError unless all labels are from 0 to `num_classes` - 1."""
    low, high = np.min(labels), np.max(labels)
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels must be from 0 to {num_classes - 1}; received labels from {low} to {high}")


class _Pairs(ArrayChunks):
    """Chunks of two arrays in the same order."""

    def __init__(self, dataset: Dataset, chunk: int, seed: int | None, first_epoch: int) -> None:
        images, labels = (np.asarray(part) for part in dataset)
        super().__init__(np.arange(len(images)), chunk, lambda rows: (images[rows], labels[rows]), seed, first_epoch)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return super().__getitem__(index)[0]
