"""Every kind of unit against the distribution that defines it: sums over its states, or integrals on a grid."""

import keras
import numpy as np
import pytest
from keras import ops

from models.rbm.units import BernoulliUnits, GaussianUnits, NoisyRectifiedUnits, UnitsWithLabel

GRID = np.arange(-16, 16, 0.3)  # the trapezoid rule of a Gaussian of deviation 1 is exact to exp(-2 pi^2 / 0.09)
BIASES = np.array([0.7, -1.1, 0.2])
INPUTS = np.random.default_rng(0).normal(size=(4, 3))
LOG_VARIANCES = np.array([0.3, -0.4, 0.0])


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


def tensor(values):
    return ops.convert_to_tensor(values, dtype="float64")


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gaussian(coupling, learned):
    return GaussianUnits(keras.Variable(LOG_VARIANCES, dtype="float64") if learned else None, coupling)


def density(coupling, learned):
    """Of each unit on the grid, not normalised, shape (rows, units, grid), and s / q^p there."""
    variance = np.exp(LOG_VARIANCES)[:, None] if learned else np.ones((3, 1))
    coupled = GRID / (variance if coupling == "variance" else np.sqrt(variance))
    exponent = -((GRID - BIASES[:, None]) ** 2) / (2 * variance) + INPUTS[..., None] * coupled
    return np.exp(exponent) * (GRID[1] - GRID[0]), coupled


@pytest.fixture(params=[("variance", False), ("variance", True), ("deviation", True)], ids=str)
def options(request):
    return request.param


def test_gaussian_log_sum_and_mean_are_integrals(options):
    weights, _ = density(*options)
    units = gaussian(*options)
    wanted = np.log(weights.sum(-1)).sum(-1)
    np.testing.assert_allclose(numbers(units.log_sum(tensor(INPUTS), tensor(BIASES))), wanted, rtol=1e-12)
    mean = weights @ GRID / weights.sum(-1)
    np.testing.assert_allclose(numbers(units.mean(tensor(INPUTS), tensor(BIASES))), mean, atol=1e-12)


def test_gaussian_self_energy_and_coupled(options):
    units, states = gaussian(*options), np.random.default_rng(1).normal(size=(5, 3))
    variance = np.exp(LOG_VARIANCES) if options[1] else np.ones(3)
    wanted = ((states - BIASES) ** 2 / (2 * variance)).sum(1)
    np.testing.assert_allclose(numbers(units.self_energy(tensor(states), tensor(BIASES))), wanted, rtol=1e-12)
    wanted = states / (variance if options[0] == "variance" else np.sqrt(variance))
    np.testing.assert_allclose(numbers(units.coupled(tensor(states))), wanted, rtol=1e-12)


@pytest.mark.tensorflow
def test_gaussian_statistics_are_the_derivatives_of_the_integral(options):
    """d log sum_s exp(-E) / d parameter is the mean of -dE / d parameter, whatever the parameter."""
    import tensorflow as tf

    weights, coupled = density(*options)
    units, biases, inputs = gaussian(*options), tf.Variable(BIASES), tf.Variable(INPUTS)
    grid = np.broadcast_to(GRID[:, None, None], (len(GRID), 4, 3))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(units.log_sum(inputs, biases))
    sources = [inputs, biases] + ([units.log_variance.value] if options[1] else [])
    found = tape.gradient(total, sources)
    # The biases' statistic leaves b / q out, which data and model have in common.
    statistics = [np.broadcast_to(coupled[:, :], weights.shape[1:]), numbers(units.bias_statistic(tensor(grid)))]
    mean = (weights * statistics[0]).sum(-1) / weights.sum(-1)
    np.testing.assert_allclose(numbers(found[0]), mean, atol=1e-12)
    variance = np.exp(LOG_VARIANCES) if options[1] else np.ones(3)
    mean = np.einsum("ruG,Gru->ru", weights, statistics[1]) / weights.sum(-1) - BIASES / variance
    np.testing.assert_allclose(numbers(found[1]), mean.sum(0), atol=1e-12)
    if options[1]:
        statistic = numbers(units.variance_statistic(tensor(grid), tensor(INPUTS), tensor(BIASES)))
        mean = np.einsum("ruG,Gru->ru", weights, statistic) / weights.sum(-1)
        np.testing.assert_allclose(numbers(found[2]), mean.sum(0), atol=1e-12)


