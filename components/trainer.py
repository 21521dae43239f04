"""Trainer's `run_fn`: supervised training of a classifier, and its export."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components import export, features, figures, progress, scaling, tracking
from components.configuration import StationConfig
from components.input_pipeline import ImageData, load_images, read_records
from components.manifest import read_labels
from components.transform import ImageStatistics, load_statistics
from models import factory
from models.config import TrainingConfig
from models.metrics import TopKError
from models.sgd import MomentumSGD

# Updates per call into the runtime: on a small net each call costs as much as its update.
_STEPS_PER_EXECUTION = 50
# Validation images whose confusion and mistakes are drawn.
_DRAWN_IMAGES = 5000
# Examples stored in the SavedModel for warm-up and replay.
_STORED_EXAMPLES = 32


def run_fn(fn_args: FnArgs) -> None:
    """TFX's entry point.

    Args:
        fn_args: with `custom_config["config"]`, a StationConfig as JSON; `base_model` may name pretrained weights.
    """
    config = StationConfig.from_json(fn_args.custom_config["config"])
    examples_uri = str(Path(fn_args.train_files[0]).parent.parent)
    size, channels = config.model.image_size, config.model.channels
    training = load_images(examples_uri, config.splits, size, channels)
    validation = None
    if features.VALIDATION not in config.splits:
        validation = load_images(examples_uri, [features.VALIDATION], size, channels)
    statistics = load_statistics(fn_args.transform_output, size, channels)
    labels = read_labels(Path(examples_uri))
    with tracking.station_run("Trainer") as tracker:
        classifier = train(config, training, validation, statistics, len(labels), _pretrained(fn_args), tracker)
        if validation is not None:
            _log_mistakes(classifier, validation, labels, tracker)
    records = read_records(examples_uri, features.VALIDATION, _STORED_EXAMPLES)
    export.export(classifier, labels, records, fn_args.serving_model_dir)


def _pretrained(fn_args: FnArgs) -> Path | None:
    # TFX sets base_model to a path even where the artifact is empty.
    folder = fn_args.base_model and Path(fn_args.base_model)
    return folder if folder and folder.is_dir() and any(folder.iterdir()) else None


def train(
    config: StationConfig,
    training: ImageData,
    validation: ImageData | None,
    statistics: ImageStatistics,
    num_classes: int,
    pretrained: Path | None,
    tracker: tracking.StationTracker,
) -> keras.Model:
    """Trains a classifier.

    Args:
        config: network, training and seed.
        training: images to train on.
        validation: images that choose the best epoch; none where all are trained on.
        statistics: of the training images.
        num_classes: number of classes.
        pretrained: folder of pretrained weights, or none to start from random ones.
        tracker: receives losses and errors per epoch.

    Returns:
        Model from images in grey levels (N, height, width, channels) to logits (N, classes).
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.model, config.training
    with _strategy().scope():
        classifier = keras.Sequential(
            [
                keras.Input((*model.image_size, model.channels)),
                scaling.scaling_layer(model, statistics),
                factory.build_classifier(model, num_classes, config.seed, pretrained),
            ],
            name="classifier",
        )
    data = training.batches(settings.batch_size, seed=config.seed)
    held_out = validation and validation.batches(1000)
    callbacks = [tracking.epoch_callback(tracker), progress.epochs(settings.epochs, "val_top1_error")]
    if settings.top_layer_epochs:
        _fit_top_layer(classifier, settings, data, training.count)
    if held_out is not None:
        callbacks.append(_keep_best(settings))
    _compile(classifier, settings, settings.epochs, training.count)
    classifier.fit(data, validation_data=held_out, epochs=settings.epochs, callbacks=callbacks, verbose=0)
    return classifier


def _log_mistakes(
    classifier: keras.Model, validation: ImageData, labels: Sequence[str], tracker: tracking.StationTracker
) -> None:
    """Draws the confusion of the classes and the most confident mistakes among some validation images."""
    images, true = (part.numpy() for part in next(iter(validation.batches(_DRAWN_IMAGES))))
    scores = tf.nn.softmax(classifier.predict(images, verbose=0)).numpy()
    said = scores.argmax(axis=1)
    matrix = tf.math.confusion_matrix(true, said, len(labels)).numpy()
    names = np.asarray(labels)
    tracker.log_figure(lambda: figures.confusion(matrix, labels), "confusion.png")
    tracker.log_figure(lambda: figures.failures(images, names[true], names[said], scores.max(axis=1)), "mistakes.png")


def _strategy() -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _keep_best(settings: TrainingConfig) -> keras.callbacks.Callback:
    patience = settings.patience or settings.epochs
    return keras.callbacks.EarlyStopping("val_top1_error", mode="min", patience=patience, restore_best_weights=True)


def _compile(classifier: keras.Model, settings: TrainingConfig, epochs: int, examples: int) -> None:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, epochs * int(np.ceil(examples / settings.batch_size)))
    classifier.compile(
        optimizer=MomentumSGD(rate, momentum=settings.momentum, weight_cost=settings.weight_cost),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[TopKError(1), TopKError(5)],
        steps_per_execution=_STEPS_PER_EXECUTION,
        # XLA is slower on a CPU: an AlexNet step makes 59 images/s without it, 42 with it.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )


def _fit_top_layer(classifier: keras.Model, settings: TrainingConfig, data: tf.data.Dataset, examples: int) -> None:
    """Trains the output layer alone, so that its random weights do not spoil the pretrained ones below."""
    hidden = classifier.layers[-1].layers[:-1]
    for layer in hidden:
        layer.trainable = False
    _compile(classifier, settings, settings.top_layer_epochs, examples)
    classifier.fit(data, epochs=settings.top_layer_epochs, verbose=0)
    for layer in hidden:
        layer.trainable = True
