"""Training by back-propagation: steepest descent with momentum, of a classifier or an autoencoder."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components import progress, tracking
from components.checkpoints import KeepBest, Resume
from components.configuration import StationConfig
from components.epoch_order import EpochOrder
from components.training_material import TrainingMaterial
from models.config import TrainingConfig
from models.sgd import MomentumSGD

# Updates per call into the runtime: on a small net each call costs as much as its update.
_STEPS_PER_EXECUTION = 50
_PART = "back-propagation"


def fit(
    model: keras.Model,
    config: StationConfig,
    material: TrainingMaterial,
    loss: keras.losses.Loss | Callable,
    metrics: Sequence[keras.metrics.Metric | Callable],
    tracker: tracking.StationTracker,
    targets: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda batches: batches,
) -> None:
    """Trains a model, and keeps the weights of its best epoch on validation where there is validation.

    Args:
        model: what is trained, in place.
        config: training and seed.
        material: the images, and where an interrupted training goes on from.
        loss: what is minimised.
        metrics: what is measured besides; the first, lower being better, chooses the best epoch.
        tracker: receives loss and metrics per epoch.
        targets: from batches of (uint8 images, labels) to batches of (inputs, targets).
    """
    settings, checkpoint = config.training, material.checkpoint
    order = EpochOrder(config.seed)
    data = targets(material.training.batches(settings.batch_size, order))
    monitor = f"val_{getattr(metrics[0], 'name', None) or metrics[0].__name__}"
    callbacks = [order, tracking.epoch_callback(tracker), progress.epochs(settings.epochs, monitor)]
    done = checkpoint.epochs_done(_PART)
    if settings.top_layer_epochs and not done:
        _fit_top_layer(model, settings, data, material.training.count, loss, order)
    best, held_out = None, None
    if material.validation is not None:
        best, held_out = KeepBest(monitor, settings.patience or settings.epochs), material.validation.batches(1000)
        callbacks.append(best)
    _compile(model, settings, settings.epochs, material.training.count, loss, metrics)
    model.fit(
        data,
        validation_data=held_out and targets(held_out),
        epochs=settings.epochs,
        initial_epoch=done,
        callbacks=[*callbacks, Resume(checkpoint, _PART, best=best)],
        shuffle=False,
        verbose=0,
    )


def strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine where there are several, else the usual device."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _compile(
    model: keras.Model, settings: TrainingConfig, epochs: int, count: int, loss: object, metrics: Sequence = ()
) -> None:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, epochs * int(np.ceil(count / settings.batch_size)))
    model.compile(
        optimizer=MomentumSGD(rate, momentum=settings.momentum, weight_cost=settings.weight_cost),
        loss=loss,
        metrics=list(metrics),
        steps_per_execution=_STEPS_PER_EXECUTION,
        # XLA is slower on a CPU: an AlexNet step makes 59 images/s without it, 42 with it.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )


def _fit_top_layer(
    model: keras.Sequential,
    settings: TrainingConfig,
    data: tf.data.Dataset,
    count: int,
    loss: object,
    order: EpochOrder,
) -> None:
    """Trains the output layer alone, so that its random weights do not spoil the pretrained ones below."""
    hidden = model.layers[-1].layers[:-1]
    for layer in hidden:
        layer.trainable = False
    _compile(model, settings, settings.top_layer_epochs, count, loss)
    model.fit(data, epochs=settings.top_layer_epochs, callbacks=[order], verbose=0)
    for layer in hidden:
        layer.trainable = True
