"""Colour noise of whole images along the principal components of the training images' colours."""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.types import Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class ColorNoise(keras.layers.Layer):
    """Layer that adds one random colour to all pixels of an image, in training only: AlexNet's second augmentation.

    With the eigenvectors p_i and the eigenvalues l_i of the colours' covariance, an image gets

        a_1 sqrt(l_1) p_1 + a_2 sqrt(l_2) p_2 + a_3 sqrt(l_3) p_3,    a_i ~ N(0, deviation^2),

    with new a_i for every image at every call: labels do not depend on the colour and brightness of the light.

    The paper writes a_i l_i, and calls l_i the eigenvalue of the covariance. Read literally, the noise would not scale
    with the pixels' unit, and l_1 of ImageNet's grey levels is about 14,000: noise of 1,400 levels in images of 255.
    The code released by its authors multiplies by standard deviations, hence the root here, which gives noise of about
    7 levels per channel. That code also divides the image by 1 + deviation afterwards; the paper and this layer do not.

    Args:
        covariance: Shape (channels, channels), symmetric and positive semi-definite, in squared units of the inputs
            (squared grey levels for images of 0 to 255).
        deviation: Standard deviation of a_i, at least 0.
        seed: Integer that determines the noise; None means a random one.
        **kwargs: `name` and `dtype` of the layer.

    Input and output: Float images of shape (batch, height, width, channels). Levels may leave their original range.

    Raises:
        ValueError: `covariance` is not a covariance matrix, or the deviation is negative.

    Example:
        >>> noise = ColorNoise(np.diag([4.0, 1.0, 1.0]), deviation=0.1, seed=1)
        >>> noisy = noise(ops.zeros((2, 8, 8, 3)), training=True)
        >>> bool(ops.all(noisy == noisy[:, :1, :1]))  # one colour for all pixels of an image
        True

    Source: Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS
    (2012), section 4.1.
    """

    def __init__(self, covariance: Any, deviation: float = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if deviation < 0:
            raise ValueError(f"`deviation` must be at least 0; received deviation={deviation}")
        self.covariance = np.asarray(covariance, "float64")
        self.deviation = deviation
        self.seed = seed
        self._components = deviation * _scaled_components(self.covariance)
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Returns images with noise in training, and the images unchanged otherwise."""
        if not training:
            return inputs
        alpha = keras.random.normal(
            (ops.shape(inputs)[0], len(self._components)), dtype="float32", seed=self._generator
        )
        colors = ops.matmul(alpha, ops.convert_to_tensor(self._components.T, "float32"))
        return inputs + ops.cast(colors, inputs.dtype)[:, None, None, :]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in types that JSON supports."""
        own = {"covariance": self.covariance.tolist(), "deviation": self.deviation, "seed": self.seed}
        return {**super().get_config(), **own}


def _scaled_components(covariance: np.ndarray) -> np.ndarray:
    """Returns eigenvectors in columns, each times the root of its eigenvalue."""
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not np.isfinite(covariance).all():
        raise ValueError(f"`covariance` must be a square matrix of finite numbers; received {covariance}")
    # The statistics are float32: seven digits, relative to the largest entry.
    tolerance = 1e-5 * max(np.abs(covariance).max(initial=0), 1e-30)
    if not np.allclose(covariance, covariance.T, rtol=0, atol=tolerance):
        raise ValueError(f"`covariance` must be symmetric; received {covariance}")
    variances, directions = np.linalg.eigh(covariance)
    if variances.min() < -tolerance:
        raise ValueError(f"`covariance` must have no negative eigenvalue; received {covariance}")
    return directions * np.sqrt(np.maximum(variances, 0))
