"""Objective "classification": a deep belief net, unrolled into a classifier and trained by back-propagation."""

import keras

from components.export.classifier import ExportedClassifier
from components.figures.classifier_report import log_mistakes
from components.input_pipeline import scaling
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from models import factory
from models.metrics import TopKError


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedClassifier:
    """Trains a classifier.

    Args:
        config: Network, training and seed.
        inputs: Images, their statistics and labels, pretrained weights.
        tracker: Receives losses and errors per epoch, and plots of the confusion and the mistakes.

    Raises:
        VisionTfxError: The training diverged.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.dbn, config.training
    with backpropagation.strategy().scope():
        classifier = keras.Sequential(
            [
                keras.Input((*model.image_size, model.channels)),
                scaling.scaling_layer(model, inputs.statistics),
                factory.build_classifier(model, len(inputs.labels), config.seed, inputs.pretrained, settings),
            ],
            name="classifier",
        )
    backpropagation.fit(
        classifier,
        config,
        inputs,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        [TopKError(1), TopKError(5)],
        tracker,
    )
    log_mistakes(classifier, inputs.validation, inputs.labels, tracker)
    return ExportedClassifier(classifier, inputs.labels)
