"""Objective "reconstruction": a deep belief net, unrolled into an autoencoder and trained by back-propagation."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from matplotlib.figure import Figure

from components.export import layout
from components.export.autoencoder import ExportedAutoencoder
from components.figures import figures
from components.input_pipeline import scaling
from components.reporting import station_tracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from models import factory

_PIXELS = (1, 2, 3)
# Images whose codes are drawn.
_DRAWN = 1000


def train(
    config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker
) -> ExportedAutoencoder:
    """Trains an autoencoder by cross-entropy, as the code released with Science 313 (2006) does.

    Args:
        config: network, training and seed.
        inputs: images and their statistics, pretrained weights; labels are not looked at.
        tracker: receives per epoch `loss` (nats per image) and `squared_error` (per image, pixels in [0, 1]), then
            `reconstructions.png` and `codes.png`.
    """
    keras.utils.set_random_seed(config.seed)
    model = config.model
    scale = scaling.scaling_layer(model, inputs.statistics)

    def pair(images: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaled = scale(tf.cast(images, tf.float32))
        return scaled, scaled

    with backpropagation.strategy().scope():
        net = factory.build_dbn(model, config.seed, inputs.pretrained)
        autoencoder = net.autoencoder(factory.image_shape(model))
    backpropagation.fit(
        autoencoder, config, inputs, cross_entropy, [squared_error], tracker, lambda batches, _: batches.map(pair)
    )
    mean_image = scaling.visible_mean(model, inputs.statistics).reshape(factory.image_shape(model))
    served = ExportedAutoencoder(autoencoder, mean_image)
    _log_pictures(served, inputs, tracker)
    return served


def _log_pictures(served: ExportedAutoencoder, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> None:
    """Draws the first validation images, training images where there are none, as reconstructed and as codes."""
    kind, data = ("Validation", inputs.validation) if inputs.validation else ("Training", inputs.training)

    @cache  # two pictures, and without a run none
    def drawn() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        images, classes = next(iter(data.batches(_DRAWN)))
        answers = served.from_pixels(tf.cast(images, tf.float32))
        return images.numpy() / 255, classes.numpy(), {name: answer.numpy() for name, answer in answers.items()}

    def reconstructions() -> Figure:
        images, _, answers = drawn()
        title = f"{kind} images and their reconstructions"
        return figures.reconstructions(images, answers[layout.RECONSTRUCTION], images.shape[1:], title=title)

    def codes() -> Figure:
        _, classes, answers = drawn()
        return figures.code_map(answers[layout.CODE], classes, inputs.labels, f"Codes of {kind.lower()} images")

    tracker.log_figure(reconstructions, "reconstructions.png")
    tracker.log_figure(codes, "codes.png")


def cross_entropy(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Nats per image, summed over its pixels: shape (batch,)."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=_PIXELS)


def squared_error(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Squared error per image, summed over its pixels in [0, 1]: shape (batch,)."""
    return ops.sum(ops.square(ops.sigmoid(logits) - images), axis=_PIXELS)
