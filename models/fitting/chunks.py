"""Training data in chunks: arrays or anything that can be iterated again and again and has `map`, such as tf.data."""

import keras
import numpy as np
from keras import ops


class ArrayChunks(keras.utils.PyDataset):
    """Chunks of a NumPy array in an order that is drawn anew every epoch, each passed through a function.

    Args:
        images: Shape (images, ...).
        chunk: Images per chunk, at least 1.
        function: What turns images into what is trained on.
        seed: With the number of the epoch, decides its order; none means random orders.
        first_epoch: Number of the epoch to begin with.
    """

    def __init__(self, images, chunk, function, seed, first_epoch=0):
        super().__init__()
        self._images = images
        self._chunk = chunk
        self._function = function
        self._seed = seed
        self._epoch = first_epoch - 1
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self._images) // self._chunk)

    def __getitem__(self, index):
        rows = self._order[index * self._chunk : (index + 1) * self._chunk]
        return (self._function(self._images[rows]),)

    def on_epoch_end(self):
        """Draws the next order."""
        self._epoch += 1
        random = np.random.default_rng(None if self._seed is None else [self._seed, self._epoch])
        self._order = random.permutation(len(self._images))


def mapped(dataset, function, chunk, seed, first_epoch=0):
    """The same data with `function` applied to each batch of images, ready for `fit`; nothing is kept in memory."""
    if not hasattr(dataset, "map"):
        return ArrayChunks(np.asarray(dataset), chunk, function, seed, first_epoch)
    return mapped_dataset(dataset, lambda *element: function(_images(element)))


def mapped_dataset(dataset, function):
    """A tf.data.Dataset, or another that has `map`, with `function` applied to each batch.

    Raises:
        ValueError: It is tf.data, which maps in TensorFlow's graph, and Keras runs on another backend.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow" and type(dataset).__module__.startswith("tensorflow"):
        raise ValueError(f"tf.data works in TensorFlow's graph: with the backend {backend} pass arrays.")
    dataset = dataset.map(function)
    return dataset.prefetch(2) if hasattr(dataset, "prefetch") else dataset


def batches(dataset, chunk):
    """Iterates once over the images, as NumPy arrays (batch, units) in chunks."""
    if hasattr(dataset, "map"):
        elements = dataset
    else:
        elements = (dataset[start : start + chunk] for start in range(0, len(dataset), chunk))
    for element in elements:
        images = np.asarray(_images(element))
        yield images.reshape(len(images), -1)


def first_rows(dataset, rows, chunk):
    """The first `rows` images, flattened: (rows or fewer, units)."""
    parts, count = [], 0
    for part in batches(dataset, chunk):
        parts.append(part[: rows - count])
        count += len(parts[-1])
        if count >= rows:
            break
    return np.concatenate(parts)


def count_and_mean(dataset, chunk):
    """Number of images and their mean (units,), in one pass in double precision."""
    count, total = 0, 0.0
    for part in batches(dataset, chunk):
        count += len(part)
        total = total + part.sum(axis=0, dtype="float64")
    return count, total / count


def flatten(images):
    """Row-major flattening (batch, height, width, channels) -> (batch, units)."""
    images = ops.convert_to_tensor(images)
    return images if len(images.shape) == 2 else ops.reshape(images, (-1, int(np.prod(images.shape[1:]))))


def _images(element):
    while isinstance(element, (tuple, list)):  # (images,) or (images, labels)
        element = element[0]
    return element
