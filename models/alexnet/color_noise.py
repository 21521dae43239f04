"""Noise of whole images' colours, along the principal components of the colours of the training images."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("vision_tfx")
class ColorNoise(keras.layers.Layer):
    """Adds one random colour to all pixels of an image, in training alone: AlexNet's second augmentation.

    With the eigenvectors p_i and the eigenvalues l_i of the colours' covariance, an image gets

        a_1 sqrt(l_1) p_1 + a_2 sqrt(l_2) p_2 + a_3 sqrt(l_3) p_3,    a_i ~ N(0, deviation^2),

    with new a_i for every image at every call: labels do not change with the colour and brightness of the light.

    The paper writes a_i l_i, and calls l_i the eigenvalue of the covariance. Read literally, the noise would not scale
    with the pixels' unit, and l_1 of ImageNet's grey levels is about 14,000: noise of 1,400 levels in images of 255.
    The code its authors released multiplies by standard deviations, hence the root here, which gives noise of about 7
    levels a channel. That code also divides the image by 1 + deviation afterwards; the paper does not, nor does this.

    Args:
        covariance: Shape (channels, channels), symmetric and positive semi-definite, in squared units of the inputs
            (squared grey levels for images of 0 to 255).
        deviation: Standard deviation of a_i, at least 0.
        seed: Integer, for the same noise in every run.

    Input and output: Float images of shape (batch, height, width, channels). Levels may leave the range they had.

    Raises:
        ValueError: A covariance that is none, or a negative deviation.

    Source: Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS
    (2012), section 4.1.
    """

    def __init__(self, covariance, deviation=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        if deviation < 0:
            raise ValueError(f"`deviation` must be at least 0. Received: deviation={deviation}")
        self.covariance = np.asarray(covariance, "float64")
        self.deviation = deviation
        self.seed = seed
        self._components = deviation * _scaled_components(self.covariance)
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """Images with noise in training, the images themselves otherwise."""
        if not training:
            return inputs
        alpha = keras.random.normal(
            (ops.shape(inputs)[0], len(self._components)), dtype="float32", seed=self._generator
        )
        colors = ops.matmul(alpha, ops.convert_to_tensor(self._components.T, "float32"))
        return inputs + ops.cast(colors, inputs.dtype)[:, None, None, :]

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """What the constructor takes, as JSON can hold it."""
        own = {"covariance": self.covariance.tolist(), "deviation": self.deviation, "seed": self.seed}
        return {**super().get_config(), **own}


def _scaled_components(covariance):
    """Eigenvectors in columns, each times the root of its eigenvalue."""
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not np.isfinite(covariance).all():
        raise ValueError(f"`covariance` must be a square matrix of numbers. Received: {covariance}")
    # Statistics come as float32: seven digits, relative to the largest entry.
    tolerance = 1e-5 * max(np.abs(covariance).max(initial=0), 1e-30)
    if not np.allclose(covariance, covariance.T, rtol=0, atol=tolerance):
        raise ValueError(f"`covariance` must be symmetric. Received: {covariance}")
    variances, directions = np.linalg.eigh(covariance)
    if variances.min() < -tolerance:
        raise ValueError(f"`covariance` must have no negative eigenvalue. Received: {covariance}")
    return directions * np.sqrt(np.maximum(variances, 0))
