"""The convolutional RBM against enumeration, and against a dense RBM whose weights are tied; in float64."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.datasets import load_digits

from models.fitting.sgd import MomentumSGD
from models.rbm import RBM
from models.rbm.conv_rbm import ConvRBM

IMAGE, KERNEL, FILTERS = (4, 4, 1), (3, 3), 2  # maps of 2 x 2: one block a filter, five states each


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else ops.convert_to_numpy(tensor)


def make_rbm(image=IMAGE, **kwargs):
    rbm = ConvRBM(FILTERS, KERNEL, seed=3, dtype="float64", **kwargs)
    rbm.build((None, *image))
    random = np.random.default_rng(5)
    for variable in rbm.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return rbm


def data(rbm, rows=6):
    random = np.random.default_rng(7)
    shape = (rows, *rbm.image_shape)
    return random.normal(size=shape) if rbm.visible_type == "gaussian" else random.random(shape)


def all_images():
    return np.array(list(itertools.product([0.0, 1.0], repeat=16))).reshape(-1, *IMAGE)


def allowed_states(height=2, width=2, filters=FILTERS, pool=2):
    """All states of the detection units with at most one unit on in every block."""
    block = [None, *itertools.product(range(pool), repeat=2)]
    places = list(itertools.product(range(height // pool), range(width // pool), range(filters)))
    states = np.zeros((len(block) ** len(places), height, width, filters))
    for state, choice in zip(states, itertools.product(block, repeat=len(places)), strict=True):
        for (row, column, k), unit in zip(places, choice, strict=True):
            if unit is not None:
                state[row * pool + unit[0], column * pool + unit[1], k] = 1
    return states


def energy(rbm, v, h):
    """The energy of one image and one state, unit by unit."""
    W, a, b = (numbers(w) for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    total = -np.sum(v * a) if rbm.visible_type == "bernoulli" else 0.5 * np.sum((v - a) ** 2)
    for i, j, k in itertools.product(*(range(size) for size in h.shape)):
        if h[i, j, k]:
            total -= h[i, j, k] * (np.sum(W[..., k] * v[i : i + KERNEL[0], j : j + KERNEL[1]]) + b[k])
    return total


def posterior(rbm, v):
    """The allowed states and their probabilities given one image."""
    states = allowed_states()
    weights = np.exp([-energy(rbm, v, h) for h in states])
    return states, weights / weights.sum(), weights.sum()


@pytest.fixture(params=["bernoulli", "gaussian"])
def rbm(request):
    return make_rbm(visible_type=request.param)


def test_energy(rbm):
    v, h = data(rbm), allowed_states()[5:11]
    wanted = [energy(rbm, *pair) for pair in zip(v, h, strict=True)]
    np.testing.assert_allclose(numbers(rbm.energy(v, h)), wanted, rtol=1e-12)


def test_free_energy_sums_over_all_allowed_states(rbm):
    v = data(rbm)
    wanted = [-np.log(posterior(rbm, row)[2]) for row in v]
    np.testing.assert_allclose(numbers(rbm.free_energy(v)), wanted, rtol=1e-12)


def test_hidden_and_pool_probabilities_are_the_conditionals_of_the_joint(rbm):
    for row in data(rbm):
        states, weights, _ = posterior(rbm, row)
        np.testing.assert_allclose(
            numbers(rbm.hidden_probabilities(row[None]))[0], np.tensordot(weights, states, 1), rtol=1e-12
        )
        pooled = np.tensordot(weights, states.max((1, 2)), 1)
        np.testing.assert_allclose(numbers(rbm.pool_probabilities(row[None]))[0, 0, 0], pooled, rtol=1e-12)
        np.testing.assert_array_equal(numbers(rbm(row[None])), numbers(rbm.pool_probabilities(row[None])))


def test_blocks_hold_neighbours():
    rbm = make_rbm((6, 8, 2))  # maps of 4 x 6: 2 x 3 blocks
    inputs = np.random.default_rng(0).normal(size=(1, 4, 6, FILTERS))
    probabilities = numbers(rbm.hidden_probabilities(data(rbm, 1)))[0]
    W, b, v = numbers(rbm.kernel), numbers(rbm.hidden_bias), data(rbm, 1)[0]
    for i, j, k in itertools.product(range(4), range(6), range(FILTERS)):
        inputs[0, i, j, k] = np.sum(W[..., k] * v[i : i + 3, j : j + 3]) + b[k]
    for i, j, k in itertools.product(range(0, 4, 2), range(0, 6, 2), range(FILTERS)):
        block = np.exp(inputs[0, i : i + 2, j : j + 2, k])
        np.testing.assert_allclose(probabilities[i : i + 2, j : j + 2, k], block / (1 + block.sum()), rtol=1e-12)
    pooled = probabilities.reshape(2, 2, 3, 2, FILTERS).sum((1, 3))
    np.testing.assert_allclose(numbers(rbm.pool(probabilities[None]))[0], pooled, rtol=1e-12)
    np.testing.assert_allclose(numbers(rbm.pool_probabilities(v[None]))[0], pooled, rtol=1e-12)


def test_visible_probabilities_are_the_conditionals_of_the_joint():
    rbm, images = make_rbm(), all_images()
    for h in allowed_states()[[0, 7, 19]]:
        off = [energy(rbm, np.zeros(IMAGE), h), *(energy(rbm, v, h) for v in np.eye(16).reshape(-1, *IMAGE))]
        linear = off[0] - np.array(off[1:])  # the energy is linear in v: checked on the images, where it is enumerated
        np.testing.assert_allclose(off[0] - images[999].ravel() @ linear, energy(rbm, images[999], h), rtol=1e-12)
        weights = np.exp(images.reshape(-1, 16) @ linear)
        wanted = np.tensordot(weights / weights.sum(), images, 1)
        np.testing.assert_allclose(numbers(rbm.visible_probabilities(h[None]))[0], wanted, rtol=1e-10)


def test_gaussian_mean_is_where_the_energy_is_lowest():
    rbm, h = make_rbm(visible_type="gaussian"), allowed_states()[13]
    mean = numbers(rbm.visible_probabilities(h[None]))[0]
    for step in 1e-3 * np.vstack([np.eye(16), -np.eye(16)]).reshape(-1, *IMAGE):
        np.testing.assert_allclose(energy(rbm, mean + step, h) - energy(rbm, mean, h), 0.5e-6, rtol=1e-6)


def test_all_images_and_all_states_give_one_partition_function():
    rbm = make_rbm()
    W, a, b = (numbers(w) for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    by_state = []
    for h in allowed_states():
        inputs = np.full((4, 4), a[0])
        for i, j, k in np.argwhere(h):
            inputs[i : i + 3, j : j + 3] += W[:, :, 0, k]
        by_state.append(np.sum(h * b) + np.logaddexp(0, inputs).sum())
    free = numbers(rbm.free_energy(all_images()))
    np.testing.assert_allclose(np.logaddexp.reduce(-free), np.logaddexp.reduce(by_state), rtol=1e-12)


def test_samples_have_the_conditional_means_and_at_most_one_unit_of_a_block_on(rbm):
    v = np.repeat(data(rbm, 1), 20_000, axis=0)
    h = numbers(rbm.sample_hidden(v))
    assert set(np.unique(h)) == {0.0, 1.0}
    assert h.sum((1, 2)).max() == 1
    np.testing.assert_allclose(h.mean(0), numbers(rbm.hidden_probabilities(v[:1]))[0], atol=0.015)
    pooled = numbers(rbm.sample_pool(v))
    assert set(np.unique(pooled)) == {0.0, 1.0}
    np.testing.assert_allclose(pooled.mean(0), numbers(rbm.pool_probabilities(v[:1]))[0], atol=0.015)
    h = np.repeat(allowed_states()[7:8], 20_000, axis=0)
    v = numbers(rbm.sample_visible(h))
    mean = numbers(rbm.visible_probabilities(h[:1]))[0]
    np.testing.assert_allclose(v.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(v.var(0), 1.0 if rbm.visible_type == "gaussian" else mean * (1 - mean), atol=0.06)


@pytest.mark.lengthy
def test_long_gibbs_chain_has_the_models_distribution():
    rbm = make_rbm()
    free = numbers(rbm.free_energy(all_images()))
    weights = np.exp(free.min() - free)
    weights /= weights.sum()
    chains = numbers(rbm.gibbs_chain(np.zeros((20_000, *IMAGE)), 60)).reshape(-1, 16)
    images = all_images().reshape(-1, 16)
    np.testing.assert_allclose(chains.mean(0), weights @ images, atol=0.02)
    np.testing.assert_allclose(chains.T @ chains / len(chains), images.T * weights @ images, atol=0.02)


def test_reconstruct_is_one_mean_field_step_and_no_gibbs_steps_change_nothing(rbm):
    v = data(rbm)
    wanted = rbm.visible_probabilities(rbm.hidden_probabilities(v))
    np.testing.assert_array_equal(numbers(rbm.reconstruct(v)), numbers(wanted))
    np.testing.assert_array_equal(numbers(rbm.gibbs_chain(v, 0)), v)


# Against the dense RBM ------------------------------------------------------------------------------------


def dense_twin(conv):
    """The dense RBM with the same energies, its weights tied; and where each weight of `conv` stands in it."""
    (height, width, channels), (rows, columns, filters) = conv.image_shape, conv.hidden_shape
    twin = RBM(rows * columns * filters, visible_type=conv.visible_type, dtype="float64")
    twin.build((None, height * width * channels))
    tie = np.zeros((*conv.image_shape, *conv.hidden_shape, *conv.kernel.shape))
    for i, j in itertools.product(range(rows), range(columns)):
        for r, s, c, k in itertools.product(*(range(size) for size in conv.kernel.shape)):
            tie[i + r, j + s, c, i, j, k, r, s, c, k] = 1
    tie = tie.reshape(*twin.kernel.shape, -1)
    twin.kernel.assign(tie @ numbers(conv.kernel).ravel())
    twin.visible_bias.assign(np.tile(numbers(conv.visible_bias), height * width))
    twin.hidden_bias.assign(np.tile(numbers(conv.hidden_bias), rows * columns))
    return twin, tie


@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_without_pooling_it_is_the_ordinary_rbm_with_tied_weights(visible_type):
    conv = make_rbm((5, 6, 2), visible_type=visible_type, pool_size=1)
    twin, tie = dense_twin(conv)
    v, negative = data(conv), data(conv)[::-1] + 0.1
    flat, flat_negative = v.reshape(len(v), -1), negative.reshape(len(v), -1)
    h = numbers(conv.sample_hidden(v))
    flat_h = h.reshape(len(v), -1)
    for found, wanted in (
        (conv.energy(v, h), twin.energy(flat, flat_h)),
        (conv.free_energy(v), twin.free_energy(flat)),
        (conv.hidden_probabilities(v), twin.hidden_probabilities(flat)),
        (conv.pool_probabilities(v), twin.hidden_probabilities(flat)),
        (conv.visible_probabilities(h), twin.visible_probabilities(flat_h)),
        (conv.reconstruct(v), twin.reconstruct(flat)),
    ):
        np.testing.assert_allclose(numbers(found).ravel(), numbers(wanted).ravel(), rtol=1e-10, atol=1e-12)
    found = conv.statistics_gap(
        *(ops.convert_to_tensor(part) for part in (v, numbers(conv.hidden_probabilities(v)))),
        *(ops.convert_to_tensor(part) for part in (negative, numbers(conv.hidden_probabilities(negative)))),
    )
    h0, hk = (numbers(twin.hidden_probabilities(states)) for states in (flat, flat_negative))
    kernel = (flat_negative.T @ hk - flat.T @ h0) / len(v)
    visible_bias, hidden_bias = flat_negative.mean(0) - flat.mean(0), hk.mean(0) - h0.mean(0)
    wanted = [np.tensordot(kernel, tie, 2), visible_bias.reshape(-1, 2).sum(0), hidden_bias.reshape(-1, FILTERS).sum(0)]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(numbers(one).ravel(), other.ravel(), rtol=1e-10, atol=1e-12)


# Training --------------------------------------------------------------------------------------------------------


@pytest.mark.lengthy
@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_gradient_is_that_of_the_free_energy_gap(visible_type):
    """Against central differences of mean F(v0) - mean F(vk), vk held constant, in every weight."""
    rbm = make_rbm((6, 4, 2), visible_type=visible_type, gibbs_steps=2)
    v0, vk = data(rbm, 5), data(rbm, 5)[::-1] * 0.9
    rbm.negative_phase = lambda hidden: (ops.convert_to_tensor(vk),) * 2
    gradients, errors = rbm.gradients(ops.convert_to_tensor(v0))
    np.testing.assert_allclose(numbers(errors), np.square(v0 - vk).sum((1, 2, 3)), rtol=1e-12)
    for variable, gradient in zip(rbm.trainable_variables, gradients, strict=True):
        start = numbers(variable).copy()
        wanted = np.zeros_like(start)
        for index in np.ndindex(start.shape):
            gaps = []
            for step in (1e-5, -1e-5):
                moved = start.copy()
                moved[index] += step
                variable.assign(moved)
                gaps.append(numbers(rbm.free_energy(v0)).mean() - numbers(rbm.free_energy(vk)).mean())
            wanted[index] = (gaps[0] - gaps[1]) / 2e-5
        variable.assign(start)
        np.testing.assert_allclose(numbers(gradient), wanted, atol=1e-8)


@pytest.mark.tensorflow
def test_gradient_of_the_loss_is_that_of_the_free_energy_gap_by_automatic_differentiation():
    import tensorflow as tf

    rbm = make_rbm((6, 6, 1))
    v0, vk = (ops.convert_to_tensor(images) for images in (data(rbm), data(rbm)[::-1] * 0.9))
    rbm.negative_phase = lambda hidden: (vk, vk)
    variables = [variable.value for variable in rbm.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        loss = rbm.compute_loss(v0)
        gap = ops.mean(rbm.free_energy(v0)) - ops.mean(rbm.free_energy(vk))
    for found, wanted in zip(tape.gradient(loss, variables), tape.gradient(gap, variables), strict=True):
        np.testing.assert_allclose(numbers(found), numbers(wanted), atol=1e-12)


@pytest.mark.lengthy
def test_mean_gradient_of_long_chains_is_that_of_the_likelihood():
    """CD-30 by 20,000 chains against minus the gradient of the log-likelihood, by enumeration of all images."""
    rbm = make_rbm(gibbs_steps=30, sample_reconstruction=True)
    for variable in rbm.trainable_variables:
        variable.assign(0.5 * numbers(variable))
    images = all_images()
    v0 = np.repeat(images[[3, 40_000]], 10_000, axis=0)
    found = [numbers(gradient) for gradient in rbm.gradients(ops.convert_to_tensor(v0))[0]]
    free = numbers(rbm.free_energy(images))
    weights = np.exp(free.min() - free) / np.exp(free.min() - free).sum()
    hidden, data_weights = numbers(rbm.hidden_probabilities(images)), np.zeros(len(images))
    data_weights[[3, 40_000]] = 0.5
    gap = weights - data_weights  # the gradient of mean F(data) + log Z is a sum over all images
    kernel = np.zeros(rbm.kernel.shape)
    for r, s in np.ndindex(KERNEL):
        kernel[r, s] = np.einsum("n,nijc,nijk->ck", gap, images[:, r : r + 2, s : s + 2], hidden)
    wanted = kernel, gap @ images.sum((1, 2)), gap @ hidden.sum((1, 2))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=0.06 if other.shape == (1,) else 0.03)


@pytest.mark.lengthy
@pytest.mark.parametrize("rows", [40, 43])
def test_loop_in_the_graph_equals_stock_training_with_the_same_random_numbers(rows):
    images = np.random.default_rng(1).random((rows, 6, 6, 2))
    results = []
    for minibatch_size, batch_size in ((10, rows), (None, 10)):
        rbm = make_rbm((6, 6, 2), minibatch_size=minibatch_size, sparsity_target=0.1, sparsity_cost=0.5)
        rbm.compile(MomentumSGD(0.01, 0.9, weight_cost=1e-3))
        history = rbm.fit(images, batch_size=batch_size, shuffle=False, epochs=2, verbose=0).history
        results.append(([numbers(w) for w in rbm.trainable_variables], history["reconstruction_error"]))
    for loop, stock in zip(*(weights for weights, _ in results), strict=True):
        np.testing.assert_allclose(loop, stock, atol=1e-8)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


@pytest.mark.parametrize("minibatch_size", [None, 3])
@pytest.mark.parametrize("refused", ["y", "sample_weight"])
def test_labels_and_weights_of_images_are_refused(minibatch_size, refused):
    rbm = make_rbm(minibatch_size=minibatch_size)
    rbm.compile()
    with pytest.raises(ValueError, match=f"ConvRBM .*; leave out `?{refused}"):
        rbm.fit(data(rbm), verbose=0, **{refused: np.ones(6)})


def bars(rows, seed):
    """Images of 10 x 10 with one to three whole rows or columns on."""
    random = np.random.default_rng(seed)
    images = np.zeros((rows, 10, 10, 1), "float32")
    for image in images:
        for place in random.integers(0, 20, size=random.integers(1, 4)):
            image[(place,) if place < 10 else (slice(None), place - 10)] = 1
    return images


@pytest.mark.lengthy
def test_training_on_bars_finds_bars():
    images, held_out = bars(2000, 0), bars(200, 1)
    rbm = ConvRBM(8, 5, sparsity_target=0.05, sparsity_cost=1.0, minibatch_size=20, seed=1)
    rbm.build(images.shape)
    rbm.set_visible_bias(images.mean((0, 1, 2)))
    rbm.compile(MomentumSGD(0.003, 0.9, 0.5, 100))
    logs = rbm.fit(images, batch_size=2000, epochs=10, verbose=0, validation_data=(held_out, None)).history
    assert logs["reconstruction_error"][-1] < 0.5 * logs["reconstruction_error"][0]
    assert logs["val_reconstruction_error"][-1] < 0.5 * logs["reconstruction_error"][0]
    activity = numbers(rbm.hidden_probabilities(held_out)).mean((0, 1, 2))
    np.testing.assert_allclose(activity.mean(), 0.05, atol=0.02)


@pytest.mark.lengthy
def test_second_rbm_learns_the_pooling_units_of_the_first():
    images = (load_digits().images[..., None] / 16).astype("float32")
    below = ConvRBM(12, 3, sparsity_target=0.1, sparsity_cost=1.0, minibatch_size=50, seed=1)
    above = ConvRBM(10, 2, pool_size=1, minibatch_size=50, seed=2)
    for rbm, rate, epochs in ((below, 0.005, 5), (above, 0.02, 5)):
        rbm.build(images.shape)
        rbm.set_visible_bias(images.mean((0, 1, 2)))
        rbm.compile(MomentumSGD(rate, 0.5))
        untrained = np.square(images - numbers(rbm.reconstruct(images))).sum((1, 2, 3)).mean()
        logs = rbm.fit(images, batch_size=1797, epochs=epochs, verbose=0).history["reconstruction_error"]
        assert logs[-1] < 0.87 * untrained
        images = rbm.predict(images, verbose=0)
    assert images.shape == (1797, 2, 2, 10)


@pytest.mark.lengthy
def test_sparsity_target_is_reached():
    images = bars(1000, 2)
    found = []
    for target in (0.02, 0.15):
        rbm = ConvRBM(4, 3, sparsity_target=target, sparsity_cost=10.0, minibatch_size=50, seed=1)
        rbm.compile(MomentumSGD(0.002, 0.5))
        rbm.fit(images, batch_size=1000, epochs=10, verbose=0)
        found.append(numbers(rbm.hidden_probabilities(images)).mean((0, 1, 2)))
    np.testing.assert_allclose(found[0], 0.02, atol=0.01)
    np.testing.assert_allclose(found[1], 0.15, atol=0.02)


def test_visible_bias_gives_the_datas_mean_to_an_rbm_without_weights(rbm):
    rbm.kernel.assign(np.zeros(rbm.kernel.shape))
    rbm.set_visible_bias([0.2])
    np.testing.assert_allclose(numbers(rbm.reconstruct(data(rbm))), 0.2, rtol=1e-12)


@pytest.mark.lengthy
def test_saved_rbm_gives_the_same_probabilities(tmp_path):
    rbm = ConvRBM(3, (3, 5), pool_size=2, sparsity_target=0.1, seed=1)
    rbm.compile()
    rbm.fit(bars(20, 0), verbose=0)
    rbm.save(tmp_path / "rbm.keras")
    again = keras.models.load_model(tmp_path / "rbm.keras")
    assert again.get_config() == rbm.get_config()
    np.testing.assert_array_equal(numbers(again(bars(5, 1))), numbers(rbm(bars(5, 1))))


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": 0},
        {"kernel_size": 0},
        {"kernel_size": (3, 3, 3)},
        {"pool_size": 0},
        {"visible_type": "binary"},
        {"sparsity_target": 0.25},
    ],
)
def test_refuses_what_is_out_of_range(arguments):
    with pytest.raises(ValueError, match="received"):
        ConvRBM(**{"filters": 2, "kernel_size": 3} | arguments)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 6, 6), "one channel"),
        ((2, 5, 6, 1), "must divide"),
        ((2, 2, 2, 1), "must divide"),
        ((None, None, 6, 1), "all but the batch known"),
    ],
)
def test_refuses_images_that_do_not_fit(shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        ConvRBM(2, 3).build(shape)


def test_refuses_states_of_another_shape_than_its_own(rbm):
    with pytest.raises(ValueError, match=r"images must have shape \(batch, 4, 4, 1\)"):
        rbm.free_energy(np.zeros((2, 6, 6, 1)))
    with pytest.raises(ValueError, match=r"detection units must have shape \(batch, 2, 2, 2\)"):
        rbm.visible_probabilities(np.zeros((2, 4, 4, 2)))
    with pytest.raises(ValueError, match="no weights yet"):
        ConvRBM(2, 3).visible_probabilities(np.zeros((2, 4, 4, 2)))
