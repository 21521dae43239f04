"""Both normalisations against definitions in NumPy loops, values and gradients."""

import keras
import numpy as np
import pytest

from models.alexnet.local_response_normalization import CONVENTIONS, LocalResponseNormalization
from models.alexnet.within_map_normalization import WithinMapNormalization

FACTORS = {"paper": (2, 1.0), "cuda_convnet": (2, 1 / 5), "caffe": (1, 1 / 5)}  # k, what multiplies alpha


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def activations(channels=7, size=3, seed=0):
    return 30 * np.random.default_rng(seed).normal(size=(2, size, size, channels))


def across_maps(x, size=5, k=2.0, alpha=1e-4, beta=0.75):
    """The definition, map by map."""
    result = np.empty_like(x)
    for i in range(x.shape[-1]):
        window = x[..., max(0, i - size // 2) : i + (size - 1) // 2 + 1]
        result[..., i] = x[..., i] / (k + alpha * (window**2).sum(-1)) ** beta
    return result


def within_maps(x, size=5, k=1.0, alpha=1e-3, beta=0.75):
    result, reach = np.empty_like(x), size // 2
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            window = x[:, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            result[:, i, j] = x[:, i, j] / (k + alpha * (window**2).sum((1, 2)) / size**2) ** beta
    return result


def derivative(function, x, weights, step=1e-4):
    """Of the weighted sum of `function(x)`, by central differences."""
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            ends.append((weights * function(moved)).sum())
        result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


def gradient(layer, x, weights):
    """Of the weighted sum of `layer(x)`, as the backend differentiates."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda x: keras.ops.sum(weights * layer(x)))(keras.ops.convert_to_tensor(x))
    if keras.backend.backend() == "torch":
        x = keras.ops.convert_to_tensor(x).requires_grad_()
        keras.ops.sum(keras.ops.convert_to_tensor(weights) * layer(x)).backward()
        return x.grad
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(weights * layer(x))
    return tape.gradient(total, x)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_values_and_gradient_follow_the_definition(convention):
    k, factor = FACTORS[convention]
    alpha = 0.02  # large enough for the three to differ
    layer, x = LocalResponseNormalization(alpha=alpha, convention=convention, dtype="float64"), activations()
    np.testing.assert_allclose(numbers(layer(x)), across_maps(x, k=k, alpha=alpha * factor), rtol=1e-12)
    weights = np.random.default_rng(1).normal(size=x.shape)
    wanted = derivative(lambda x: across_maps(x, k=k, alpha=alpha * factor), x, weights)
    np.testing.assert_allclose(numbers(gradient(layer, x, weights)), wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beta", [0.5, 0.6, 0.75, 1.0])
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_any_size_and_exponent(size, beta):
    layer, x = LocalResponseNormalization(size, 3, 0.1, beta, dtype="float64"), activations()
    np.testing.assert_allclose(numbers(layer(x)), across_maps(x, size, 3, 0.1, beta), rtol=1e-12)


def test_the_papers_convention_is_tensorflows_operation():
    tf = pytest.importorskip("tensorflow")
    x = activations().astype("float32")
    wanted = tf.nn.local_response_normalization(x, 2, 2.0, 1e-4, 0.75)
    np.testing.assert_allclose(LocalResponseNormalization()(x), wanted, rtol=1e-5)


def test_groups_do_not_see_each_other():
    x = activations(8)
    halves = [across_maps(x[..., :4], alpha=0.1), across_maps(x[..., 4:], alpha=0.1)]
    found = LocalResponseNormalization(alpha=0.1, groups=2, dtype="float64")(x)
    np.testing.assert_allclose(numbers(found), np.concatenate(halves, -1), rtol=1e-12)


def test_within_maps_values_and_gradient_follow_the_definition():
    x = activations(2, size=6)
    layer = WithinMapNormalization(alpha=0.5, dtype="float64")
    np.testing.assert_allclose(numbers(layer(x)), within_maps(x, alpha=0.5), rtol=1e-12)
    weights = np.random.default_rng(1).normal(size=x.shape)
    wanted = derivative(lambda x: within_maps(x, alpha=0.5), x, weights)
    np.testing.assert_allclose(numbers(gradient(layer, x, weights)), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("layer", [LocalResponseNormalization, WithinMapNormalization])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_does_not_overflow(layer, policy):
    x = np.full((1, 2, 2, 6), 3000.0)
    found = layer(dtype=policy)(x)
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numbers(keras.ops.cast(found, "float32")), numbers(layer()(x)), rtol=1e-2)


def test_shape_and_configuration_survive():
    layer = LocalResponseNormalization(4, 1.5, 0.1, 0.6, "caffe", 2)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    assert layer(keras.Input((5, 5, 6))).shape == (None, 5, 5, 6)
    within = WithinMapNormalization(3, 1.5, 0.1, 0.6)
    assert keras.layers.deserialize(keras.layers.serialize(within)).get_config() == within.get_config()
    assert within(keras.Input((None, None, 6))).shape == (None, None, None, 6)


@pytest.mark.parametrize(
    "arguments", [{"convention": "torch"}, {"size": 0}, {"k": 0.0}, {"alpha": -1.0}, {"groups": 0}, {"size": 2.5}]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        LocalResponseNormalization(**arguments)


def test_channels_must_fit_the_groups():
    with pytest.raises(ValueError, match="5 channels cannot be divided into 2 equal groups"):
        LocalResponseNormalization(groups=2)(np.zeros((1, 5)))


@pytest.mark.parametrize("arguments", [{"size": 4}, {"size": 0}, {"k": 0.0}, {"alpha": -1.0}])
def test_wrong_arguments_within_maps_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        WithinMapNormalization(**arguments)
