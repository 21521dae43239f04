"""Images with labels, for nets that learn both: a pair of arrays, or tf.data of batches (images, labels)."""

import keras
import numpy as np

from models.fitting.chunks import ArrayChunks, mapped_dataset
from models.metrics import TopKError


def images_of(dataset):
    """What of the data holds the images: the first array of a pair, or the same tf.data."""
    return dataset if hasattr(dataset, "map") else np.asarray(dataset[0])


def batches(dataset, chunk):
    """Iterates once over pairs of arrays, images (rows, ...) and labels (rows,)."""
    if hasattr(dataset, "map"):
        yield from ((np.asarray(images), np.asarray(labels)) for images, labels in dataset)
    else:
        images, labels = dataset
        for start in range(0, len(images), chunk):
            yield images[start : start + chunk], labels[start : start + chunk]


def mapped(dataset, function, chunk, seed, first_epoch=0):
    """The data with `function` of images and labels applied to each batch, see `models.fitting.chunks.mapped`."""
    if hasattr(dataset, "map"):
        return mapped_dataset(dataset, function)
    images, labels = (np.asarray(part) for part in dataset)
    return ArrayChunks(
        np.arange(len(images)), chunk, lambda rows: function(images[rows], labels[rows]), seed, first_epoch
    )


def pairs(dataset, chunk, seed, first_epoch=0):
    """The data as they are, ready for `fit` as x and y; arrays come in a new order every epoch."""
    return dataset if hasattr(dataset, "map") else _Pairs(dataset, chunk, seed, first_epoch)


def check(dataset, num_classes):
    """Refuses what is no pair of images and labels.

    Args:
        dataset: Pair of arrays, looked at whole; tf.data, of which the first batch is read; or none, which passes.
        num_classes: Labels are from 0 to this number - 1.

    Raises:
        ValueError: No pair, not as many images as labels, or labels that are no integers (images,) in that range.
    """
    if dataset is None:
        return
    pair = next(iter(dataset), ()) if hasattr(dataset, "map") else dataset
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        what = f"{len(pair)} parts" if isinstance(pair, (tuple, list)) else type(pair).__name__
        raise ValueError(f"Expected a pair (images, labels), or a tf.data.Dataset of such pairs. Received: {what}")
    images, labels = len(pair[0]), np.asarray(pair[1])
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            "Expected integer labels of shape (images,), such as `one_hot.argmax(axis=1)` of one-hot ones. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if images != len(labels):
        raise ValueError(f"Expected as many images as labels. Received: {images} images and {len(labels)} labels")
    check_range(labels, num_classes)


def check_range(labels, num_classes):
    """Refuses, with a ValueError, labels that are not from 0 to `num_classes` - 1."""
    low, high = np.min(labels), np.max(labels)
    if low < 0 or high >= num_classes:
        raise ValueError(f"Expected labels from 0 to {num_classes - 1}. Received: labels from {low} to {high}")


class _Pairs(ArrayChunks):
    """Chunks of two arrays in the same order."""

    def __init__(self, dataset, chunk, seed, first_epoch):
        images, labels = (np.asarray(part) for part in dataset)
        super().__init__(np.arange(len(images)), chunk, lambda rows: (images[rows], labels[rows]), seed, first_epoch)

    def __getitem__(self, index):
        return super().__getitem__(index)[0]


class LabelError(keras.callbacks.Callback):
    """Adds `val_top1_error` to the epoch's logs: share of held-out images, in percent, whose best label is wrong.

    Args:
        held_out: Pair of arrays or tf.data of images and labels.
        logits: Function of images (batch, ...) that gives logits (batch, classes).
        chunk: Images at once.
    """

    def __init__(self, held_out, logits, chunk=1000):
        super().__init__()
        self._held_out = held_out
        self._logits = logits
        self._chunk = chunk

    def on_epoch_end(self, epoch, logs=None):
        """Adds the error to `logs`."""
        error = TopKError(k=1)
        for images, labels in batches(self._held_out, self._chunk):
            error.update_state(labels, self._logits(images))
        if logs is not None:
            logs["val_top1_error"] = float(error.result())
