"""Objective "classification": a deep belief net, unrolled into a classifier and trained by back-propagation."""

import keras

from components.export.classifier import ExportedClassifier
from components.figures.mistakes import log_mistakes
from components.input_pipeline import scaling
from components.reporting import station_tracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from models import factory
from models.metrics import TopKError


def train(config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> ExportedClassifier:
    """Trains a classifier.

    Args:
        config: network, training and seed.
        inputs: images, their statistics and labels, pretrained weights.
        tracker: receives losses and errors per epoch, confusion and mistakes.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.model, config.training
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
    log_mistakes(classifier, inputs, tracker)
    return ExportedClassifier(classifier, inputs.labels)
