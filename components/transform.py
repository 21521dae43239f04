"""What Transform computes: statistics over all training images. No transformed image is written, ever."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import features, preprocessing

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
    images = tf.cast(preprocessing.prepare_batch(image_bytes, size, channels), tf.float32)
    mean = tft.mean(images, reduce_instance_dims=False)
    steps = [max(1, side // _GRID) for side in size]
    pixels = tf.reshape(images[:, :: steps[0], :: steps[1]], (-1, channels))
    covariance = tft.covariance(pixels, tf.float32)
    return {MEAN_IMAGE: _per_row(mean, image_bytes), COVARIANCE: _per_row(covariance, image_bytes)}


def _per_row(statistic: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(statistic, (1, -1))
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
