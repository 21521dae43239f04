"""AlexNet: the net of the paper, the net of its released code, and their descendants.

| | paper | ungrouped | owt | bn | small |
|---|---|---|---|---|---|
| description | the published net | no groups | one column, 2014 | batch-normalised | ours, 32 to 100 pixels |
| conv1 (kernel, stride) | 96 (11, 4) | 96 (11, 4) | 64 (11, 4) | 96 (11, 4) | 32 (5, 2) |
| conv2 (5, 1) | 256, 2 groups | 256 | 192 | 256, 2 groups | 64 |
| conv3 (3, 1) | 384 | 384 | 384 | 384 | 96 |
| conv4 (3, 1) | 384, 2 groups | 384 | 256 | 384, 2 groups | 96 |
| conv5 (3, 1) | 256, 2 groups | 256 | 256 | 256, 2 groups | 96 |
| fc6, fc7 | 4096 | 4096 | 4096 | 4096 | 512 |
| normalised | responses, conv1-2 | responses, conv1-2 | responses, conv1-2 | batches, all but fc8 | batches, conv1-5 |
| dropout of fc6, fc7 | 0.5 | 0.5 | 0.5 | none | 0.5 |
| initialisation | paper | paper | code2012 | he | he |
| parameters, 1,000 classes | 60,965,224 | 62,378,344 | 61,100,840 | 60,993,928 | 1,494,856 |
| default input | 227 x 227 x 3 | 227 x 227 x 3 | 227 x 227 x 3 | 227 x 227 x 3 | 64 x 64 x 3 |

All have max-pooling of 3 x 3 with stride 2 after conv1, conv2 and conv5, and rectified units. "owt" keeps response
normalisation, in the convention of its code; torchvision's net is "owt" with `normalization="none"` and `padding=2`.
"bn" is the net of the best documented result of the family, 60.1 % on the centre crop of ILSVRC-2012: groups, no
dropout. It omits that net's normalisation of the input, since the mean is already subtracted here, and the biases
before batch normalisation, which have no effect.

Paper and code of 2012 differ:

| | `order="paper"` | `order="code2012"` |
|---|---|---|
| conv1 | ReLU, norm, pool | norm, pool, ReLU |
| conv2 | ReLU, norm, pool | ReLU, norm, norm within maps, pool |
| conv5 | ReLU, pool | pool, ReLU (the same numbers) |
| response normalisation | alpha, across all maps | alpha / 5, within each of the two groups |

| | `initialization="paper"` | `initialization="code2012"` | `initialization="he"` |
|---|---|---|---|
| kernels | N(0, 0.01^2) | the same, conv3-5 N(0, 0.03^2) | N(0, 2 / inputs) |
| biases of conv2, conv4, conv5, fc6, fc7 | 1 | 1 | 0 |
| bias of fc8 | 0 | 0; "owt" -7 | 0 |

Sources: Krizhevsky, Sutskever & Hinton, NIPS 2012; its released code, `layers-145.cfg`; Krizhevsky, One weird trick for
parallelizing convolutional neural networks, 2014, and cuda-convnet2; Simon, Rodner & Denzler, ImageNet pre-trained
models with batch normalization, 2016 ("bn").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from models.alexnet.local_response_normalization import CONVENTIONS, LocalResponseNormalization
from models.alexnet.within_map_normalization import WithinMapNormalization
from models.checks import check_choice, check_count
from models.seeds import derived_seed
from models.types import Tensor

ORDERS = ("paper", "code2012")
INITIALIZATIONS = ("paper", "code2012", "he")
NORMALIZATIONS = ("response", "batch", "none")
_POOLED = (1, 2, 5)  # numbers of the convolutions before max-pooling
_GROUPED = (2, 4, 5)  # numbers of the convolutions with groups
_BIASED = ("conv2", "conv4", "conv5", "fc6", "fc7")  # biases start at 1


@dataclass(frozen=True)
class _Variant:
    """One column of the module's table."""

    filters: tuple[int, ...] = (96, 256, 384, 384, 256)
    first_kernel: int = 11
    first_stride: int = 4
    groups: int = 1
    hidden: int = 4096
    normalization: str = "response"
    normalized_hidden: bool = False  # whether batch normalisation includes fc6 and fc7
    convention: str = "paper"
    initialization: str = "paper"
    dropout: float = 0.5
    logits_bias: float = 0.0  # with initialization="code2012"
    input_shape: tuple[int, int, int] = (227, 227, 3)


