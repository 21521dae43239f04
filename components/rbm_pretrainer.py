"""RBMPretrainer: greedy layer-wise pretraining of a deep belief net, or of AlexNet's kernels on patches."""

import importlib
from pathlib import Path

import keras
from tfx.types import standard_artifacts
from tfx.utils import path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components import features
from components.figures.layer_report import log_layers
from components.ingest.manifest import read_labels
from components.input_pipeline import scaling
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.image_data import ImageData, load_images
from components.input_pipeline.image_statistics import ImageStatistics, load_statistics
from components.reporting import progress, station_tracker
from components.reporting.station_tracker import StationTracker, station_run
from components.station_config import StationConfig
from components.training.checkpoints import Checkpoint, Resume, station_checkpoint
from components.training.finite_loss import FiniteLoss
from models import factory
from models.dbn import DBN
from models.rbm import RBM
from models.up_down import LabelDBN

# Pretrains AlexNet's kernels. Named, not imported, so that the cache key of a deep belief net does not cover it.
PATCH_PRETRAINING = "components.training.patch_pretraining"
# Updates per call of the compiled loop: with 50, an epoch of MNIST takes 5 % longer; more take more memory.
_UPDATES_PER_STEP = 100
# Validation images for the free-energy gap: after every epoch, they are compared with as many training images.
_HELD_OUT = 1000
# Training images in the diagnostic plots: the mini-batch of Hinton's practical guide.
_PLOTTED = 100


def pretrain(
    config: StationConfig,
    training: ImageData,
    held_out: ImageData | None,
    statistics: ImageStatistics,
    num_classes: int,
    tracker: StationTracker,
    checkpoint: Checkpoint | None = None,
) -> DBN | LabelDBN:
    """Trains the layers of a deep belief net one after the other.

    Args:
        config: Network, pretraining and seed. With the objective "joint", the top layer has label units.
        training: Images to train on.
        held_out: Images for the free-energy gap and the pseudo-log-likelihood; None when all are trained on.
        statistics: Statistics of the training images.
        num_classes: Number of classes.
        tracker: Receives errors per epoch and diagnostic plots of every layer.
        checkpoint: State to resume from; by default nothing is saved or resumed.

    Raises:
        VisionTfxError: A layer diverged.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006).
    """
    keras.utils.set_random_seed(config.seed)
    model, cd = config.dbn, config.dbn.pretraining
    scale = scaling.scaling_layer(model, statistics)
    order, checkpoint = EpochOrder(config.seed), checkpoint or Checkpoint()
    rows = scaling.visible_rows(training, cd.batch_size * _UPDATES_PER_STEP, scale, order)
    dbn: DBN | LabelDBN
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
    images = next(iter(rows))[0][:_PLOTTED].numpy()
    log_layers(dbn.rbms, images, factory.image_shape(model), tracker)
    return dbn


def _part(layer: int) -> str:
    return f"layer {layer + 1}"


def _finite_error(rbms: list[RBM], layer: int) -> FiniteLoss:
    """Returns a check whose message names the learning rate that `pretraining_optimizer` selects for the layer."""
    gaussian = "gaussian" in (rbms[layer].visible_type, rbms[layer].hidden_type)
    return FiniteLoss(
        f"--model.pretraining.{'gaussian-' if gaussian else ''}learning-rate",
        f"the pretraining of layer {layer + 1} of {len(rbms)}",
        "reconstruction_error",
        one_update=False,
    )


def _restored(rbms: list[RBM], checkpoint: Checkpoint) -> tuple[int, int]:
    """Restores the layers below the interrupted one.

    `Resume` restores them too, but only after the held-out images have passed through them.

    Returns:
        Index of the layer to resume, and the number of its finished epochs.
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
def RBMPretrainer(  # noqa: N802 - a component is a class to its users
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    model: OutputArtifact[standard_artifacts.Model],
    config: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    """Pretrains a deep belief net layer by layer, or AlexNet's kernels on patches; see `pretrain`.

    Args:
        examples: Reads `Split-<name>/`, `labels.txt` and `manifest.parquet` as ImageExampleGen wrote them.
        transform_graph: Reads the statistics of the training images.
        model: Writes the pretrained weights to `Format-Serving/`, the folder that Trainer's `base_model` reads; the
            folder stays empty for an AlexNet without patches.
        config: A StationConfig as JSON.
        fingerprint: Fingerprint of this node's source, so that a changed source runs again.
    """
    settings, destination = StationConfig.from_json(config), Path(path_utils.serving_model_dir(model.uri))
    if settings.model.family == "alexnet":
        importlib.import_module(PATCH_PRETRAINING).run(settings, examples.uri, transform_graph.uri, destination)
        return
    size, channels = settings.model.image_size, settings.model.channels
    training = load_images(examples.uri, settings.splits, size, channels)
    held_out = None
    if features.VALIDATION not in settings.splits:
        held_out = load_images(examples.uri, [features.VALIDATION], size, channels)
    statistics = load_statistics(transform_graph.uri, size, channels)
    checkpoint = station_checkpoint("RBMPretrainer", examples.uri, config, fingerprint)
    num_classes = len(read_labels(Path(examples.uri)))
    with station_run("RBMPretrainer") as tracker:
        dbn = pretrain(settings, training, held_out, statistics, num_classes, tracker, checkpoint)
    dbn.save(destination)
    checkpoint.clear()
