"""AlexNet, trained on random crops and evaluated on central crops."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from components.export.alexnet import ExportedAlexNet
from components.figures.classifier_report import log_mistakes
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_statistics import ImageStatistics
from components.input_pipeline.mixup import mix
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training import backpropagation
from components.training.inputs import TrainingInputs
from models.alexnet import factory
from models.alexnet.color_noise import ColorNoise
from models.alexnet.mean_image import MeanImage
from models.config import AlexNetConfig, TrainingConfig
from models.metrics import TopKError


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedAlexNet:
    """Trains an AlexNet.

    Args:
        config: Network, training and seed.
        inputs: Images, their statistics and labels, pretrained kernels.
        tracker: Receives loss, errors and images per second of every epoch, and plots of the confusion and the
            mistakes.

    Raises:
        VisionTfxError: The training diverged.
    """
    keras.utils.set_random_seed(config.seed)
    model, settings = config.alexnet, config.training
    with backpropagation.strategy().scope(), _precision():
        network = build(model, inputs, config.seed)
    backpropagation.fit(
        network,
        config,
        inputs,
        _loss(settings, model),
        [TopKError(1), TopKError(5)],
        tracker,
        _targets(config, len(inputs.labels)),
        crops=CropPlan(model.crop_size, model.augmentation.mirror, model.augmentation.resized_crop, config.seed),
    )
    whole = keras.Sequential(
        [keras.Input((*model.image_size, model.channels)), keras.layers.CenterCrop(*model.crop_size), network],
        name="classifier",
    )
    log_mistakes(whole, inputs.validation, inputs.labels, tracker)
    return ExportedAlexNet(whole, inputs.labels)


def build(model: AlexNetConfig, inputs: TrainingInputs, seed: int) -> keras.Sequential:
    """Builds a network from crops in grey levels (batch, height, width, 3) to logits (batch, classes).

    Args:
        model: Variant, crops and augmentation.
        inputs: Statistics for the normalization and the colour noise, labels, pretrained kernels.
        seed: Seed of the initial weights and the colour noise.
    """
    noise = model.augmentation.color_noise
    layers = [keras.Input((*model.crop_size, model.channels))]
    if noise:
        layers.append(ColorNoise(inputs.statistics.covariance, noise, seed))
    layers.append(normalization(inputs.statistics, model))
    layers.append(factory.build_alexnet(model, len(inputs.labels), seed, inputs.pretrained))
    return keras.Sequential(layers, name="network")


def normalization(statistics: ImageStatistics, model: AlexNetConfig) -> keras.layers.Layer:
    """Builds the layer from crops in grey levels to the values that the network is trained on.

    The layer subtracts the centre of the mean image, where random crops lie on average. Torchvision's weights instead
    require the mean and the deviation of each colour that they were trained with.
    """
    if model.variant == factory.TORCHVISION:
        mean = [255 * value for value in factory.TORCHVISION_MEAN]
        variance = [(255 * value) ** 2 for value in factory.TORCHVISION_DEVIATION]
        return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")
    return MeanImage(keras.layers.CenterCrop(*model.crop_size)(statistics.mean_image))


@contextlib.contextmanager
def _precision() -> Iterator[None]:
    """Sets bfloat16 for activations on a GPU; a CPU computes more slowly with it than without."""
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


def _targets(config: StationConfig, classes: int) -> backpropagation.Targets:
    """Maps labels to the targets of the loss: indices, or class probabilities when labels are smoothed or mixed."""
    mixup = config.alexnet.augmentation.mixup

    def targets(batches: tf.data.Dataset, order: EpochOrder | None) -> tf.data.Dataset:
        if not (config.training.label_smoothing or mixup):
            return batches
        one_hot = batches.map(lambda images, labels: (images, tf.one_hot(labels, classes)))
        return mix(one_hot, order, mixup, config.seed) if order and mixup else one_hot

    return targets