def test_gaussian_samples_have_the_variance(options):
    units, mean = gaussian(*options), np.tile(BIASES, (40_000, 1))
    drawn = numbers(units.sample(tensor(mean), keras.random.SeedGenerator(1)))
    variance = np.exp(LOG_VARIANCES) if options[1] else np.ones(3)
    np.testing.assert_allclose(drawn.mean(0), BIASES, atol=0.03)
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.04)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(3), atol=0.02)


def test_bernoulli_log_sum_and_mean_are_sums_over_two_states():
    exponent = np.stack([np.zeros((4, 3)), INPUTS + BIASES])
    wanted = np.log(np.exp(exponent).sum(0)).sum(-1)
    np.testing.assert_allclose(numbers(BernoulliUnits.log_sum(tensor(INPUTS), tensor(BIASES))), wanted, rtol=1e-12)
    wanted = np.exp(exponent[1]) / np.exp(exponent).sum(0)
    np.testing.assert_allclose(numbers(BernoulliUnits.mean(tensor(INPUTS), tensor(BIASES))), wanted, rtol=1e-12)


# Noisy rectified units: the number of copies that are on, of copies with inputs x - 0.5, x - 1.5, ...

FAR = np.linspace(-30, 30, 601)
COPIES = np.arange(1, 61) - 0.5
ZERO = np.zeros(1)


def rectified(method, x):
    return numbers(getattr(NoisyRectifiedUnits, method)(tensor(x[:, None]), tensor(ZERO)))


def test_rectified_mean_is_near_the_expected_number_of_copies():
    gap = np.abs(rectified("mean", FAR)[:, 0] - sigmoid(FAR[:, None] - COPIES).sum(1))
    assert 0.0104 < gap.max() < 0.0106


def test_rectified_log_sum_is_near_that_of_the_copies():
    gap = np.abs(rectified("log_sum", FAR) - softplus(FAR[:, None] - COPIES).sum(1))
    assert 0.041 < gap.max() < 0.042


def test_rectified_log_sum_is_the_integral_of_the_mean():
    nodes, weights = np.polynomial.legendre.leggauss(40)
    for low, high in ((-40.0, -3.0), (-3.0, 0.5), (0.5, 25.0)):
        edges = np.linspace(low, high, 60)
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + edges[1:, None]) / 2 + half * nodes
        found = np.diff(rectified("log_sum", np.array([low, high])))[0]
        np.testing.assert_allclose(found, (half * weights * softplus(x)).sum(), rtol=1e-13)
    np.testing.assert_allclose(rectified("log_sum", np.array([-40.0])), np.exp(-40.0), rtol=1e-12)
    np.testing.assert_allclose(rectified("log_sum", np.array([0.0])), np.pi**2 / 12, rtol=1e-14)


@pytest.mark.tensorflow
def test_rectified_mean_is_the_derivative_of_log_sum():
    import tensorflow as tf

    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
        x = tf.Variable(FAR[:, None], dtype=dtype)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(NoisyRectifiedUnits.log_sum(x, tf.zeros(1, dtype)))
        wanted = softplus(FAR[:, None])
        np.testing.assert_allclose(numbers(tape.gradient(total, x)), wanted, rtol=tolerance, atol=tolerance)


def test_rectified_self_energy_sums_over_all_sets_of_so_many_copies():
    """The weight of s copies of 60 is the coefficient of z^s in prod_i (1 + z exp(b - i + 0.5))."""
    bias, weights = 0.4, np.ones(1)
    for offset in COPIES:
        weights = np.convolve(weights, [1, np.exp(bias - offset)])
    counts = np.arange(12.0)
    found = NoisyRectifiedUnits.self_energy(tensor(counts[:, None]), tensor([bias]))
    np.testing.assert_allclose(numbers(found), -np.log(weights[:12]), rtol=1e-12, atol=1e-14)


