"""Objective "reconstruction": a deep belief net, unrolled into an autoencoder and trained by back-propagation."""

import keras
import tensorflow as tf
from keras import ops

from components.export.autoencoder import ExportedAutoencoder
from components.figures.autoencoder_report import log_autoencoder
from components.input_pipeline import scaling
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from models import factory

_PIXEL_AXES = (1, 2, 3)


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedAutoencoder:
    """Trains an autoencoder by cross-entropy, as the code released with Science 313 (2006) does.

    Args:
        config: Network, training and seed.
        inputs: Images and their statistics, pretrained weights; labels are used by a plot only.
        tracker: Receives per epoch `loss` (nats per image) and `squared_error` (per image, pixels in [0, 1]), then
            `reconstructions.png` and `codes.png`.

    Raises:
        VisionTfxError: The training diverged.

    Source: Hinton & Salakhutdinov, Science 313 (2006).
    """
    keras.utils.set_random_seed(config.seed)
    model = config.dbn
    scale = scaling.scaling_layer(model, inputs.statistics)

    def pair(images: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaled = scale(tf.cast(images, tf.float32))
        return scaled, scaled

    with backpropagation.strategy().scope():
        net = factory.build_dbn(model, config.seed, inputs.pretrained)
        network = net.autoencoder(factory.image_shape(model))
    backpropagation.fit(
        network, config, inputs, cross_entropy, [squared_error], tracker, lambda batches, _: batches.map(pair)
    )
    mean_image = scaling.visible_mean(model, inputs.statistics).reshape(factory.image_shape(model))
    autoencoder = ExportedAutoencoder(network, mean_image)
    split, data = ("training", inputs.training) if inputs.validation is None else ("validation", inputs.validation)
    log_autoencoder(autoencoder, data, split, inputs.labels, tracker)
    return autoencoder


def cross_entropy(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns nats per image, summed over its pixels: shape (batch,)."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=_PIXEL_AXES)


def squared_error(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the squared error per image, summed over its pixels in [0, 1]: shape (batch,)."""
    return ops.sum(ops.square(ops.sigmoid(logits) - images), axis=_PIXEL_AXES)
