"""Scaling of grey levels to the range that a model's visible units expect."""

import keras
import numpy as np
import tensorflow as tf

from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData
from components.input_pipeline.image_statistics import ImageStatistics
from models.config import DBNConfig


def scaling_layer(config: DBNConfig, statistics: ImageStatistics) -> keras.layers.Layer:
    """Returns the layer between pixels and a model.

    Args:
        config: Configuration of the model; its `visible_type` determines the scaling.
        statistics: Statistics of the training images.

    Returns:
        A layer that maps float images in grey levels (0 to 255) to images in [0, 1] for Bernoulli visible units, or to
        images with mean 0 at every pixel and variance of about 1 for Gaussian visible units.

    Example:
        >>> statistics = ImageStatistics(mean_image=np.full((2, 2, 1), 100.0), covariance=np.array([[400.0]]))
        >>> layer = scaling_layer(DBNConfig(visible_type="gaussian"), statistics)
        >>> float(keras.ops.max(layer(np.full((1, 2, 2, 1), 140.0))))
        2.0
    """
    if config.visible_type == "bernoulli":
        return keras.layers.Rescaling(1 / 255, name="scaling")
    # One standard deviation per channel, not per pixel, because a pixel that is nearly always black would be amplified.
    deviation = np.sqrt(np.maximum(np.diag(statistics.covariance), 1.0))
    offset = -statistics.mean_image / deviation
    return keras.layers.Rescaling((1 / deviation).tolist(), offset.tolist(), name="scaling")


def visible_mean(config: DBNConfig, statistics: ImageStatistics) -> np.ndarray:
    """Returns the mean of each visible unit over the training images, (height * width * channels,).

    Args:
        config: Configuration of the model; its `visible_type` determines the scaling.
        statistics: Statistics of the training images.
    """
    if config.visible_type == "bernoulli":
        return statistics.mean_image.reshape(-1) / 255
    return np.zeros(statistics.mean_image.size, np.float32)


def visible_rows(
    data: ImageData, batch_size: int, scale: keras.layers.Layer, order: EpochOrder | None = None
) -> tf.data.Dataset:
    """Returns batches of the inputs of the visible units (batch, height * width * channels), and labels (batch,).

    Args:
        data: The images.
        batch_size: Number of rows in a batch.
        scale: Layer that `scaling_layer` returned.
        order: Order of the epochs; None keeps the order of the files.
    """

    def flattened(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The number of units must be known when the graph is built; reshaping to -1 would lose it.
        return tf.reshape(scale(tf.cast(images, tf.float32)), (-1, int(np.prod(images.shape[1:])))), labels

    return data.batches(batch_size, order).map(flattened)
