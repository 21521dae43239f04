"""AlexNet in its nodes: trained on crops, resumed, pretrained on patches, exported with one crop and with ten."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.errors import VisionTfxError
from components.export import saved_model
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData
from components.input_pipeline.image_statistics import ImageStatistics
from components.input_pipeline.mixup import mix
from components.reporting import progress
from components.reporting.speed import Speed
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training import backpropagation, patch_pretraining
from components.training.alexnet import build, train
from components.training.checkpoints import Checkpoint
from components.training.finite_loss import FiniteLoss
from components.training.inputs import TrainingInputs
from components.training.plateau import Plateau
from models.alexnet import alexnet
from models.config import AlexNetConfig, AugmentationConfig, PatchConfig, RBMConfig, TrainingConfig
from serving.replay.saved_model import replay

pytestmark = pytest.mark.lengthy

LABELS = ["red", "green"]
MODEL = AlexNetConfig(variant="small", image_size=(36, 36), crop_size=(32, 32), dropout=0.1)
CONFIG = StationConfig(MODEL, seed=1, training=TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01))


class Tracker(StationTracker):
    """Remembers what is logged; raises when a metric has come so many times."""

    def __init__(self, stop_after=math.inf):
        super().__init__()
        self.logged, self.stop_after = [], stop_after

    def log_metrics(self, metrics, step=None):
        self.logged.append(dict(metrics))
        if len(self.logged) >= self.stop_after:
            raise KeyboardInterrupt


def images(count, seed):
    """Noise that is redder or greener, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.integers(0, 120, (count, 36, 36, 3)).astype(np.uint8)
    pixels[np.arange(count), :, :, labels] += 100
    return pixels, labels


def data(count, seed):
    pixels, labels = images(count, seed)
    return ImageData(None, count, (tf.constant(pixels), tf.constant(labels)))


def training_inputs(checkpoint=None, pretrained=None):
    pixels, _ = images(64, 0)
    colours = pixels.reshape(-1, 3).astype(np.float64)
    statistics = ImageStatistics(pixels.mean(0).astype(np.float32), np.cov(colours.T))
    return TrainingInputs(data(64, 0), data(32, 1), statistics, LABELS, pretrained, checkpoint or Checkpoint())


@pytest.fixture(scope="module")
def trained():
    tracker = Tracker()
    return train(CONFIG, training_inputs(), tracker), tracker


def test_it_learns_and_reports_its_speed(trained):
    _, tracker = trained
    assert len(tracker.logged) == 3
    assert tracker.logged[-1]["val_top1_error"] <= 10
    assert all(line["images_per_second"] > 1 for line in tracker.logged)


def test_one_crop_is_the_centre_and_ten_are_the_papers(trained):
    exported, _ = trained
    pixels = images(3, 2)[0].astype(np.float32)
    network = exported.classifier.layers[-1]

    def probabilities(crops):
        return tf.nn.softmax(network(crops, training=False)).numpy()

    np.testing.assert_allclose(
        exported.from_pixels(tf.constant(pixels))["probabilities"], probabilities(pixels[:, 2:34, 2:34]), atol=1e-6
    )
    corners = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    crops = [pixels[:, top : top + 32, left : left + 32] for top, left in corners]
    expected = np.mean([probabilities(c) for crop in crops for c in (crop, crop[:, :, ::-1])], axis=0)
    files = tf.constant([tf.io.encode_png(image.astype(np.uint8)).numpy() for image in pixels])
    np.testing.assert_allclose(exported.from_bytes_in_ten_crops(files)["probabilities"], expected, atol=1e-5)


