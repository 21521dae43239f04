"""Pretraining of AlexNet's kernels by RBMs on patches: what its authors expected to help and never did."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components import figures, progress, tracking
from components.alexnet_training import normalization
from components.configuration import StationConfig
from components.crops import CropPlan
from components.epoch_order import EpochOrder
from components.input_pipeline import ImageData
from components.transform import ImageStatistics
from models import alexnet_factory
from models.conv_pretraining import pretrain_convolutions

_BATCH = 64


def pretrain(
    config: StationConfig,
    training: ImageData,
    statistics: ImageStatistics,
    num_classes: int,
    tracker: tracking.StationTracker,
) -> keras.Model | None:
    """An AlexNet whose convolutions are RBMs of the patches that they see; none where no patches are asked for.

    Args:
        config: network, pretraining and seed.
        training: images to sample patches from; their labels are not looked at.
        statistics: of the training images.
        num_classes: number of classes.
        tracker: receives the filters of the first layer and every layer's reconstruction error.
    """
    model, settings = config.model, config.model.pretraining
    if not settings.patches:
        return None
    keras.utils.set_random_seed(config.seed)
    network = alexnet_factory.build_alexnet(model, num_classes, config.seed)
    scale = normalization(statistics, model)
    crops = CropPlan(model.crop_size, mirror=False, seed=config.seed)
    batches = training.batches(_BATCH, EpochOrder(config.seed), crops)
    progress.say("RBMs on patches")
    pretrain_convolutions(
        network,
        batches.map(lambda images, _: scale(tf.cast(images, tf.float32))),
        patches=settings.patches,
        contrast=settings.contrast,
        deviation=settings.deviation,
        seed=config.seed,
    )
    kernel = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)).kernel.numpy()
    shape = kernel.shape[:3]
    tracker.log_figure(lambda: figures.filters(kernel.reshape(-1, kernel.shape[-1]), shape), "filters.png")
    return network


def save(network: keras.Model, folder: Path) -> None:
    """Writes the convolutions, and nothing of the layers above them, as `alexnet_factory.build_alexnet` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    weights = {f"{layer.name}/{i}": array for layer in layers for i, array in enumerate(layer.get_weights())}
    np.savez(folder / alexnet_factory.CONVOLUTIONS_FILE, **weights)
