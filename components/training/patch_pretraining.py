"""Pretraining of AlexNet's kernels by RBMs on patches: what its authors expected to help and never did."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.errors import VisionTfxError
from components.figures import figures
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData, load_images
from components.reporting import progress, station_tracker
from components.station_config import StationConfig
from components.training.alexnet import normalization
from components.transform import ImageStatistics, load_statistics
from models.alexnet import factory
from models.alexnet.conv_pretraining import pretrain_convolutions

_BATCH = 64
_ANY_CLASSES = 2  # the least that a net can have: the layers above the convolutions are not kept


def run(config: StationConfig, examples_uri: str, transform_graph_uri: str, destination: Path) -> None:
    """What the station RBMPretrainer does for an AlexNet: nothing at all where no patches are asked for."""
    model = config.model
    if not model.pretraining.patches:
        return
    training = load_images(examples_uri, config.splits, model.image_size, model.channels)
    statistics = load_statistics(transform_graph_uri, model.image_size, model.channels)
    with station_tracker.station_run("RBMPretrainer") as tracker:
        save(pretrain(config, training, statistics, tracker), destination)


def pretrain(
    config: StationConfig,
    training: ImageData,
    statistics: ImageStatistics,
    tracker: station_tracker.StationTracker,
) -> keras.Model:
    """An AlexNet whose convolutions are RBMs of the patches that they see; what is above them means nothing.

    Args:
        config: network, pretraining and seed.
        training: images to sample patches from; their labels are not looked at.
        statistics: of the training images.
        tracker: receives the filters of the first layer.

    Raises:
        VisionTfxError: A machine diverged, or the images have no contrast to learn from.
    """
    model, settings = config.model, config.model.pretraining
    keras.utils.set_random_seed(config.seed)
    network = factory.build_alexnet(model, _ANY_CLASSES, config.seed)
    scale = normalization(statistics, model)
    crops = CropPlan(model.crop_size, mirror=False, seed=config.seed)
    batches = training.batches(_BATCH, EpochOrder(config.seed), crops)
    progress.say("RBMs on patches")
    try:
        pretrain_convolutions(
            network,
            batches.map(lambda images, _: scale(tf.cast(images, tf.float32))),
            patches=settings.patches,
            contrast=settings.contrast,
            deviation=settings.deviation,
            seed=config.seed,
        )
    except ValueError as error:  # its first sentence says what, the next what to do in code
        raise VisionTfxError(
            f"pretraining on patches failed: {str(error).partition('. ')[0]}; try other --model.pretraining.patches "
            "or --model.pretraining.contrast, or leave the kernels as they are initialised: "
            "--model.pretraining.patches 0"
        ) from error
    kernel = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)).kernel.numpy()
    shape = kernel.shape[:3]
    tracker.log_figure(lambda: figures.filters(kernel.reshape(-1, kernel.shape[-1]), shape), "filters.png")
    return network


def save(network: keras.Model, folder: Path) -> None:
    """Writes the convolutions, and nothing of the layers above them, as `alexnet_factory.build_alexnet` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    weights = {f"{layer.name}/{i}": array for layer in layers for i, array in enumerate(layer.get_weights())}
    np.savez(folder / factory.CONVOLUTIONS_FILE, **weights)