def test_every_signature_gives_the_same_outputs_in_another_graph(trained, tmp_path):
    exported, _ = trained
    records = []
    for pixels in images(2, 3)[0]:
        example = tf.train.Example()
        example.features.feature["image"].bytes_list.value.append(tf.io.encode_png(pixels).numpy())
        records.append(example.SerializeToString())
    saved_model.export(exported, records, str(tmp_path / "model"))
    assert replay(str(tmp_path / "model")) == {
        "serving_default": 3, "examples": 1, "pixels": 1, "ten_crops": 1, "ten_crop_examples": 1,
    }  # fmt: skip


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_resumed_training_ends_where_an_uninterrupted_one_does(averaging, tmp_path, monkeypatch):
    monkeypatch.setattr(backpropagation, "STEPS_PER_EXECUTION", 1)
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, averaging=averaging))
    expected = train(config, training_inputs(), Tracker())
    with pytest.raises(KeyboardInterrupt):
        checkpoint = Checkpoint(tmp_path, seconds_between=0.0, largest_share=math.inf)
        train(config, training_inputs(checkpoint), Tracker(stop_after=3))
    resumed = Checkpoint(tmp_path)
    # Where averages are kept, nothing is saved within an epoch; the third one was not recorded any more.
    assert (resumed.position, resumed.steps_done("back-propagation")) == (
        ("back-propagation", 2),
        0 if averaging else 3,
    )
    again = train(config, training_inputs(resumed), Tracker())
    for one, other in zip(expected.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_training_resumes_within_an_epoch(schedule, tmp_path, monkeypatch):
    monkeypatch.setattr(backpropagation, "STEPS_PER_EXECUTION", 1)
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, schedule=schedule))
    expected = train(config, training_inputs(), Tracker())
    checkpoint = Checkpoint(tmp_path)
    # Due once only: after the second of the four updates of the second epoch.
    calls = iter(range(10_000))
    monkeypatch.setattr(checkpoint, "is_due", lambda: next(calls) == 3 + 1 + 1)
    train(config, training_inputs(checkpoint), Tracker())
    resumed = Checkpoint(tmp_path)
    assert (resumed.position, resumed.steps_done("back-propagation")) == (("back-propagation", 1), 2)
    monkeypatch.setattr(resumed, "is_due", lambda: False)
    tracker = Tracker()
    again = train(config, training_inputs(resumed), tracker)
    assert len(tracker.logged) == 2
    for one, other in zip(expected.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("augmentation", "training"),
    [
        ({"resized_crop": True, "color_noise": 0.0, "mirror": False}, {"schedule": "plateau", "accumulation": 2}),
        ({"mixup": 0.2}, {"label_smoothing": 0.1, "warmup_epochs": 1, "averaging": 0.9}),
    ],
)
def test_options(augmentation, training):
    model = dataclasses.replace(MODEL, augmentation=AugmentationConfig(**augmentation))
    config = dataclasses.replace(
        CONFIG, model=model, training=dataclasses.replace(CONFIG.training, epochs=2, **training)
    )
    tracker = Tracker()
    train(config, training_inputs(), tracker)
    assert np.isfinite([line["loss"] for line in tracker.logged]).all()


def test_a_diverging_training_reports_the_update():
    finite = FiniteLoss()
    finite.on_epoch_begin(1)
    finite.on_train_batch_end(49, {"loss": 2.0})
    with pytest.raises(VisionTfxError, match=r"between updates 51 and 100 of epoch 2; lower --training.learning-rate"):
        finite.on_train_batch_end(99, {"loss": math.nan})


