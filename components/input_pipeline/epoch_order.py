"""The order of the training images in every epoch."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

# Images in the shuffle buffer of a data set that does not fit in memory. Shards hold their records in random order.
_SHUFFLE_BUFFER = 8192
# Encoded images in the buffer behind several readers: 40 MB of 20 kB each, and of photographs as taken, 220 MB.
_RECORD_BUFFER = 2048
# Files read at a time. A number of its own, because the order depends on it and must not on the number of cores.
_READERS = 8


class EpochOrder(keras.callbacks.Callback):
    """Another order of the images in every epoch, decided by the seed and the number of the epoch alone.

    So a training that is resumed at epoch 7 sees what it would have seen. tf.data's own reshuffling depends on how
    often a data set was iterated before. Pass it to `ImageData.batches`, and as a callback to the `fit` that reads
    them.

    Args:
        seed: Integer.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Tells the number of the epoch that begins."""
        self._epoch.assign(epoch)

    def indices(self, count: int, batch_size: int) -> tf.data.Dataset:
        """Batches of the numbers 0 to count - 1, int64, in the order of the epoch in which they are iterated."""

        def batches(epoch: tf.Tensor) -> tf.data.Dataset:
            seed = tf.stack([tf.constant(self._seed, tf.int64), epoch])
            order = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed)
            starts = tf.data.Dataset.range(0, count, batch_size)
            return starts.map(lambda start: order[start : start + batch_size])

        return self.each_epoch(batches)

    def each_epoch(self, make: Callable[[tf.Tensor], tf.data.Dataset]) -> tf.data.Dataset:
        """The data set that `make` returns for the number (int64 scalar) of the epoch in which it is iterated."""
        return self._current_epoch().flat_map(make)

    def records(self, files: Sequence[str]) -> tf.data.Dataset:
        """Serialized records of TFRecord files in the order of the epoch in which they are iterated.

        Files are read eight at a time, in another order in every epoch, and their records shuffled in a buffer.
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
        """Any data set, shuffled in a buffer in the order of the epoch in which it is iterated."""
        return self.each_epoch(lambda epoch: self._shuffled_in(epoch, dataset, _SHUFFLE_BUFFER))

    def _shuffled_in(self, epoch: tf.Tensor, dataset: tf.data.Dataset, buffer: int) -> tf.data.Dataset:
        return dataset.shuffle(buffer, seed=self._seed * 1_000_003 + epoch, reshuffle_each_iteration=False)

    def _current_epoch(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(0).map(lambda _: self._epoch.read_value())
