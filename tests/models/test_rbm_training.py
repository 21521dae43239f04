"""Contrastive divergence: the loss against the closed form, the loop in the graph against NumPy."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from models.monitors import FreeEnergyGap, PseudoLogLikelihood
from models.rbm import RBM
from models.sgd import MomentumSGD

VISIBLE, HIDDEN = 6, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numbers(tensor):
    return tensor.numpy()


class Deterministic(RBM):
    """Drives the reconstruction by probabilities instead of samples, so that NumPy can follow."""

    def build(self, input_shape):
        super().build(input_shape)
        units = self._hidden

        class Means(units):
            @staticmethod
            def sample(mean, seed):
                return mean

        self._hidden = Means


def machine(kind=RBM, **kwargs):
    rbm = kind(HIDDEN, seed=3, dtype="float64", **kwargs)
    rbm.build((None, VISIBLE))
    random = np.random.default_rng(5)
    for variable in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias):
        variable.assign(random.normal(size=variable.shape))
    return rbm


def cd_gradient(weights, v0, vk):
    """Descent direction of CD in NumPy, from data and the end of the chain."""
    W, _, b = weights
    h0, hk = sigmoid(v0 @ W + b), sigmoid(vk @ W + b)
    return [
        vk.T @ hk / len(vk) - v0.T @ h0 / len(v0),
        vk.mean(0) - v0.mean(0),
        hk.mean(0) - h0.mean(0),
    ]


def weights_of(rbm):
    return [numbers(v) for v in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias)]


def digits():
    return (load_digits().data / 16).astype("float32")


@pytest.mark.parametrize("kwargs", [{}, {"gibbs_steps": 3}, {"sample_reconstruction": True}, {"persistent": True}])
@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_gradient_of_the_loss_is_contrastive_divergence(visible_type, kwargs):
    tf = pytest.importorskip("tensorflow")
    rbm = machine(visible_type=visible_type, **kwargs)
    seen = []
    negative_phase = rbm._negative_phase

    def spy(*args, **options):
        seen.append(negative_phase(*args, **options))
        return seen[-1]

    rbm._negative_phase = spy
    v0 = np.random.default_rng(0).random((8, VISIBLE))
    variables = [v.value for v in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias)]
    with tf.GradientTape() as tape:
        loss = rbm.compute_loss(v0)
    found = tape.gradient(loss, variables)
    wanted = cd_gradient(weights_of(rbm), v0, numbers(seen[0][1]))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(numbers(one), other, atol=1e-12)


@pytest.mark.parametrize("rows", [40, 43, 7])
def test_loop_in_the_graph_equals_numpy_and_uses_the_last_incomplete_minibatch(rows):
    size, rate, cost = 10, 0.1, 0.01
    rbm = machine(Deterministic, minibatch_size=size)
    W, a, b = weights_of(rbm)
    data = np.random.default_rng(1).random((rows, VISIBLE))
    rbm.compile(MomentumSGD(rate, 0.9, 0.5, 2, cost))
    logs = rbm.fit(data, batch_size=rows, shuffle=False, epochs=2, verbose=0).history
    velocity, step, errors = [np.zeros_like(w) for w in (W, a, b)], 0, []
    for _ in range(2):
        error = 0.0
        for start in range(0, rows, size):
            v0 = data[start : start + size]
            v1 = sigmoid(sigmoid(v0 @ W + b) @ W.T + a)
            error += ((v0 - v1) ** 2).sum()
            gradient = cd_gradient((W, a, b), v0, v1)
            gradient[0] = gradient[0] + cost * W
            momentum, step = 0.5 if step < 2 else 0.9, step + 1
            velocity = [momentum * old - rate * new for old, new in zip(velocity, gradient, strict=True)]
            W, a, b = (w + v for w, v in zip((W, a, b), velocity, strict=True))
        errors.append(error / rows)
    for found, wanted in zip(weights_of(rbm), (W, a, b), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(logs["reconstruction_error"], errors, rtol=1e-6)
    assert int(numbers(rbm.optimizer.iterations)) == step


@pytest.mark.parametrize("kwargs", [{}, {"gibbs_steps": 2}, {"persistent": True, "num_chains": 7}])
@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_loop_in_the_graph_equals_stock_training_with_the_same_random_numbers(visible_type, kwargs):
    data = np.random.default_rng(1).random((60, VISIBLE))
    results = []
    for minibatch_size, batch_size in ((10, 60), (None, 10)):
        rbm = machine(visible_type=visible_type, minibatch_size=minibatch_size, **kwargs)
        rbm.compile(MomentumSGD(0.05, 0.9, weight_cost=1e-3))
        history = rbm.fit(data, batch_size=batch_size, shuffle=False, epochs=3, verbose=0).history
        results.append((weights_of(rbm), history["reconstruction_error"]))
    for loop, stock in zip(*(weights for weights, _ in results), strict=True):
        np.testing.assert_allclose(loop, stock, atol=1e-8)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"persistent": True}, {"minibatch_size": 100}])
def test_same_seed_same_weights_bit_for_bit(kwargs):
    def train(seed):
        rbm = RBM(20, seed=seed, **kwargs)
        rbm.compile()
        rbm.fit(digits(), batch_size=500, shuffle=False, epochs=2, verbose=0)
        return numbers(rbm.kernel)

    first = train(1)
    np.testing.assert_array_equal(first, train(1))
    assert not np.array_equal(first, train(2))


@pytest.mark.parametrize("kwargs", [{}, {"gibbs_steps": 2}, {"persistent": True}])
def test_training_on_digits_lowers_errors_and_raises_likelihood(kwargs):
    images, held_out = digits()[:1500], digits()[1500:]
    rbm = RBM(50, minibatch_size=50, seed=1, **kwargs)
    rbm.set_visible_bias(images.mean(0))
    rbm.compile(MomentumSGD(0.05, 0.9, 0.5, 60))
    monitors = [FreeEnergyGap(images[:200], held_out[:200]), PseudoLogLikelihood(held_out[:50])]
    logs = rbm.fit(
        images, batch_size=1500, epochs=15, verbose=0, callbacks=monitors, validation_data=(held_out, None)
    ).history
    assert logs["reconstruction_error"][-1] < 0.75 * logs["reconstruction_error"][0]
    assert logs["val_reconstruction_error"][-1] < logs["val_reconstruction_error"][0]
    assert logs["pseudo_log_likelihood"][-1] > logs["pseudo_log_likelihood"][0]
    gap = numbers(rbm.free_energy(images[:200])).mean() - numbers(rbm.free_energy(held_out[:200])).mean()
    np.testing.assert_allclose(logs["free_energy_gap"][-1], gap, rtol=1e-4)


def test_gaussian_machine_learns_standardised_digits():
    images = digits()
    images = (images - images.mean(0)) / (images.std(0) + 0.1)
    rbm = RBM(50, visible_type="gaussian", minibatch_size=50, weight_stddev=0.01, seed=1)
    rbm.compile(MomentumSGD(0.01, 0.9))
    logs = rbm.fit(images, batch_size=1797, epochs=10, verbose=0).history["reconstruction_error"]
    assert logs[-1] < 0.7 * logs[0]


def test_a_batch_as_large_as_the_minibatch_takes_the_stock_step():
    rbm = RBM(5, minibatch_size=20, seed=1)
    rbm.compile()
    rbm.fit(digits()[:20], batch_size=20, verbose=0)
    assert int(numbers(rbm.optimizer.iterations)) == 1


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_saved_machine_gives_the_same_probabilities(tmp_path):
    rbm = RBM(5, persistent=True, seed=1)
    rbm.compile()
    rbm.fit(digits()[:100], verbose=0)
    rbm.save(tmp_path / "rbm.keras")
    again = keras.models.load_model(tmp_path / "rbm.keras")
    np.testing.assert_array_equal(numbers(again(digits()[:5])), numbers(rbm(digits()[:5])))
    for machine_ in (rbm, again):  # the random numbers, the chains and the velocity go on where they stopped
        machine_.fit(digits()[:100], shuffle=False, verbose=0)
    np.testing.assert_array_equal(numbers(again.kernel), numbers(rbm.kernel))
