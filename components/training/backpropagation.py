"""Training by back-propagation: gradient descent with momentum, of a classifier or an autoencoder."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

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
STEPS_PER_EXECUTION = 50
# Validation images per batch, for nets as small as a deep belief net.
_VALIDATION_BATCH = 1000
_PART = "back-propagation"

Loss: TypeAlias = keras.losses.Loss | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Targets: TypeAlias = Callable[[tf.data.Dataset, EpochOrder | None], tf.data.Dataset]


def fit(
    model: keras.Model,
    config: StationConfig,
    inputs: TrainingInputs,
    loss: Loss,
    metrics: Sequence[keras.metrics.Metric | Callable],
    tracker: station_tracker.StationTracker,
    targets: Targets = lambda batches, order: batches,
    crops: CropPlan | None = None,
) -> None:
    """Trains a model, and keeps the weights of its best epoch if there are validation images.

    Args:
        model: The model, trained in place.
        config: Training and seed.
        inputs: The images, and the checkpoint to resume from.
        loss: The loss to minimise.
        metrics: Further metrics; the first, lower being better, chooses the best epoch.
        tracker: Receives loss and metrics per epoch.
        targets: Maps batches of (uint8 images, labels) to batches of (inputs, targets). Its second argument is the
            order of the epochs for training images, and None for validation images.
        crops: Selects the part of each image that the model sees; None for the whole image.

    Raises:
        VisionTfxError: The training diverged.
    """
    settings, checkpoint, count = config.training, inputs.checkpoint, inputs.training.count
    order = EpochOrder(config.seed)
    data = targets(inputs.training.batches(settings.batch_size, order, crops), order)
    done, steps = checkpoint.epochs_done(_PART), checkpoint.steps_done(_PART)
    if settings.top_layer_epochs and not (done or steps):
        _fit_top_layer(model, settings, data, count, loss, order)
    held_out, best, plateau = None, None, None
    monitor = f"val_{getattr(metrics[0], 'name', None) or metrics[0].__name__}"
    if inputs.validation is not None:
        batch_size = _VALIDATION_BATCH if crops is None else settings.batch_size
        held_out = targets(inputs.validation.batches(batch_size, None, crops), None)
        best, plateau = _validation_callbacks(settings, monitor)
    _compile(model, settings, settings.epochs, count, loss, metrics)
    callbacks = [
        order,
        FiniteLoss(),
        Speed(settings.batch_size, count),
        station_tracker.epoch_callback(tracker),
        progress.epochs(settings.epochs, monitor),
        *filter(None, (best, plateau)),
        # Keras ends every `fit` with the averages as weights, so the rest of an epoch cannot have a `fit` of its own.
        Resume(checkpoint, _PART, best=best, plateau=plateau, within_epochs=not settings.averaging),
    ]

    def train(batches: tf.data.Dataset, first: int, last: int) -> None:
        model.fit(
            batches,
            validation_data=held_out,
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


def strategy() -> tf.distribute.Strategy:
    """Returns the strategy for all GPUs of this host if there are several, otherwise the default strategy."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _validation_callbacks(settings: TrainingConfig, monitor: str) -> tuple[KeepBest | None, Plateau | None]:
    # A moving average ends as the mean of many updates, which the weights of no single epoch are.
    best = None if settings.averaging else KeepBest(monitor, settings.patience or settings.epochs)
    on_plateau = settings.schedule == "plateau"
    return best, Plateau(monitor, settings.plateau_epochs, settings.learning_rate) if on_plateau else None


def _finish_epoch(train: Callable[[], None], best: KeepBest | None, done: int) -> int:
    """Trains on the rest of an interrupted epoch, and returns the number of epochs done after it."""
    if best is not None:
        best.unfinished = True
    train()
    if best is not None:
        best.unfinished = False
        if best.model.stop_training:
            best.on_train_end()
    return done + 1


def _compile(
    model: keras.Model,
    settings: TrainingConfig,
    epochs: int,
    count: int,
    loss: Loss,
    metrics: Sequence[keras.metrics.Metric | Callable] = (),
) -> None:
    model.compile(
        optimizer=MomentumSGD(
            _learning_rate(settings, epochs, count),
            momentum=settings.momentum,
            weight_cost=settings.weight_cost,
            use_ema=settings.averaging > 0,
            ema_momentum=settings.averaging or 0.99,  # Keras validates it even without averaging
            gradient_accumulation_steps=settings.accumulation if settings.accumulation > 1 else None,
        ),
        loss=loss,
        metrics=list(metrics),
        steps_per_execution=STEPS_PER_EXECUTION,
        # XLA is slower on a CPU: AlexNet trains 59 images/s without it, 42 with it.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )


def _learning_rate(
    settings: TrainingConfig, epochs: int, count: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate = settings.learning_rate
    if settings.schedule != "cosine":
        return rate
    updates = int(np.ceil(count / settings.batch_size))
    warmup = settings.warmup_epochs * updates
    # During warm-up, the rate rises from the first argument to the target.
    rising = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, epochs * updates - warmup, **rising)


def _fit_top_layer(
    model: keras.Sequential,
    settings: TrainingConfig,
    data: tf.data.Dataset,
    count: int,
    loss: Loss,
    order: EpochOrder,
) -> None:
    """Trains the output layer alone, so that its random weights do not spoil the pretrained weights below."""
    hidden = model.layers[-1].layers[:-1]
    for layer in hidden:
        layer.trainable = False
    _compile(model, settings, settings.top_layer_epochs, count, loss)
    model.fit(data, epochs=settings.top_layer_epochs, callbacks=[order], shuffle=False, verbose=0)
    for layer in hidden:
        layer.trainable = True
