"""Order of the training images in every epoch."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

# Images in the shuffle buffer of a data set that does not fit in memory. Shards store their records in random order.
_SHUFFLE_BUFFER = 8192
# Encoded images in the buffer behind several readers: 40 MB at 20 kB each, 220 MB for photographs as taken.
_RECORD_BUFFER = 2048
# Files read at a time. A constant, because the order depends on it and must not depend on the number of cores.
_READERS = 8


class EpochOrder(keras.callbacks.Callback):
    """Random order of the images, different in every epoch and determined by seed and epoch number alone.

    A training that is resumed at epoch 7 therefore uses the order of an uninterrupted one; tf.data's own reshuffling
    depends on how often a data set was iterated before. Pass the object to `ImageData.batches`, and as a callback to
    the `fit` that reads the batches.

    Args:
        seed: Seed of the order.

    Example:
        >>> order = EpochOrder(seed=1)
        >>> batches = order.indices(count=4, batch_size=2)
        >>> first = [batch.tolist() for batch in batches.as_numpy_iterator()]
        >>> sorted(sum(first, []))
        [0, 1, 2, 3]
        >>> first == [batch.tolist() for batch in batches.as_numpy_iterator()]
        True
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the number of the epoch; Keras calls it."""
        self._epoch.assign(epoch)

    def indices(self, count: int, batch_size: int) -> tf.data.Dataset:
        """Returns batches of the numbers 0 to count - 1, int64 (batch,), in the order of the current epoch.

        Args:
            count: Number of images.
            batch_size: Numbers in a batch; the last batch may have fewer.
        """

        def batches(epoch: tf.Tensor) -> tf.data.Dataset:
            seed = tf.stack([tf.constant(self._seed, tf.int64), epoch])
            order = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed)
            starts = tf.data.Dataset.range(0, count, batch_size)
            return starts.map(lambda start: order[start : start + batch_size])

        return self.each_epoch(batches)

    def each_epoch(self, make: Callable[[tf.Tensor], tf.data.Dataset]) -> tf.data.Dataset:
        """Returns a data set that is made anew for the current epoch whenever it is iterated.

        Args:
            make: Returns the data set for the number of an epoch, an int64 scalar.
        """
        return self._current_epoch().flat_map(make)

    def records(self, files: Sequence[str]) -> tf.data.Dataset:
        """Returns the serialized records of TFRecord files in the order of the current epoch.

        Eight files are read at a time, in a different order in every epoch, and their records are shuffled in a buffer.

        Args:
            files: Paths of the files.
        """

        def records(epoch: tf.Tensor) -> tf.data.Dataset:
            seed = tf.stack([tf.constant(self._seed, tf.int64), epoch])
            names = tf.random.experimental.stateless_shuffle(tf.constant(list(files)), seed)
            read = tf.data.Dataset.from_tensor_slices(names).interleave(
                tf.data.TFRecordDataset,
                cycle_length=_READERS,
                block_length=16,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            return self._shuffled_in(epoch, read, _RECORD_BUFFER)

        return self.each_epoch(records)

    def shuffled(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Returns a data set shuffled in a buffer, in the order of the current epoch.

        Args:
            dataset: Any data set.
        """
        return self.each_epoch(lambda epoch: self._shuffled_in(epoch, dataset, _SHUFFLE_BUFFER))

    def _shuffled_in(self, epoch: tf.Tensor, dataset: tf.data.Dataset, buffer: int) -> tf.data.Dataset:
        return dataset.shuffle(buffer, seed=self._seed * 1_000_003 + epoch, reshuffle_each_iteration=False)

    def _current_epoch(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(0).map(lambda _: self._epoch.read_value())
