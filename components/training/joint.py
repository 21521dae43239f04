"""Objective "joint": a deep belief net with label units in its top RBM, trained by the up-down algorithm."""

import keras

from components.export.classifier import ExportedClassifier
from components.figures.classifier_report import log_mistakes
from components.figures.generation_report import log_generated
from components.input_pipeline import scaling
from components.input_pipeline.epoch_order import EpochOrder
from components.reporting import progress, station_tracker
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training.checkpoints import KeepBest, Resume
from components.training.finite_loss import FiniteLoss
from components.training.inputs import TrainingInputs
from models import factory

# Updates per call of the compiled loop, as in RBMPretrainer.
_UPDATES_PER_STEP = 100
_VALIDATION_BATCH = 1000
_PART = "up-down"
# Folder of the whole net within Trainer's artifact `model_run`, see `models.up_down.LabelDBN.load`.
LABEL_DBN = "label_dbn"


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedClassifier:
    """Trains a net with label units by contrastive wake-sleep, and keeps the weights of its best validation epoch.

    The exported classifier compares the free energies of the labels.

    Args:
        config: Network, up-down settings and seed.
        inputs: Images, their statistics and labels, pretrained weights.
        tracker: Receives errors per epoch, and plots of generated images, the confusion and the mistakes.

    Raises:
        VisionTfxError: The training diverged.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006).
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.dbn, config.dbn.up_down
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
        best = KeepBest("val_top1_error", epochs)
        held_out = scaling.visible_rows(inputs.validation, _VALIDATION_BATCH, scale)
        callbacks.append(best)
    net.fit_up_down(
        scaling.visible_rows(inputs.training, settings.batch_size * _UPDATES_PER_STEP, scale, order),
        validation_data=held_out,
        callbacks=[*callbacks, Resume(inputs.checkpoint, _PART, best=best)],
        num_examples=inputs.training.count,
        initial_epoch=inputs.checkpoint.epochs_done(_PART),
    )
    if inputs.model_run is not None:
        net.save(inputs.model_run / LABEL_DBN)  # the exported model classifies only; this one also generates
    shape = factory.image_shape(model)
    log_generated(net, shape, inputs.labels, tracker)
    classifier = keras.Sequential([keras.Input(shape), scale, net.classifier(shape)], name="classifier")
    log_mistakes(classifier, inputs.validation, inputs.labels, tracker)
    return ExportedClassifier(classifier, inputs.labels)
