import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from models.config import DBNConfig, RBMConfig
from models.dbn import DBN
from models.factory import build_classifier, build_dbn
from models.fitting.chunks import mapped

QUICK = RBMConfig(epochs=3, batch_size=50, learning_rate=0.05, momentum_switch_epochs=1)


def numbers(tensor):
    return tensor.numpy() if isinstance(tensor, keras.Variable) else keras.ops.convert_to_numpy(tensor)


def digits():
    return (load_digits().images[..., None] / 16).astype("float32")


def dataset(images, rows=500):
    labels = np.zeros(len(images), "int64")
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(rows)


def net(seed=1, pretraining=QUICK, **kwargs):
    return DBN((30, 20), pretraining=pretraining, seed=seed, **kwargs)


@pytest.fixture(scope="module")
def trained():
    dbn = net()
    dbn.histories = dbn.pretrain_layerwise(digits()[:1500], validation_data=digits()[1500:])
    return dbn


@pytest.mark.lengthy
def test_every_layer_learns_the_hidden_probabilities_of_the_layer_below(trained):
    assert len(trained.histories) == 2
    for layer, history in enumerate(trained.histories):
        logs = history.history
        assert logs["reconstruction_error"][-1] < logs["reconstruction_error"][0]
        keys = {"reconstruction_error", "val_reconstruction_error", "free_energy_gap", "pseudo_log_likelihood"}
        assert keys <= set(logs)
        assert trained.rbms[layer].kernel.shape[0] == (64, 30)[layer]


@pytest.mark.lengthy
def test_encode_passes_probabilities_up(trained):
    images = digits()[:7]
    first = trained.rbms[0].hidden_probabilities(images.reshape(7, 64))
    np.testing.assert_array_equal(numbers(trained.encode(images, 1)), numbers(first))
    np.testing.assert_array_equal(numbers(trained.encode(images)), numbers(trained.rbms[1].hidden_probabilities(first)))
    np.testing.assert_array_equal(numbers(trained.encode(images, 0)), images.reshape(7, 64))


def test_first_forward_pass_of_the_unrolled_net_equals_the_stack(trained):
    images = digits()[:9]
    model = trained.unroll(10, image_shape=(8, 8, 1))
    hidden = keras.Model(model.input, [model.get_layer(name).output for name in ("h1", "h2")])(images)
    np.testing.assert_allclose(numbers(hidden[0]), numbers(trained.encode(images, 1)), atol=1e-6)
    np.testing.assert_allclose(numbers(hidden[1]), numbers(trained.encode(images)), atol=1e-6)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(numbers(model(images)), numbers(hidden[1]) @ kernel + bias, atol=1e-5)
    assert model.output_shape == (None, 10)


def test_fine_tuning_leaves_the_net_alone(trained):
    before = numbers(trained.rbms[0].kernel).copy()
    model = trained.unroll(10, image_shape=(8, 8, 1))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    model.fit(digits()[:100], load_digits().target[:100], verbose=0)
    assert not np.array_equal(model.get_layer("h1").get_weights()[0], before)
    np.testing.assert_array_equal(numbers(trained.rbms[0].kernel), before)


def test_saved_and_loaded_net_is_the_same(trained, tmp_path):
    trained.save(tmp_path / "net")
    again = DBN.load(tmp_path / "net")
    assert (again.hidden_units, again.pretraining, again.seed) == (trained.hidden_units, QUICK, 1)
    for one, other in zip(again.rbms, trained.rbms, strict=True):
        for key in ("kernel", "visible_bias", "hidden_bias"):
            np.testing.assert_array_equal(numbers(getattr(one, key)), numbers(getattr(other, key)))


def test_factory_takes_pretrained_weights_and_refuses_others(trained, tmp_path):
    trained.save(tmp_path)
    config = DBNConfig(image_size=(8, 8), hidden_units=(30, 20), pretraining=QUICK)
    images = digits()[:5]
    model = build_classifier(config, 10, seed=4, pretrained=tmp_path)
    same = build_classifier(config, 10, seed=4, pretrained=tmp_path)
    np.testing.assert_array_equal(model.get_layer("h2").get_weights()[0], numbers(trained.rbms[1].kernel))
    np.testing.assert_array_equal(numbers(model(images)), numbers(same(images)))
    assert not np.array_equal(numbers(build_classifier(config, 10, seed=4)(images)), numbers(model(images)))
    with pytest.raises(ValueError, match="hidden_units"):
        build_classifier(DBNConfig(image_size=(8, 8), hidden_units=(30, 21)), 10, pretrained=tmp_path)


def test_classifier_survives_saving(trained, tmp_path):
    model = trained.unroll(10, image_shape=(8, 8, 1))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(again(digits()[:3])), numbers(model(digits()[:3])))


