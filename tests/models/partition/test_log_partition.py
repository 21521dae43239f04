"""Partition functions against brute force over all pairs of states, and annealed estimates against exact ones."""

import itertools

import keras
import numpy as np
import pytest

from models.fitting.sgd import MomentumSGD
from models.partition import ais_log_partition, exact_log_partition
from models.partition.estimate import LogPartitionEstimate
from models.partition.log_partition import log_probability, spaced_betas
from models.rbm import RBM


def states(units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float64")


def make_rbm(visible, hidden, scale=1.0, dtype="float64", **kwargs):
    rbm = RBM(hidden, seed=3, dtype=dtype, **kwargs)
    rbm.build((None, visible))
    random = np.random.default_rng(5)
    for variable in rbm.trainable_variables:
        variable.assign(random.normal(size=variable.shape, scale=scale))
    return rbm


def parameters(rbm):
    return numbers(rbm.kernel), numbers(rbm.visible_bias), numbers(rbm.hidden_bias)


def log_sum(log_terms):
    return np.logaddexp.reduce(log_terms, axis=None)


def brute_force(rbm, visible):
    """Over all pairs of the visible states and the binary hidden ones."""
    W, a, b = parameters(rbm)
    h = states(len(b))
    return log_sum((visible @ a)[:, None] + h @ b + visible @ W @ h.T)


def with_labels(binary, labels):
    return np.array([[*v, *y] for v in states(binary) for y in np.eye(labels)])


def bars(images, size=28, width=4, seed=0):
    """Images of wide horizontal bars, each on with probability 1/4, in noise: shape (images, size * size)."""
    random = np.random.default_rng(seed)
    on = np.repeat(random.random((images, size // width)) < 0.25, width, axis=1)
    pixels = np.repeat(on[:, :, None], size, axis=2).reshape(images, -1)
    return (pixels ^ (random.random(pixels.shape) < 0.2)).astype("float32")


@pytest.fixture(scope="module")
def trained():
    """An RBM of 784 visible and 15 hidden units, its data, and its exact log Z."""
    data = bars(500)
    rbm = RBM(15, weight_stddev=0.01, seed=1)
    rbm.set_visible_bias(data.mean(axis=0))
    rbm.compile(MomentumSGD(0.02))
    rbm.fit(data, batch_size=20, epochs=6, shuffle=False, verbose=0)
    return rbm, data, exact_log_partition(rbm)


# Exact ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("visible", "hidden"), [(7, 4), (4, 7)])
def test_sum_over_the_smaller_side_is_that_over_all_pairs(visible, hidden, dtype, tolerance):
    rbm = make_rbm(visible, hidden, dtype=dtype)
    np.testing.assert_allclose(exact_log_partition(rbm), brute_force(rbm, states(visible)), rtol=tolerance)


@pytest.mark.parametrize(("binary", "hidden"), [(3, 7), (6, 2)])
def test_one_label_is_on_in_every_state(binary, hidden):
    rbm = make_rbm(binary + 3, hidden, label_units=3)
    np.testing.assert_allclose(exact_log_partition(rbm), brute_force(rbm, with_labels(binary, 3)), rtol=1e-10)


def test_chunks_are_added_up(monkeypatch):
    rbm = make_rbm(9, 5)
    whole = exact_log_partition(rbm)
    monkeypatch.setattr("models.partition.log_partition.NUMBERS_AT_ONCE", 9 * 7)  # 32 states in chunks of 7
    np.testing.assert_allclose(exact_log_partition(rbm), whole, rtol=1e-14)


@pytest.mark.parametrize("coupling", ["variance", "deviation"])
def test_gaussian_visible_units_are_integrated(coupling):
    rbm = make_rbm(1, 3, visible_type="gaussian", learn_variance=True, coupling=coupling)
    W, a, b = parameters(rbm)
    q = np.exp(numbers(rbm.log_variance))
    divisor = q if coupling == "variance" else np.sqrt(q)
    grid = np.linspace(-60, 60, 400001)[:, None]
    h = states(3)
    log_terms = -((grid - a) ** 2) / (2 * q) + h @ b + (grid / divisor) @ W @ h.T
    wanted = log_sum(log_terms) + np.log(grid[1, 0] - grid[0, 0])
    np.testing.assert_allclose(exact_log_partition(rbm), wanted, rtol=1e-10)


def test_gaussian_hidden_units_are_integrated():
    rbm = make_rbm(4, 1, scale=0.5, hidden_type="gaussian")
    W, a, b = parameters(rbm)
    v, grid = states(4), np.linspace(-30, 30, 200001)[:, None]
    log_terms = (v @ a)[:, None] - ((grid - b) ** 2)[:, 0] / 2 + v @ W @ grid.T
    wanted = log_sum(log_terms) + np.log(grid[1, 0] - grid[0, 0])
    np.testing.assert_allclose(exact_log_partition(rbm), wanted, rtol=1e-10)


def test_rectified_hidden_units_are_summed_as_in_the_free_energy():
    rbm = make_rbm(5, 30, hidden_type="nrelu")
    np.testing.assert_allclose(exact_log_partition(rbm), log_sum(-numbers(rbm.free_energy(states(5)))), rtol=1e-12)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"visible_type": "gaussian"},
        {"hidden_type": "gaussian"},
        {"visible_type": "gaussian", "hidden_type": "nrelu"},
    ],
)
def test_what_cannot_be_enumerated_is_refused(kwargs):
    rbm = make_rbm(26, 26, **kwargs)
    with pytest.raises(ValueError, match=r"at most 25; .* received 26 "):
        exact_log_partition(rbm)


def test_an_rbm_without_weights_is_refused():
    with pytest.raises(ValueError, match="no weights yet"):
        exact_log_partition(RBM(3))


def test_log_probabilities_of_all_states_sum_to_one():
    rbm = make_rbm(6, 4)
    log_p = log_probability(rbm, states(6), exact_log_partition(rbm))
    assert log_p.shape == (64,)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)