_VARIANTS = {
    "paper": _Variant(groups=2),
    "ungrouped": _Variant(),
    "owt": _Variant((64, 192, 384, 256, 256), convention="cuda_convnet", initialization="code2012", logits_bias=-7.0),
    "bn": _Variant(groups=2, normalization="batch", normalized_hidden=True, initialization="he", dropout=0.0),
    "small": _Variant(
        (32, 64, 96, 96, 96),
        first_kernel=5,
        first_stride=2,
        hidden=512,
        normalization="batch",
        initialization="he",
        input_shape=(64, 64, 3),
    ),
}
VARIANTS = tuple(_VARIANTS)


def alexnet(
    variant: str = "paper",
    num_classes: int = 1000,
    input_shape: Sequence[int] | None = None,
    order: str = "paper",
    normalization: str | None = None,
    convention: str | None = None,
    initialization: str | None = None,
    dropout: float | None = None,
    padding: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds one of the nets in the module's table.

    Layers are named conv1, norm1, relu1, pool1, ..., conv5, relu5, pool5, fc6, relu6, dropout6, fc7, relu7, dropout7
    and fc8. Under a mixed-precision policy the logits are float32.

    Args:
        variant: "paper", "ungrouped", "owt", "bn" or "small".
        num_classes: Number of classes, at least 2.
        input_shape: (height, width, channels); None means the variant's default. The nets with 11 x 11 kernels require
            at least 64 pixels a side, "small" 32.
        order: Order of the layers, "paper" or "code2012"; the latter only with response normalisation.
        normalization: "response", "batch" or "none"; None means that of the variant.
        convention: Convention of response normalisation, see `LocalResponseNormalization`; None means "cuda_convnet"
            for the variant "owt" and for the order "code2012", otherwise "paper".
        initialization: "paper", "code2012" or "he"; None means that of the variant.
        dropout: Share of the OUTPUTS of fc6 and fc7 dropped in training, in [0, 1); None means that of the variant. The
            remaining outputs are divided by 1 - dropout, which corresponds to the paper's halving at test time.
        padding: Zeros on every side of the image. None means zeros on the right and below only, to complete conv1's
            last window, as in the code of 2012: three for 224 x 224, none for 227 x 227, both giving 55 x 55.
        seed: Integer that determines initial weights and dropout; None means a random one.

    Returns:
        A functional `keras.Model`: images (batch, height, width, channels), floats of 0 to 255 with the mean of the
        training images subtracted, to logits (batch, num_classes).

    Raises:
        ValueError: A choice is unknown, a number is out of range, or the input is too small for the variant.

    Example:
        >>> alexnet("small", num_classes=10, input_shape=(32, 32, 3), seed=1).output_shape
        (None, 10)
    """
    check_choice("variant", variant, VARIANTS)
    net = _VARIANTS[variant]
    normalization = net.normalization if normalization is None else normalization
    initialization = net.initialization if initialization is None else initialization
    dropout = net.dropout if dropout is None else dropout
    if convention is None:
        convention = "cuda_convnet" if order == "code2012" else net.convention
    check_count("num_classes", num_classes, 2)
    if padding is not None:
        check_count("padding", padding, 0)
    builder = _Builder(net, order, normalization, convention, initialization, dropout, seed)
    shape = _checked_shape(net, variant, input_shape or net.input_shape, padding)
    inputs = keras.Input(shape, name="image")
    return keras.Model(inputs, builder.logits(inputs, padding, num_classes), name=f"alexnet_{variant}")


@dataclass(frozen=True)
class _Builder:
    """Checks the options and stacks the layers of a net."""

    net: _Variant
    order: str
    normalization: str
    convention: str
    initialization: str
    dropout: float
    seed: int | None

    def __post_init__(self) -> None:
        check_choice("order", self.order, ORDERS)
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_choice("convention", self.convention, CONVENTIONS)
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1; received dropout={self.dropout}")
        if self.order == "code2012" and self.normalization != "response":
            raise ValueError(
                'order="code2012" requires response normalisation; pass normalization="response", or order="paper"; '
                f'received normalization="{self.normalization}"'
            )

    def logits(self, x: Tensor, padding: int | None, num_classes: int) -> Tensor:
        """Builds the whole net on top of images."""
        edges = [_zeros(self.net, size, padding) for size in x.shape[1:3]]
        if any(map(any, edges)):
            x = layers.ZeroPadding2D(edges, data_format="channels_last", name="pad")(x)
        for number in range(1, 6):
            x = self._convolution(x, number)
            for step in self._steps(number):
                x = step(x)
        x = layers.Flatten(data_format="channels_last", name="flatten")(x)
        for number in (6, 7):
            x = self._hidden(x, number)
        half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
        options = self._initializers("fc8", x.shape[-1])
        return layers.Dense(num_classes, dtype="float32" if half else None, name="fc8", **options)(x)

    def _convolution(self, x: Tensor, number: int) -> Tensor:
        name, net = f"conv{number}", self.net
        size = {1: net.first_kernel, 2: 5}.get(number, 3)
        groups = net.groups if number in _GROUPED else 1
        return layers.Conv2D(
            net.filters[number - 1],
            size,
            strides=net.first_stride if number == 1 else 1,
            padding="valid" if number == 1 else "same",
            data_format="channels_last",
            groups=groups,
            use_bias=self.normalization != "batch",
            name=name,
            **self._initializers(name, size * size * x.shape[-1] // groups),
        )(x)

    def _steps(self, number: int) -> list[Callable[[Tensor], Tensor]]:
        """Returns the layers between one convolution and the next."""
        relu = [layers.ReLU(name=f"relu{number}")]
        pool = [layers.MaxPooling2D(3, 2, data_format="channels_last", name=f"pool{number}")]
        pool = pool if number in _POOLED else []
        if self.normalization == "batch":
            return [self._batch_normalization(number), *relu, *pool]
        norm = []
        if self.normalization == "response" and number <= 2:
            groups = self.net.groups if self.order == "code2012" else 1
            norm = [LocalResponseNormalization(convention=self.convention, groups=groups, name=f"norm{number}")]
        if self.order == "paper":
            return relu + norm + pool
        if number == 2:
            norm.append(WithinMapNormalization(name="cnorm2"))
        return norm + pool + relu if number in (1, 5) else relu + norm + pool

    def _hidden(self, x: Tensor, number: int) -> Tensor:
        name = f"fc{number}"
        normalized = self.normalization == "batch" and self.net.normalized_hidden
        options = self._initializers(name, x.shape[-1])
        x = layers.Dense(self.net.hidden, use_bias=not normalized, name=name, **options)(x)
        if normalized:
            x = self._batch_normalization(number)(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if not self.dropout:
            return x
        return layers.Dropout(self.dropout, seed=derived_seed(self.seed, f"dropout{number}"), name=f"dropout{number}")(
            x
        )

    def _batch_normalization(self, number: int) -> keras.layers.Layer:
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{number}")

    def _initializers(self, name: str, inputs: int) -> dict[str, Any]:
        """Returns the initializers of a layer's kernel and bias."""
        deviation, bias = 0.01, 1.0 if name in _BIASED else 0.0
        if self.initialization == "he":
            deviation, bias = (2 / inputs) ** 0.5, 0.0
        elif self.initialization == "code2012":
            deviation = 0.03 if name in ("conv3", "conv4", "conv5") else 0.01
            bias = self.net.logits_bias if name == "fc8" else bias
        return {
            "kernel_initializer": keras.initializers.RandomNormal(stddev=deviation, seed=derived_seed(self.seed, name)),
            "bias_initializer": keras.initializers.Constant(bias),
        }


def _zeros(net: _Variant, size: int, padding: int | None) -> tuple[int, int]:
    """Returns the numbers of zeros (before, after) an image's side of `size` pixels."""
    if padding is not None:
        return padding, padding
    return 0, -(size - net.first_kernel) % net.first_stride if size > net.first_kernel else net.first_kernel - size


def _pooled_side(net: _Variant, size: int, padding: int | None) -> int:
    """Returns the height or width of pool5's output."""
    side = (size + sum(_zeros(net, size, padding)) - net.first_kernel) // net.first_stride + 1
    for _ in _POOLED:
        side = (side - 3) // 2 + 1
    return side


def _checked_shape(net: _Variant, variant: str, input_shape: Sequence[int], padding: int | None) -> tuple[int, ...]:
    """Returns the input shape as a tuple; raises if the output of pool5 would be empty."""
    shape = tuple(input_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"`input_shape` must be (height, width, channels); received input_shape={input_shape}")
    if min(_pooled_side(net, size, padding) for size in shape[:2]) < 1:
        least = next(size for size in range(1, 1000) if _pooled_side(net, size, padding) >= 1)
        other = "" if variant == "small" else ', or variant="small" for small images'
        raise ValueError(
            f'the variant "{variant}" requires images of at least {least} x {least} pixels; pass larger images{other}; '
            f"received input_shape={shape}"
        )
    return shape
