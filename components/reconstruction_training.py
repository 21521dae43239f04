"""Objective "reconstruction": a deep belief net, unrolled into an autoencoder and trained by back-propagation."""

import keras
import tensorflow as tf
from keras import ops

from components import backpropagation, scaling, tracking
from components.configuration import StationConfig
from components.input_pipeline import ImageData
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
    model, settings = config.model, config.training
    scale = scaling.scaling_layer(model, material.statistics)
    with backpropagation.strategy().scope():
        net = factory.build_dbn(model, config.seed, material.pretrained)
        autoencoder = net.autoencoder(factory.image_shape(model))
    backpropagation.fit(
        autoencoder,
        settings,
        _targets(material.training, settings.batch_size, scale, config.seed),
        material.training.count,
        material.validation and _targets(material.validation, 1000, scale),
        loss=cross_entropy,
        metrics=[squared_error],
        tracker=tracker,
    )
    mean_image = scaling.visible_mean(model, material.statistics).reshape(factory.image_shape(model))
    return ServedAutoencoder(autoencoder, mean_image)


def cross_entropy(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Nats per image, summed over its pixels: shape (batch,)."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=_PIXELS)


def squared_error(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Squared error per image, summed over its pixels in [0, 1]: shape (batch,)."""
    return ops.sum(ops.square(ops.sigmoid(logits) - images), axis=_PIXELS)


def _targets(data: ImageData, batch_size: int, scale: keras.layers.Layer, seed: int | None = None) -> tf.data.Dataset:
    def pair(images: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaled = scale(tf.cast(images, tf.float32))
        return scaled, scaled

    return data.batches(batch_size, seed=seed).map(pair)
