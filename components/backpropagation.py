"""Training by back-propagation: steepest descent with momentum, of a classifier or an autoencoder."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components import progress, tracking
from models.config import TrainingConfig
from models.sgd import MomentumSGD

# Updates per call into the runtime: on a small net each call costs as much as its update.
_STEPS_PER_EXECUTION = 50


def fit(
    model: keras.Model,
    settings: TrainingConfig,
    data: tf.data.Dataset,
    count: int,
    held_out: tf.data.Dataset | None,
    loss: keras.losses.Loss | Callable,
    metrics: Sequence[keras.metrics.Metric | Callable],
    tracker: tracking.StationTracker,
) -> None:
    """Trains a model, and keeps the weights of its best epoch.

    Args:
        model: what is trained, in place.
        settings: of the training.
        data: batches of (images, targets).
        count: number of images, which tells how many updates an epoch has.
        held_out: the same of images that choose the best epoch; none where all are trained on.
        loss: what is minimised.
        metrics: what is measured besides; the first, lower being better, chooses the best epoch.
        tracker: receives loss and metrics per epoch.
    """
    name = getattr(metrics[0], "name", None) or metrics[0].__name__
    callbacks = [tracking.epoch_callback(tracker), progress.epochs(settings.epochs, f"val_{name}")]
    if held_out is not None:
        callbacks.append(_keep_best(settings, f"val_{name}"))
    _compile(model, settings, settings.epochs, count, loss, metrics)
    model.fit(data, validation_data=held_out, epochs=settings.epochs, callbacks=callbacks, verbose=0)


def fit_top_layer(
    model: keras.Sequential, settings: TrainingConfig, data: tf.data.Dataset, count: int, loss: keras.losses.Loss
) -> None:
    """Trains the output layer alone, so that its random weights do not spoil the pretrained ones below.

    Args:
        model: whose last part is the classifier, and whose last layer is the output layer.
        settings: of the training; nothing is done without `top_layer_epochs`.
        data: batches of (images, targets).
        count: number of images.
        loss: what is minimised.
    """
    if not settings.top_layer_epochs:
        return
    hidden = model.layers[-1].layers[:-1]
    for layer in hidden:
        layer.trainable = False
    _compile(model, settings, settings.top_layer_epochs, count, loss)
    model.fit(data, epochs=settings.top_layer_epochs, verbose=0)
    for layer in hidden:
        layer.trainable = True


def strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine where there are several, else the usual device."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _keep_best(settings: TrainingConfig, metric: str) -> keras.callbacks.Callback:
    patience = settings.patience or settings.epochs
    return keras.callbacks.EarlyStopping(metric, mode="min", patience=patience, restore_best_weights=True)


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