def test_grey_levels_give_at_most_the_expectation_over_their_bits():
    rbm = make_rbm(5, 4)
    grey = np.random.default_rng(0).random((20, 5))
    bits = states(5)
    probabilities = np.prod(np.where(bits[None] == 1, grey[:, None], 1 - grey[:, None]), axis=-1)
    log_z = exact_log_partition(rbm)
    expected = probabilities @ log_probability(rbm, bits, log_z)
    assert np.all(log_probability(rbm, grey, log_z) < expected)


def test_a_mean_above_0_is_warned_of():
    rbm = make_rbm(5, 4)
    log_z = exact_log_partition(rbm)
    excess = float(np.mean(log_probability(rbm, states(5), log_z))) + 30
    with pytest.warns(UserWarning, match=f"log Z is too low, by {excess:.1f} nats at least"):
        log_probability(rbm, states(5), log_z - 30)


def test_grey_levels_up_to_255_are_refused():
    rbm, grey = make_rbm(5, 4), np.full((3, 5), 255.0)
    with pytest.raises(ValueError, match="`visible` has values from 255 to 255; divide grey levels by 255"):
        log_probability(rbm, grey, 0.0)
    with pytest.raises(ValueError, match="`data` has values from 255 to 255"):
        ais_log_partition(rbm, grey)
    with pytest.raises(ValueError, match="`mean` has values from nan to nan"):
        rbm.set_visible_bias(np.array([0, 0, 0, 0, np.nan]))


