"""Local response normalisation: division of a unit by a power of the squares of its neighbours in other maps."""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.checks import check_choice, check_count
from models.types import Shape, Tensor

CONVENTIONS = ("paper", "cuda_convnet", "caffe")


@keras.saving.register_keras_serializable("vision_tfx")
class LocalResponseNormalization(keras.layers.Layer):
    """Layer that normalises every unit by the `size` maps around its own, at the same position.

    With s_i = the sum of a_j^2 over the existing maps j from i - size // 2 to i + (size - 1) // 2:

    | `convention` | output | default of k | used by |
    |---|---|---|---|
    | "paper" | a_i / (k + alpha s_i)^beta | 2 | the paper's formula, `tf.nn.local_response_normalization` |
    | "cuda_convnet" | a_i / (k + alpha / size s_i)^beta | 2 | the code that won in 2012, cuda-convnet2 |
    | "caffe" | a_i / (k + alpha / size s_i)^beta | 1 | Caffe, `torch.nn.LocalResponseNorm` |

    In these terms, the paper's alpha of 1e-4 was 2e-5 in the experiments that it reports. The divisor is `size` at the
    border too, where fewer maps exist.

    The squares are summed by a product with a banded matrix, which on a CPU is 2.5 to 4 times as fast as TensorFlow's
    own operation (32 x 55 x 55 x 96 forward and gradient: 90 ms against 234 ms; sums of shifted slices take 1,040 ms),
    and x^-3/4 is rsqrt(x) sqrt(rsqrt(x)), three times as fast as a general power. Half precision is computed in
    float32: squares of activations above 255 exceed the range of float16.

    Args:
        size: Number of maps in the window, including the unit's own, at least 1; n in the paper. With an even size, the
            window has one map more on the lower side.
        k: Term added to the sum, above 0; None means the default of the convention.
        alpha: Factor of the squares, at least 0.
        beta: Exponent.
        convention: "paper", "cuda_convnet" or "caffe".
        groups: Number of equal groups of maps, as on the two GPUs of 2012; windows end at their borders.
        **kwargs: `name` and `dtype` of the layer.

    Input and output: (..., channels), any range.

    Raises:
        ValueError: The convention is unknown, the size or the number of groups is below 1, k is not above 0, alpha is
            negative, or the channels cannot be divided into the groups.

    Example:
        >>> layer = LocalResponseNormalization(size=1, k=1.0, alpha=1.0, beta=1.0)
        >>> float(layer(ops.full((1, 1, 1, 4), 3.0))[0, 0, 0, 0])  # 3 / (1 + 9)
        0.3...

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.3; released code, `layers-145.cfg`.
    """

    def __init__(
        self,
        size: int = 5,
        k: float | None = None,
        alpha: float = 1e-4,
        beta: float = 0.75,
        convention: str = "paper",
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        check_choice("convention", convention, CONVENTIONS)
        check_count("size", size)
        check_count("groups", groups)
        k = (1.0 if convention == "caffe" else 2.0) if k is None else k
        if k <= 0 or alpha < 0:
            raise ValueError(f"`k` must be above 0 and `alpha` at least 0; received k={k}, alpha={alpha}")
        super().__init__(**kwargs)
        self.size = size
        self.k = float(k)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.convention = convention
        self.groups = groups
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Computes the banded matrix for the channels of the input."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(f"{channels} channels cannot be divided into {self.groups} equal groups")
        maps = np.arange(channels)
        distance = maps[:, None] - maps  # of the squared map (row) from the normalised map (column)
        group = maps // (channels // self.groups)
        seen = (-(self.size // 2) <= distance) & (distance <= (self.size - 1) // 2) & (group[:, None] == group)
        self._band = seen * (self.alpha if self.convention == "paper" else self.alpha / self.size)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the normalised activations, of the shape and type of `inputs`."""
        x = at_least_float32(inputs)
        rows = ops.reshape(ops.square(x), (-1, x.shape[-1]))
        sums = ops.matmul(rows, ops.convert_to_tensor(self._band, dtype=x.dtype))
        divided = x * negative_power(self.k + ops.reshape(sums, ops.shape(x)), self.beta)
        return ops.cast(divided, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        keys = ("size", "k", "alpha", "beta", "convention", "groups")
        return super().get_config() | {key: getattr(self, key) for key in keys}


def at_least_float32(x: Tensor) -> Tensor:
    """Returns `x`, converted to float32 if it has half precision."""
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x


def negative_power(x: Tensor, beta: float) -> Tensor:
    """Returns x^-beta for x above 0, by roots and a reciprocal only if beta is 0.5, 0.75 or 1."""
    if beta == 1:
        return ops.reciprocal(x)
    if beta not in (0.5, 0.75):
        return ops.power(x, ops.convert_to_tensor(-beta, dtype=x.dtype))  # a plain number would be float32 on torch
    root = ops.rsqrt(x)
    return root if beta == 0.5 else root * ops.sqrt(root)
