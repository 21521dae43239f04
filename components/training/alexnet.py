"""AlexNet, trained on random crops and served with central ones."""

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from components.export.alexnet import ExportedAlexNet
from components.figures.mistakes import log_mistakes
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.mixup import mix
from components.reporting import station_tracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from components.transform import ImageStatistics
from models.alexnet import factory
from models.alexnet.color_noise import ColorNoise
from models.alexnet.mean_image import MeanImage
from models.config import AlexNetConfig, TrainingConfig
from models.metrics import TopKError


def train(config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> ExportedAlexNet:
    """Trains an AlexNet.

    Args:
        config: network, training and seed.
        inputs: images, their statistics and labels, pretrained kernels.
        tracker: receives loss, errors and images per second of every epoch, confusion and mistakes.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.model, config.training
    classes = len(inputs.labels)
    with backpropagation.strategy().scope(), _precision():
        network = build(model, inputs, config.seed)
    backpropagation.fit(
        network,
        config,
        inputs,
        _loss(settings, model),
        [TopKError(1), TopKError(5)],
        tracker,
        _targets(config, classes),
        crops=CropPlan(model.crop_size, model.augmentation.mirror, model.augmentation.resized_crop, config.seed),
    )
    whole = keras.Sequential(
        [keras.Input((*model.image_size, model.channels)), keras.layers.CenterCrop(*model.crop_size), network],
        name="classifier",
    )
    log_mistakes(whole, inputs, tracker)
    return ExportedAlexNet(whole, inputs.labels)


def build(model: AlexNetConfig, inputs: TrainingInputs, seed: int) -> keras.Sequential:
    """From crops in grey levels (batch, height, width, 3) to logits (batch, classes)."""
    noise = model.augmentation.color_noise
    layers = [keras.Input((*model.crop_size, model.channels))]
    if noise:
        layers.append(ColorNoise(inputs.statistics.covariance, noise, seed))
    layers.append(normalization(inputs.statistics, model))
    layers.append(factory.build_alexnet(model, len(inputs.labels), seed, inputs.pretrained))
    return keras.Sequential(layers, name="network")


def normalization(statistics: ImageStatistics, model: AlexNetConfig) -> keras.layers.Layer:
    """From crops in grey levels to what the net takes.

    For all but torchvision's weights, the mean image is subtracted: its centre, since crops are there on average.
    """
    if model.variant == factory.TORCHVISION:
        mean = [255 * value for value in factory.TORCHVISION_MEAN]
        variance = [(255 * value) ** 2 for value in factory.TORCHVISION_DEVIATION]
        return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")
    return MeanImage(keras.layers.CenterCrop(*model.crop_size)(statistics.mean_image))


@contextlib.contextmanager
def _precision() -> Iterator[None]:
    """bfloat16 for activations where there is a GPU; a CPU computes slower with it than without."""
    before = keras.config.dtype_policy()
    if tf.config.list_physical_devices("GPU"):
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _loss(settings: TrainingConfig, model: AlexNetConfig) -> keras.losses.Loss:
    if settings.label_smoothing or model.augmentation.mixup:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _targets(config: StationConfig, classes: int) -> Callable:
    """Labels as the loss takes them: indices, or a row of shares where labels are smoothed or mixed."""
    mixup = config.model.augmentation.mixup

    def targets(batches: tf.data.Dataset, order: EpochOrder | None) -> tf.data.Dataset:
        if not (config.training.label_smoothing or mixup):
            return batches
        shares = batches.map(lambda images, labels: (images, tf.one_hot(labels, classes)))
        return mix(shares, order, mixup, config.seed) if order and mixup else shares

    return targets
