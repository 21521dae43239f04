"""Objective "reconstruction": a deep belief net, unrolled into an autoencoder and trained by back-propagation."""

import keras
import tensorflow as tf
from keras import ops

from components import backpropagation, scaling, tracking
from components.configuration import StationConfig
from components.served_autoencoder import ServedAutoencoder
from components.training_material import TrainingMaterial
from models import factory

_PIXELS = (1, 2, 3)


def train(config: StationConfig, material: TrainingMaterial, tracker: tracking.StationTracker) -> ServedAutoencoder:
    """Trains an autoencoder by cross-entropy, as the code released with Science 313 (2006) does.

    Args:
        config: network, training and seed.
        material: images and their statistics, pretrained weights; labels are not looked at.
        tracker: receives per epoch `loss` (nats per image) and `squared_error` (per image, pixels in [0, 1]).
    """
    keras.utils.set_random_seed(config.seed)
    model = config.model
    scale = scaling.scaling_layer(model, material.statistics)

    def pair(images: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaled = scale(tf.cast(images, tf.float32))
        return scaled, scaled

    with backpropagation.strategy().scope():
        net = factory.build_dbn(model, config.seed, material.pretrained)
        autoencoder = net.autoencoder(factory.image_shape(model))
    backpropagation.fit(
        autoencoder, config, material, cross_entropy, [squared_error], tracker, lambda batches, _: batches.map(pair)
    )
    mean_image = scaling.visible_mean(model, material.statistics).reshape(factory.image_shape(model))
    return ServedAutoencoder(autoencoder, mean_image)


def cross_entropy(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Nats per image, summed over its pixels: shape (batch,)."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=_PIXELS)


def squared_error(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Squared error per image, summed over its pixels in [0, 1]: shape (batch,)."""
    return ops.sum(ops.square(ops.sigmoid(logits) - images), axis=_PIXELS)
