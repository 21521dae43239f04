"""RBMPretrainer: greedy layer-wise pretraining of a deep belief net; its artifact is Trainer's `base_model`."""

import importlib
from pathlib import Path

import keras
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components import features
from components.figures import layers
from components.ingest.manifest import read_labels
from components.input_pipeline import scaling
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData, load_images
from components.reporting import progress, station_tracker
from components.station_config import StationConfig
from components.training.checkpoints import Checkpoint, Resume, station_checkpoint
from components.training.finite_loss import FiniteLoss
from components.transform import ImageStatistics, load_statistics
from models import factory
from models.dbn import DBN
from models.rbm import RBM
from models.up_down import LabelDBN

# Pretrains AlexNet's kernels. Named, not imported, so that the cache key of deep belief nets does not hold its source.
PATCH_PRETRAINING = "components.training.patch_pretraining"
# Updates per call of the compiled loop: with 50, an epoch of MNIST takes 5 % longer; more cost memory.
_UPDATES_PER_STEP = 100
# Validation images whose free energy is compared with that of as many training images, after every epoch.
_HELD_OUT = 1000
# Training images that are drawn: the minibatch of the practical guide.
_DRAWN = 100


def pretrain(
    config: StationConfig,
    training: ImageData,
    held_out: ImageData | None,
    statistics: ImageStatistics,
    num_classes: int,
    tracker: station_tracker.StationTracker,
    checkpoint: Checkpoint | None = None,
) -> DBN | LabelDBN:
    """Trains the layers of a deep belief net one after the other.

    Args:
        config: network, pretraining and seed. With the objective "joint", labels are part of the top layer.
        training: images to train on.
        held_out: images for the free-energy gap and the pseudo-log-likelihood; none where all are trained on.
        statistics: of the training images.
        num_classes: number of classes.
        tracker: receives errors per epoch and the pictures of every layer.
        checkpoint: where an interrupted training goes on from; none begins anew.

    Raises:
        VisionTfxError: A layer diverged.
    """
    keras.utils.set_random_seed(config.seed)
    model, cd = config.model, config.model.pretraining
    scale = scaling.scaling_layer(model, statistics)
    order, checkpoint = EpochOrder(config.seed), checkpoint or Checkpoint()
    rows = scaling.visible_rows(training, cd.batch_size * _UPDATES_PER_STEP, scale, order)
    if model.objective == "joint":
        dbn = factory.build_label_dbn(model, num_classes, config.seed)
    else:
        dbn = factory.build_dbn(model, config.seed)
    first_layer, done = _restored(dbn.rbms, checkpoint)
    dbn.pretrain_layerwise(
        rows,
        validation_data=held_out and scaling.visible_rows(held_out, _HELD_OUT, scale).take(1),
        callbacks_for_layer=lambda layer: [
            order,
            _finite_error(dbn.rbms, layer),
            station_tracker.epoch_callback(tracker, f"layer{layer + 1}/"),
            progress.epochs(cd.epochs, "reconstruction_error", f"layer {layer + 1} of {len(model.hidden_units)}, "),
            Resume(checkpoint, _part(layer), also=dbn.rbms[:layer]),
        ],
        mean=scaling.visible_mean(model, statistics),
        num_examples=training.count,
        first_layer=first_layer,
        initial_epoch=done,
    )
    images = next(iter(rows))[0][:_DRAWN].numpy()
    layers.log_pictures(dbn.rbms, images, factory.image_shape(model), tracker)
    return dbn


def _part(layer: int) -> str:
    return f"layer {layer + 1}"


def _finite_error(rbms: list[RBM], layer: int) -> FiniteLoss:
    """Stops a layer that diverges, and names the rate that `models.fitting.sgd.pretraining_optimizer` gave it."""
    gaussian = "gaussian" in (rbms[layer].visible_type, rbms[layer].hidden_type)
    return FiniteLoss(
        f"--model.pretraining.{'gaussian-' if gaussian else ''}learning-rate",
        f"the pretraining of layer {layer + 1} of {len(rbms)}",
        "reconstruction_error",
        one_update=False,
    )


def _restored(rbms: list[RBM], checkpoint: Checkpoint) -> tuple[int, int]:
    """Index of the layer to go on with, and epochs it has had; the layers below it get their weights back.

    `Resume` restores them too, but later than the held-out images pass through them.
    """
    if checkpoint.position is None:
        return 0, 0
    part, done = checkpoint.position
    layer = next(i for i in range(len(rbms)) if _part(i) == part)
    metrics = {id(variable) for rbm in rbms for metric in rbm.metrics for variable in metric.variables}
    below = [variable for rbm in rbms[:layer] for variable in rbm.variables if id(variable) not in metrics]
    for variable, array in zip(below, checkpoint.load()[0], strict=False):
        variable.assign(array)
    return layer, done


@component
def RBMPretrainer(  # noqa: N802, D103 - a TFX component; described by the module
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    model: OutputArtifact[standard_artifacts.Model],
    config: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    station, destination = StationConfig.from_json(config), Path(path_utils.serving_model_dir(model.uri))
    if station.model.family == "alexnet":
        importlib.import_module(PATCH_PRETRAINING).run(station, examples.uri, transform_graph.uri, destination)
        return
    size, channels = station.model.image_size, station.model.channels
    training = load_images(examples.uri, station.splits, size, channels)
    held_out = None
    if features.VALIDATION not in station.splits:
        held_out = load_images(examples.uri, [features.VALIDATION], size, channels)
    statistics = load_statistics(transform_graph.uri, size, channels)
    checkpoint = station_checkpoint("RBMPretrainer", examples.uri, config, fingerprint)
    num_classes = len(read_labels(Path(examples.uri)))
    with station_tracker.station_run("RBMPretrainer") as tracker:
        dbn = pretrain(station, training, held_out, statistics, num_classes, tracker, checkpoint)
    dbn.save(destination)
    checkpoint.clear()
