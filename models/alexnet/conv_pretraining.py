"""Convolution kernels from patches: every layer's filters are those of an RBM trained on what the layer sees.

A receptive field of a `Conv2D`, flattened, is a patch: of kernel height x kernel width x channels of one group. Per
group of the layer, bottom up, `models.alexnet.patch_filters` learns the filters; this module holds layers, images and
activations.
"""

import zlib

import keras
import numpy as np

from models.alexnet.patch_filters import REGULARIZATION, learn_filters
from models.fitting.closed_form import check_count

IMAGES_AT_ONCE = 64  # whose activations are in memory: 74 MB for the 55 x 55 x 96 of AlexNet's first layer


def pretrain_convolutions(
    model,
    images,
    layers=None,
    patches=20_000,
    config=None,
    contrast="full",
    regularization=REGULARIZATION,
    deviation=1.0,
    seed=None,
    verbose=0,
):
    """Initialises the convolution kernels and biases of a model, layer by layer, by RBMs trained on patches.

    Every layer sees the activations that the layers below it, already initialised, give in inference. Images are read
    in passes, some 64 at a time; memory holds the patches of one layer, not the images.

    Args:
        model: A functional or sequential `keras.Model` of one input. Its `Conv2D` layers may have strides, padding,
            dilation and groups; anything may lie between them.
        images: What the model takes: an array (images, height, width, channels), or batches that can be iterated again
            and again, such as a tf.data.Dataset of images or (images, labels), in random order. As many as seem
            enough: each layer reads them once for its deviation and samples patches from the first ones.
        layers: Names of the layers to initialise; none means every `Conv2D`.
        patches: Patches per layer, at least 2.
        config: An `RBMConfig`, as in `models.alexnet.patch_filters.learn_filters`; None means one that fits the size of
            each RBM. Some 1,000 updates, of 100 patches each, are needed: in fewer, sparsity lowers the biases before
            the filters have grown, and a layer of rectified units gives hardly anything.
        contrast: As there: "full", "mean" or None.
        regularization: As there.
        deviation: Standard deviation that each layer's output, before its activation, is scaled to, over all images,
            positions and filters; kernel and bias are multiplied by one number. None leaves the RBM's scale.
        seed: Decides patches, initial weights, sampling and order; none means random ones.
        verbose: As in `fit`.

    Returns:
        A dictionary from the layer's name to a list of `PatchFilters`, one for each group.

    Raises:
        ValueError: A model or layer that this cannot work on, images that can be read only once or do not exist, a
            machine that diverges, or a layer whose output is constant.
    """
    learned = {}
    for layer in _convolutions(model, layers):
        fields = sample_patches(model, layer, images, patches, _seed(seed, f"patches {layer.name}"))
        fields = fields.reshape(*fields.shape[:3], layer.groups, -1)
        learned[layer.name] = [
            learn_filters(
                fields[..., group, :].reshape(len(fields), -1),
                layer.filters // layer.groups,
                config,
                contrast,
                regularization,
                _seed(seed, f"rbm {layer.name} {group}"),
                layer.variable_dtype,
                verbose,
            )
            for group in range(layer.groups)
        ]
        _assign(layer, learned[layer.name])
        if deviation is not None:
            _scale_output(model, layer, images, deviation)
    return learned


def sample_patches(model, layer, images, patches, seed=None, per_image=10):
    """Receptive fields of a convolution at random positions of random images, padding included.

    Args:
        model: The model that the layer belongs to; the layers below it, in inference, make what it sees.
        layer: The `Conv2D`.
        images: As in `pretrain_convolutions`. Passes over them are made until there are enough patches; large data
            sets are read only as far as needed, so they should come in random order.
        patches: Number of patches, at least 2.
        seed: Decides positions and, for an array, the images.
        per_image: Patches per image and pass.

    Returns:
        Shape (patches, kernel height, kernel width, channels of all groups).

    Raises:
        ValueError: No images.
    """
    check_count("patches", patches, least=2)
    random, below = np.random.default_rng(seed), _below(model, layer)
    found, count = [], 0
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
            raise ValueError("There are no images to sample patches from. Pass at least one.")
    return np.concatenate(found)


# Of layers and images --------------------------------------------------------------------------------------------


