"""Pretraining of convolution kernels: every layer's filters are those of an RBM trained on patches of its input.

A patch is the flattened receptive field of a `Conv2D`: kernel height x kernel width x channels of one group. For each
group of a layer, bottom up, `models.alexnet.patch_filters` learns the filters; this module handles layers, images and
activations.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from models.alexnet.patch_filters import REGULARIZATION, PatchFilters, learn_filters
from models.checks import check_count
from models.config import RBMConfig
from models.seeds import derived_seed
from models.types import Dataset

IMAGES_AT_ONCE = 64  # per pass through the model: 74 MB of 55 x 55 x 96 activations of AlexNet's first layer


def pretrain_convolutions(
    model: keras.Model,
    images: Dataset,
    layers: Collection[str] | None = None,
    patches: int = 20_000,
    config: RBMConfig | None = None,
    contrast: str | None = "full",
    regularization: float = REGULARIZATION,
    deviation: float | None = 1.0,
    seed: int | None = None,
    verbose: Any = 0,
) -> dict[str, list[PatchFilters]]:
    """Initialises the convolution kernels and biases of a model, layer by layer, by RBMs trained on patches.

    The input of every layer consists of the activations, in inference, of the already initialised layers below it.
    Images are read in passes, some 64 at a time; memory holds the patches of one layer, not the images.

    Args:
        model: A functional or sequential `keras.Model` with one input. Its `Conv2D` layers may have strides, padding,
            dilation and groups; any layers may be between them.
        images: Input of the model: an array (images, height, width, channels), or batches that can be iterated
            repeatedly, such as a tf.data.Dataset of images or (images, labels), in random order. Each layer reads all
            images once for its deviation and samples patches from the first ones.
        layers: Names of the layers to initialise; None means every `Conv2D`.
        patches: Number of patches per layer, at least 2.
        config: Training of the RBMs; None means a configuration that fits the size of each RBM, see
            `models.alexnet.patch_filters.patch_config`. Some 1,000 updates, of 100 patches each, are needed: in fewer,
            sparsity lowers the biases before the filters have grown, and a layer of rectified units outputs almost
            only zeros.
        contrast: Normalisation of the patches, "full", "mean" or None, see `learn_filters`.
        regularization: Regularization of the whitening, see `learn_filters`.
        deviation: Standard deviation that each layer's output, before its activation, is scaled to, over all images,
            positions and filters; kernel and bias are multiplied by one number. None keeps the RBM's scale.
        seed: Integer that determines patches, initial weights, sampling and order; None means a random one.
        verbose: Verbosity as in `fit`.

    Returns:
        A dictionary from the layer's name to a list of `PatchFilters`, one for each group.

    Raises:
        ValueError: The model or a layer is not supported, there are no images or they can be read only once, an RBM
            diverges, or the output of a layer is constant.
    """
    learned = {}
    for layer in _convolutions(model, layers):
        fields = sample_patches(model, layer, images, patches, derived_seed(seed, f"patches {layer.name}"))
        fields = fields.reshape(*fields.shape[:3], layer.groups, -1)
        learned[layer.name] = [
            learn_filters(
                fields[..., group, :].reshape(len(fields), -1),
                layer.filters // layer.groups,
                config,
                contrast,
                regularization,
                derived_seed(seed, f"rbm {layer.name} {group}"),
                layer.variable_dtype,
                verbose,
            )
            for group in range(layer.groups)
        ]
        _assign(layer, learned[layer.name])
        if deviation is not None:
            _scale_output(model, layer, images, deviation)
    return learned


def sample_patches(
    model: keras.Model,
    layer: keras.layers.Conv2D,
    images: Dataset,
    patches: int,
    seed: int | None = None,
    per_image: int = 10,
) -> np.ndarray:
    """Samples receptive fields of a convolution at random positions of random images, padding included.

    Args:
        model: Model of the layer; the layers below it, in inference, compute its input.
        layer: The `Conv2D`.
        images: Images as in `pretrain_convolutions`. They are read repeatedly until there are enough patches; large
            data sets are read only as far as needed, so they should come in random order.
        patches: Number of patches, at least 2.
        seed: Integer that determines positions and, for an array, the images; None means a random one.
        per_image: Number of patches per image and pass.

    Returns:
        Shape (patches, kernel height, kernel width, channels of all groups).

    Raises:
        ValueError: There are no images.
    """
    check_count("patches", patches, least=2)
    random, below = np.random.default_rng(seed), _below(model, layer)
    found: list[np.ndarray] = []
    count = 0
    while count < patches:
        before = count
        for batch in _batches(images, random):
            activations = _padded(below(batch), layer)
            fields = _random_fields(activations, layer, random, per_image)[: patches - count]
            found.append(fields)
            count += len(fields)
            if count >= patches:
                break
        if count == before:
            raise ValueError("there are no images to sample patches from; pass at least one")
    return np.concatenate(found)


# Layers and images -----------------------------------------------------------------------------------------------


def _convolutions(model: keras.Model, names: Collection[str] | None) -> list[keras.layers.Conv2D]:
    """Returns the `Conv2D` layers of these names (None for all) in the model's order, bottom up."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None) or len(model.inputs) != 1:
        raise ValueError(f"expected a functional or built sequential model of one input; received {model!r}")
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    unknown = set(names or ()) - {layer.name for layer in found}
    if unknown or not found:
        raise ValueError(
            f"`layers` must name `Conv2D` layers of the model, which has "
            f"{', '.join(layer.name for layer in found) or 'none'}; received layers={names}"
        )
    found = [layer for layer in found if names is None or layer.name in names]
    for layer in found:
        if layer.data_format != "channels_last":
            raise ValueError(f'expected data_format="channels_last"; received {layer.data_format} in {layer.name}')
    return found


