"""Pretraining of AlexNet's kernels by RBMs on image patches.

Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 7: expected to help, but not tried.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.errors import VisionTfxError
from components.figures.layer_report import log_first_kernel
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData, load_images
from components.input_pipeline.image_statistics import ImageStatistics, load_statistics
from components.reporting import progress
from components.reporting.station_tracker import StationTracker, station_run
from components.station_config import StationConfig
from components.training.alexnet import normalization
from models.alexnet import factory
from models.alexnet.conv_pretraining import pretrain_convolutions
from models.config import RBMConfig

_BATCH = 64
_ANY_CLASSES = 2  # the smallest number that a network accepts: the layers above the convolutions are not kept


def run(config: StationConfig, examples_uri: str, transform_graph_uri: str, destination: Path) -> None:
    """Runs RBMPretrainer for an AlexNet; a no-op when the configuration samples no patches.

    Args:
        config: Network, pretraining and seed.
        examples_uri: Folder of the Examples artifact.
        transform_graph_uri: Folder of the TransformGraph artifact.
        destination: Folder to write the kernels to.
    """
    model = config.alexnet
    if not model.pretraining.patches:
        return
    training = load_images(examples_uri, config.splits, model.image_size, model.channels)
    statistics = load_statistics(transform_graph_uri, model.image_size, model.channels)
    with station_run("RBMPretrainer") as tracker:
        save(pretrain(config, training, statistics, tracker), destination)


def pretrain(
    config: StationConfig,
    training: ImageData,
    statistics: ImageStatistics,
    tracker: StationTracker,
    rbm_config: RBMConfig | None = None,
) -> keras.Model:
    """Pretrains the convolutions of an AlexNet as RBMs of patches; the layers above them stay random.

    Args:
        config: Network, pretraining and seed.
        training: Images to sample patches from; their labels are not used.
        statistics: Statistics of the training images.
        tracker: Receives the filters of the first layer as `filters.png`.
        rbm_config: Training of the RBMs; by default that of `pretrain_convolutions`.

    Raises:
        VisionTfxError: An RBM diverged, or the images have no contrast to learn from.
    """
    model, settings = config.alexnet, config.alexnet.pretraining
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
            config=rbm_config,
            seed=config.seed,
        )
    except ValueError as error:  # the problem, then a cure in code
        raise VisionTfxError(
            f"pretraining on patches failed: {str(error).partition('; ')[0]}; try other --model.pretraining.patches "
            "or --model.pretraining.contrast, or leave the kernels as they are initialised: "
            "--model.pretraining.patches 0"
        ) from error
    log_first_kernel(network, tracker)
    return network


def save(network: keras.Model, folder: Path) -> None:
    """Writes the weights of the convolutions, in the format that `models.alexnet.factory.build_alexnet` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    weights = {f"{layer.name}/{i}": array for layer in layers for i, array in enumerate(layer.get_weights())}
    np.savez(folder / factory.CONVOLUTIONS_FILE, **weights)
