"""Mixup: every image of a batch with a share of another one, and their labels likewise."""

import tensorflow as tf

from components.input_pipeline.epoch_order import EpochOrder


def mix(batches: tf.data.Dataset, order: EpochOrder, strength: float, seed: int) -> tf.data.Dataset:
    """Batches in which each image is blended with its opposite in the batch.

    One share per batch, from Beta(strength, strength), decided by the seed, the epoch and the number of the batch.

    Args:
        batches: of images (batch, height, width, channels) and shares of classes (batch, classes).
        order: tells the epoch.
        strength: both parameters of the Beta distribution, above 0.
        seed: integer.

    Returns:
        Batches of float32 images and shares, of the same shapes.

    Source: Zhang, Cisse, Dauphin & Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    def shares(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])

        def share(number: tf.Tensor) -> tf.Tensor:
            of_batch = tf.random.experimental.stateless_fold_in(key, number)
            one, other = tf.unstack(tf.maximum(tf.random.stateless_gamma((2,), of_batch, strength), 1e-30))
            return one / (one + other)

        return tf.data.Dataset.range(tf.int64.max).map(share)

    def blend(batch: tuple[tf.Tensor, tf.Tensor], share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = (tf.cast(part, tf.float32) for part in batch)
        return tuple(share * part + (1 - share) * tf.reverse(part, (0,)) for part in (images, labels))

    length = batches.cardinality()
    return (
        tf.data.Dataset.zip(batches, order.each_epoch(shares))
        .map(lambda batch, share: blend(batch, share), num_parallel_calls=tf.data.AUTOTUNE)
        .apply(tf.data.experimental.assert_cardinality(length))
    )
