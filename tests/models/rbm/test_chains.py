"""Chains against the exact distribution, by enumeration: contrastive divergence, persistent and tempered chains."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from models.rbm import RBM
from models.rbm.chains import _exchanged, tempered_chains

VISIBLE, HIDDEN, CHAINS = 5, 3, 20_000
STATES = np.array(list(itertools.product([0.0, 1.0], repeat=VISIBLE)))
HIDDEN_STATES = np.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def make_rbm(scale=1.0, **kwargs):
    rbm = RBM(HIDDEN, seed=3, dtype="float64", **kwargs)
    rbm.build((None, VISIBLE))
    random = np.random.default_rng(5)
    for variable in rbm.trainable_variables:
        variable.assign(scale * random.normal(size=variable.shape))
    return rbm


def weights_of(rbm):
    return [numbers(v) for v in rbm.trainable_variables]


def distribution(rbm, beta=1.0):
    """p(v) of every visible state."""
    W, a, b = weights_of(rbm)
    energies = -(STATES @ a)[:, None] - HIDDEN_STATES @ b - STATES @ W @ HIDDEN_STATES.T
    weights = np.exp(-beta * energies).sum(1)
    return weights / weights.sum()


def frequencies(visible):
    index = (visible @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    return np.bincount(index, minlength=2**VISIBLE) / len(index)


def deviation(found, wanted):
    """Largest deviation of frequencies, in standard errors."""
    return np.max(np.abs(found - wanted) / np.sqrt(wanted * (1 - wanted) / CHAINS))


def statistics(rbm, weights):
    """<v h'>, <v>, <h> where visible states have the given probabilities, as one vector."""
    W, _, b = weights_of(rbm)
    hidden = sigmoid(STATES @ W + b)
    return np.concatenate([((STATES * weights[:, None]).T @ hidden).ravel(), weights @ STATES, weights @ hidden])


def transition(rbm):
    """Probability of each visible state after one Gibbs step, from each: rows are where it starts."""
    W, a, b = weights_of(rbm)
    up, down = sigmoid(STATES @ W + b), sigmoid(HIDDEN_STATES @ W.T + a)
    to_hidden = np.prod(np.where(HIDDEN_STATES == 1, up[:, None], 1 - up[:, None]), -1)
    return to_hidden @ np.prod(np.where(STATES == 1, down[:, None], 1 - down[:, None]), -1)