@pytest.mark.lengthy
@pytest.mark.parametrize("source", [np.asarray, pytest.param(dataset, marks=pytest.mark.tensorflow)])
def test_same_seed_same_weights_bit_for_bit(source):
    images = source(digits()[:700])

    def train(seed):
        dbn = net(seed)
        dbn.pretrain_layerwise(images)
        return [numbers(rbm.kernel) for rbm in dbn.rbms]

    first, again, other = train(1), train(1), train(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.lengthy
@pytest.mark.tensorflow
def test_given_mean_and_count_spare_the_pass_over_the_data():
    images = digits()[:700]
    one, other = net(), net()
    one.pretrain_layerwise(dataset(images))
    other.pretrain_layerwise(dataset(images), mean=images.reshape(700, 64).mean(0, dtype="float64"), num_examples=700)
    for a, b in zip(one.rbms, other.rbms, strict=True):
        np.testing.assert_array_equal(numbers(a.kernel), numbers(b.kernel))


@pytest.mark.lengthy
@pytest.mark.tensorflow
def test_small_batches_train_the_same_rbm_as_chunks():
    images = digits()[:700]
    one, other = net(), net()
    one.pretrain_layerwise(dataset(images, 700))
    other.pretrain_layerwise(dataset(images, 50))
    np.testing.assert_allclose(numbers(one.rbms[0].kernel), numbers(other.rbms[0].kernel), atol=1e-4)


def test_first_layer_spares_those_below_and_callbacks_see_the_layer():
    dbn, seen = net(num_visible=64), []
    before = numbers(dbn.rbms[0].kernel).copy()

    def callbacks(layer):
        return [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((layer, epoch)))]

    dbn.pretrain_layerwise(digits()[:300], first_layer=1, callbacks_for_layer=callbacks)
    np.testing.assert_array_equal(numbers(dbn.rbms[0].kernel), before)
    assert seen == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.lengthy
def test_momentum_rises_after_the_epochs_asked_for():
    dbn = net()
    dbn.pretrain_layerwise(digits()[:120])  # 3 updates an epoch, the last of 20 images
    assert dbn.rbms[0].optimizer.momentum_switch == 3
    assert int(numbers(dbn.rbms[0].optimizer.iterations)) == 9


@pytest.mark.lengthy
def test_gaussian_net_learns_standardised_images():
    images = digits()
    images = (images - images.mean(0)) / (images.std(0) + 0.1)
    config = RBMConfig(
        epochs=5, batch_size=50, gaussian_learning_rate=0.01, weight_stddev=0.01, momentum_switch_epochs=0
    )
    dbn = DBN((30, 20), visible_type="gaussian", pretraining=config, seed=1)
    histories = dbn.pretrain_layerwise(images[:1500], validation_data=images[1500:])
    logs = histories[0].history
    assert logs["reconstruction_error"][-1] < 0.9 * logs["reconstruction_error"][0]
    assert "pseudo_log_likelihood" not in logs
    assert dbn.rbms[1].visible_type == "bernoulli"


@pytest.mark.parametrize("coupling", ["variance", "deviation"])
def test_what_is_made_of_a_net_with_learned_variances_computes_the_same(coupling, tmp_path):
    pretraining = RBMConfig(epochs=1, learn_variance=True, coupling=coupling)
    dbn = net(pretraining=pretraining, num_visible=64, visible_type="gaussian")
    dbn.rbms[0].log_variance.assign(np.random.default_rng(0).normal(size=64))
    images = np.random.default_rng(1).normal(size=(5, 64)).astype("float32")
    features = numbers(dbn.encode(images))
    dbn.save(tmp_path)
    np.testing.assert_array_equal(numbers(DBN.load(tmp_path).encode(images)), features)
    classifier, autoencoder = dbn.unroll(10), dbn.autoencoder()
    hidden = keras.Model(classifier.input, classifier.get_layer("h2").output)
    np.testing.assert_allclose(numbers(hidden(images)), features, atol=1e-6)
    np.testing.assert_allclose(numbers(autoencoder(images)), numbers(dbn.decode(features)), rtol=1e-5, atol=1e-5)


def test_pixels_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"`mean` has values from 0 to .*; divide grey levels by 255"):
        net().pretrain_layerwise(255 * digits()[:100])


def test_build_dbn_follows_the_configuration():
    config = DBNConfig(image_size=(4, 5), channels=3, hidden_units=(7, 6), pretraining=RBMConfig(gibbs_steps=2))
    dbn = build_dbn(config, seed=1)
    assert dbn.num_visible == 60
    assert [rbm.gibbs_steps for rbm in dbn.rbms] == [2, 2]
    assert build_classifier(config, 3, seed=1).input_shape == (None, 4, 5, 3)


def test_says_what_is_missing():
    with pytest.raises(ValueError, match="no weights yet"):
        net().unroll(10)
    with pytest.raises(ValueError, match="64 values"):
        net(num_visible=64).unroll(10, image_shape=(8, 9, 1))
    with pytest.raises(ValueError, match="hidden layer"):
        DBN(())


def test_decode_passes_means_down(trained):
    states = np.random.default_rng(0).random((4, 20)).astype("float32")
    features = trained.rbms[1].visible_probabilities(states)
    np.testing.assert_array_equal(
        numbers(trained.decode(states)), numbers(trained.rbms[0].visible_probabilities(features))
    )
    np.testing.assert_array_equal(numbers(trained.decode(features, 1)), numbers(trained.decode(states)))


