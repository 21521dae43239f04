"""Contrastive divergence: its gradients against autodiff and NumPy, the loop in the graph against NumPy."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.datasets import load_digits

from models.fitting.loops import read_variables_once
from models.fitting.sgd import MomentumSGD
from models.rbm import RBM
from models.rbm.monitors import FreeEnergyGap, PseudoLogLikelihood

VISIBLE, HIDDEN = 6, 4
GAUSSIAN = {"visible_type": "gaussian", "learn_variance": True}
OPTIONS = {
    "binary": {},
    "cd3": {"gibbs_steps": 3},
    "sampled": {"sample_reconstruction": True},
    "persistent": {"persistent": True, "num_chains": 7},
    "long persistent": {"persistent": True, "num_chains": 7, "gibbs_steps": 12},  # a loop in the graph
    "tempered": {"persistent": True, "num_chains": 7, "temperatures": 3},
    "standardised": {"visible_type": "gaussian"},
    "persistent standardised": {"visible_type": "gaussian", "persistent": True},
    "variance": GAUSSIAN,
    "deviation": GAUSSIAN | {"coupling": "deviation", "gibbs_steps": 2},
    "rectified": {"hidden_type": "nrelu"},
    "rectified variance": GAUSSIAN | {"hidden_type": "nrelu"},
    "linear": {"hidden_type": "gaussian"},
    "labels": {"label_units": 3},
    "persistent labels": {"label_units": 3, "persistent": True},
}
SPARSE = {"sparsity_target": 0.125, "sparsity_cost": 0.5}
ADJUSTED = {
    "sparse": SPARSE,
    "data": {"centering": "data"},
    "enhanced": {"centering": "enhanced"},
    "sparse enhanced": {"centering": "enhanced"} | SPARSE,
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


class Deterministic(RBM):
    """Drives the reconstruction by probabilities instead of samples, so that NumPy can follow."""

    def draw_hidden(self, probabilities):
        return probabilities


def make_rbm(kind=RBM, **kwargs):
    rbm = kind(HIDDEN, seed=3, dtype="float64", **kwargs)
    rbm.build((None, VISIBLE))
    random = np.random.default_rng(5)
    for variable in rbm.trainable_variables:
        variable.assign(0.5 * random.normal(size=variable.shape))
    return rbm


def weights_of(rbm):
    return [numbers(v) for v in rbm.trainable_variables]


def rows_for(rbm, rows=8):
    data = np.random.default_rng(0).random((rows, VISIBLE))
    if rbm.label_units:
        data[:, -rbm.label_units :] = np.eye(rbm.label_units)[np.arange(rows) % rbm.label_units]
    return data


def digits():
    return (load_digits().data / 16).astype("float32")


def spied(rbm):
    """Makes `rbm` record the visible states of its positive and negative statistics, in a list that is returned."""
    seen, negative_phase = [], rbm.negative_phase

    def spy(visible, *args, **kwargs):
        reconstruction, negative = negative_phase(visible, *args, **kwargs)
        seen.append((visible, negative))
        return reconstruction, negative

    rbm.negative_phase = spy
    return seen


@pytest.mark.lengthy
@pytest.mark.tensorflow
@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_are_those_of_the_difference_of_free_energies(options):
    """Autodiff of mean F(v0) - mean F(vk), vk held constant."""
    import tensorflow as tf

    rbm = make_rbm(**OPTIONS[options])
    seen, data = spied(rbm), rows_for(rbm)
    found, _ = rbm.gradients(data)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(rbm.free_energy(data)) - tf.reduce_mean(rbm.free_energy(tf.constant(numbers(seen[0][1]))))
    wanted = tape.gradient(loss, [v.value for v in rbm.trainable_variables])
    assert len(found) == (4 if rbm.learn_variance else 3)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-12)


@pytest.mark.lengthy
@pytest.mark.tensorflow
@pytest.mark.parametrize("options", OPTIONS | ADJUSTED)
def test_gradient_of_the_loss_is_the_given_one(options):
    import tensorflow as tf

    one, other = (make_rbm(**(OPTIONS | ADJUSTED)[options]) for _ in range(2))
    wanted, _ = one.gradients(rows_for(one))
    with tf.GradientTape() as tape:
        loss = other.compute_loss(rows_for(other))
    found = tape.gradient(loss, [v.value for v in other.trainable_variables])
    for gradient, value in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(numbers(gradient), numbers(value))
    np.testing.assert_allclose(numbers(loss), numbers(one.loss_value(rows_for(one))), rtol=1e-12)


@pytest.mark.parametrize("options", ["persistent", "tempered", "sparse enhanced"])
def test_looking_at_validation_data_moves_nothing_that_lives_on(options):
    rbm = make_rbm(**(OPTIONS | ADJUSTED)[options])
    keys = [key for key in ("chains", "activity", "visible_offset", "hidden_offset") if hasattr(rbm, key)]
    before = {key: numbers(getattr(rbm, key)) for key in keys}
    rbm.gradients(ops.convert_to_tensor(rows_for(rbm)), training=False)
    for key in keys:
        np.testing.assert_array_equal(numbers(getattr(rbm, key)), before[key])
    rbm.gradients(ops.convert_to_tensor(rows_for(rbm)))
    assert all(not np.array_equal(numbers(getattr(rbm, key)), before[key]) for key in keys)


@pytest.mark.lengthy
@pytest.mark.tensorflow
@pytest.mark.parametrize("options", ["variance", "persistent", "labels", "sparse enhanced"])
def test_an_update_reads_every_weight_once(options):
    """Later reads may see the update of another weight: TensorFlow loses their order."""
    import tensorflow as tf

    rbm = make_rbm(**(OPTIONS | ADJUSTED)[options])
    step = tf.function(lambda x: read_variables_once(rbm, lambda: (rbm.gradients(x), rbm.loss_value(x))))
    graph = step.get_concrete_function(tf.constant(rows_for(rbm))).graph
    read = [op.inputs[0] for op in graph.get_operations() if op.type == "ReadVariableOp"]
    placeholders = {id(captured): placeholder for captured, placeholder in graph.captures}
    for variable in rbm.trainable_variables:
        assert sum(tensor is placeholders[id(variable.value.handle)] for tensor in read) == 1


def trained_by_numpy(rbm, data, size, epochs, rate, momenta, cost):
    """Deterministic CD-1 in NumPy with whatever `rbm` is set to do; explicit covariances for centering."""
    W, a, b = weights_of(rbm)
    activity, target = rbm.sparsity_target, rbm.sparsity_target
    share = {"enhanced": 0.5, "data": 0.0, None: 0.0}[rbm.centering]
    m, l = (numbers(rbm.visible_offset), numbers(rbm.hidden_offset)) if rbm.centering else (0.0, 0.0)  # noqa: E741
    velocity, step, errors = [0.0, 0.0, 0.0], 0, []
    for _ in range(epochs):
        error = 0.0
        for start in range(0, len(data), size):
            v0 = data[start : start + size]
            h0 = sigmoid(v0 @ W + b)
            v1 = sigmoid(h0 @ W.T + a)
            h1 = sigmoid(v1 @ W + b)
            error += ((v0 - v1) ** 2).sum()
            up = ((v0 - m).T @ (h0 - l) - (v1 - m).T @ (h1 - l)) / len(v0)
            pull = 0.0
            if target is not None:
                activity = 0.9 * activity + 0.1 * h0.mean(0)
                pull = rbm.sparsity_cost * (activity - target)
                up = up - np.outer(v0.mean(0) - m, pull)
            of_hidden = h0.mean(0) - h1.mean(0) - pull
            gradient = [
                up - cost * W,
                v0.mean(0) - v1.mean(0) - up @ (l * np.ones(HIDDEN)),
                of_hidden - m * np.ones(VISIBLE) @ up,
            ]
            if rbm.centering:
                m = m + 0.01 * ((1 - share) * v0.mean(0) + share * v1.mean(0) - m)
                l = l + 0.01 * ((1 - share) * h0.mean(0) + share * h1.mean(0) - l)  # noqa: E741
            momentum, step = momenta[0] if step < 2 else momenta[1], step + 1
            velocity = [momentum * old + rate * new for old, new in zip(velocity, gradient, strict=True)]
            W, a, b = (w + v for w, v in zip((W, a, b), velocity, strict=True))
        errors.append(error / len(data))
    return (W, a, b), {"activity": activity, "visible_offset": m, "hidden_offset": l}, errors


@pytest.mark.lengthy
@pytest.mark.parametrize(("options", "rows"), [({}, 40), ({}, 7), ({}, 43), *((o, 43) for o in ADJUSTED.values())])
def test_loop_in_the_graph_equals_numpy_and_uses_the_last_incomplete_minibatch(options, rows):
    size, rate, momenta, cost = 10, 0.125, (0.5, 0.9), 0.01
    rbm = make_rbm(Deterministic, minibatch_size=size, **options)
    data = np.random.default_rng(1).random((rows, VISIBLE), dtype="float32")  # to which `fit` would round it
    data = data.astype("float64")
    weights, state, errors = trained_by_numpy(rbm, data, size, 2, rate, momenta, cost)
    rbm.compile(MomentumSGD(rate, momenta[1], momenta[0], 2, cost))
    logs = rbm.fit(data, batch_size=rows, shuffle=False, epochs=2, verbose=0).history
    for found, wanted in zip(weights_of(rbm), weights, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    for key, wanted in state.items():
        if hasattr(rbm, key):
            np.testing.assert_allclose(numbers(getattr(rbm, key)), wanted, atol=1e-12)
    np.testing.assert_allclose(logs["reconstruction_error"], errors, rtol=1e-6)
    assert int(numbers(rbm.optimizer.iterations)) == 2 * -(-rows // size)


def test_grey_data_are_drawn_anew_in_every_update():
    rbm, share = make_rbm(sample_data=True), np.linspace(0, 1, VISIBLE)
    seen = spied(rbm)
    for _ in range(2):
        rbm.gradients(ops.convert_to_tensor(np.tile(share, (4000, 1)), dtype=rbm.compute_dtype))
    first, second = (numbers(visible) for visible, _ in seen)
    for states in (first, second):
        assert set(np.unique(states)) == {0, 1}
        np.testing.assert_allclose(states.mean(0), share, atol=0.04)  # 5 standard errors
    assert not np.array_equal(first, second)


@pytest.mark.lengthy
@pytest.mark.parametrize("options", ["variance", "deviation", "rectified variance"])
def test_learned_variances_become_those_of_the_data(options):
    """Independent units of different variance, and no weights that could explain them."""
    deviations = np.array([0.5, 0.7, 1.0, 1.3, 2.0, 3.0])
    data = deviations * np.random.default_rng(0).normal(size=(2000, VISIBLE))
    rbm = make_rbm(**OPTIONS[options] | {"minibatch_size": 100})
    for weights in rbm.trainable_variables:
        weights.assign(np.zeros(weights.shape))
    rbm.compile(MomentumSGD(0.02, 0.0))
    rbm.fit(data, batch_size=1000, epochs=30, verbose=0)
    np.testing.assert_allclose(np.exp(numbers(rbm.log_variance)), data.var(0), rtol=0.15)


def test_learned_variance_stays_above_its_least_value():
    rbm = make_rbm(**GAUSSIAN, minibatch_size=5)
    rbm.log_variance.assign(np.full(VISIBLE, -18.3))
    rbm.kernel.assign(np.zeros(rbm.kernel.shape))
    rbm.visible_bias.assign(np.zeros(VISIBLE))
    rbm.compile(MomentumSGD(10.0, 0.0))
    rbm.fit(np.zeros((5, VISIBLE)), batch_size=5, verbose=0)  # no variance at all
    np.testing.assert_allclose(numbers(rbm.log_variance), np.log(1e-8), rtol=1e-12)


@pytest.mark.lengthy
@pytest.mark.parametrize(
    "options",
    ["long persistent", "tempered", "deviation", "rectified variance", "persistent labels", "sparse enhanced"],
)
def test_loop_in_the_graph_equals_stock_training_with_the_same_random_numbers(options):
    results = []
    for minibatch_size, batch_size in ((10, 60), (None, 10)):
        rbm = make_rbm(minibatch_size=minibatch_size, **(OPTIONS | ADJUSTED)[options])
        data = rows_for(rbm, 60)
        rbm.compile(MomentumSGD(0.05, 0.9, weight_cost=1e-3))
        history = rbm.fit(data, batch_size=batch_size, shuffle=False, epochs=3, verbose=0).history
        results.append((weights_of(rbm), history["reconstruction_error"]))
    for loop, stock in zip(*(weights for weights, _ in results), strict=True):
        np.testing.assert_allclose(loop, stock, atol=1e-8)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


@pytest.mark.lengthy
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


@pytest.mark.lengthy
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
    np.testing.assert_allclose(logs["free_energy_gap"][-1], gap, atol=1e-4)


@pytest.mark.lengthy
def test_gaussian_rbm_learns_standardised_digits():
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


@pytest.mark.parametrize("options", [{}, {"minibatch_size": 10}, {"minibatch_size": 10, "persistent": True}])
def test_what_training_would_pass_over_is_refused(options):
    data, ones = digits()[:40], np.ones(40, "float32")
    for refused, sentence in (
        (
            {"y": ones},
            r"RBM learns from x alone; leave out y. `RBM\(hidden_units, label_units=classes\)` learns labels",
        ),
        ({"sample_weight": ones}, "RBM gives every row the same weight; leave out `sample_weight`"),
    ):
        rbm = RBM(5, seed=1, **options)
        rbm.compile()
        with pytest.raises(ValueError, match=sentence):
            rbm.fit(data, batch_size=20, verbose=0, **refused)
        with pytest.raises(ValueError, match=sentence):
            rbm.evaluate(data, verbose=0, **refused)
        assert int(numbers(rbm.optimizer.iterations)) == 0


LIVING = {
    "stock step": {"persistent": True},
    "everything": {
        "persistent": True,
        "temperatures": 3,
        "num_chains": 20,
        "centering": "enhanced",
        "sparsity_target": 0.1,
        "sparsity_cost": 0.1,
        "label_units": 10,
        "minibatch_size": 50,
    },
    "variance": GAUSSIAN | {"persistent": True, "minibatch_size": 50},
}
RESUME = """
import sys
import keras
import numpy as np
import models.rbm.rbm
from sklearn.datasets import load_digits
rbm = keras.models.load_model(sys.argv[1])
images = (load_digits().data / 16)[:330].astype("float32")
rbm.fit(images, batch_size=110, shuffle=False, epochs=4, initial_epoch=2, verbose=0)
np.savez(sys.argv[2], *(v.numpy() for v in [*rbm.variables, *rbm.optimizer.variables]))
"""


def trained(options, epochs):
    rbm = RBM(12, seed=1, **LIVING[options])
    rbm.compile(MomentumSGD(0.01, 0.9, 0.5, 5, 1e-3))
    rbm.fit(digits()[:330], batch_size=110, shuffle=False, epochs=epochs, verbose=0)
    return rbm


def everything_in(rbm):
    return [numbers(v) for v in [*rbm.variables, *rbm.optimizer.variables]]


@pytest.mark.lengthy
@pytest.mark.parametrize("options", LIVING)
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(tmp_path, options):
    trained(options, 2).save(tmp_path / "rbm.keras")
    again = keras.models.load_model(tmp_path / "rbm.keras")
    again.fit(digits()[:330], batch_size=110, shuffle=False, epochs=4, initial_epoch=2, verbose=0)
    for found, wanted in zip(everything_in(again), everything_in(trained(options, 4)), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.lengthy
def test_training_resumed_in_another_process_is_the_same_too(tmp_path):
    trained("everything", 2).save(tmp_path / "rbm.keras")
    command = [sys.executable, "-c", RESUME, tmp_path / "rbm.keras", tmp_path / "resumed.npz"]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
    resumed = np.load(tmp_path / "resumed.npz")
    for found, wanted in zip(resumed.values(), everything_in(trained("everything", 4)), strict=True):
        np.testing.assert_array_equal(found, wanted)