# Annealed estimates ---------------------------------------------------------------------------------------------------


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("visible", "kwargs"),
    [
        (8, {}),
        (8, {"label_units": 3}),
        (4, {"visible_type": "gaussian"}),
        (4, {"visible_type": "gaussian", "learn_variance": True, "coupling": "variance"}),
        (4, {"visible_type": "gaussian", "learn_variance": True, "coupling": "deviation"}),
    ],
)
def test_estimate_agrees_with_enumeration(visible, kwargs):
    rbm = make_rbm(visible, 6, scale=0.7, **kwargs)
    data = numbers(rbm.gibbs_chain(np.zeros((500, visible)), 20))
    estimate = ais_log_partition(rbm, data, chains=500, betas=np.linspace(0, 1, 201), seed=0)
    exact = exact_log_partition(rbm)
    assert abs(estimate.log_z - exact) < 4 * estimate.standard_error < 0.2
    assert abs(estimate.reverse_log_z - exact) < 4 * estimate.reverse_standard_error < 0.2


@pytest.mark.lengthy
def test_bracket_holds_an_rbm_with_784_visible_units(trained):
    rbm, data, exact = trained
    estimate = ais_log_partition(rbm, data, chains=50, betas=spaced_betas(2000), seed=0)
    assert estimate.lower < exact < estimate.upper
    assert estimate.upper - estimate.lower < 3
    assert estimate.warnings == ()


@pytest.mark.lengthy
@pytest.mark.filterwarnings("ignore:estimate of log Z")
def test_forward_lies_below_and_reverse_above_on_average(trained):
    rbm, data, exact = trained
    estimates = [ais_log_partition(rbm, data, chains=10, betas=spaced_betas(60), seed=seed) for seed in range(8)]
    forward = np.array([estimate.log_z for estimate in estimates]) - exact
    reverse = np.array([estimate.reverse_log_z for estimate in estimates]) - exact
    assert forward.mean() + 2 * forward.std() / np.sqrt(8) < 0
    assert reverse.mean() - 2 * reverse.std() / np.sqrt(8) > 0


@pytest.mark.lengthy
@pytest.mark.filterwarnings("ignore:estimate of log Z")
def test_uniform_base_rate_is_worse(trained):
    rbm, data, exact = trained
    betas = spaced_betas(60)
    uniform, informed = (
        np.mean([ais_log_partition(rbm, base, chains=50, betas=betas, seed=seed).log_z for seed in range(3)]) - exact
        for base in (None, data)
    )
    assert uniform < informed - 1
    assert uniform < -4  # beside a standard error that never exceeds 1


def own(issued):
    """The warnings of models/: torch and NumPy add theirs."""
    return [str(warning.message) for warning in issued if issubclass(warning.category, UserWarning)]


@pytest.mark.lengthy
def test_uniform_base_rate_is_warned_of(trained):
    with pytest.warns(UserWarning) as issued:
        estimate = ais_log_partition(trained[0], chains=20, betas=spaced_betas(30), seed=0)
    assert "the base rate is uniform" in estimate.warnings[0]
    assert [f"estimate of log Z: {sentence}" for sentence in estimate.warnings] == own(issued)


def test_few_temperatures_are_warned_of(trained):
    rbm, data, _ = trained
    with pytest.warns(UserWarning) as issued:
        estimate = ais_log_partition(rbm, data, betas=[0, 0.5, 1], seed=0)
    assert len(own(issued)) == len(estimate.warnings) == 2
    assert "carry the weight" in estimate.warnings[0]
    assert "nats apart" in estimate.warnings[1]