@pytest.mark.lengthy
def test_first_reconstruction_of_the_autoencoder_is_that_of_the_stack():
    dbn = net(code_type="gaussian")
    dbn.pretrain_layerwise(digits()[:500])
    images = digits()[:9]
    model = dbn.autoencoder(image_shape=(8, 8, 1))
    code = keras.Model(model.input, model.get_layer("code").output)(images)
    np.testing.assert_allclose(numbers(code), numbers(dbn.encode(images)), atol=1e-5)
    top = dbn.rbms[1]  # linear code units: a plain product, no logistic function
    np.testing.assert_allclose(
        numbers(code), numbers(dbn.encode(images, 1)) @ numbers(top.kernel) + numbers(top.hidden_bias), atol=1e-5
    )
    pixels = numbers(keras.ops.sigmoid(model(images)))
    assert pixels.shape == (9, 8, 8, 1)
    np.testing.assert_allclose(pixels.reshape(9, 64), numbers(dbn.decode(dbn.encode(images))), atol=1e-5)


def test_dropout_and_max_norm_change_nothing_before_training(trained):
    images = digits()[:9]
    plain, dropped = (
        trained.unroll(10, **k) for k in ({}, {"input_dropout": 0.2, "hidden_dropout": 0.5, "max_norm": 0.5})
    )
    flat = images.reshape(9, 64)
    np.testing.assert_array_equal(numbers(plain(flat)), numbers(dropped(flat)))
    dropped.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dropped.fit(flat, np.arange(9), epochs=1, verbose=0)
    for name in ("h1", "h2"):
        assert np.linalg.norm(dropped.get_layer(name).get_weights()[0], axis=0).max() <= 0.5 + 1e-5
    outputs = {numbers(dropped(flat, training=True)).tobytes() for _ in range(3)}
    assert len(outputs) == 3  # units are left out at random while training


def test_generated_images_follow_the_model():
    dbn = DBN((4,), num_visible=5, seed=2, pretraining=QUICK)
    random = np.random.default_rng(5)
    for variable in (dbn.rbms[0].kernel, dbn.rbms[0].visible_bias, dbn.rbms[0].hidden_bias):
        variable.assign(random.normal(size=variable.shape))
    states = np.array([[i >> k & 1 for k in range(5)] for i in range(32)], "float32")
    free = numbers(dbn.rbms[0].free_energy(states))
    weights = np.exp(free.min() - free)
    images = numbers(dbn.generate(4000, gibbs_steps=50))
    np.testing.assert_allclose(images.mean(0), weights @ states / weights.sum(), atol=0.03)


def test_generation_can_start_from_images(trained):
    images = digits()[:3]
    start = numbers(trained.generate(3, gibbs_steps=0, start=images))
    np.testing.assert_allclose(start, numbers(trained.decode(trained.encode(images, 1), 1)), atol=1e-6)


def test_nothing_is_made_of_a_net_without_weights():
    for wanted in (lambda dbn: dbn.generate(1), lambda dbn: dbn.unroll(2), lambda dbn: dbn.autoencoder()):
        with pytest.raises(ValueError, match="no weights yet"):
            wanted(DBN((3,)))


def test_rectified_layers_are_not_stacked():
    rectified = RBMConfig(hidden_type="nrelu")
    with pytest.raises(ValueError, match="cannot be stacked"):
        DBN((3, 2), pretraining=rectified)
    assert DBN((3,), num_visible=4, pretraining=rectified).unroll(2).get_layer("h1").activation.__name__ == "softplus"


def test_the_learning_rate_falls_to_nothing():
    config = RBMConfig(epochs=2, batch_size=50, schedule="linear")
    dbn = DBN((5,), pretraining=config, seed=1)
    dbn.pretrain_layerwise(digits()[:100])
    assert float(dbn.rbms[0].optimizer.learning_rate) == 0.0


@pytest.mark.lengthy
def test_a_resumed_layer_sees_the_images_in_the_order_of_its_epochs():
    whole, parts = net(), net()
    whole.pretrain_layerwise(digits()[:600])

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            parts.saved = [numbers(v) for v in (*self.model.variables, *self.model.optimizer.variables)]
            if epoch == 1:
                raise KeyboardInterrupt

    class Restore(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if self.model is parts.rbms[0]:
                self.model.optimizer.build(self.model.trainable_variables)
                for variable, value in zip(
                    (*self.model.variables, *self.model.optimizer.variables), parts.saved, strict=True
                ):
                    variable.assign(value)

    with pytest.raises(KeyboardInterrupt):
        parts.pretrain_layerwise(digits()[:600], callbacks_for_layer=lambda layer: [Kill()])
    parts.pretrain_layerwise(digits()[:600], callbacks_for_layer=lambda layer: [Restore()], initial_epoch=2)
    for a, b in zip(whole.rbms, parts.rbms, strict=True):
        np.testing.assert_array_equal(numbers(a.kernel), numbers(b.kernel))


def test_tf_data_needs_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="the backend of Keras is jax; pass arrays"):
        mapped(dataset(digits()[:10]), lambda images: images, 10, None)
