"""Subtraction of the training set's mean image: AlexNet's whole preprocessing."""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.types import Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class MeanImage(keras.layers.Layer):
    """Layer that subtracts one image from all: grey levels (batch, height, width, channels) to levels around 0.

    The mean is a weight, so that it is saved with the model; it is not trained.

    Args:
        mean: Grey levels, shape (height, width, channels); None means 0 until weights are loaded.
        name: Name of the layer.
        **kwargs: Further arguments of every Keras layer.

    Example:
        >>> layer = MeanImage(np.full((2, 2, 3), 100.0))
        >>> float(layer(ops.full((1, 2, 2, 3), 130.0))[0, 0, 0, 0])
        30.0

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 2.
    """

    def __init__(self, mean: Any = None, name: str = "mean_image", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._initial = None if mean is None else np.asarray(mean, "float32")

    def build(self, input_shape: Shape) -> None:
        """Creates the weight."""
        self.mean = self.add_weight(
            shape=tuple(input_shape[1:]),
            initializer="zeros",
            trainable=False,
            name="mean",
            dtype="float32",
            autocast=False,  # half precision would round it to whole grey levels
        )
        if self._initial is not None:
            self.mean.assign(self._initial)

    def call(self, images: Tensor) -> Tensor:
        """Returns the images minus the mean, in the layer's type and of the same shape."""
        return ops.cast(ops.subtract(ops.cast(images, "float32"), self.mean), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor without the mean, which is a weight."""
        return super().get_config()