def _convolutions(model, names):
    """The `Conv2D` layers of these names (all, for none) in the model's order, bottom up."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None) or len(model.inputs) != 1:
        raise ValueError(f"Expected a functional or built sequential model of one input. Received: {model!r}")
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    unknown = set(names or ()) - {layer.name for layer in found}
    if unknown or not found:
        raise ValueError(
            f"`layers` must name `Conv2D` layers of the model, which has "
            f"{', '.join(layer.name for layer in found) or 'none'}. Received: layers={names}"
        )
    found = [layer for layer in found if names is None or layer.name in names]
    for layer in found:
        if layer.data_format != "channels_last":
            raise ValueError(f'Expected data_format="channels_last". Received: {layer.data_format} in {layer.name}')
    return found


def _below(model, layer):
    """The model up to the layer's input, as a function of a batch, compiled once."""
    return _compiled(keras.Model(model.inputs[0], layer.input))


def _outputs(model, layer):
    """The model up to the layer's output before its activation, as a function of a batch, compiled once."""
    bare = type(layer).from_config(layer.get_config() | {"activation": None})
    outputs = keras.Model(model.inputs[0], bare(layer.input))
    bare.set_weights(layer.get_weights())
    return _compiled(outputs)


def _compiled(model):
    # Outside of a graph, TensorFlow's grouped convolutions would be compiled anew by XLA at every call.
    model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    return model.predict_on_batch


def _batches(images, random=None):
    """Images in batches of at most `IMAGES_AT_ONCE`, once through; an array's in random order, given a generator."""
    if hasattr(images, "shape"):
        order = np.arange(len(images)) if random is None else random.permutation(len(images))
        for start in range(0, len(order), IMAGES_AT_ONCE):
            yield np.asarray(images[np.sort(order[start : start + IMAGES_AT_ONCE])], "float32")
        return
    if iter(images) is images:
        raise ValueError(
            "Images are read several times, and an iterator can be read only once. Pass an array, a list of batches or "
            f"a dataset. Received: {type(images).__name__}"
        )
    for element in images:
        batch = element[0] if isinstance(element, (tuple, list)) else element
        for start in range(0, len(batch), IMAGES_AT_ONCE):
            yield np.asarray(batch[start : start + IMAGES_AT_ONCE], "float32")


def _padded(activations, layer):
    """Activations (images, height, width, channels) with the zeros that `padding="same"` puts around them."""
    if layer.padding == "valid":
        return activations
    around = [(0, 0)]
    for size, kernel, stride, rate in _axes(activations, layer):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size, 0)
        around.append((total // 2, total - total // 2))
    return np.pad(activations, [*around, (0, 0)])


def _random_fields(activations, layer, random, per_image):
    """Receptive fields at random outputs of the layer: (images x per_image, kernel height, kernel width, channels)."""
    image = np.repeat(np.arange(len(activations)), per_image)[:, None, None]
    places = []
    for size, kernel, stride, rate in _axes(activations, layer):
        outputs = (size - (kernel - 1) * rate - 1) // stride + 1
        start = random.integers(0, outputs, len(image)) * stride
        places.append(start[:, None] + rate * np.arange(kernel))
    return activations[image, places[0][:, :, None], places[1][:, None, :]]


def _axes(activations, layer):
    """Size, kernel size, stride and dilation of both axes."""
    return zip(activations.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)


def _assign(layer, groups):
    """Writes what was learned into kernel and bias; a layer without bias, before a normalisation, needs none."""
    kernels, biases = zip(*(filters.fold() for filters in groups), strict=True)
    layer.kernel.assign(np.concatenate(kernels, axis=1).reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(np.concatenate(biases))


def _scale_output(model, layer, images, deviation):
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
            f"The outputs of {layer.name} are constant over all images, no factor gives them a deviation: its input is "
            "flat. Pass images with contrast or, when layers below give nothing but zeros, train those longer."
        )
    factor = deviation / np.sqrt(variance)
    for variable in layer.trainable_variables:
        variable.assign(variable.numpy() * factor)


def _seed(seed, use):
    """A seed of its own for every use, so that no two random streams are the same."""
    return None if seed is None else zlib.crc32(f"{seed} {use}".encode()) >> 1
