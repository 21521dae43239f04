import keras
import numpy as np
import pytest

from models.fitting.sgd import MomentumSGD


def expected(weights, gradients, rates, momenta, cost):
    """The papers' rule in NumPy, float64."""
    weights, velocity = weights.astype("float64"), np.zeros(weights.shape)
    for gradient, rate, momentum in zip(gradients, rates, momenta, strict=True):
        velocity = momentum * velocity - rate * (gradient + cost * weights)
        weights = weights + velocity
    return weights


def run(optimizer, start, gradients):
    variable = keras.Variable(start, dtype="float64")
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype="float64")], [variable])
    return variable.numpy()


@pytest.fixture
def gradients():
    return np.random.default_rng(0).normal(size=(6, 3, 2))


def test_kernel_follows_the_papers_rule_with_cost_momentum_switch_and_schedule(gradients):
    start = np.random.default_rng(1).normal(size=(3, 2))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    optimizer = MomentumSGD(schedule, momentum=0.9, initial_momentum=0.5, momentum_switch=2, weight_cost=0.02)
    rates = 0.1 * 0.5 ** np.arange(6)
    wanted = expected(start, gradients, rates, [0.5, 0.5, 0.9, 0.9, 0.9, 0.9], 0.02)
    np.testing.assert_allclose(run(optimizer, start, gradients), wanted, rtol=1e-6)


def test_bias_has_no_weight_cost(gradients):
    start = np.ones(2)
    wanted = expected(start, gradients[:, 0], [0.1] * 6, [0.9] * 6, 0.0)
    np.testing.assert_allclose(run(MomentumSGD(0.1, 0.9, weight_cost=0.5), start, gradients[:, 0]), wanted, rtol=1e-6)


def test_weight_cost_is_accumulated_in_the_velocity_unlike_decoupled_decay():
    zero = np.zeros((4, 1, 1))
    ours = run(MomentumSGD(0.1, 0.9, weight_cost=0.1), np.ones((1, 1)), zero)
    decoupled = run(keras.optimizers.SGD(0.1, 0.9, weight_decay=0.1), np.ones((1, 1)), zero)
    assert ours[0, 0] < decoupled[0, 0] - 0.01


def test_survives_its_configuration():
    optimizer = MomentumSGD(0.2, 0.8, 0.4, 7, 1e-3, clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.momentum_switch == 7


@pytest.mark.parametrize(
    "arguments", [{"momentum": 1.0}, {"initial_momentum": -0.1}, {"weight_cost": -1.0}, {"weight_decay": 0.1}]
)
def test_refuses_what_is_out_of_range(arguments):
    with pytest.raises(ValueError, match="received"):
        MomentumSGD(**arguments)
