"""Weights from files, against torchvision's forward pass written out in NumPy."""

import keras
import numpy as np
import pytest

from models.alexnet import alexnet
from models.alexnet.weights import load_weights

CONVOLUTIONS = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}  # stride and padding of "features.N"


def make(variant="small", classes=3, **options):
    options = {"normalization": "none", "seed": 1} | options
    return alexnet(variant, classes, **options)


def torchvision_arrays(model, seed=0):
    """Random arrays in torchvision's layout that fit a model."""
    random, arrays = np.random.default_rng(seed), {}
    names = [f"features.{n}" for n in CONVOLUTIONS] + [f"classifier.{n}" for n in (1, 4, 6)]
    ours = [f"conv{n}" for n in range(1, 6)] + ["fc6", "fc7", "fc8"]
    for theirs, name in zip(names, ours, strict=True):
        shape = model.get_layer(name).kernel.shape
        shape = (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape[::-1]
        deviation = (2 / np.prod(shape[1:])) ** 0.5
        arrays[f"{theirs}.weight"] = deviation * random.standard_normal(shape, dtype="float32")
        arrays[f"{theirs}.bias"] = 0.1 * random.standard_normal(shape[0], dtype="float32")
    return arrays


def windows(x, size, stride):
    """(batch, channels, rows, columns, size, size)."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]


def torchvision_forward(x, arrays):
    """torchvision's AlexNet in inference: images (batch, channels, height, width) to logits."""
    for number, (stride, padding) in CONVOLUTIONS.items():
        weight, bias = arrays[f"features.{number}.weight"], arrays[f"features.{number}.bias"]
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        x = np.tensordot(windows(x, weight.shape[2], stride), weight, ((1, 4, 5), (1, 2, 3)))
        x = np.maximum(x + bias, 0).transpose(0, 3, 1, 2)
        if number in (0, 3, 10):
            x = windows(x, 3, 2).max((4, 5))
    x = x.reshape(len(x), -1)  # of 224 x 224 pixels, 6 x 6 are left, and its adaptive pooling to 6 x 6 does nothing
    for number in (1, 4, 6):
        x = x @ arrays[f"classifier.{number}.weight"].T + arrays[f"classifier.{number}.bias"]
        x = np.maximum(x, 0) if number != 6 else x
    return x


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def save(path, arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.lengthy
def test_torchvisions_net_is_computed_exactly(tmp_path):
    # Of 96 x 96 pixels, 2 x 2 are left for fc6: enough for the order of its inputs, and much faster than 224 x 224.
    model = make("owt", 5, input_shape=(96, 96, 3), padding=2)
    arrays = torchvision_arrays(model)
    assert load_weights(model, save(tmp_path / "torchvision.npz", arrays)) == []
    images = np.random.default_rng(1).standard_normal((2, 96, 96, 3), dtype="float32")
    wanted = torchvision_forward(images.transpose(0, 3, 1, 2), arrays)
    np.testing.assert_allclose(numbers(model(images)), wanted, rtol=1e-3, atol=1e-4)


def test_another_number_of_classes_leaves_fc8_as_it_was(tmp_path):
    model, fresh = make(classes=4), make(classes=4)
    path = save(tmp_path / "small.npz", torchvision_arrays(make(classes=3)))
    assert load_weights(model, path) == ["fc8"]
    np.testing.assert_array_equal(numbers(model.get_layer("fc8").kernel), numbers(fresh.get_layer("fc8").kernel))
    assert np.abs(numbers(model.get_layer("fc7").kernel) - numbers(fresh.get_layer("fc7").kernel)).max() > 0


@pytest.mark.lengthy
@pytest.mark.parametrize("name", ["net.weights.h5", "net.keras"])
def test_files_of_keras(tmp_path, name):
    source = make(normalization="batch")
    source.get_layer("norm1").moving_mean.assign(np.full(32, 7.0))
    (source.save_weights if name.endswith("h5") else source.save)(tmp_path / name)
    model = make(normalization="batch", seed=2)
    assert load_weights(model, tmp_path / name) == []
    for ours, theirs in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model = make(normalization="batch", seed=2, classes=7)
    before = numbers(model.get_layer("fc8").kernel)
    assert load_weights(model, tmp_path / name) == ["fc8"]
    np.testing.assert_array_equal(numbers(model.get_layer("fc8").kernel), before)
    np.testing.assert_array_equal(numbers(model.get_layer("fc7").kernel), numbers(source.get_layer("fc7").kernel))


def refused(model, path, message, kind=ValueError):
    """The error is clear and the model is what it was."""
    before = model.get_weights()
    with pytest.raises(kind, match=message):
        load_weights(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_does_not_fit_is_refused(tmp_path):
    model = make()
    arrays = torchvision_arrays(model)
    refused(model, tmp_path / "no.npz", "the file of weights .* does not exist", FileNotFoundError)
    refused(model, tmp_path / "net.pth", "must be a .weights.h5, .keras or .npz file")
    fewer = {key: value for key, value in arrays.items() if key != "features.6.bias"}
    refused(model, save(tmp_path / "fewer.npz", fewer), "lacks features.6.bias")
    refused(model, save(tmp_path / "more.npz", arrays | {"x": np.ones(1)}), "has the unknown x")
    wrong = arrays | {"features.3.weight": np.ones((64, 32, 3, 3), "float32")}
    refused(model, save(tmp_path / "wrong.npz", wrong), r"features.3 of wrong.npz.* does not fit conv2")
    refused(model, save(tmp_path / "wrong6.npz", arrays | {"classifier.1.weight": np.ones((512, 9))}), "fit fc6")
    refused(make(normalization="batch"), save(tmp_path / "net.npz", arrays), "has biases, which conv1 lacks")
    for name in ("broken.npz", "broken.weights.h5", "broken.keras"):
        (tmp_path / name).write_bytes(b"nothing")
        refused(model, tmp_path / name, f"cannot read {name}")
    make(input_shape=(96, 96, 3)).save_weights(tmp_path / "larger.weights.h5")
    refused(model, tmp_path / "larger.weights.h5", "does not fit the model in fc6; load weights of the same variant")
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    refused(dense, tmp_path / "net.npz", "has no layers conv1 to fc8")
