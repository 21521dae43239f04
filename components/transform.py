"""What Transform computes: statistics over all training images. No transformed image is written, ever."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import features
from components.input_pipeline import preprocessing

MEAN_IMAGE = "mean_image"
COVARIANCE = "covariance"

# Pixels per side that enter the colour covariance: 1,024 of an image's pixels tell its colours as well as 65,536 do.
_GRID = 32


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict:
    """TFX's entry point: full-pass analyzers only.

    Args:
        inputs: raw features; `image` is string (batch, 1).
        custom_config: `image_size` (height, width) and `channels`.

    Returns:
        `mean_image` (batch, height * width * channels) in grey levels and `covariance` (batch, channels ** 2) in
        squared grey levels: the same values in every row.
    """
    size, channels = tuple(custom_config["image_size"]), custom_config["channels"]
    image_bytes = tf.reshape(inputs[features.IMAGE], (-1,))
    images = tf.cast(preprocessing.prepare_batch(image_bytes, size, channels), tf.int64)
    count = tft.sum(tf.ones_like(image_bytes, tf.int64))
    mean = _ratio(tft.sum(images, reduce_instance_dims=False), count)
    covariance = _covariance(images, count)
    return {MEAN_IMAGE: _per_row(mean, image_bytes), COVARIANCE: _per_row(covariance, image_bytes)}


def _covariance(images: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Covariance (channels, channels) of the colours of pixels on a grid."""
    height, width = images.shape[1:3]
    grid = images[:, :: max(1, height // _GRID), :: max(1, width // _GRID)]
    pixels = count * grid.shape[1] * grid.shape[2]
    mean = _ratio(tft.sum(tf.reduce_sum(grid, axis=(1, 2)), reduce_instance_dims=False), pixels)
    squares = tf.einsum("nhwi,nhwj->nij", grid, grid)
    second_moment = _ratio(tft.sum(squares, reduce_instance_dims=False), pixels)
    return second_moment - mean[:, None] * mean[None, :]


def _ratio(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    # Sums are of whole grey levels, so exact in any order. Adding floats in Beam's order, which changes from run to
    # run, gave means that differ in the last digit, and from these, through sampling, other weights.
    return tf.cast(total, tf.float64) / tf.cast(count, tf.float64)


def _per_row(statistic: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(tf.cast(statistic, tf.float32), (1, -1))
    return tf.tile(flat, (tf.shape(rows)[0], 1))


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the training images, in grey levels (0 to 255).

    Args:
        mean_image: (height, width, channels).
        covariance: (channels, channels), of the colours of single pixels.
    """

    mean_image: np.ndarray
    covariance: np.ndarray


def load_statistics(transform_graph_uri: str, image_size: tuple[int, int], channels: int) -> ImageStatistics:
    """Reads the statistics back from a TransformGraph artifact, by transforming one blank image."""
    output = tft.TFTransformOutput(transform_graph_uri)
    transformed = output.transform_raw_features(_blank_example(output.raw_feature_spec()), drop_unused_features=True)
    return ImageStatistics(
        transformed[MEAN_IMAGE].numpy().reshape((*image_size, channels)),
        transformed[COVARIANCE].numpy().reshape((channels, channels)),
    )


def _blank_example(specification: dict) -> dict:
    """One raw row whose image is a black pixel; the other features are not looked at."""
    black = tf.io.encode_png(tf.zeros((1, 1, 3), tf.uint8)).numpy()
    values = {name: ["" if spec.dtype == tf.string else 0] for name, spec in specification.items()}
    values[features.IMAGE] = [black]
    return {name: tf.constant([values[name]], spec.dtype) for name, spec in specification.items()}
