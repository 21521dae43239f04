"""Grey levels to what a model's visible units expect."""

import keras
import numpy as np
import tensorflow as tf

from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData
from components.input_pipeline.image_statistics import ImageStatistics
from models.config import DBNConfig


def scaling_layer(config: DBNConfig, statistics: ImageStatistics) -> keras.layers.Layer:
    """The layer between pixels and a model.

    Args:
        config: its `visible_type` decides.
        statistics: of the training images.

    Returns:
        A layer from float images in grey levels (0 to 255) to images in [0, 1] for Bernoulli visible units, or to
        images of mean 0 at every pixel and variance about 1 for Gaussian ones.
    """
    if config.visible_type == "bernoulli":
        return keras.layers.Rescaling(1 / 255, name="scaling")
    # One deviation per colour, not per pixel: a pixel that is always black must not be blown up.
    deviation = np.sqrt(np.maximum(np.diag(statistics.covariance), 1.0))
    offset = -statistics.mean_image / deviation
    return keras.layers.Rescaling((1 / deviation).tolist(), offset.tolist(), name="scaling")


def visible_mean(config: DBNConfig, statistics: ImageStatistics) -> np.ndarray:
    """Mean of each visible unit over the training images: (height * width * channels,)."""
    if config.visible_type == "bernoulli":
        return statistics.mean_image.reshape(-1) / 255
    return np.zeros(statistics.mean_image.size, np.float32)


def visible_rows(
    data: ImageData, batch_size: int, scale: keras.layers.Layer, order: EpochOrder | None = None
) -> tf.data.Dataset:
    """Batches of what the visible units see (batch, height * width * channels), and labels (batch,).

    Args:
        data: the images.
        batch_size: rows of a batch.
        scale: of `scaling_layer`.
        order: shuffles anew in every epoch; none keeps the order of the files.
    """

    def flattened(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The number of units is known while the graph is built; -1 would lose it.
        return tf.reshape(scale(tf.cast(images, tf.float32)), (-1, int(np.prod(images.shape[1:])))), labels

    return data.batches(batch_size, order).map(flattened)
