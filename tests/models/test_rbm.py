"""Energies and conditionals against enumeration of all states, in float64."""

import itertools

import numpy as np
import pytest

from models.rbm import RBM

VISIBLE, HIDDEN = 5, 4


def states(units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numbers(tensor):
    return tensor.numpy()


def machine(visible_type="bernoulli", **kwargs):
    rbm = RBM(HIDDEN, visible_type=visible_type, seed=3, dtype="float64", **kwargs)
    rbm.build((None, VISIBLE))
    random = np.random.default_rng(5)
    for variable in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias):
        variable.assign(random.normal(size=variable.shape))
    return rbm


def parameters(rbm):
    return (numbers(rbm.kernel), numbers(rbm.visible_bias), numbers(rbm.hidden_bias))


def energy(rbm, v, h):
    W, a, b = parameters(rbm)
    own = -v @ a if rbm.visible_type == "bernoulli" else 0.5 * np.sum((v - a) ** 2)
    return own - h @ b - v @ W @ h


def data(rbm, rows=6):
    random = np.random.default_rng(7)
    return random.normal(size=(rows, VISIBLE)) if rbm.visible_type == "gaussian" else random.random((rows, VISIBLE))


@pytest.fixture(params=["bernoulli", "gaussian"])
def rbm(request):
    return machine(request.param)


def test_energy(rbm):
    v, h = data(rbm), states(HIDDEN)[3:9]
    wanted = [energy(rbm, *pair) for pair in zip(v, h, strict=True)]
    np.testing.assert_allclose(numbers(rbm.energy(v, h)), wanted, rtol=1e-12)


def test_free_energy_sums_over_all_hidden_states(rbm):
    v = data(rbm)
    wanted = [-np.log(sum(np.exp(-energy(rbm, row, h)) for h in states(HIDDEN))) for row in v]
    np.testing.assert_allclose(numbers(rbm.free_energy(v)), wanted, rtol=1e-12)


def test_hidden_probabilities_are_the_conditionals_of_the_joint(rbm):
    for row in data(rbm):
        weights = np.array([np.exp(-energy(rbm, row, h)) for h in states(HIDDEN)])
        wanted = weights @ states(HIDDEN) / weights.sum()
        np.testing.assert_allclose(numbers(rbm.hidden_probabilities(row[None]))[0], wanted, rtol=1e-12)


def test_visible_probabilities_are_the_conditionals_of_the_joint():
    rbm = machine()
    for h in states(HIDDEN):
        weights = np.array([np.exp(-energy(rbm, v, h)) for v in states(VISIBLE)])
        wanted = weights @ states(VISIBLE) / weights.sum()
        np.testing.assert_allclose(numbers(rbm.visible_probabilities(h[None]))[0], wanted, rtol=1e-12)


def test_gaussian_mean_is_where_the_energy_is_lowest():
    rbm = machine("gaussian")
    for h in states(HIDDEN):
        mean = numbers(rbm.visible_probabilities(h[None]))[0]
        steps = 1e-3 * np.vstack([np.eye(VISIBLE), -np.eye(VISIBLE)])
        assert all(energy(rbm, mean, h) < energy(rbm, mean + step, h) for step in steps)


def test_pseudo_log_likelihood_switches_every_bit():
    rbm = machine()
    v = states(VISIBLE)
    free = np.array([-np.log(sum(np.exp(-energy(rbm, row, h)) for h in states(HIDDEN))) for row in v])
    wanted = []
    for row, own in zip(v, free, strict=True):
        switched = [
            free[int(np.flatnonzero((v == np.abs(row - np.eye(VISIBLE)[i])).all(1))[0])] for i in range(VISIBLE)
        ]
        wanted.append(-np.log1p(np.exp(own - np.array(switched))).sum())
    np.testing.assert_allclose(numbers(rbm.pseudo_log_likelihood(v)), wanted, rtol=1e-10)


