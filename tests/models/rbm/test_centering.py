"""Centering: which state of a unit is called 1 does not matter, and about offsets of 0 nothing changes."""

import keras
import numpy as np
import pytest
from keras import ops

from models.fitting.sgd import MomentumSGD
from models.rbm import RBM

VISIBLE, HIDDEN, ROWS = 6, 4, 43
CHANGED = np.array([1.0, 0, 1, 1, 0, 1]), np.array([0.0, 1, 1, 0])  # visible and hidden units that change their names


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


class Deterministic(RBM):
    """Drives all chains by probabilities instead of samples: a sample has no mirror image."""

    def draw_hidden(self, probabilities):
        return probabilities

    def draw_visible(self, probabilities):
        return probabilities


def make_rbm(**kwargs):
    rbm = Deterministic(HIDDEN, seed=3, dtype="float64", minibatch_size=10, **kwargs)
    rbm.build((None, VISIBLE))
    random = np.random.default_rng(5)
    for variable in rbm.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return rbm


def data():
    return np.random.default_rng(1).random((ROWS, VISIBLE), dtype="float32").astype("float64")


def mirrored(weights, visible, hidden):
    """Weights of the same model when the units marked 1 are called by their complements: v' = f + s v, h' = g + t h."""
    (W, a, b), f, g = weights, visible, hidden
    s, t = 1 - 2 * f, 1 - 2 * g
    return s[:, None] * W * t, s * (a + W @ g), t * (b + f @ W)


def train(rbm, images, weight_cost=0.0):
    rbm.compile(MomentumSGD(0.2, 0.9, 0.5, 10, weight_cost))
    rbm.fit(images, batch_size=len(images), shuffle=False, epochs=12, verbose=0)  # 60 updates
    return [numbers(v) for v in rbm.trainable_variables]


def both_ways(visible, hidden, weight_cost=0.0, **kwargs):
    """Weights after training, mirrored, and those of the mirrored RBM after training on mirrored data."""
    rbm, mirror = make_rbm(**kwargs), make_rbm(**kwargs)
    images = data()
    rbm.set_visible_bias(images.mean(0))
    start = [numbers(v) for v in rbm.trainable_variables]
    for variable, weights in zip(mirror.trainable_variables, mirrored(start, visible, hidden), strict=True):
        variable.assign(weights)
    changed = visible + (1 - 2 * visible) * images
    if mirror.persistent:
        mirror.chains.assign(visible + (1 - 2 * visible) * numbers(rbm.chains))
    if mirror.centering:
        mirror.visible_offset.assign(changed.mean(0))
    wanted = mirrored(train(rbm, images, weight_cost), visible, hidden)
    moved = np.abs(wanted[0] - mirrored(start, visible, hidden)[0]).max()
    return wanted, train(mirror, changed, weight_cost), moved


@pytest.mark.lengthy
@pytest.mark.parametrize(
    "options",
    [
        {"centering": "data"},
        {"centering": "enhanced"},
        {"centering": "enhanced", "gibbs_steps": 2, "sample_reconstruction": True},
        {"centering": "enhanced", "persistent": True, "num_chains": 7},
        {"centering": "enhanced", "sparsity_target": 0.2, "sparsity_cost": 0.1},
    ],
    ids=["data", "enhanced", "cd2", "persistent", "sparse"],
)
def test_centered_training_gives_the_same_model_whichever_state_is_called_1(options):
    visible, hidden = CHANGED
    if "sparsity_target" in options:  # a hidden unit that is rarely on is often off
        visible, hidden = np.ones(VISIBLE), np.zeros(HIDDEN)
    wanted, found, moved = both_ways(visible, hidden, **options)
    assert moved > 0.5
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


@pytest.mark.lengthy
def test_without_centering_it_does_matter():
    wanted, found, _ = both_ways(np.ones(VISIBLE), np.zeros(HIDDEN), centering=None)
    assert np.abs(wanted[0] - found[0]).max() > 0.1


@pytest.mark.parametrize("centering", ["data", "enhanced"])
def test_about_offsets_of_zero_the_centered_gradient_is_the_plain_one(centering):
    rbm, plain = make_rbm(centering=centering), make_rbm()
    rbm.visible_offset.assign(np.zeros(VISIBLE))
    rbm.hidden_offset.assign(np.zeros(HIDDEN))
    images = ops.convert_to_tensor(data())
    for found, wanted in zip(rbm.gradients(images)[0], plain.gradients(images)[0], strict=True):
        np.testing.assert_allclose(numbers(found), numbers(wanted), atol=1e-15)


def test_offsets_of_the_means_make_the_kernels_gradient_a_gap_of_covariances():
    """About the means of data and model alike, dW = cov(v, h) of the data minus that of the model."""
    rbm = make_rbm(centering="data")
    images = data()
    h0 = numbers(rbm.hidden_probabilities(images))
    _, v1 = rbm.negative_phase(*map(ops.convert_to_tensor, (images, h0)))
    v1, h1 = numbers(v1), numbers(rbm.hidden_probabilities(v1))
    covariances = [np.cov(v.T, h.T, bias=True)[:VISIBLE, VISIBLE:] for v, h in ((images, h0), (v1, h1))]
    m, l = np.random.default_rng(2).random(VISIBLE), np.random.default_rng(3).random(HIDDEN)  # noqa: E741
    rbm.visible_offset.assign(m)
    rbm.hidden_offset.assign(l)
    about = [np.outer(v.mean(0) - m, h.mean(0) - l) for v, h in ((images, h0), (v1, h1))]
    wanted = covariances[1] + about[1] - covariances[0] - about[0]
    found = [numbers(g) for g in rbm.gradients(ops.convert_to_tensor(images))[0]]
    np.testing.assert_allclose(found[0], wanted, atol=1e-12)
    np.testing.assert_allclose(found[1], v1.mean(0) - images.mean(0) - wanted @ l, atol=1e-12)
    np.testing.assert_allclose(found[2], h1.mean(0) - h0.mean(0) - m @ wanted, atol=1e-12)


def test_visible_offsets_start_at_the_datas_means_and_hidden_ones_at_one_half():
    rbm = make_rbm(centering="enhanced")
    rbm.set_visible_bias(data().mean(0))
    np.testing.assert_allclose(numbers(rbm.visible_offset), data().mean(0), rtol=1e-12)
    np.testing.assert_array_equal(numbers(rbm.hidden_offset), np.full(HIDDEN, 0.5))
