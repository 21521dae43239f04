"""AlexNet as its paper describes it, as the code behind the paper computed it, and its descendants.

| | paper | ungrouped | owt | bn | small |
|---|---|---|---|---|---|
| what it is | the published net | one GPU sees all | one column, 2014 | batch-normalised | ours, 32 to 100 pixels |
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

All have max-pooling of 3 x 3 in steps of 2 behind conv1, conv2 and conv5, and rectified units. "owt" keeps response
normalisation, in the convention of its code; torchvision's net is "owt" with `normalization="none"` and `padding=2`.
"bn" is the net of the best documented result of the family, 60.1 % in the centre crop of ILSVRC-2012: groups, no
dropout. It leaves out that net's normalisation of the input, from which the mean has been subtracted here, and the
biases in front of batch normalisation, which have no effect.

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

import zlib
from dataclasses import dataclass

import keras
from keras import layers

from models.alexnet.local_response_normalization import CONVENTIONS, LocalResponseNormalization
from models.alexnet.within_map_normalization import WithinMapNormalization
from models.fitting.closed_form import check_choice, check_count

__all__ = ["INITIALIZATIONS", "NORMALIZATIONS", "ORDERS", "VARIANTS", "LocalResponseNormalization", "alexnet"]

ORDERS = ("paper", "code2012")
INITIALIZATIONS = ("paper", "code2012", "he")
NORMALIZATIONS = ("response", "batch", "none")
_POOLED = (1, 2, 5)
_GROUPED = (2, 4, 5)
_EXCITED = ("conv2", "conv4", "conv5", "fc6", "fc7")  # whose biases start at 1


@dataclass(frozen=True)
class _Variant:
    """One column of the module's table."""

    filters: tuple[int, ...] = (96, 256, 384, 384, 256)
    first_kernel: int = 11
    first_stride: int = 4
    groups: int = 1
    hidden: int = 4096
    normalization: str = "response"
    normalized_hidden: bool = False  # of batch normalisation: fc6 and fc7 too
    convention: str = "paper"
    initialization: str = "paper"
    dropout: float = 0.5
    logits_bias: float = 0.0  # by initialization="code2012"
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
    variant="paper",
    num_classes=1000,
    input_shape=None,
    order="paper",
    normalization=None,
    convention=None,
    initialization=None,
    dropout=None,
    padding=None,
    seed=None,
):
    """Builds one of the nets in the module's table.

    Layers are called conv1, norm1, relu1, pool1, ..., conv5, relu5, pool5, fc6, relu6, dropout6, fc7, relu7, dropout7
    and fc8. Under a policy of mixed precision the logits are float32.

    Args:
        variant: "paper", "ungrouped", "owt", "bn" or "small".
        num_classes: Number of classes, at least 2.
        input_shape: (height, width, channels); none means the variant's default. The nets of 11 x 11 kernels need at
            least 64 pixels a side, "small" 32.
        order: "paper" or "code2012"; the latter only with response normalisation.
        normalization: "response", "batch" or "none"; none at all means what the variant has.
        convention: Of response normalisation, see `LocalResponseNormalization`; none means "cuda_convnet" for the
            variant "owt" and for the order "code2012", else "paper".
        initialization: "paper", "code2012" or "he"; none means what the variant has.
        dropout: Share of the OUTPUTS of fc6 and fc7 left out while training, in [0, 1); none means what the variant
            has. The outputs kept are divided by 1 - dropout, which is the paper's halving at test time.
        padding: Zeros on every side of the image. None means those, right and below only, that complete conv1's last
            window, as in the code of 2012: three for 224 x 224, none for 227 x 227, both giving 55 x 55.
        seed: Integer that decides initial weights and dropout; none means random ones.

    Returns:
        A functional `keras.Model`: images (batch, height, width, channels), floats of 0 to 255 with the mean of the
        training images subtracted, to logits (batch, num_classes).

    Raises:
        ValueError: An unknown choice, a number out of range, or an input that is too small for the variant.
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
    """Puts layers on top of each other, once it has checked what they are to be."""

    net: _Variant
    order: str
    normalization: str
    convention: str
    initialization: str
    dropout: float
    seed: int | None

    def __post_init__(self):
        check_choice("order", self.order, ORDERS)
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_choice("convention", self.convention, CONVENTIONS)
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1. Received: dropout={self.dropout}")
        if self.order == "code2012" and self.normalization != "response":
            raise ValueError(
                'order="code2012" is an order of response normalisation. Pass normalization="response", or '
                f'order="paper". Received: normalization="{self.normalization}"'
            )

    def logits(self, x, padding, num_classes):
        """The whole net on top of images."""
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

    def _convolution(self, x, number):
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

    def _steps(self, number):
        """What lies between one convolution and the next."""
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

    def _hidden(self, x, number):
        name = f"fc{number}"
        normalized = self.normalization == "batch" and self.net.normalized_hidden
        options = self._initializers(name, x.shape[-1])
        x = layers.Dense(self.net.hidden, use_bias=not normalized, name=name, **options)(x)
        if normalized:
            x = self._batch_normalization(number)(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if not self.dropout:
            return x
        return layers.Dropout(self.dropout, seed=self._seed(f"dropout{number}"), name=f"dropout{number}")(x)

    def _batch_normalization(self, number):
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{number}")

    def _initializers(self, name, inputs):
        """Of a layer's kernel and bias."""
        deviation, bias = 0.01, 1.0 if name in _EXCITED else 0.0
        if self.initialization == "he":
            deviation, bias = (2 / inputs) ** 0.5, 0.0
        elif self.initialization == "code2012":
            deviation = 0.03 if name in ("conv3", "conv4", "conv5") else 0.01
            bias = self.net.logits_bias if name == "fc8" else bias
        return {
            "kernel_initializer": keras.initializers.RandomNormal(stddev=deviation, seed=self._seed(name)),
            "bias_initializer": keras.initializers.Constant(bias),
        }

    def _seed(self, use):
        """A seed of its own for every use, so that no two random streams are the same."""
        return None if self.seed is None else zlib.crc32(f"{self.seed} {use}".encode()) >> 1


def _zeros(net, size, padding):
    """Zeros (before, after) an image's side of `size` pixels."""
    if padding is not None:
        return padding, padding
    return 0, -(size - net.first_kernel) % net.first_stride if size > net.first_kernel else net.first_kernel - size


def _pooled_side(net, size, padding):
    """Height or width of pool5's output."""
    side = (size + sum(_zeros(net, size, padding)) - net.first_kernel) // net.first_stride + 1
    for _ in _POOLED:
        side = (side - 3) // 2 + 1
    return side


def _checked_shape(net, variant, input_shape, padding):
    """Input shape as a tuple; raises where conv5's pooling would have nothing left."""
    shape = tuple(input_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: input_shape={input_shape}")
    if min(_pooled_side(net, size, padding) for size in shape[:2]) < 1:
        least = next(size for size in range(1, 1000) if _pooled_side(net, size, padding) >= 1)
        other = "" if variant == "small" else ', or variant="small" for small images'
        raise ValueError(
            f'The variant "{variant}" needs images of at least {least} x {least} pixels. Pass larger ones{other}. '
            f"Received: input_shape={shape}"
        )
    return shape
