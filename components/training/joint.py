"""Objective "joint": a deep belief net with labels in its top machine, trained by up-down; free energy classifies."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from components.export.classifier import ExportedClassifier
from components.figures import rbm_figures
from components.figures.mistakes import log_mistakes
from components.input_pipeline import scaling
from components.input_pipeline.epoch_order import EpochOrder
from components.reporting import progress, station_tracker
from components.station_config import StationConfig
from components.training.checkpoints import KeepBest, Resume
from components.training.finite_loss import FiniteLoss
from components.training.inputs import TrainingInputs
from models import factory
from models.up_down import LabelDBN

# Updates per call of the compiled loop, as RBMPretrainer has them.
_UPDATES_PER_STEP = 100
_PART = "up-down"
# In Trainer's artifact `model_run`: the whole net, see `models.up_down.LabelDBN.load`.
LABEL_DBN = "label_dbn"
# Images made up for MLflow: 1,000 Gibbs steps of 100 chains of a 510 x 2000 machine take some 8 s of processor time
# compiled, and 20 s step by step.
_DRAWN_CLASSES, _DRAWN_SAMPLES = 10, 10


def train(config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> ExportedClassifier:
    """Trains a net with labels by contrastive wake-sleep, and keeps the weights of its best epoch on validation.

    Args:
        config: network, up-down and seed.
        inputs: images, their statistics and labels, pretrained weights.
        tracker: receives errors per epoch, confusion and mistakes.

    Raises:
        VisionTfxError: The training diverged.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.model, config.model.up_down
    scale = scaling.scaling_layer(model, inputs.statistics)
    net = factory.build_label_dbn(model, len(inputs.labels), config.seed, inputs.pretrained)
    epochs = sum(settings.epochs)
    order = EpochOrder(config.seed)
    callbacks = [
        order,
        FiniteLoss("--model.up-down.learning-rate", "the up-down training", "reconstruction_error", one_update=False),
        station_tracker.epoch_callback(tracker),
        progress.epochs(epochs, "val_top1_error", "up-down, "),
    ]
    best, held_out = None, None
    if inputs.validation is not None:
        best, held_out = KeepBest("val_top1_error", epochs), scaling.visible_rows(inputs.validation, 1000, scale)
        callbacks.append(best)
    net.fit_up_down(
        scaling.visible_rows(inputs.training, settings.batch_size * _UPDATES_PER_STEP, scale, order),
        validation_data=held_out,
        callbacks=[*callbacks, Resume(inputs.checkpoint, _PART, best=best)],
        num_examples=inputs.training.count,
        initial_epoch=inputs.checkpoint.epochs_done(_PART),
    )
    if inputs.keep is not None:
        net.save(inputs.keep / LABEL_DBN)  # what is served classifies; this one generates as well
    shape = factory.image_shape(model)
    tracker.log_figure(lambda: _generated(net, shape, inputs.labels), "generated.png")
    classifier = keras.Sequential([keras.Input(shape), scale, net.classifier(shape)], name="classifier")
    log_mistakes(classifier, inputs, tracker)
    return ExportedClassifier(classifier, inputs.labels)


def _generated(net: LabelDBN, image_shape: tuple, labels: Sequence[str]) -> Figure:
    """Images that the net makes up for each of the first classes."""
    shown = labels[:_DRAWN_CLASSES]
    wanted = np.repeat(np.arange(len(shown)), _DRAWN_SAMPLES)
    generate = tf.function(lambda: net.generate(len(wanted), gibbs_steps=1000, label=wanted))
    images = generate().numpy()
    return rbm_figures.class_samples(images.reshape(len(shown), _DRAWN_SAMPLES, -1), image_shape, shown)
