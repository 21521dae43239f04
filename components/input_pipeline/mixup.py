"""Mixup: batches of blended images with correspondingly blended labels."""

import tensorflow as tf

from components.input_pipeline.epoch_order import EpochOrder


def mix(batches: tf.data.Dataset, order: EpochOrder, strength: float, seed: int) -> tf.data.Dataset:
    """Blends each image of a batch with the image at the opposite place, and their labels likewise.

    The share of the blend is drawn once per batch from Beta(strength, strength); seed, epoch and number of the batch
    determine it.

    Args:
        batches: Batches of images (batch, height, width, channels) and class probabilities (batch, classes).
        order: Order of the images, which holds the number of the epoch.
        strength: Both parameters of the Beta distribution, above 0.
        seed: Seed of the shares.

    Returns:
        Batches of float32 images and class probabilities, of the same shapes.

    Example:
        >>> images, labels = tf.constant([[[[0]]], [[[100]]]]), tf.constant([[1, 0], [0, 1]])
        >>> [(mixed, probabilities)] = mix(
        ...     tf.data.Dataset.from_tensors((images, labels)), EpochOrder(seed=1), strength=0.2, seed=1
        ... )
        >>> float(tf.reduce_sum(mixed)), tf.reduce_sum(probabilities, axis=1).numpy().tolist()
        (100.0, [1.0, 1.0])

    Source: Zhang, Cisse, Dauphin & Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    def shares(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])

        def share(number: tf.Tensor) -> tf.Tensor:
            of_batch = tf.random.experimental.stateless_fold_in(key, number)
            one, other = tf.unstack(tf.maximum(tf.random.stateless_gamma((2,), of_batch, strength), 1e-30))
            return one / (one + other)

        return tf.data.Dataset.range(tf.int64.max).map(share)

    def blend(batch: tuple[tf.Tensor, tf.Tensor], share: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images, labels = (tf.cast(part, tf.float32) for part in batch)
        return tuple(share * part + (1 - share) * tf.reverse(part, (0,)) for part in (images, labels))

    length = batches.cardinality()
    return (
        tf.data.Dataset.zip(batches, order.each_epoch(shares))
        .map(lambda batch, share: blend(batch, share), num_parallel_calls=tf.data.AUTOTUNE)
        .apply(tf.data.experimental.assert_cardinality(length))
    )