def test_contrastive_divergence_converges_to_the_exact_gradient_as_k_grows():
    data = STATES[[3, 20, 20, 31]]
    rows = ops.convert_to_tensor(np.repeat(data, CHAINS // 4, axis=0))
    rbm = make_rbm()
    start = frequencies(data)
    exact = statistics(rbm, distribution(rbm)) - statistics(rbm, start)  # of the negative log-likelihood
    distances = []
    for k in (1, 2, 4, 16):
        rbm = make_rbm(gibbs_steps=k, sample_reconstruction=True)
        found = np.concatenate([numbers(g).ravel() for g in rbm.gradients(rows)[0]])
        expected = statistics(rbm, start @ np.linalg.matrix_power(transition(rbm), k)) - statistics(rbm, start)
        assert np.abs(found - expected).max() < 4 * 0.5 / np.sqrt(CHAINS)
        distances.append((np.abs(expected - exact).max(), np.abs(found - exact).max()))
    of_expected, of_found = np.transpose(distances)
    assert np.all(np.diff(of_expected) < 0)
    assert np.all(np.diff(of_found[:3]) < 0)  # the last two differ by less than the noise
    assert of_expected[-1] < 1e-3 < 0.1 < of_expected[0]
    assert of_found[-1] < 4 * 0.5 / np.sqrt(CHAINS)


@pytest.mark.lengthy
@pytest.mark.parametrize("options", [{}, {"temperatures": 4}])
def test_persistent_chains_reach_the_models_distribution(options):
    rbm = make_rbm(persistent=True, num_chains=CHAINS, gibbs_steps=3, **options)
    data = STATES[:2]
    for _ in range(10):
        _, negative = rbm.negative_phase(data, rbm.hidden_probabilities(data))
    chains = numbers(rbm.chains)
    np.testing.assert_array_equal(numbers(negative), chains[-1] if options else chains)
    assert deviation(frequencies(numbers(negative)), distribution(rbm)) < 4.5


def test_persistent_chains_go_on_where_they_stopped():
    rbm = make_rbm(persistent=True, num_chains=50, gibbs_steps=2)
    other = make_rbm()
    hidden = rbm.hidden_probabilities(STATES)
    start, state = numbers(rbm.chains), numbers(rbm.seed_generator.state)
    for _ in range(2):
        other.seed_generator.state.assign(state)
        _, negative = rbm.negative_phase(STATES, hidden)
        start = numbers(other.gibbs_chain(start, 2))
        state = numbers(other.seed_generator.state)
        np.testing.assert_array_equal(numbers(negative), start)
        rbm.negative_phase(STATES, hidden, training=False)
        rbm.seed_generator.state.assign(state)


# Parallel tempering


def exchanged_by_loops(energies, draws):
    temperatures, chains = energies.shape
    source = np.tile(np.arange(temperatures)[:, None], (1, chains))
    for parity in (0, 1):
        for r in range(parity, temperatures - 1, 2):
            for c in range(chains):
                here, there = energies[source[r, c], c], energies[source[r + 1, c], c]
                if draws[r, c] < min(1.0, np.exp(-(here - there) / (temperatures - 1))):
                    source[[r, r + 1], c] = source[[r + 1, r], c]
    return source


@pytest.mark.parametrize("temperatures", [2, 3, 6, 7])
def test_exchanges_are_those_of_the_definition(temperatures):
    random = np.random.default_rng(temperatures)
    energies, draws = 8 * random.normal(size=(temperatures, 50)), random.random((temperatures, 50))
    found = numbers(_exchanged(*map(ops.convert_to_tensor, (energies, draws))))
    np.testing.assert_array_equal(found, exchanged_by_loops(energies, draws))
    np.testing.assert_array_equal(np.sort(found, axis=0)[:, 0], np.arange(temperatures))


@pytest.mark.parametrize("labels", [0, 2])
def test_tempering_leaves_the_joint_distribution_as_it_is(labels):
    """From exact samples at every temperature, one round: each temperature still has its own distribution."""
    rbm = make_rbm(2.0, label_units=labels)
    allowed = np.ones(len(STATES)) if not labels else (STATES[:, -2:].sum(1) == 1).astype(float)
    wanted = [distribution(rbm, beta) * allowed for beta in np.linspace(0, 1, 5)]
    wanted = [weights / weights.sum() for weights in wanted]
    random = np.random.default_rng(1)
    start = np.stack([STATES[random.choice(len(STATES), CHAINS, p=weights)] for weights in wanted])
    moved = numbers(tempered_chains(rbm, ops.convert_to_tensor(start), 1))
    for visible, weights in zip(moved, wanted, strict=True):
        possible = weights > 0
        found = frequencies(visible)
        assert found[~possible].sum() == 0
        assert deviation(found[possible], weights[possible]) < 4.5
    for one, other in itertools.pairwise(moved):
        both = (one @ 2 ** np.arange(VISIBLE), other @ 2 ** np.arange(VISIBLE))
        assert np.abs(np.corrcoef(*both)[0, 1]) < 0.03  # neighbours are independent before and after


@pytest.mark.lengthy
def test_tempering_crosses_between_modes_where_gibbs_sampling_does_not():
    """All units off and all on are equally likely, with next to nothing between them."""
    rbm = make_rbm()
    strength = 3.5
    rbm.kernel.assign(np.full((VISIBLE, HIDDEN), strength))
    rbm.visible_bias.assign(np.full(VISIBLE, -strength * HIDDEN / 2))
    rbm.hidden_bias.assign(np.full(HIDDEN, -strength * VISIBLE / 2))
    exact = distribution(rbm)
    np.testing.assert_allclose(exact[[0, -1]], exact[0], rtol=1e-10)
    assert exact[0] > 0.45
    plain = numbers(rbm.gibbs_chain(np.zeros((1000, VISIBLE)), 30))
    assert (plain.sum(1) > VISIBLE / 2).mean() < 0.05
    states = ops.convert_to_tensor(np.zeros((10, 1000, VISIBLE)))
    for _ in range(30):
        states = tempered_chains(rbm, states, 1)
    assert 0.4 < (numbers(states)[-1].sum(1) > VISIBLE / 2).mean() < 0.6