def test_rectified_self_energy_adds_units():
    states, biases = np.array([[0.0, 2.0, 5.0]]), np.array([0.1, -0.2, 0.3])
    alone = [NoisyRectifiedUnits.self_energy(tensor(states[:, [i]]), tensor(biases[[i]])) for i in range(3)]
    found = NoisyRectifiedUnits.self_energy(tensor(states), tensor(biases))
    np.testing.assert_allclose(numbers(found), sum(map(numbers, alone)), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rectified_samples_are_rectified_noise_around_the_input(dtype):
    x = np.array([-20.0, -2.0, 0.0, 1.5, 20.0])
    mean = ops.convert_to_tensor(np.tile(softplus(x), (60_000, 1)), dtype=dtype)
    drawn = numbers(NoisyRectifiedUnits.sample(mean, keras.random.SeedGenerator(2)))
    deviation, noise = np.sqrt(sigmoid(x)), np.arange(-9, 9, 0.001)
    weights = np.exp(-0.5 * noise**2)
    values = np.maximum(0, x[:, None] + deviation[:, None] * noise)
    wanted = (values * weights).sum(1) / weights.sum()
    variance = (values**2 * weights).sum(1) / weights.sum() - wanted**2
    np.testing.assert_allclose(drawn.mean(0), wanted, atol=0.02)
    np.testing.assert_allclose(drawn.var(0), variance, atol=0.03)
    assert np.all(drawn >= 0)
    assert np.all(drawn[:, 0] == 0)


# Label units: one softmax group at the end.


def test_labelled_log_sum_mean_and_samples_are_of_one_group_beside_the_others():
    units, random = UnitsWithLabel(BernoulliUnits, 3), np.random.default_rng(3)
    inputs, biases = random.normal(size=(2, 5)), random.normal(size=5)
    total = inputs + biases
    wanted = np.log1p(np.exp(total[:, :2])).sum(1) + np.log(np.exp(total[:, 2:]).sum(1))
    np.testing.assert_allclose(numbers(units.log_sum(tensor(inputs), tensor(biases))), wanted, rtol=1e-12)
    mean = numbers(units.mean(tensor(inputs), tensor(biases)))
    np.testing.assert_allclose(mean[:, :2], sigmoid(total[:, :2]), rtol=1e-12)
    np.testing.assert_allclose(mean[:, 2:], np.exp(total[:, 2:]) / np.exp(total[:, 2:]).sum(1, keepdims=True))
    drawn = numbers(units.sample(tensor(np.repeat(mean[:1], 40_000, axis=0)), keras.random.SeedGenerator(4)))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert np.all(drawn[:, 2:].sum(1) == 1)
    np.testing.assert_allclose(drawn.mean(0), mean[0], atol=0.01)
    np.testing.assert_allclose(np.cov(drawn[:, 0], drawn[:, 2])[0, 1], 0, atol=0.01)


def test_a_label_of_probability_zero_is_never_drawn():
    mean = np.repeat([[0.5, 0.0, 1.0, 0.0]], 1000, axis=0)
    drawn = numbers(UnitsWithLabel(BernoulliUnits, 3).sample(tensor(mean), keras.random.SeedGenerator(4)))
    assert np.all(drawn[:, 1:] == [0, 1, 0])


def test_labelled_biases_give_the_datas_means():
    units, mean = UnitsWithLabel(BernoulliUnits, 3), np.array([0.0, 0.3, 0.2, 0.5, 0.3])
    biases = units.biases_for_mean(tensor(mean), 1 / 128)
    found = numbers(units.mean(tensor(np.zeros((1, 5))), biases))[0]
    np.testing.assert_allclose(found, [1 / 128, 0.3, 0.2, 0.5, 0.3], rtol=1e-12)
