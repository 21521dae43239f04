"""Objective "classification": a deep belief net, unrolled into a classifier and trained by back-propagation."""

import keras

from components.export.classifier import ServedClassifier
from components.figures.mistakes import log_mistakes
from components.input_pipeline import scaling
from components.reporting import station_tracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.material import TrainingMaterial
from models import factory
from models.metrics import TopKError


def train(
    config: StationConfig, material: TrainingMaterial, tracker: station_tracker.StationTracker
) -> ServedClassifier:
    """Trains a classifier.

    Args:
        config: network, training and seed.
        material: images, their statistics and labels, pretrained weights.
        tracker: receives losses and errors per epoch, confusion and mistakes.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.model, config.training
    with backpropagation.strategy().scope():
        classifier = keras.Sequential(
            [
                keras.Input((*model.image_size, model.channels)),
                scaling.scaling_layer(model, material.statistics),
                factory.build_classifier(model, len(material.labels), config.seed, material.pretrained, settings),
            ],
            name="classifier",
        )
    backpropagation.fit(
        classifier,
        config,
        material,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        [TopKError(1), TopKError(5)],
        tracker,
    )
    log_mistakes(classifier, material, tracker)
    return ServedClassifier(classifier, material.labels)