def test_kernels_are_those_of_patches(tmp_path):
    model = dataclasses.replace(MODEL, pretraining=PatchConfig(patches=200))
    config = dataclasses.replace(CONFIG, model=model)
    statistics = training_inputs().statistics
    network = patch_pretraining.pretrain(config, data(64, 0), statistics, StationTracker(), RBMConfig(epochs=1))
    patch_pretraining.save(network, tmp_path)
    [*_, built] = build(model, training_inputs(pretrained=tmp_path), seed=2).layers
    for name in ("conv1", "conv5"):
        for one, other in zip(built.get_layer(name).get_weights(), network.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(built.get_layer("fc6").get_weights()[0], network.get_layer("fc6").get_weights()[0])


@pytest.mark.parametrize(
    ("rate", "contrast", "why"),
    [
        (1e39, 1, r"the RBM of \d+ filters diverged"),
        (0.001, 0, "all patches are flat, so their contrast cannot be normalised"),
    ],
)
def test_patches_that_cannot_be_learned_are_reported_in_one_line(rate, contrast, why):
    rbm_config = RBMConfig(epochs=1, gaussian_learning_rate=rate)
    model = dataclasses.replace(MODEL, pretraining=PatchConfig(patches=200))
    pixels, labels = images(64, 0)
    training = ImageData(None, 64, (tf.constant(contrast * pixels), tf.constant(labels)))
    statistics = ImageStatistics(np.zeros((36, 36, 3), np.float32), np.eye(3))
    with pytest.raises(VisionTfxError, match=rf"^pretraining on patches failed: {why}; try .*patches 0$"):
        patch_pretraining.pretrain(StationConfig(model, seed=1), training, statistics, StationTracker(), rbm_config)


def test_a_training_starts_from_the_weights_of_a_file(tmp_path, caplog):
    weights = tmp_path / "net.weights.h5"
    alexnet("small", 3, input_shape=(32, 32, 3), seed=7).save_weights(weights)
    model = dataclasses.replace(MODEL, initial_weights=str(weights))
    [*_, built] = build(model, training_inputs(), seed=1).layers
    expected = alexnet("small", 3, input_shape=(32, 32, 3), seed=7)
    for name in ("conv1", "fc7"):
        np.testing.assert_array_equal(built.get_layer(name).get_weights()[0], expected.get_layer(name).get_weights()[0])
    assert "fc8" in caplog.text  # two classes here, three there


def test_mixing_blends_images_and_labels_by_one_share_a_batch():
    order = EpochOrder(1)
    pixels, labels = images(10, 0)[0], np.arange(10) % 2  # so that every batch has pairs of two classes
    batches = tf.data.Dataset.from_tensor_slices((pixels, np.eye(2, dtype=np.float32)[labels])).batch(4)
    mixed = mix(batches, order, 0.4, seed=3)
    order.on_epoch_begin(2)
    found, again = list(mixed), list(mixed)
    assert [len(blended) for blended, _ in found] == [4, 4, 2]
    shares = []
    for (plain, one_hot), (blended, soft), (same, _) in zip(batches, found, again, strict=True):
        differing = int(np.flatnonzero(one_hot.numpy()[:, 0] != one_hot.numpy()[::-1, 0])[0])
        shares.append(float(np.dot(soft[differing], one_hot[differing])))
        plain = plain.numpy().astype(np.float32)
        np.testing.assert_allclose(blended, shares[-1] * plain + (1 - shares[-1]) * plain[::-1], rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(same, blended)
    assert len(set(np.round(shares, 4))) == len(shares)
    order.on_epoch_begin(3)
    assert not np.array_equal(next(iter(mixed))[0], found[0][0])


def test_the_speed_is_that_of_the_images_seen():
    heard, logs = [], {"val_top1_error": 12.5}
    progress.listen(heard.append)
    callback = Speed(batch_size=64, count=1000, clock=iter([0.0, 1.0, 2.0]).__next__)
    callback.on_epoch_begin(4)
    callback.on_train_batch_end(1)
    callback.on_train_batch_end(2)
    callback.on_epoch_end(4, logs)
    assert logs["images_per_second"] == 3 * 64 / 2
    progress.epochs(9, "val_top1_error").on_epoch_end(4, logs)
    assert heard == ["epoch 5 of 9, val top1 error 12.5, 96 images/s"]


def test_without_patches_nothing_is_read_or_written(tmp_path):
    patch_pretraining.run(CONFIG, "no examples", "no transform graph", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_the_rate_falls_three_times_at_most():
    import keras

    from models.fitting.sgd import MomentumSGD

    plateau = Plateau("val_top1_error", patience=2, learning_rate=0.01)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(MomentumSGD(0.01), "mse")
    plateau.set_model(model)
    plateau.on_train_begin()
    rates = []
    for epoch in range(12):
        plateau.on_epoch_end(epoch, {"val_top1_error": 50.0})
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [1e-2] * 2 + [1e-3] * 2 + [1e-4] * 2 + [1e-5] * 6, rtol=1e-5)


def test_torchvisions_weights_see_the_colours_they_were_trained_on():
    model = dataclasses.replace(MODEL, variant="torchvision", image_size=(72, 72), crop_size=(64, 64))
    statistics = ImageStatistics(np.zeros((72, 72, 3), np.float32), np.eye(3))
    network = build(model, dataclasses.replace(training_inputs(), statistics=statistics), seed=1)
    crop = np.full((1, 64, 64, 3), (124, 116, 104), np.uint8)  # ImageNet's mean colour, rounded
    scaled = network.get_layer("normalization")(tf.cast(crop, tf.float32))
    np.testing.assert_allclose(scaled[0, 0, 0], [0.0056, -0.0048, 0.0082], atol=2e-3)
    [*_, net] = network.layers
    assert net.get_layer("conv1").filters == 64
    assert not any(layer.name.startswith("norm") for layer in net.layers)
    assert net.get_layer("pool5").output.shape[1:] == (1, 1, 256)


def test_mean_image_is_saved_with_the_model(tmp_path):
    network = build(MODEL, training_inputs(), seed=1)
    network.save_weights(tmp_path / "net.weights.h5")
    empty = dataclasses.replace(training_inputs(), statistics=ImageStatistics(np.zeros((36, 36, 3)), np.eye(3)))
    other = build(MODEL, empty, seed=2)
    other.load_weights(tmp_path / "net.weights.h5")
    grey = np.full((1, 32, 32, 3), 90, np.uint8)
    np.testing.assert_allclose(other(grey), network(grey), atol=1e-5)
    assert Image.fromarray(grey[0]).size == (32, 32)