def test_pseudo_log_likelihood_of_a_grey_pixel_is_the_expectation_over_its_bit():
    rbm = machine()
    for i in range(VISIBLE):
        bits = np.ones((1, VISIBLE))
        on, off, grey = bits.copy(), bits.copy(), bits.copy()
        off[0, i], grey[0, i] = 0.0, 0.3
        gap = (numbers(rbm.free_energy(off)) - numbers(rbm.free_energy(on)))[0]
        own = {key: value - 0.0 for key, value in (("on", np.log(sigmoid(gap))), ("off", np.log(sigmoid(-gap))))}
        W, a, b = parameters(rbm)
        alone = RBM(HIDDEN, dtype="float64")  # the machine of unit i with all others fixed at 1
        alone.build((None, 1))
        rest = np.delete(W, i, axis=0).sum(0)
        for variable, value in ((alone.kernel, W[i : i + 1]), (alone.visible_bias, a[i : i + 1])):
            variable.assign(value)
        alone.hidden_bias.assign(b + rest)
        found = numbers(alone.pseudo_log_likelihood(grey[:, i : i + 1]))[0]
        np.testing.assert_allclose(found, 0.3 * own["on"] + 0.7 * own["off"], rtol=1e-10)


def test_pseudo_log_likelihood_is_refused_for_gaussian_units():
    with pytest.raises(ValueError, match="binary"):
        machine("gaussian").pseudo_log_likelihood(np.zeros((1, VISIBLE)))


def test_samples_have_the_conditional_means(rbm):
    v = np.repeat(data(rbm, 1), 20_000, axis=0)
    h = numbers(rbm.sample_hidden(v))
    assert set(np.unique(h)) == {0.0, 1.0}
    np.testing.assert_allclose(h.mean(0), numbers(rbm.hidden_probabilities(v[:1]))[0], atol=0.02)
    h = np.repeat(states(HIDDEN)[5:6], 20_000, axis=0)
    v = numbers(rbm.sample_visible(h))
    mean = numbers(rbm.visible_probabilities(h[:1]))[0]
    np.testing.assert_allclose(v.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(v.var(0), 1.0 if rbm.visible_type == "gaussian" else mean * (1 - mean), atol=0.05)


def test_long_gibbs_chain_has_the_models_distribution():
    rbm = machine()
    chains = numbers(rbm.gibbs_chain(np.zeros((20_000, VISIBLE)), 60))
    free = numbers(rbm.free_energy(states(VISIBLE)))
    wanted = np.exp(free.min() - free) / np.exp(free.min() - free).sum()
    index = (chains @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    np.testing.assert_allclose(np.bincount(index, minlength=2**VISIBLE) / len(index), wanted, atol=0.015)


def test_no_gibbs_steps_changes_nothing(rbm):
    v = data(rbm)
    np.testing.assert_array_equal(numbers(rbm.gibbs_chain(v, 0)), v)


def test_reconstruct_is_one_mean_field_step(rbm):
    v = data(rbm)
    wanted = rbm.visible_probabilities(rbm.hidden_probabilities(v))
    np.testing.assert_array_equal(numbers(rbm.reconstruct(v)), numbers(wanted))


def test_visible_bias_gives_the_datas_mean_to_a_machine_without_weights(rbm):
    mean = np.array([0.0, 0.2, 0.5, 0.8, 1.0])
    rbm.kernel.assign(np.zeros(rbm.kernel.shape))
    rbm.set_visible_bias(mean, margin=0.01)
    wanted = mean if rbm.visible_type == "gaussian" else np.clip(mean, 0.01, 0.99)
    np.testing.assert_allclose(numbers(rbm.visible_probabilities(np.ones((1, HIDDEN))))[0], wanted, rtol=1e-12)


def test_survives_its_configuration():
    rbm = RBM(7, visible_type="gaussian", gibbs_steps=3, persistent=True, minibatch_size=10, seed=1, name="first")
    assert RBM.from_config(rbm.get_config()).get_config() == rbm.get_config()


@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_units": 0},
        {"hidden_units": 3, "visible_type": "binary"},
        {"hidden_units": 3, "gibbs_steps": 0},
        {"hidden_units": 3, "minibatch_size": 0},
        {"hidden_units": 3, "hidden_type": "gaussian"},
    ],
)
def test_refuses_what_is_out_of_range(arguments):
    with pytest.raises(ValueError, match="Received"):
        RBM(**arguments)
