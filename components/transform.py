"""Transform's `preprocessing_fn`: statistics over all training images, for layers inside the model.

The TransformGraph artifact holds them as constants of its graph (`transform_fn/`). Transform runs with
`materialize=False`: no transformed image is ever written.
"""

import tensorflow as tf
import tensorflow_transform as tft

from components import features
from components.input_pipeline import preprocessing
from components.input_pipeline.image_statistics import COVARIANCE, MEAN_IMAGE

# Pixels per side that enter the colour covariance: 1,024 pixels of an image estimate it as well as 65,536 do.
_GRID = 32


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict:
    """Computes the statistics with full-pass analyzers; TFX calls this function by its dotted name.

    Args:
        inputs: Raw features by name; `image` is string (batch, 1), an encoded image per row.
        custom_config: `image_size` (height and width in pixels) and `channels` (1 or 3).

    Returns:
        `mean_image`, float32 (batch, height * width * channels) in grey levels, and `covariance`, float32
        (batch, channels ** 2) in squared grey levels. Every row holds the same values.
    """
    size, channels = tuple(custom_config["image_size"]), custom_config["channels"]
    image_bytes = tf.reshape(inputs[features.IMAGE], (-1,))
    images = tf.cast(preprocessing.prepare_batch(image_bytes, size, channels), tf.int64)
    count = tft.sum(tf.ones_like(image_bytes, tf.int64))
    mean = _ratio(tft.sum(images, reduce_instance_dims=False), count)
    covariance = _covariance(images, count)
    return {MEAN_IMAGE: _per_row(mean, image_bytes), COVARIANCE: _per_row(covariance, image_bytes)}


def _covariance(images: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns the covariance (channels, channels) of the colours of pixels on a grid."""
    height, width = images.shape[1:3]
    grid = images[:, :: max(1, height // _GRID), :: max(1, width // _GRID)]
    pixels = count * grid.shape[1] * grid.shape[2]
    mean = _ratio(tft.sum(tf.reduce_sum(grid, axis=(1, 2)), reduce_instance_dims=False), pixels)
    squares = tf.einsum("nhwi,nhwj->nij", grid, grid)
    second_moment = _ratio(tft.sum(squares, reduce_instance_dims=False), pixels)
    return second_moment - mean[:, None] * mean[None, :]


def _ratio(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    # Sums of whole grey levels are exact in any order. Sums of floats depended on Beam's order, which changes from run
    # to run: means differed in the last digit, and so, through sampling, did the trained weights.
    return tf.cast(total, tf.float64) / tf.cast(count, tf.float64)


def _per_row(statistic: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(tf.cast(statistic, tf.float32), (1, -1))
    return tf.tile(flat, (tf.shape(rows)[0], 1))
