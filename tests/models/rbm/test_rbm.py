"""Energies and conditionals against sums over all states (integrals on a grid, for Gaussian units), in float64."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from models.rbm import RBM

VISIBLE, HIDDEN = 5, 4
STEP = 0.4  # of the grid; the trapezoid rule of a Gaussian of deviation 1 is then exact to exp(-2 pi^2 / 0.16)
KINDS = {
    "binary": {},
    "labels": {"label_units": 3},
    "standardised": {"visible_type": "gaussian"},
    "variance": {"visible_type": "gaussian", "learn_variance": True},
    "deviation": {"visible_type": "gaussian", "learn_variance": True, "coupling": "deviation"},
    "linear": {"hidden_type": "gaussian"},
    "linear labels": {"hidden_type": "gaussian", "label_units": 3},
}


def states(units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def grid(units):
    return np.array(list(itertools.product(np.arange(-14, 14, STEP), repeat=units)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


def log_sum(values, axis):
    top = values.max(axis, keepdims=True)
    return np.log(np.exp(values - top).sum(axis)) + top.squeeze(axis)


def units_of(rbm):
    """So few Gaussian units that a grid can hold all their states."""
    visible = 2 if rbm.visible_type == "gaussian" else VISIBLE
    return visible, 2 if rbm.hidden_type == "gaussian" else HIDDEN


def make_rbm(dtype="float64", **kwargs):
    rbm = RBM(HIDDEN, seed=3, dtype=dtype, **kwargs)
    visible, rbm.hidden_units = units_of(rbm)
    rbm.build((None, visible))
    random = np.random.default_rng(5)
    for variable in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias):
        variable.assign(random.normal(size=variable.shape))
    if rbm.learn_variance:
        rbm.log_variance.assign([0.3, -0.4])
    return rbm


def energies(rbm, v, h):
    """Of all pairs: (visible states, hidden states)."""
    W, a, b = (numbers(w).astype("float64") for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    variance = np.exp(numbers(rbm.log_variance)) if rbm.learn_variance else np.ones(len(a))
    seen = v / (np.sqrt(variance) if rbm.coupling == "deviation" else variance)
    own = ((v - a) ** 2 / (2 * variance)).sum(1) if rbm.visible_type == "gaussian" else -v @ a
    own_hidden = 0.5 * ((h - b) ** 2).sum(1) if rbm.hidden_type == "gaussian" else -h @ b
    return own[:, None] + own_hidden - seen @ W @ h.T


def all_visible(rbm):
    """All visible states, and the log of the volume that each stands for."""
    if rbm.visible_type == "gaussian":
        return grid(2), 2 * np.log(STEP)
    bits = states(VISIBLE - rbm.label_units)
    if not rbm.label_units:
        return bits, 0.0
    return np.array([np.append(row, label) for row in bits for label in np.eye(rbm.label_units)]), 0.0


def all_hidden(rbm):
    return (grid(2), 2 * np.log(STEP)) if rbm.hidden_type == "gaussian" else (states(HIDDEN), 0.0)


def some_visible(rbm, rows=6):
    random = np.random.default_rng(7)
    if rbm.visible_type == "gaussian":
        return random.normal(size=(rows, 2))
    return random.permutation(all_visible(rbm)[0])[:rows] if rbm.label_units else random.random((rows, VISIBLE))


def some_hidden(rbm):
    return np.random.default_rng(8).normal(size=(6, 2)) if rbm.hidden_type == "gaussian" else states(HIDDEN)[3:9]


@pytest.fixture(params=KINDS)
def rbm(request):
    return make_rbm(**KINDS[request.param])


def test_energy(rbm):
    v, h = some_visible(rbm), some_hidden(rbm)
    np.testing.assert_allclose(numbers(rbm.energy(v, h)), np.diag(energies(rbm, v, h)), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_within_1e_5_of_float64(kind):
    """Of what is compared with enumeration in float64 only."""
    exact, rounded = make_rbm(**KINDS[kind]), make_rbm("float32", **KINDS[kind])
    v, h = some_visible(exact).astype("float32"), some_hidden(exact).astype("float32")
    answers = [lambda rbm: rbm.energy(v, h)]
    if exact.label_units:
        answers.append(lambda rbm: rbm.free_energy_by_label(v[:, : -rbm.label_units]))
    if exact.visible_type == "bernoulli":
        answers.append(lambda rbm: rbm.pseudo_log_likelihood(v))
    for answer in answers:
        assert numbers(answer(rounded)).dtype == "float32"
        np.testing.assert_allclose(numbers(answer(rounded)), numbers(answer(exact)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 1e-5)])
@pytest.mark.parametrize("kind", KINDS)
def test_free_energies_and_conditionals_sum_over_all_states(kind, dtype, tolerance):
    rbm = make_rbm(dtype, **KINDS[kind])
    for given, ours, means, others, volume, log_weights in (
        (
            some_visible(rbm),
            rbm.free_energy,
            rbm.hidden_probabilities,
            *all_hidden(rbm),
            lambda v, h: -energies(rbm, v, h),
        ),
        (
            some_hidden(rbm),
            rbm.hidden_free_energy,
            rbm.visible_probabilities,
            *all_visible(rbm),
            lambda h, v: -energies(rbm, v, h).T,
        ),
    ):
        logs = log_weights(given.astype(dtype).astype("float64"), others)
        total = log_sum(logs, 1)
        np.testing.assert_allclose(numbers(ours(given)), -total - volume, rtol=tolerance)
        wanted = np.exp(logs - total[:, None]) @ others
        np.testing.assert_allclose(numbers(means(given)), wanted, rtol=tolerance, atol=tolerance)


def test_rectified_free_energy_is_near_the_sum_over_numbers_of_copies():
    rbm = make_rbm(hidden_type="nrelu")
    v = some_visible(rbm)
    W, a, b = (numbers(w) for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    offsets = np.arange(60) + 0.5
    copies = np.logaddexp(0, (v @ W + b)[..., None] - offsets).sum((1, 2))
    assert np.abs(numbers(rbm.free_energy(v)) + v @ a + copies).max() < 0.042 * HIDDEN
    counts = np.array([[0.0, 1.0, 3.0, 2.0]])
    weights = [1.0] * HIDDEN  # of the sets of so many copies: coefficients of prod (1 + z exp(input - offset))
    for j, count in enumerate(counts[0]):
        polynomial = np.ones(1)
        for offset in offsets:
            polynomial = np.convolve(polynomial, [1, np.exp((v[0] @ W + b)[j] - offset)])
        weights[j] = polynomial[int(count)]
    np.testing.assert_allclose(numbers(rbm.energy(v[:1], counts)), -np.log(weights).sum() - v[:1] @ a, rtol=1e-12)
    visible = states(VISIBLE)
    wanted = np.log(np.exp(-numbers(rbm.energy(visible, np.repeat(counts, 32, axis=0)))).sum())
    np.testing.assert_allclose(numbers(rbm.hidden_free_energy(counts)), [-wanted], rtol=1e-12)


@pytest.mark.parametrize("kind", ["binary", "labels"])
def test_inverse_temperature_multiplies_the_energy(kind):
    rbm = make_rbm(**KINDS[kind])
    v, h = some_visible(rbm), some_hidden(rbm)
    beta = np.array([0.0, 0.2, 0.5, 0.7, 1.0, 1.0])[:, None]
    for ours, given, others, gap in (
        (rbm.hidden_probabilities, v, states(HIDDEN), energies(rbm, v, states(HIDDEN))),
        (rbm.visible_probabilities, h, all_visible(rbm)[0], energies(rbm, all_visible(rbm)[0], h).T),
    ):
        weights = np.exp(-beta * gap)
        wanted = weights @ others / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(numbers(ours(given, beta)), wanted, rtol=1e-12)
        np.testing.assert_allclose(numbers(ours(given[:2], 0.2))[1], wanted[1], rtol=1e-12)
        np.testing.assert_array_equal(numbers(ours(given)), numbers(ours(given, 1.0)))


@pytest.mark.parametrize("kind", ["labels", "linear labels"])
def test_free_energy_by_label_gives_the_exact_probability_of_each_label(kind):
    rbm = make_rbm(**KINDS[kind])
    bits = states(VISIBLE - 3)
    hidden, volume = all_hidden(rbm)
    logs = [
        log_sum(-energies(rbm, np.append(bits, np.tile(label, (4, 1)), axis=1), hidden), 1) + volume
        for label in np.eye(3)
    ]
    np.testing.assert_allclose(numbers(rbm.free_energy_by_label(bits)), -np.transpose(logs), rtol=1e-12)


def test_pseudo_log_likelihood_counts_a_group_of_labels_as_one_unit():
    rbm = make_rbm(label_units=3)
    every = all_visible(rbm)[0]
    free = -log_sum(-energies(rbm, every, states(HIDDEN)), 1)
    wanted = []
    for row, own in zip(every, free, strict=True):
        total = 0.0
        for unit in (0, 1, slice(2, None)):
            rest = np.delete(np.arange(VISIBLE), unit)
            alternatives = (every[:, rest] == row[rest]).all(1)
            total += -own - log_sum(-free[alternatives], 0)
        wanted.append(total)
    np.testing.assert_allclose(numbers(rbm.pseudo_log_likelihood(every)), wanted, rtol=1e-10)


def test_pseudo_log_likelihood_switches_every_bit():
    rbm = make_rbm()
    v = states(VISIBLE)
    free = -log_sum(-energies(rbm, v, states(HIDDEN)), 1)
    wanted = []
    for row, own in zip(v, free, strict=True):
        switched = [
            free[int(np.flatnonzero((v == np.abs(row - np.eye(VISIBLE)[i])).all(1))[0])] for i in range(VISIBLE)
        ]
        wanted.append(-np.log1p(np.exp(own - np.array(switched))).sum())
    np.testing.assert_allclose(numbers(rbm.pseudo_log_likelihood(v)), wanted, rtol=1e-10)


def test_pseudo_log_likelihood_of_a_grey_pixel_is_the_expectation_over_its_bit():
    rbm = make_rbm()
    for i in range(VISIBLE):
        bits = np.ones((1, VISIBLE))
        on, off, grey = bits.copy(), bits.copy(), bits.copy()
        off[0, i], grey[0, i] = 0.0, 0.3
        gap = (numbers(rbm.free_energy(off)) - numbers(rbm.free_energy(on)))[0]
        W, a, b = (numbers(w) for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
        alone = RBM(HIDDEN, dtype="float64")  # the RBM of unit i with all others fixed at 1
        alone.build((None, 1))
        rest = np.delete(W, i, axis=0).sum(0)
        for variable, value in ((alone.kernel, W[i : i + 1]), (alone.visible_bias, a[i : i + 1])):
            variable.assign(value)
        alone.hidden_bias.assign(b + rest)
        found = numbers(alone.pseudo_log_likelihood(grey[:, i : i + 1]))[0]
        np.testing.assert_allclose(found, 0.3 * np.log(sigmoid(gap)) + 0.7 * np.log(sigmoid(-gap)), rtol=1e-10)


def test_pseudo_log_likelihood_is_refused_for_gaussian_units():
    with pytest.raises(ValueError, match="binary"):
        make_rbm(visible_type="gaussian").pseudo_log_likelihood(np.zeros((1, 2)))


def test_pseudo_log_likelihood_of_more_units_than_are_switched_together():
    random, rbm = np.random.default_rng(1), RBM(3, dtype="float64")
    rbm.build((None, 37))
    rbm.kernel.assign(random.normal(size=(37, 3)))
    rbm.visible_bias.assign(random.normal(size=37))
    v = (random.random((4, 37)) < 0.5).astype("float64")
    switched = np.abs(v[:, None] - np.eye(37))
    free = numbers(rbm.free_energy(switched.reshape(-1, 37))).reshape(4, 37)
    wanted = -np.logaddexp(0, numbers(rbm.free_energy(v))[:, None] - free).sum(1)
    np.testing.assert_allclose(numbers(rbm.pseudo_log_likelihood(v)), wanted, rtol=1e-10)


def test_samples_have_the_conditional_means_and_variances(rbm):
    rows = 20_000
    h = numbers(rbm.sample_hidden(np.repeat(some_visible(rbm, 1), rows, axis=0)))
    mean = numbers(rbm.hidden_probabilities(some_visible(rbm, 1)))[0]
    np.testing.assert_allclose(h.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(h.var(0), 1.0 if rbm.hidden_type == "gaussian" else mean * (1 - mean), atol=0.05)
    given = some_hidden(rbm)[:1]
    v = numbers(rbm.sample_visible(np.repeat(given, rows, axis=0)))
    mean = numbers(rbm.visible_probabilities(given))[0]
    np.testing.assert_allclose(v.mean(0), mean, atol=0.04)
    variance = mean * (1 - mean)
    if rbm.visible_type == "gaussian":
        variance = np.exp(numbers(rbm.log_variance)) if rbm.learn_variance else 1.0
    np.testing.assert_allclose(v.var(0), variance, atol=0.06)
    for drawn, kind in ((h, rbm.hidden_type), (v, rbm.visible_type)):
        assert kind == "gaussian" or set(np.unique(drawn)) == {0.0, 1.0}
    if rbm.label_units:
        assert np.all(v[:, -rbm.label_units :].sum(1) == 1)


@pytest.mark.lengthy
@pytest.mark.parametrize("kind", ["binary", "labels"])
def test_long_gibbs_chain_has_the_models_distribution(kind):
    rbm = make_rbm(**KINDS[kind])
    every = all_visible(rbm)[0]
    chains = numbers(rbm.gibbs_chain(np.zeros((20_000, VISIBLE)), 60))
    weights = np.exp(log_sum(-energies(rbm, every, states(HIDDEN)), 1))
    found = [(chains == row).all(1).mean() for row in every]
    np.testing.assert_allclose(found, weights / weights.sum(), atol=0.015)


def test_short_gibbs_chains_add_up_to_a_long_one():
    one, other = make_rbm(), make_rbm()
    v = some_visible(one, 200)
    for _ in range(4):
        v = one.gibbs_chain(v, 3)  # written out, where 12 steps are a loop in the graph
    np.testing.assert_array_equal(numbers(v), numbers(other.gibbs_chain(some_visible(other, 200), 12)))
    np.testing.assert_array_equal(numbers(one.seed_generator.state), numbers(other.seed_generator.state))


def test_no_gibbs_steps_changes_nothing(rbm):
    v = some_visible(rbm)
    np.testing.assert_array_equal(numbers(rbm.gibbs_chain(v, 0)), v)


def test_reconstruct_is_one_mean_field_step(rbm):
    v = some_visible(rbm)
    wanted = rbm.visible_probabilities(rbm.hidden_probabilities(v))
    np.testing.assert_array_equal(numbers(rbm.reconstruct(v)), numbers(wanted))


@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_visible_bias_gives_the_datas_mean_to_an_rbm_without_weights(visible_type):
    rbm = make_rbm(visible_type=visible_type)
    mean = np.array([0.0, 0.8] if visible_type == "gaussian" else [0.0, 0.2, 0.5, 0.8, 1.0])
    rbm.kernel.assign(np.zeros(rbm.kernel.shape))
    rbm.set_visible_bias(mean, margin=1 / 128)
    wanted = mean if rbm.visible_type == "gaussian" else np.clip(mean, 1 / 128, 127 / 128)
    np.testing.assert_allclose(numbers(rbm.visible_probabilities(np.ones((1, HIDDEN))))[0], wanted, rtol=1e-12)


def test_survives_its_configuration():
    rbm = RBM(
        7,
        label_units=2,
        gibbs_steps=3,
        persistent=True,
        num_chains=5,
        temperatures=4,
        centering="enhanced",
        sparsity_target=0.1,
        sparsity_cost=0.01,
        sample_data=True,
        weight_stddev=0.02,
        minibatch_size=10,
        seed=1,
        name="first",
    )
    assert RBM.from_config(rbm.get_config()).get_config() == rbm.get_config()


@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_units": 0},
        {"hidden_units": 3, "visible_type": "binary"},
        {"hidden_units": 3, "gibbs_steps": 0},
        {"hidden_units": 3, "minibatch_size": 0},
        {"hidden_units": 3, "hidden_type": "softmax"},
        {"hidden_units": 3, "hidden_type": "gaussian", "visible_type": "gaussian"},
        {"hidden_units": 3, "coupling": "precision"},
        {"hidden_units": 3, "centering": "model"},
        {"hidden_units": 3, "centering": "data", "hidden_type": "nrelu"},
        {"hidden_units": 3, "temperatures": 3},
        {"hidden_units": 3, "temperatures": 3, "persistent": True, "visible_type": "gaussian"},
        {"hidden_units": 3, "learn_variance": True},
        {"hidden_units": 3, "sample_data": True, "visible_type": "gaussian"},
        {"hidden_units": 3, "label_units": 1},
        {"hidden_units": 3, "label_units": 2, "visible_type": "gaussian"},
        {"hidden_units": 3, "sparsity_target": 1.0, "sparsity_cost": 1.0},
        {"hidden_units": 3, "sparsity_target": 0.1},
        {"hidden_units": 3, "sparsity_cost": 1.0},
        {"hidden_units": 3, "sparsity_target": 0.1, "sparsity_cost": 1.0, "hidden_type": "gaussian"},
        {"hidden_units": 3, "coupling": "deviation"},
    ],
)
def test_refuses_what_is_out_of_range(arguments):
    with pytest.raises(ValueError, match="received"):
        RBM(**arguments)
