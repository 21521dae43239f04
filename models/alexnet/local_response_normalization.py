"""Local response normalisation: a unit is divided by a power of the squares of its neighbours in other maps."""

import keras
import numpy as np
from keras import ops

from models.fitting.closed_form import check_choice, check_count

CONVENTIONS = ("paper", "cuda_convnet", "caffe")


@keras.saving.register_keras_serializable("vision_tfx")
class LocalResponseNormalization(keras.layers.Layer):
    """Normalises every unit by the `size` maps around its own, at the same place.

    With s_i = the sum of a_j^2 over the maps j from i - size // 2 to i + (size - 1) // 2 that exist:

    | `convention` | output | default of k | who computes it |
    |---|---|---|---|
    | "paper" | a_i / (k + alpha s_i)^beta | 2 | the paper's formula, `tf.nn.local_response_normalization` |
    | "cuda_convnet" | a_i / (k + alpha / size s_i)^beta | 2 | the code that won in 2012, cuda-convnet2 |
    | "caffe" | a_i / (k + alpha / size s_i)^beta | 1 | Caffe, `torch.nn.LocalResponseNorm` |

    So the paper's alpha of 1e-4 was one of 2e-5 in the experiments that it reports. The divisor is `size` at the border
    too, where fewer maps exist.

    The squares are added up by a product with a banded matrix, which on a CPU is 2.5 to 4 times as fast as TensorFlow's
    own operation (32 x 55 x 55 x 96 forward and gradient: 90 ms against 234 ms; sums of shifted slices take 1,040 ms),
    and x^-3/4 is rsqrt(x) sqrt(rsqrt(x)), three times as fast as a general power. Half precision is computed in
    float32: squares of activations above 255 are no float16.

    Args:
        size: Maps in the window, its own among them, at least 1; n in the paper. With an even size, the window has one
            map more on the lower side.
        k: What is added to the sum, above 0; none means the default of the convention.
        alpha: Factor of the squares, at least 0.
        beta: Exponent.
        convention: "paper", "cuda_convnet" or "caffe".
        groups: Number of equal groups of maps that do not see each other, as on the two GPUs of 2012; windows end at
            their borders.
        **kwargs: `name` and `dtype` of the layer.

    Input and output: (..., channels), any range.

    Raises:
        ValueError: An unknown convention, a size or number of groups below 1, k not above 0, a negative alpha, or
            channels that cannot be divided into the groups.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.3; released code, `layers-145.cfg`.
    """

    def __init__(self, size=5, k=None, alpha=1e-4, beta=0.75, convention="paper", groups=1, **kwargs):
        check_choice("convention", convention, CONVENTIONS)
        check_count("size", size)
        check_count("groups", groups)
        k = (1.0 if convention == "caffe" else 2.0) if k is None else k
        if k <= 0 or alpha < 0:
            raise ValueError(f"`k` must be above 0 and `alpha` at least 0. Received: k={k}, alpha={alpha}")
        super().__init__(**kwargs)
        self.size = size
        self.k = float(k)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.convention = convention
        self.groups = groups
        self.supports_masking = True

    def build(self, input_shape):
        """Makes the banded matrix for as many channels as the input has."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(f"{channels} channels cannot be divided into {self.groups} equal groups.")
        maps = np.arange(channels)
        distance = maps[:, None] - maps  # of the squared map, a row, from the normalised one, a column
        group = maps // (channels // self.groups)
        seen = (-(self.size // 2) <= distance) & (distance <= (self.size - 1) // 2) & (group[:, None] == group)
        self._band = seen * (self.alpha if self.convention == "paper" else self.alpha / self.size)
        self.built = True

    def call(self, inputs):
        """Returns the normalised activations, of the shape and type of `inputs`."""
        x = at_least_float32(inputs)
        rows = ops.reshape(ops.square(x), (-1, x.shape[-1]))
        sums = ops.matmul(rows, ops.convert_to_tensor(self._band, dtype=x.dtype))
        divided = x * negative_power(self.k + ops.reshape(sums, ops.shape(x)), self.beta)
        return ops.cast(divided, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        return input_shape

    def get_config(self):
        """Returns the arguments of the constructor."""
        keys = ("size", "k", "alpha", "beta", "convention", "groups")
        return super().get_config() | {key: getattr(self, key) for key in keys}


def at_least_float32(x):
    """The same values in float32 where `x` is of half precision, else `x`."""
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x


def negative_power(x, beta):
    """x^-beta for x above 0, by square roots alone where beta is 0.5, 0.75 or 1."""
    if beta == 1:
        return ops.reciprocal(x)
    if beta not in (0.5, 0.75):
        return ops.power(x, ops.convert_to_tensor(-beta, dtype=x.dtype))  # a bare number would be float32 on torch
    root = ops.rsqrt(x)
    return root if beta == 0.5 else root * ops.sqrt(root)
