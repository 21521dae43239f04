"""Nodes that were killed and restarted end with the weights of uninterrupted ones, bit for bit, for every objective."""

import dataclasses
import math

import numpy as np
import pytest

from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData
from components.input_pipeline.image_statistics import ImageStatistics
from components.rbm_pretrainer import pretrain
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.trainer import train
from components.training.checkpoints import Checkpoint
from components.training.inputs import TrainingInputs
from models.config import DBNConfig, RBMConfig, TrainingConfig, UpDownConfig

EPOCHS = 3
MODEL = DBNConfig(
    image_size=(4, 4),
    hidden_units=(6, 5),
    pretraining=RBMConfig(epochs=EPOCHS, batch_size=10, persistent=True),
    up_down=UpDownConfig(epochs=(2, 1), gibbs_steps=(1, 2), batch_size=10, momentum=0.5),
)


class Killer(StationTracker):
    """Simulates a killed process when a metric has been logged a number of times; records everything that is logged."""

    def __init__(self, metric="", times=0):
        super().__init__()
        self.metric, self.times, self.logged = metric, times, {}

    def log_metrics(self, metrics, step=None):
        for name, value in metrics.items():
            self.logged[name, step] = value
        if self.metric in metrics:
            self.times -= 1
            if self.times == 0:
                raise KeyboardInterrupt


def due_always(folder):
    return Checkpoint(folder, seconds_between=0.0, largest_share=math.inf)


def data(count, seed):
    import tensorflow as tf

    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    images = (random.random((count, 4, 4, 1)) * 120 + 120 * labels[:, None, None, None]).astype(np.uint8)
    return ImageData(None, count, (tf.constant(images), tf.constant(labels)))


TRAINING, HELD_OUT = data(50, 0), data(20, 1)
STATISTICS = ImageStatistics(np.full((4, 4, 1), 120.0), np.eye(1))


def configured(objective):
    training = TrainingConfig(epochs=EPOCHS, batch_size=10, learning_rate=0.01)
    if objective == "classification":
        training = dataclasses.replace(training, hidden_dropout=0.5, top_layer_epochs=1)
    return StationConfig(dataclasses.replace(MODEL, objective=objective), seed=3, training=training)


def pretrained(objective, tracker, checkpoint=None):
    return pretrain(configured(objective), TRAINING, HELD_OUT, STATISTICS, 2, tracker, checkpoint)


@pytest.mark.lengthy
@pytest.mark.parametrize("objective", ["classification", "joint", "reconstruction"])
@pytest.mark.parametrize("layer", [1, 2])
def test_pretraining_resumes_in_its_layer(objective, layer, tmp_path):
    whole = Killer()
    expected = pretrained(objective, whole)
    metric = f"layer{layer}/reconstruction_error"
    with pytest.raises(KeyboardInterrupt):
        # The tracker is called before the state of an epoch is saved, so that epoch is lost.
        pretrained(objective, Killer(metric, times=2), due_always(tmp_path / "c"))
    assert Checkpoint(tmp_path / "c").position == (f"layer {layer}", 1)
    resumed = Killer()
    found = pretrained(objective, resumed, due_always(tmp_path / "c"))
    for one, other in zip(expected.rbms, found.rbms, strict=True):
        np.testing.assert_array_equal(one.kernel, other.kernel)
        np.testing.assert_array_equal(one.visible_bias, other.visible_bias)
    # The metrics of held-out images, which pass through the layers below, are equal too.
    assert (metric, 1) not in resumed.logged
    assert resumed.logged.items() <= whole.logged.items()


# The last update of an epoch may be saved before the epoch ends: its rest has no batches, and Keras warns.
@pytest.mark.lengthy
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize("objective", ["classification", "joint", "reconstruction"])
def test_training_resumes(objective, tmp_path):
    folder = tmp_path / "pretrained"
    pretrained(objective, StationTracker()).save(folder)

    def fit(tracker, checkpoint):
        inputs = TrainingInputs(TRAINING, HELD_OUT, STATISTICS, ["a", "b"], folder, checkpoint)
        served = train(configured(objective), inputs, tracker)
        return [variable.numpy() for variable in served.variables]

    expected = fit(StationTracker(), Checkpoint())
    metric = "reconstruction_error" if objective == "joint" else "loss"
    with pytest.raises(KeyboardInterrupt):
        fit(Killer(metric, times=3), due_always(tmp_path / "c"))
    assert Checkpoint(tmp_path / "c").position[1] == 2
    for one, other in zip(expected, fit(StationTracker(), due_always(tmp_path / "c")), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.lengthy
@pytest.mark.parametrize("objective", ["classification", "joint", "reconstruction"])
def test_every_epoch_has_an_order_of_its_own(objective, monkeypatch):
    # No other test shows it: a training whose order misses its epochs resumes as well.
    epochs, tell = [], EpochOrder.on_epoch_begin

    def spy(order, epoch, logs=None):
        epochs.append(epoch)
        tell(order, epoch)

    monkeypatch.setattr(EpochOrder, "on_epoch_begin", spy)
    pretrained(objective, StationTracker())
    assert epochs == [*range(EPOCHS)] * 2
    epochs.clear()
    train(configured(objective), TrainingInputs(TRAINING, HELD_OUT, STATISTICS, ["a", "b"], None), StationTracker())
    assert epochs == ([0] if objective == "classification" else []) + [*range(EPOCHS)]  # first the top layer alone
