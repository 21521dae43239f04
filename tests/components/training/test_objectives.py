"""All objectives but classification, as plain functions on real digits: training, outputs, replay."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from components.errors import VisionTfxError
from components.export import layout, saved_model
from components.export.classifier import ExportedClassifier
from components.figures.generation_report import log_generated
from components.input_pipeline import image_data
from components.input_pipeline.image_statistics import ImageStatistics
from components.rbm_pretrainer import pretrain
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.trainer import train, training_module
from components.training.inputs import TrainingInputs
from models.config import DBNConfig, PartitionConfig, RBMConfig, TrainingConfig, UpDownConfig
from models.partition import exact_log_partition
from models.up_down import LabelDBN
from serving.replay.saved_model import replay

pytestmark = pytest.mark.lengthy

LABELS = [str(digit) for digit in range(10)]
CD = RBMConfig(epochs=6, batch_size=20)
OBJECTIVES = {
    "joint": StationConfig(
        DBNConfig(
            objective="joint",
            image_size=(8, 8),
            hidden_units=(60, 60),
            pretraining=dataclasses.replace(CD, epochs=15),
            up_down=UpDownConfig(epochs=(5, 5), gibbs_steps=(1, 2), batch_size=10, learning_rate=0.05),
        ),
        seed=1,
        training=TrainingConfig(),
    ),
    "reconstruction": StationConfig(
        DBNConfig(objective="reconstruction", image_size=(8, 8), hidden_units=(60, 10), pretraining=CD),
        seed=1,
        training=TrainingConfig(epochs=12, batch_size=20, learning_rate=0.005),
    ),
    "density": StationConfig(
        DBNConfig(
            objective="density",
            image_size=(8, 8),
            hidden_units=(12,),
            pretraining=dataclasses.replace(CD, learning_rate=0.05),
            partition=PartitionConfig(chains=50, temperatures=500),
        ),
        seed=1,
        training=TrainingConfig(),
    ),
}


class Spy(StationTracker):
    """Records everything that is logged."""

    def __init__(self):
        super().__init__()
        self.metrics, self.texts, self.figures = [], {}, {}

    def log_metrics(self, metrics, step=None):
        self.metrics.append(dict(metrics))

    def log_text(self, text, name):
        self.texts[name] = text

    def log_figure(self, draw, name):
        self.figures[name] = draw

    def values(self, name):
        return [metrics[name] for metrics in self.metrics if name in metrics]


@pytest.fixture(scope="module")
def images():
    return np.round(load_digits().images[:600] * 255 / 16).astype(np.uint8)


@pytest.fixture(scope="module")
def root(images, tmp_path_factory, write_examples_artifact):
    labels = load_digits().target[:600]
    splits = {"train": (images[:400], labels[:400]), "validation": (images[400:], labels[400:])}
    return write_examples_artifact(tmp_path_factory.mktemp("examples"), splits)


@pytest.fixture(scope="module")
def fitted(images, root, tmp_path_factory):
    """Returns the exported model and the tracker of an objective; each is trained once."""
    made = {}
    pixels = images[:400].astype(np.float32)[..., None]
    statistics = ImageStatistics(pixels.mean(0), np.array([[pixels.var()]]))

    def fit(objective):
        if objective not in made:
            config, spy = OBJECTIVES[objective], Spy()
            training, held_out = (image_data.load_images(root, [s], (8, 8), 1) for s in ("train", "validation"))
            folder = tmp_path_factory.mktemp(objective)
            pretrain(config.for_pretraining(), training, held_out, statistics, 10, spy).save(folder)
            spy.model_run = folder / "model_run"
            inputs = TrainingInputs(training, held_out, statistics, LABELS, folder, model_run=spy.model_run)
            made[objective] = train(config, inputs, spy), spy
        return made[objective]

    return fit


def outputs(exported, images):
    found = exported.from_pixels(tf.constant(images[..., None], tf.float32))
    return {name: value.numpy() for name, value in found.items()}


def test_joint_learns_and_is_exported_as_any_classifier(fitted, images):
    exported, spy = fitted("joint")
    assert isinstance(exported, ExportedClassifier)
    found = outputs(exported, images[400:])
    error = 100 * np.mean(found["probabilities"].argmax(1) != load_digits().target[400:600])
    errors = spy.values("val_top1_error")
    assert len(errors) == 10
    assert error == pytest.approx(min(errors), abs=1e-3)  # the best epoch is kept
    assert error < 25  # logistic regression has 17.5
    assert [name.decode() for name in found["classes"][:, 0]] == [LABELS[i] for i in found["probabilities"].argmax(1)]


def test_an_up_down_training_that_diverges_names_its_rate(root, images):
    up_down = dataclasses.replace(OBJECTIVES["joint"].model.up_down, learning_rate=1e39)
    config = dataclasses.replace(
        OBJECTIVES["joint"], model=dataclasses.replace(OBJECTIVES["joint"].model, up_down=up_down)
    )
    data = image_data.load_images(root, ["train"], (8, 8), 1)
    inputs = TrainingInputs(data, None, ImageStatistics(np.zeros((8, 8, 1)), np.eye(1)), LABELS, None)
    with pytest.raises(
        VisionTfxError, match=r"^the up-down training diverged: .* lower --model.up-down.learning-rate$"
    ):
        train(config, inputs, Spy())


def test_the_net_that_generates_is_saved_and_is_the_exported_one(fitted, images):
    exported, spy = fitted("joint")
    saved = LabelDBN.load(spy.model_run / "label_dbn")
    flat = images[:50].reshape(50, 64).astype("float32") / 255
    found = saved.predict_proba(flat).numpy()
    np.testing.assert_allclose(found, outputs(exported, images[:50])["probabilities"], atol=1e-5)
    assert saved.generate(2, gibbs_steps=3, label=1).shape == (2, 64)


def test_reconstruction_is_the_autoencoder_with_its_errors(fitted, images):
    exported, spy = fitted("reconstruction")
    found, scaled = outputs(exported, images[400:]), images[400:, ..., None] / 255
    assert found["code"].shape == (200, 10)
    assert found["reconstruction"].shape == scaled.shape
    assert 0 <= found["reconstruction"].min() <= found["reconstruction"].max() <= 1
    squares = np.square(found["reconstruction"] - scaled).sum((1, 2, 3))
    np.testing.assert_allclose(found["squared_error"], squares, rtol=1e-5)
    mean = images[:400, ..., None].mean(0) / 255
    np.testing.assert_allclose(found["mean_image_error"], np.square(mean - scaled).sum((1, 2, 3)), rtol=1e-5)
    errors = spy.values("val_squared_error")
    assert squares.mean() == pytest.approx(min(errors), rel=1e-4)  # the best epoch is kept
    assert min(errors) < 0.7 * errors[0]
    assert squares.mean() < 0.7 * found["mean_image_error"].mean()


def test_reconstructions_and_codes_of_validation_images_are_plotted(fitted, images):
    exported, spy = fitted("reconstruction")
    found = outputs(exported, images[400:])
    [first, *_] = (reconstructed := spy.figures["reconstructions.png"]()).axes
    canvas = np.asarray(first.images[0].get_array())
    np.testing.assert_allclose(canvas[:8, :8], images[400] / 255, atol=1e-6)
    np.testing.assert_allclose(canvas[9:, :8], found["reconstruction"][0, ..., 0], atol=1e-5)
    assert first.get_title() == "Validation images and their reconstructions"
    assert len(reconstructed.axes) == 3  # two rows of ten, and the bar
    codes = spy.figures["codes.png"]().axes[0]
    assert codes.get_title() == "Codes of validation images"
    assert len(codes.collections[0].get_offsets()) == 200
    assert {text.get_text() for text in codes.texts} > set(LABELS)


def test_a_code_is_linear(fitted, images):
    exported, _ = fitted("reconstruction")
    code = outputs(exported, images)["code"]
    assert code.min() < -0.1 and code.max() > 1.1  # no logistic unit gives these


def test_density_is_that_of_the_pretrained_rbm(fitted, images):
    exported, spy = fitted("density")
    found, visible = outputs(exported, images[400:]), images[400:].reshape(200, -1) / 255
    log_z = exact_log_partition(exported.rbm)
    assert exported.estimate.lower - 0.5 < log_z < exported.estimate.upper + 0.5
    binary = np.random.default_rng(0).random((500, *visible.shape)) < visible
    drawn = -exported.rbm.free_energy(binary.reshape(-1, 64).astype("float32")).numpy().reshape(500, 200) - log_z
    error = np.abs(found["log_probability"] - drawn.mean(0))
    assert error.max() < 5 * drawn.std(0).max() / np.sqrt(10) + 0.5  # ten draws each
    assert found["log_probability"].mean() == pytest.approx(drawn.mean(), abs=0.7)
    assert spy.values("log_z") == [exported.estimate.log_z]
    assert spy.values("val_log_probability") == [pytest.approx(found["log_probability"].mean(), rel=1e-5)]
    assert found["hidden"].shape == (200, 12)
    assert found["reconstruction"].shape == (200, 8, 8, 1)
    assert found["log_probability"].mean() > found["base_rate_log_probability"].mean()


def test_both_estimates_of_log_z_are_logged_and_saved(fitted):
    exported, spy = fitted("density")
    estimate, summary = exported.estimate, json.loads(exported.text_assets()[layout.PARTITION_FILE])
    assert [spy.values(f"log_z_{name}") for name in ("reverse", "gap", "effective_chains")] == [
        [estimate.reverse_log_z],
        [estimate.gap],
        [estimate.effective_chains],
    ]
    assert (summary["log_z"], summary["reverse"], summary["gap"]) == (
        estimate.log_z,
        estimate.reverse_log_z,
        estimate.gap,
    )
    [forward], [reverse] = spy.values("val_log_probability"), spy.values("val_log_probability_reverse")
    assert forward - reverse == pytest.approx(estimate.gap)


def test_the_bracket_is_plotted_from_few_temperatures_to_all(fitted):
    exported, spy = fitted("density")
    axes = spy.figures["log_z.png"]().axes[0]
    forward, reverse = axes.lines
    np.testing.assert_array_equal(forward.get_xdata(), [5, 16, 500])
    assert forward.get_ydata()[-1] == exported.estimate.log_z
    assert reverse.get_ydata()[-1] == exported.estimate.reverse_log_z


def test_the_log_probability_of_a_binary_image_is_exact(fitted, images):
    exported, _ = fitted("density")
    binary = np.where(images[400:] > 127, 255, 0).astype(np.uint8)
    expected = -exported.rbm.free_energy(binary.reshape(200, 64).astype("float32") / 255) - exported.log_z
    np.testing.assert_allclose(outputs(exported, binary)["log_probability"], expected, atol=1e-3)


def test_the_log_probability_of_a_grey_image_does_not_depend_on_its_batch(fitted, images):
    exported, _ = fitted("density")
    together = outputs(exported, images[400:450])["log_probability"]
    alone = np.concatenate([outputs(exported, images[i : i + 1])["log_probability"] for i in range(449, 399, -1)])
    np.testing.assert_allclose(together, alone[::-1], atol=1e-3)
    assert not np.array_equal(np.diff(together), np.zeros(49))


def test_the_base_rate_is_independent_pixels_and_never_impossible(fitted, images):
    exported, _ = fitted("density")
    means = (images[:400].reshape(400, -1).sum(0) / 255 + 1) / 402
    visible = images[400:].reshape(200, -1) / 255
    expected = (visible * np.log(means) + (1 - visible) * np.log(1 - means)).sum(1)
    np.testing.assert_allclose(outputs(exported, images[400:])["base_rate_log_probability"], expected, rtol=1e-4)
    assert np.isfinite(outputs(exported, np.full((1, 8, 8), 255, np.uint8))["base_rate_log_probability"]).all()


def test_reasons_not_to_trust_log_z_are_logged(root, images, caplog):
    caplog.set_level("INFO")

    spy, pixels = Spy(), images[:400].astype(np.float32)[..., None]
    data = image_data.load_images(root, ["train"], (8, 8), 1)
    inputs = TrainingInputs(data, None, ImageStatistics(pixels.mean(0), np.eye(1)), LABELS, None)
    # Three temperatures are too few for a random RBM with large weights.
    model = dataclasses.replace(OBJECTIVES["density"].model, partition=PartitionConfig(chains=50, temperatures=3))
    model = dataclasses.replace(model, pretraining=dataclasses.replace(CD, weight_stddev=2.0))
    density = train(dataclasses.replace(OBJECTIVES["density"], model=model), inputs, spy)
    doubted = density.estimate
    assert doubted.warnings
    assert spy.texts["log_z_warnings.txt"].splitlines() == list(doubted.warnings)
    assert {f"estimate of log Z: {sentence}" for sentence in doubted.warnings} <= set(caplog.messages)
    both = f"{doubted.log_z:.2f} nats forward, {doubted.reverse_log_z:.2f} in reverse, gap {doubted.gap:.2f}"
    assert any(line.startswith(f"log Z {both}; bracket ") for line in caplog.messages)
    assert json.loads(density.text_assets()[layout.PARTITION_FILE])["warnings"] == list(doubted.warnings)
    assert spy.values("val_log_probability") == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_signature_gives_the_same_outputs_in_another_graph(objective, fitted, root, tmp_path):
    exported, _ = fitted(objective)
    folder = tmp_path / "model"
    saved_model.export(exported, image_data.read_records(root, "validation", 4), str(folder))
    assert replay(str(folder)) == {"serving_default": 5, "examples": 1, "pixels": 1}
    assert [f"assets/{file.name}" for file in (folder / "assets").glob("*")] == list(exported.text_assets())


@pytest.mark.parametrize("objective", ["classification", *OBJECTIVES])
def test_the_cache_key_covers_the_module_of_the_objective(objective, monkeypatch):
    from components import fingerprint

    modules = ("components.trainer", training_module(DBNConfig(objective=objective)))
    paths = {path for module in modules for path in fingerprint._closure(module)}
    assert {"saved_model", "image_data", "scaling", "factory"} <= {path.stem for path in paths}
    training = {path.stem for path in paths if path.parent.name == "training"}
    assert training & {"classification", *OBJECTIVES} == {objective}


def test_images_generated_for_each_class_are_plotted():
    spy, net = Spy(), LabelDBN((6, 5), num_classes=3, num_visible=16, seed=1)
    log_generated(net, (4, 4, 1), ["a", "b", "c"], spy, steps=3)
    [axes, *_] = spy.figures["generated.png"]().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
