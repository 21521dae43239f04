"""The normalisation that the released code of AlexNet has and the paper does not mention."""

import keras
from keras import ops

from models.alexnet.local_response_normalization import at_least_float32, negative_power
from models.fitting.closed_form import check_count


@keras.saving.register_keras_serializable("vision_tfx")
class WithinMapNormalization(keras.layers.Layer):
    """Normalises every unit by the units around it in its own map.

    The output is a / (k + alpha m)^beta, where m is the mean of a^2 over the window of size x size units around the
    unit; beyond the border there are zeros, which count. In the released code this is "cnorm2" of the layer "conv2",
    behind the normalisation across maps.

    Args:
        size: Side of the window, an odd number.
        k: What is added, above 0.
        alpha: Factor of the mean square, at least 0.
        beta: Exponent.
        **kwargs: `name` and `dtype` of the layer.

    Input and output: (batch, height, width, channels), any range.

    Raises:
        ValueError: A size that is even or below 1, k not above 0, or a negative alpha.

    Source: released code of Krizhevsky, Sutskever & Hinton, NIPS 2012: `layers-145.cfg`, type "rnorm".
    """

    def __init__(self, size=5, k=1.0, alpha=1e-3, beta=0.75, **kwargs):
        check_count("size", size)
        if not size % 2:
            raise ValueError(f"`size` must be odd. Received: size={size}")
        if k <= 0 or alpha < 0:
            raise ValueError(f"`k` must be above 0 and `alpha` at least 0. Received: k={k}, alpha={alpha}")
        super().__init__(**kwargs)
        self.size = size
        self.k = float(k)
        self.alpha = float(alpha)
        self.beta = float(beta)

    def call(self, inputs):
        """Returns the normalised activations, of the shape and type of `inputs`."""
        x, reach = at_least_float32(inputs), self.size // 2
        squares = ops.pad(ops.square(x), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        means = ops.average_pool(squares, self.size, 1, "valid", data_format="channels_last")
        return ops.cast(x * negative_power(self.k + self.alpha * means, self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        return input_shape

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {key: getattr(self, key) for key in ("size", "k", "alpha", "beta")}
