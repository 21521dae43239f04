"""Training by back-propagation: steepest descent with momentum, of a classifier or an autoencoder."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder
from components.reporting import progress, station_tracker
from components.reporting.speed import Speed
from components.station_config import StationConfig
from components.training.checkpoints import KeepBest, Resume
from components.training.finite_loss import FiniteLoss
from components.training.inputs import TrainingInputs
from components.training.plateau import Plateau
from models.config import TrainingConfig
from models.fitting.sgd import MomentumSGD

# Updates per call into the runtime: on a small net each call costs as much as its update.
_STEPS_PER_EXECUTION = 50
# Validation images at a time, for nets as small as a deep belief net.
_VALIDATION_BATCH = 1000
_PART = "back-propagation"


def fit(
    model: keras.Model,
    config: StationConfig,
    inputs: TrainingInputs,
    loss: keras.losses.Loss | Callable,
    metrics: Sequence[keras.metrics.Metric | Callable],
    tracker: station_tracker.StationTracker,
    targets: Callable[[tf.data.Dataset, EpochOrder | None], tf.data.Dataset] = lambda batches, order: batches,
    crops: CropPlan | None = None,
) -> None:
    """Trains a model, and keeps the weights of its best epoch on validation where there is validation.

    Args:
        model: what is trained, in place.
        config: training and seed.
        inputs: the images, and where an interrupted training goes on from.
        loss: what is minimised.
        metrics: what is measured besides; the first, lower being better, chooses the best epoch.
        tracker: receives loss and metrics per epoch.
        targets: from batches of (uint8 images, labels) to batches of (inputs, targets); it gets the order of the
            epochs for those that are trained on, and none for those that are held out.
        crops: what part of each image the model sees; none for all of it.

    Raises:
        VisionTfxError: The training diverged.
    """
    settings, checkpoint = config.training, inputs.checkpoint
    order = EpochOrder(config.seed)
    count = inputs.training.count
    data = targets(inputs.training.batches(settings.batch_size, order, crops), order)
    monitor = f"val_{getattr(metrics[0], 'name', None) or metrics[0].__name__}"
    speed = [FiniteLoss(), Speed(settings.batch_size, count)]
    callbacks = [order, *speed, station_tracker.epoch_callback(tracker), progress.epochs(settings.epochs, monitor)]
    done, steps = checkpoint.epochs_done(_PART), checkpoint.steps_done(_PART)
    if settings.top_layer_epochs and not (done or steps):
        _fit_top_layer(model, settings, data, count, loss, order)
    best, held_out, plateau = None, None, None
    if inputs.validation is not None:
        # A moving average ends as the mean of many updates: none of the epochs on the way is that.
        best = None if settings.averaging else KeepBest(monitor, settings.patience or settings.epochs)
        held_out = inputs.validation.batches(_VALIDATION_BATCH if crops is None else settings.batch_size, None, crops)
        callbacks += [best] if best else []
        if settings.schedule == "plateau":
            plateau = Plateau(monitor, settings.plateau_epochs, settings.learning_rate)
            callbacks.append(plateau)
    _compile(model, settings, settings.epochs, count, loss, metrics)
    # Keras ends every `fit` with the averages as weights, so that the rest of an epoch cannot have one of its own.
    within = not settings.averaging
    callbacks.append(Resume(checkpoint, _PART, best=best, plateau=plateau, within_epochs=within))

    def train(batches: tf.data.Dataset, first: int, last: int) -> None:
        model.fit(
            batches,
            validation_data=held_out and targets(held_out, None),
            epochs=last,
            initial_epoch=first,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    if steps:
        done = _finish_epoch(lambda: train(data.skip(steps), done, done + 1), best, done)
        if model.stop_training:
            return
    train(data, done, settings.epochs)


def _finish_epoch(train: Callable[[], None], best: KeepBest | None, done: int) -> int:
    """Trains on the rest of an epoch that was interrupted, and returns how many epochs are done then."""
    if best is not None:
        best.unfinished = True
    train()
    if best is not None:
        best.unfinished = False
        if best.model.stop_training:
            best.on_train_end()
    return done + 1


def strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine where there are several, else the usual device."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _compile(
    model: keras.Model, settings: TrainingConfig, epochs: int, count: int, loss: object, metrics: Sequence = ()
) -> None:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = settings.learning_rate
    if settings.schedule == "cosine":
        updates = int(np.ceil(count / settings.batch_size))
        warmup = settings.warmup_epochs * updates
        # While warming up, the rate rises from the first argument to the target.
        rising = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        rate = keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, epochs * updates - warmup, **rising)
    model.compile(
        optimizer=MomentumSGD(
            rate,
            momentum=settings.momentum,
            weight_cost=settings.weight_cost,
            use_ema=settings.averaging > 0,
            ema_momentum=settings.averaging or 0.99,  # looked at even where nothing is averaged
            gradient_accumulation_steps=settings.accumulation if settings.accumulation > 1 else None,
        ),
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
