"""Loading of an AlexNet's weights from files: Keras' own formats, or arrays in torchvision's layout."""

import warnings
from pathlib import Path

import keras
import numpy as np

_TORCHVISION = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def load_weights(model: keras.Model, path: str | Path) -> list[str]:
    """Loads weights into a model built by `models.alexnet.alexnet`.

    | file | required content |
    |---|---|
    | `.weights.h5`, `.keras` | output of `save_weights` or `save` of a model of the same variant |
    | `.npz` | torchvision's names: features.0, .3, .6, .8, .10 and classifier.1, .4, .6, each .weight and .bias |

    In an `.npz`, kernels of convolutions are (out, in, height, width), those of `classifier` (out, in), and the inputs
    of classifier.1 are ordered channel, row, column; all are transposed here. The layout supports every variant without
    batch normalisation, including those with groups. torchvision's own weights are for

        alexnet("owt", input_shape=(224, 224, 3), normalization="none", padding=2)

    which computes exactly the same as torchvision; they require RGB in [0, 1], minus (0.485, 0.456, 0.406), divided by
    (0.229, 0.224, 0.225). `np.savez(path, **{key: value.numpy() for key, value in net.state_dict().items()})` writes
    the file.

    If fc8 has another number of classes in the file, the model keeps its own fc8. If anything else does not fit, the
    model is not changed.

    Args:
        model: The model. The state of its optimizer, if any, is not loaded.
        path: File ending in `.weights.h5`, `.keras` or `.npz`.

    Returns:
        Names of the layers that kept their weights: [] or ["fc8"].

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is of another kind or cannot be read, or its weights do not fit the model.
    """
    path = Path(path)
    if not path.name.endswith((".weights.h5", ".keras", ".npz")):
        raise ValueError(f"weights must be a .weights.h5, .keras or .npz file; received {path.name}")
    if not path.is_file():
        raise FileNotFoundError(f"the file of weights {path} does not exist")
    if {layer.name for layer in model.layers}.isdisjoint(_TORCHVISION):
        raise ValueError(f'the model "{model.name}" has no layers conv1 to fc8; build it with models.alexnet.alexnet')
    return _load_arrays(model, path) if path.suffix == ".npz" else _load_keras(model, path)


# Keras -----------------------------------------------------------------------------------------------------------


def _load_keras(model: keras.Model, path: Path) -> list[str]:
    """Loads matching weights. All weights are NaN before; those that are NaN afterwards did not match."""
    weighted = [layer for layer in model.layers if layer.weights]
    before = {layer.name: layer.get_weights() for layer in weighted}
    try:
        for layer in weighted:
            layer.set_weights([np.full_like(value, np.nan) for value in before[layer.name]])
        _read_keras(model, path)
        kept = [layer.name for layer in weighted if any(np.isnan(value).all() for value in layer.get_weights())]
        if set(kept) - {"fc8"}:
            raise ValueError(
                f"{path.name} does not fit the model in {', '.join(kept)}; load weights of the same variant"
            )
    except BaseException:
        for layer in weighted:
            layer.set_weights(before[layer.name])
        raise
    for name in kept:
        model.get_layer(name).set_weights(before[name])
    return kept


def _read_keras(model: keras.Model, path: Path) -> None:
    with warnings.catch_warnings():
        # Keras warns of layers that it skips; `_load_keras` finds them.
        warnings.filterwarnings("ignore", "A total of .* objects could not be loaded|Skipping nested container at")
        try:
            model.load_weights(path, skip_mismatch=True)
        except Exception as error:
            raise ValueError(f"cannot read {path.name} as a file of Keras: {error}") from error


# torchvision -----------------------------------------------------------------------------------------------------


def _load_arrays(model: keras.Model, path: Path) -> list[str]:
    arrays = _read_arrays(path)
    names = {f"{theirs}.{kind}" for theirs in _TORCHVISION.values() for kind in ("weight", "bias")}
    for problem, keys in (("lacks", names - arrays.keys()), ("has the unknown", arrays.keys() - names)):
        if keys:
            raise ValueError(
                f"{path.name} {problem} {', '.join(sorted(keys))}; store the arrays in torchvision's layout"
            )
    new: dict[str, list[np.ndarray]] = {}
    kept = []
    for name, theirs in _TORCHVISION.items():
        layer = model.get_layer(name)
        if not layer.use_bias:
            raise ValueError(f"{path.name} has biases, which {name} lacks because of batch normalisation")
        weight, bias = arrays[f"{theirs}.weight"], arrays[f"{theirs}.bias"]
        if name == "fc8" and bias.shape != layer.bias.shape and weight.shape[1:] == layer.kernel.shape[:1]:
            kept.append(name)
            continue
        kernel = _kernel(weight, model, name)
        if kernel is None or bias.shape != layer.bias.shape:
            raise ValueError(
                f"{theirs} of {path.name}, weight {weight.shape} and bias {bias.shape}, does not fit {name}, kernel "
                f"{tuple(layer.kernel.shape)}"
            )
        new[name] = [kernel, bias]
    for name, weights in new.items():
        model.get_layer(name).set_weights(weights)
    return kept


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(file)
    except Exception as error:
        raise ValueError(f"cannot read {path.name} as arrays of NumPy: {error}") from error


def _kernel(weight: np.ndarray, model: keras.Model, name: str) -> np.ndarray | None:
    """Returns the array in Keras' layout, or None if its shape does not fit."""
    wanted = tuple(model.get_layer(name).kernel.shape)
    if weight.ndim != len(wanted) or weight.size != np.prod(wanted):
        return None
    if name == "fc6":
        height, width, channels = model.get_layer("pool5").output.shape[1:]
        if weight.shape[1] == height * width * channels:
            weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    kernel = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
    return kernel if kernel.shape == wanted else None
