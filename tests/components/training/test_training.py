"""Pretraining, training, export and replay as plain functions, on real digits."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from components.errors import VisionTfxError
from components.export import saved_model as export
from components.export.classifier import ExportedClassifier
from components.input_pipeline import image_data, scaling
from components.input_pipeline.image_statistics import ImageStatistics
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training.inputs import TrainingInputs
from models.config import DBNConfig, PartitionConfig, RBMConfig, TrainingConfig, UpDownConfig

pytestmark = pytest.mark.lengthy

ROOT = Path(__file__).parents[3]
LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nïne"]
COUNT = 600
CONFIG = StationConfig(
    DBNConfig(image_size=(8, 8), hidden_units=(60, 60), pretraining=RBMConfig(epochs=4, batch_size=20)),
    seed=1,
    training=TrainingConfig(epochs=25, batch_size=10, top_layer_epochs=1),
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory, write_examples_artifact):
    """Images, labels, folder of an Examples artifact."""
    loaded = load_digits()
    images, labels = np.round(loaded.images[:COUNT] * 255 / 16).astype(np.uint8), loaded.target[:COUNT]
    splits = {"train": (images[:400], labels[:400]), "validation": (images[400:], labels[400:])}
    return images, labels, write_examples_artifact(tmp_path_factory.mktemp("examples"), splits)


def load(root, split):
    return image_data.load_images(root, [split], (8, 8), 1)


@pytest.fixture(scope="module")
def statistics(digits):
    images = digits[0][:400].astype(np.float32)[..., None]
    return ImageStatistics(images.mean(0), np.array([[images.var()]]))


@pytest.fixture(scope="module")
def pretrained(digits, statistics, tmp_path_factory):
    from components.rbm_pretrainer import pretrain

    root = digits[2]
    dbn = pretrain(CONFIG, load(root, "train"), load(root, "validation"), statistics, 10, StationTracker())
    folder = tmp_path_factory.mktemp("pretrained") / "Format-Serving"
    dbn.save(folder)
    return folder


@pytest.fixture(scope="module")
def exported(digits, statistics, pretrained):
    return fit(digits, statistics, pretrained)


@pytest.fixture(scope="module")
def classifier(exported):
    return exported.classifier


def fit(digits, statistics, folder, config=CONFIG, tracker=None):
    from components.trainer import train

    root = digits[2]
    inputs = TrainingInputs(load(root, "train"), load(root, "validation"), statistics, LABELS, folder)
    return train(config, inputs, tracker or StationTracker())


@pytest.fixture(scope="module")
def saved_model(digits, exported, tmp_path_factory):
    records = image_data.read_records(digits[2], "validation", 32)
    folder = tmp_path_factory.mktemp("model") / "Format-Serving"
    export.export(exported, records, str(folder))
    return folder


def logits(classifier, images):
    return classifier.predict(images[..., None].astype(np.float32), verbose=0)


def test_the_classifier_learns(digits, classifier):
    images, labels, _ = digits
    assert (
        np.mean(logits(classifier, images[400:]).argmax(1) == labels[400:]) > 0.8
    )  # an MLP of scikit-learn gets 0.84, logistic regression 0.825


def test_the_same_seed_gives_the_same_weights(digits, statistics, pretrained, classifier):
    again = fit(digits, statistics, pretrained)
    for first, second in zip(classifier.get_weights(), again.classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_kept_weights_are_those_of_the_best_epoch(digits, statistics, pretrained):
    class Spy(StationTracker):
        def __init__(self):
            super().__init__()
            self.errors = []

        def log_metrics(self, metrics, step=None):
            self.errors.append(metrics["val_top1_error"])

    images, labels, _ = digits
    spy = Spy()
    kept = fit(digits, statistics, pretrained, tracker=spy).classifier
    error = 100 * np.mean(logits(kept, images[400:]).argmax(1) != labels[400:])
    assert len(spy.errors) == CONFIG.training.epochs
    assert error == pytest.approx(min(spy.errors), abs=1e-3)


@pytest.mark.parametrize(
    ("model", "layer", "option"),
    [
        ({"pretraining": {"learning_rate": 1e39}}, 1, "learning-rate"),
        ({"visible_type": "gaussian", "pretraining": {"gaussian_learning_rate": 50.0}}, 1, "gaussian-learning-rate"),
        ({"objective": "reconstruction", "pretraining": {"gaussian_learning_rate": 50.0}}, 2, "gaussian-learning-rate"),
        ({"objective": "joint", "pretraining": {"learning_rate": 1e39}}, 1, "learning-rate"),
        ({"objective": "density", "hidden_units": (9,), "pretraining": {"learning_rate": 1e39}}, 1, "learning-rate"),
    ],
)
def test_a_pretraining_that_diverges_names_its_layer_and_its_rate(digits, statistics, model, layer, option):
    from components.rbm_pretrainer import pretrain

    pretraining = dataclasses.replace(CONFIG.model.pretraining, **model.pop("pretraining"))
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, pretraining=pretraining, **model))
    layers = len(config.model.hidden_units)
    sentence = (
        f"the pretraining of layer {layer} of {layers} diverged: its reconstruction error is not a finite number in "
        f"epoch 1; lower --model.pretraining.{option}"
    )
    with pytest.raises(VisionTfxError) as raised:
        pretrain(config, load(digits[2], "train"), load(digits[2], "validation"), statistics, 10, StationTracker())
    assert str(raised.value) == sentence


def test_every_signature_gives_the_outputs_of_the_classifier(digits, classifier, saved_model, png):
    images, _, root = digits
    expected = tf.nn.softmax(logits(classifier, images[400:420])).numpy()
    records = image_data.read_records(root, "validation", 20)
    signatures = tf.saved_model.load(str(saved_model)).signatures
    assert set(signatures) == {"serving_default", "examples", "pixels"}
    outputs = [
        signatures["serving_default"](image_bytes=tf.constant([png(image) for image in images[400:420]])),
        signatures["examples"](examples=tf.constant(records)),
        signatures["pixels"](pixels=tf.constant(images[400:420, ..., None], tf.float32)),
    ]
    best = np.argsort(-expected, axis=1, kind="stable")[:, :5]
    for output in outputs:
        np.testing.assert_allclose(output["probabilities"], expected, atol=1e-5)
        np.testing.assert_allclose(output["scores"], np.take_along_axis(expected, best, 1), atol=1e-5)
        assert [name.decode() for name in output["classes"].numpy()[:, 0]] == [LABELS[i] for i in best[:, 0]]


def test_the_graph_restores_its_own_weights(digits, saved_model, png):
    # TensorFlow Serving runs the graph's restore operation; `tf.saved_model.load` has another way.
    from serving.servable import Servable

    servable = Servable(str(saved_model))
    image = np.array([png(digits[0][0])], object)
    answer = servable.run(servable.signature(), {"image_bytes": image}, ("scores",))["scores"]
    servable.close()
    expected = tf.saved_model.load(str(saved_model)).signatures["serving_default"](image_bytes=tf.constant(image))
    np.testing.assert_allclose(answer, expected["scores"], rtol=1e-5)


def test_the_optimizers_slots_are_not_saved(saved_model, classifier):
    index = tf.train.load_checkpoint(str(saved_model / "variables" / "variables")).get_variable_to_shape_map()
    shapes = [list(weight.shape) for weight in classifier.weights]
    assert sorted(shape for name, shape in index.items() if "VARIABLE_VALUE" in name) == sorted(shapes)


def test_labels_and_requests_travel_with_the_model(saved_model):
    assert (saved_model / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines() == LABELS
    assert (saved_model / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0


def test_fewer_than_six_classes_have_fewer_columns():
    import keras

    small = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    answer = ExportedClassifier(small, ["a", "b", "c"]).from_pixels(tf.zeros((2, 8, 8, 1)))
    assert answer["classes"].shape == (2, 3)
    assert answer["scores"].shape == (2, 3)


def replay(folder):
    done = subprocess.run(
        [sys.executable, "-m", "serving.replay", str(folder)], capture_output=True, text=True, cwd=ROOT
    )
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]


def test_a_fresh_process_gives_trainers_outputs(saved_model):
    code, line = replay(saved_model)
    assert code == 0, line
    own, _, served = line.partition("; through the model server: ")
    own = own.removeprefix("responses that agree with the trainer's: ")
    assert sorted(own.split(", ")) == ["examples: 1", "pixels: 1", "serving_default: 33"]
    assert served == "35"  # each of them, over gRPC


def test_infra_validator_refuses_a_model_with_other_weights(digits, statistics, saved_model, tmp_path):
    import shutil

    from components.infra_validator import validate

    # The requests and answers of one model beside the weights of another.
    other = tmp_path / "other"
    records = image_data.read_records(digits[2], "validation", 4)
    export.export(fit(digits, statistics, None), records, str(other))
    shutil.copytree(saved_model / "assets.extra", other / "assets.extra", dirs_exist_ok=True)
    valid, finding = validate(other)
    assert not valid
    assert "differs from the trainer's" in finding


def test_infra_validator_refuses_a_broken_model(saved_model, tmp_path):
    import shutil

    from components.infra_validator import validate

    broken = tmp_path / "broken"
    shutil.copytree(saved_model, broken)
    (broken / "saved_model.pb").write_bytes(b"no graph")
    valid, finding = validate(broken)
    assert not valid
    assert finding


def test_dropout_and_the_limit_on_weights_reach_the_classifier(digits, statistics, pretrained):
    limited = dataclasses.replace(CONFIG.training, epochs=2, input_dropout=0.2, hidden_dropout=0.5, max_norm=1.0)
    net = fit(digits, statistics, pretrained, dataclasses.replace(CONFIG, training=limited)).classifier.layers[-1]
    rates = [layer.rate for layer in net.layers if hasattr(layer, "rate")]
    assert rates == [0.2, 0.5, 0.5]
    assert np.linalg.norm(net.get_layer("h1").kernel.numpy(), axis=0).max() <= 1 + 1e-5


@pytest.mark.parametrize("training", [TrainingConfig(), CONFIG.training])
def test_configuration_survives_json(training):
    model = dataclasses.replace(CONFIG.model, up_down=UpDownConfig(epochs=(1, 2)), partition=PartitionConfig(chains=7))
    config = dataclasses.replace(CONFIG, model=model, training=training)
    assert StationConfig.from_json(config.to_json()) == config


def test_pretraining_does_not_depend_on_what_comes_after_it():
    model = dataclasses.replace(CONFIG.model, up_down=UpDownConfig(epochs=(1, 2)), partition=PartitionConfig(chains=7))
    changed = dataclasses.replace(CONFIG, model=model, training=TrainingConfig(epochs=99))
    assert changed.for_pretraining() == CONFIG.for_pretraining()
    other = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, hidden_units=(7,)))
    assert other.for_pretraining() != CONFIG.for_pretraining()


@pytest.mark.parametrize("visible_type", ["bernoulli", "gaussian"])
def test_scaling_gives_what_the_visible_units_expect(digits, statistics, visible_type):
    images = digits[0][:400].astype(np.float32)[..., None]
    config = DBNConfig(image_size=(8, 8), visible_type=visible_type)
    scaled = np.asarray(scaling.scaling_layer(config, statistics)(images))
    mean = scaling.visible_mean(config, statistics)
    np.testing.assert_allclose(scaled.mean(0).reshape(-1), mean, atol=1e-4)
    if visible_type == "bernoulli":
        assert scaled.min() >= 0
        assert scaled.max() <= 1
    else:
        assert 0.1 < scaled.var() < 1.01
