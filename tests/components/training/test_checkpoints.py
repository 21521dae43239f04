"""A training that was killed and resumed ends with the weights of one that was not, bit for bit."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import environment
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData
from components.training.checkpoints import Checkpoint, KeepBest, Resume, station_checkpoint
from models.fitting.sgd import MomentumSGD
from models.rbm import RBM

EPOCHS = 6


def due_always(folder):
    return Checkpoint(folder, seconds_between=0.0, largest_share=math.inf)


def images():
    return np.random.default_rng(0).integers(0, 256, (60, 3, 3, 1)).astype(np.uint8), np.arange(60) % 2


def classifier():
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.5, seed=3), keras.layers.Dense(2)]
    )
    model.layers[-1].kernel.assign(np.random.default_rng(1).normal(size=(9, 2)))
    rate = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * 6)
    model.compile(MomentumSGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


class Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def fit(checkpoint, kill_after=None):
    pixels, labels = (tf.constant(part) for part in images())
    order, model, best = EpochOrder(7), classifier(), KeepBest("val_loss", patience=EPOCHS)
    data = ImageData(None, 60, (tf.cast(pixels, tf.float32) / 255, labels)).batches(10, order)
    callbacks = [order, best, Resume(checkpoint, "top", best=best)]
    callbacks += [] if kill_after is None else [Kill(kill_after)]
    model.fit(
        data,
        validation_data=(np.zeros((4, 3, 3, 1)), np.array([0, 1, 1, 1])),
        epochs=EPOCHS,
        initial_epoch=checkpoint.epochs_done("top"),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    return model, best


@pytest.mark.lengthy
def test_resumed_training_is_the_uninterrupted_one(tmp_path):
    whole, whole_best = fit(Checkpoint())
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            fit(due_always(tmp_path / "c"), kill_after=epoch)
        assert Checkpoint(tmp_path / "c").position == ("top", epoch + 1)
    resumed, best = fit(due_always(tmp_path / "c"))
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (best.best, best.best_epoch) == (whole_best.best, whole_best.best_epoch)


@pytest.mark.lengthy
def test_an_rbm_resumes_with_its_chains_and_random_numbers(tmp_path):
    data = np.random.default_rng(0).random((40, 5)).astype("float32")

    def made_rbm():
        rbm = RBM(3, persistent=True, num_chains=4, centering="enhanced", minibatch_size=10, seed=1)
        rbm.build((None, 5))
        rbm.compile(MomentumSGD(0.1))
        return rbm

    def fit_rbm(rbm, checkpoint, epochs):
        first = checkpoint.epochs_done("layer 0")
        rbm.fit(data, epochs=epochs, initial_epoch=first, batch_size=20, shuffle=False, verbose=0,
                callbacks=[Resume(checkpoint, "layer 0")])  # fmt: skip
        return rbm

    whole = fit_rbm(made_rbm(), Checkpoint(), 5)
    fit_rbm(made_rbm(), due_always(tmp_path), 2)
    resumed = fit_rbm(made_rbm(), Checkpoint(tmp_path), 5)
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_another_part_starts_from_the_beginning(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("layer 0", 3, [np.ones(2)], {})
    assert checkpoint.epochs_done("layer 0") == 3
    assert checkpoint.epochs_done("layer 1") == 0


def test_a_kill_while_saving_leaves_the_state_before(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("a", 1, [np.ones(2)], {"x": 1})
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save("a", 2, [np.zeros(2)], {"x": 2})
    monkeypatch.undo()
    arrays, metadata = Checkpoint(tmp_path).load()
    np.testing.assert_array_equal(arrays[0], np.ones(2))
    assert metadata == {"x": 1}


def test_nothing_is_saved_more_often_than_every_minute(tmp_path):
    checkpoint = Checkpoint(tmp_path, clock=iter([100.0, 159.0, 161.0]).__next__)
    assert not checkpoint.is_due()
    assert checkpoint.is_due()


def test_writing_takes_a_fiftieth_of_the_time_at_most(tmp_path):
    created, began, saved = 0.0, 10.0, 13.0
    checkpoint = Checkpoint(tmp_path, clock=iter([created, began, saved, saved + 149, saved + 151]).__next__)
    checkpoint.save("a", 1, [np.ones(2)], {})
    assert not checkpoint.is_due()
    assert checkpoint.is_due()


def test_a_node_finds_its_own_state_and_no_other(tmp_path, monkeypatch):
    monkeypatch.delenv(environment.CHECKPOINT_DIR, raising=False)
    (tmp_path / "manifest.parquet").write_bytes(b"manifest")
    assert not station_checkpoint("Trainer", str(tmp_path), "{}").is_due()  # no folder was exported
    monkeypatch.setenv(environment.CHECKPOINT_DIR, str(tmp_path / "checkpoints"))
    station_checkpoint("Trainer", str(tmp_path), "{}", "f1").save("a", 2, [], {})
    assert station_checkpoint("Trainer", str(tmp_path), "{}", "f1").position == ("a", 2)
    for other in (("Trainer", "{}", "f2"), ("Trainer", "[]", "f1"), ("RBMPretrainer", "{}", "f1")):
        assert station_checkpoint(other[0], str(tmp_path), *other[1:]).position is None
    (tmp_path / "manifest.parquet").write_bytes(b"other images")
    assert station_checkpoint("Trainer", str(tmp_path), "{}", "f1").position is None


def test_clear_forgets(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.save("a", 1, [np.ones(2)], {})
    checkpoint.clear()
    assert Checkpoint(tmp_path / "c").position is None