def _below(model: keras.Model, layer: keras.layers.Conv2D) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the model up to the layer's input, as a function of a batch, compiled once."""
    return _compiled(keras.Model(model.inputs[0], layer.input))


def _outputs(model: keras.Model, layer: keras.layers.Conv2D) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the model up to the layer's output before its activation, as a function of a batch, compiled once."""
    bare = type(layer).from_config(layer.get_config() | {"activation": None})
    outputs = keras.Model(model.inputs[0], bare(layer.input))
    bare.set_weights(layer.get_weights())
    return _compiled(outputs)


def _compiled(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    # Outside of a graph, XLA would compile TensorFlow's grouped convolutions again at every call.
    model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    return model.predict_on_batch


def _batches(images: Dataset, random: np.random.Generator | None = None) -> Iterator[np.ndarray]:
    """Iterates once over batches of at most `IMAGES_AT_ONCE` images; an array's in random order, given a generator."""
    if hasattr(images, "shape"):
        order = np.arange(len(images)) if random is None else random.permutation(len(images))
        for start in range(0, len(order), IMAGES_AT_ONCE):
            yield np.asarray(images[np.sort(order[start : start + IMAGES_AT_ONCE])], "float32")
        return
    if iter(images) is images:
        raise ValueError(
            "images are read several times, but an iterator can be read only once; pass an array, a list of batches or "
            f"a dataset; received {type(images).__name__}"
        )
    for element in images:
        batch = element[0] if isinstance(element, (tuple, list)) else element
        for start in range(0, len(batch), IMAGES_AT_ONCE):
            yield np.asarray(batch[start : start + IMAGES_AT_ONCE], "float32")


def _padded(activations: np.ndarray, layer: keras.layers.Conv2D) -> np.ndarray:
    """Adds the zeros of `padding="same"` around activations (images, height, width, channels)."""
    if layer.padding == "valid":
        return activations
    around = [(0, 0)]
    for size, kernel, stride, rate in _axes(activations, layer):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size, 0)
        around.append((total // 2, total - total // 2))
    return np.pad(activations, [*around, (0, 0)])


def _random_fields(
    activations: np.ndarray, layer: keras.layers.Conv2D, random: np.random.Generator, per_image: int
) -> np.ndarray:
    """Returns receptive fields at random outputs: (images x per_image, kernel height, kernel width, channels)."""
    image = np.repeat(np.arange(len(activations)), per_image)[:, None, None]
    places = []
    for size, kernel, stride, rate in _axes(activations, layer):
        outputs = (size - (kernel - 1) * rate - 1) // stride + 1
        start = random.integers(0, outputs, len(image)) * stride
        places.append(start[:, None] + rate * np.arange(kernel))
    return activations[image, places[0][:, :, None], places[1][:, None, :]]


def _axes(activations: np.ndarray, layer: keras.layers.Conv2D) -> Iterator[tuple[int, int, int, int]]:
    """Returns size, kernel size, stride and dilation of both axes."""
    return zip(activations.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)


def _assign(layer: keras.layers.Conv2D, groups: Sequence[PatchFilters]) -> None:
    """Assigns the filters to the kernel, and to the bias unless a normalisation follows that makes it redundant."""
    kernels, biases = zip(*(filters.fold() for filters in groups), strict=True)
    layer.kernel.assign(np.concatenate(kernels, axis=1).reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(np.concatenate(biases))


def _scale_output(model: keras.Model, layer: keras.layers.Conv2D, images: Dataset, deviation: float) -> None:
    """Multiplies kernel and bias by the number that gives the output, before the activation, the wanted deviation."""
    outputs_of, count, total, squares = _outputs(model, layer), 0, 0.0, 0.0
    for batch in _batches(images):
        outputs = outputs_of(batch).astype("float64")
        count += outputs.size
        total += outputs.sum()
        squares += np.square(outputs).sum()
    variance = squares / count - (total / count) ** 2
    if not variance > 1e-12 * squares / count:
        raise ValueError(
            f"the outputs of {layer.name} are constant over all images, so no factor gives them a deviation: its input "
            "is flat; pass images with contrast or, if layers below output only zeros, train those longer"
        )
    factor = deviation / np.sqrt(variance)
    for variable in layer.trainable_variables:
        variable.assign(variable.numpy() * factor)
