"""Statistics of the training images, read back from the graph that Transform wrote."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import features

# Names of Transform's outputs.
MEAN_IMAGE = "mean_image"
COVARIANCE = "covariance"


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the training images, in grey levels (0 to 255).

    Args:
        mean_image: Mean of every pixel, float (height, width, channels).
        covariance: Covariance of the channels of single pixels in squared grey levels, float (channels, channels).
    """

    mean_image: np.ndarray
    covariance: np.ndarray


def load_statistics(transform_graph_uri: str, image_size: tuple[int, int], channels: int) -> ImageStatistics:
    """Reads the statistics from a TransformGraph artifact.

    The graph holds them as constants and repeats them in every row, so that transforming one blank image returns them.

    Args:
        transform_graph_uri: Folder of the artifact.
        image_size: Height and width in pixels, as given to Transform.
        channels: 1 (grey) or 3 (RGB), as given to Transform.
    """
    output = tft.TFTransformOutput(transform_graph_uri)
    transformed = output.transform_raw_features(_blank_example(output.raw_feature_spec()), drop_unused_features=True)
    return ImageStatistics(
        transformed[MEAN_IMAGE].numpy().reshape((*image_size, channels)),
        transformed[COVARIANCE].numpy().reshape((channels, channels)),
    )


def _blank_example(specification: dict) -> dict:
    """Returns one raw row whose image is a black pixel; the graph ignores the values of the other features."""
    black = tf.io.encode_png(tf.zeros((1, 1, 3), tf.uint8)).numpy()
    values = {name: ["" if spec.dtype == tf.string else 0] for name, spec in specification.items()}
    values[features.IMAGE] = [black]
    return {name: tf.constant([values[name]], spec.dtype) for name, spec in specification.items()}