@pytest.mark.filterwarnings("ignore:estimate of log Z")
def test_same_seed_same_estimate_and_the_rbm_is_left_alone(trained):
    rbm, data, _ = trained
    before = numbers(rbm.seed_generator.state)
    first, second, other = (
        ais_log_partition(rbm, data, chains=20, betas=spaced_betas(60), seed=seed) for seed in (4, 4, 5)
    )
    assert first == second != other
    np.testing.assert_array_equal(numbers(rbm.seed_generator.state), before)


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("dtype", "steps", "hidden", "tolerance"), [("float64", 3, 3, 1e-10), ("float32", 14500, 300, 1e-3)]
)
def test_independent_units_are_exact_whatever_the_steps(dtype, steps, hidden, tolerance):
    """Every weight is the same then, and shows the error of adding up 14,500 rises in float32 to 1,000 nats."""
    rbm = make_rbm(6, hidden, dtype=dtype)
    rbm.kernel.assign(np.zeros((6, hidden)))
    rbm.hidden_bias.assign(10 * numbers(rbm.hidden_bias))
    _, a, b = parameters(rbm)
    mean = 1 / (1 + np.exp(-a))
    data = np.tile(0.5 + (mean - 0.5) * 1.1, (10, 1))  # smoothing makes it the RBM's own mean
    estimate = ais_log_partition(rbm, data, chains=4, betas=spaced_betas(steps), seed=0)
    wanted = np.logaddexp(0, a).sum() + np.logaddexp(0, b).sum()
    np.testing.assert_allclose([estimate.log_z, estimate.reverse_log_z], wanted, rtol=0, atol=tolerance)
    assert estimate.standard_error < tolerance


def test_base_rate_of_labels_is_that_of_the_data():
    rbm = make_rbm(7, 3, label_units=3)
    rbm.kernel.assign(np.zeros((7, 3)))
    data = with_labels(4, 3)[:20]  # 7, 7 and 6 of the labels
    on, off = data.mean(axis=0) + 0.05, 1.05 - data.mean(axis=0)
    rbm.visible_bias.assign([*np.log(on[:4] / off[:4]), *np.log(on[4:])])
    estimate = ais_log_partition(rbm, data, chains=20, betas=[0, 0.3, 1], seed=0)
    np.testing.assert_allclose(estimate.log_z, exact_log_partition(rbm), rtol=1e-10)
    assert estimate.standard_error < 1e-10


@pytest.mark.lengthy
@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_one_row_is_the_mean_of_many(visible_type):
    rbm = make_rbm(4, 3, visible_type=visible_type)
    data = numbers(rbm.gibbs_chain(np.zeros((200, 4)), 20))
    many, one = (
        ais_log_partition(rbm, base, chains=200, betas=np.linspace(0, 1, 101), seed=0)
        for base in (data, data.mean(axis=0, keepdims=True))
    )
    assert abs(many.log_z - one.log_z) < (1e-9 if visible_type == "bernoulli" else 0.2)
    assert one.warnings == ()


def test_spaced_betas_are_the_published_ones():
    betas = spaced_betas()
    np.testing.assert_allclose(betas[:501], np.arange(501) / 1000, atol=1e-12)
    np.testing.assert_allclose(betas[500:4501], 0.5 + np.arange(4001) / 10000, atol=1e-12)
    np.testing.assert_allclose(betas[4500:], 0.9 + np.arange(10001) / 100000, atol=1e-12)
    for steps in (3, 10, 29, 1000):
        assert len(spaced_betas(steps)) == steps + 1
        assert np.all(np.diff(spaced_betas(steps)) > 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chains": 1}, "`chains` must be an integer of at least 2"),
        ({"betas": [0, 0.5, 0.4, 1]}, "`betas` must rise from 0 to 1"),
        ({"betas": [0.1, 1]}, "`betas` must rise from 0 to 1"),
        ({"data": np.zeros((3, 5))}, r"`data` must have shape \(images, 6\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ais_log_partition(make_rbm(6, 3), **arguments)


def test_rbms_that_cannot_be_annealed_are_refused():
    with pytest.raises(ValueError, match='received hidden_type="nrelu"'):
        ais_log_partition(make_rbm(6, 3, hidden_type="nrelu"))
    rbm = make_rbm(6, 3)
    rbm.hidden_bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="not finite"):
        ais_log_partition(rbm)


def test_bracket_is_three_standard_errors_wide_beyond_the_estimates():
    estimate = LogPartitionEstimate(10.0, 0.5, 50.0, 12.0, 0.25, 60.0)
    assert (estimate.lower, estimate.upper, estimate.gap) == (8.5, 12.75, 2.0)
