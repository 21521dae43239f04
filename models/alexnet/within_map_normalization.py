"""Normalisation within maps, part of the released code of AlexNet but not of the paper."""

from typing import Any

import keras
from keras import ops

from models.alexnet.local_response_normalization import at_least_float32, negative_power
from models.checks import check_count
from models.types import Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class WithinMapNormalization(keras.layers.Layer):
    """Layer that normalises every unit by the units around it in its own map.

    The output is a / (k + alpha m)^beta, where m is the mean of a^2 over the window of size x size units around the
    unit; units beyond the border count as zeros. In the released code this is "cnorm2" of the layer "conv2", after the
    normalisation across maps.

    Args:
        size: Side of the window, an odd number.
        k: Term added to the mean, above 0.
        alpha: Factor of the mean square, at least 0.
        beta: Exponent.
        **kwargs: `name` and `dtype` of the layer.

    Input and output: (batch, height, width, channels), any range.

    Raises:
        ValueError: The size is even or below 1, k is not above 0, or alpha is negative.

    Example:
        >>> layer = WithinMapNormalization(size=1, k=1.0, alpha=1.0, beta=1.0)
        >>> float(layer(ops.full((1, 2, 2, 1), 3.0))[0, 0, 0, 0])  # 3 / (1 + 9)
        0.3...

    Source: released code of Krizhevsky, Sutskever & Hinton, NIPS 2012: `layers-145.cfg`, type "rnorm".
    """

    def __init__(self, size: int = 5, k: float = 1.0, alpha: float = 1e-3, beta: float = 0.75, **kwargs: Any) -> None:
        check_count("size", size)
        if not size % 2:
            raise ValueError(f"`size` must be odd; received size={size}")
        if k <= 0 or alpha < 0:
            raise ValueError(f"`k` must be above 0 and `alpha` at least 0; received k={k}, alpha={alpha}")
        super().__init__(**kwargs)
        self.size = size
        self.k = float(k)
        self.alpha = float(alpha)
        self.beta = float(beta)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the normalised activations, of the shape and type of `inputs`."""
        x, reach = at_least_float32(inputs), self.size // 2
        squares = ops.pad(ops.square(x), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        means = ops.average_pool(squares, self.size, 1, "valid", data_format="channels_last")
        return ops.cast(x * negative_power(self.k + self.alpha * means, self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {key: getattr(self, key) for key in ("size", "k", "alpha", "beta")}
