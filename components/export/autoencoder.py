"""SavedModel of an autoencoder: codes, reconstructions and their errors."""

import keras
import numpy as np
import tensorflow as tf

from components.export import layout
from components.export.exported_model import ExportedModel, Outputs


class ExportedAutoencoder(ExportedModel):
    """An autoencoder of images scaled to [0, 1]; errors are summed over the values of an image.

    | output | shape | content |
    |---|---|---|
    | `code` | (N, units) | activations of the layer "code" |
    | `reconstruction` | (N, height, width, channels) | reconstruction in [0, 1] |
    | `squared_error` | (N,) | squared error of the reconstruction |
    | `mean_image_error` | (N,) | squared error of the best constant prediction, the mean of the training images |

    Args:
        autoencoder: Keras model from images in [0, 1] (N, height, width, channels) to logits of the same shape, with a
            layer "code".
        mean_image: Mean of the training images in [0, 1], shape (height, width, channels).

    Example:
        >>> images = keras.Input((2, 2, 1))
        >>> code = keras.layers.Dense(1, name="code")(keras.layers.Flatten()(images))
        >>> logits = keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4)(code))
        >>> model = ExportedAutoencoder(keras.Model(images, logits), np.zeros((2, 2, 1)))
        >>> {name: tuple(value.shape) for name, value in model.from_pixels(tf.zeros((1, 2, 2, 1))).items()}
        {'code': (1, 1), 'reconstruction': (1, 2, 2, 1), 'squared_error': (1,), 'mean_image_error': (1,)}
    """

    def __init__(self, autoencoder: keras.Model, mean_image: np.ndarray) -> None:
        super().__init__(autoencoder.input_shape[1:])
        self.attach(
            "autoencoder",
            keras.Model(autoencoder.inputs[0], [autoencoder.get_layer("code").output, autoencoder.outputs[0]]),
        )
        self.mean_image = tf.constant(mean_image, tf.float32)

    def from_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Encodes and reconstructs images in grey levels, float (N, height, width, channels)."""
        images = pixels / 255
        code, logits = self.autoencoder(images, training=False)
        reconstruction = tf.sigmoid(logits)
        return {
            layout.CODE: code,
            layout.RECONSTRUCTION: reconstruction,
            layout.SQUARED_ERROR: _summed_squares(reconstruction - images),
            layout.MEAN_IMAGE_ERROR: _summed_squares(self.mean_image - images),
        }


def _summed_squares(difference: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(difference), axis=(1, 2, 3))
