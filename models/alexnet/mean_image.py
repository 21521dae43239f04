"""The mean image of the training set, taken out of every image: AlexNet's whole preprocessing."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("vision_tfx")
class MeanImage(keras.layers.Layer):
    """Subtracts one image from all: grey levels (batch, height, width, channels) to levels about 0, of the same shape.

    The mean is a weight, so it is saved with the model, and it is not trained.

    Args:
        mean: Grey levels, shape (height, width, channels); none leaves 0 until weights are loaded.
        name: Name of the layer.
        **kwargs: What every Keras layer takes.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 2.
    """

    def __init__(self, mean=None, name="mean_image", **kwargs):
        super().__init__(name=name, **kwargs)
        self._initial = None if mean is None else np.asarray(mean, "float32")

    def build(self, input_shape):
        """Makes the weight."""
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

    def call(self, images):
        """The images without the mean, in the layer's type."""
        return ops.cast(ops.subtract(ops.cast(images, "float32"), self.mean), self.compute_dtype)

    def get_config(self):
        """Returns the name; the mean is a weight."""
        return super().get_config()
