"""RBMPretrainer: greedy layer-wise pretraining of a deep belief net; its artifact is Trainer's `base_model`."""

from pathlib import Path

import keras
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components import features, figures, progress, scaling, tracking
from components.configuration import StationConfig
from components.input_pipeline import ImageData, load_images
from components.transform import ImageStatistics, load_statistics
from models import factory
from models.dbn import DBN
from models.rbm import RBM

# Rows per call of the compiled loop: 50 updates of 100 cases. Larger chunks are no faster and take more memory.
_UPDATES_PER_STEP = 50
# Validation images whose free energy is compared with that of as many training images, after every epoch.
_HELD_OUT = 1000


def pretrain(
    config: StationConfig,
    training: ImageData,
    held_out: ImageData | None,
    statistics: ImageStatistics,
    tracker: tracking.StationTracker,
) -> DBN:
    """Trains the layers of a deep belief net one after the other.

    Args:
        config: network, pretraining and seed.
        training: images to train on.
        held_out: images for the free-energy gap and the pseudo-log-likelihood; none where all are trained on.
        statistics: of the training images.
        tracker: receives errors per epoch, filters and reconstructions.
    """
    keras.utils.set_random_seed(config.seed)
    model, cd = config.model, config.model.pretraining
    scale = scaling.scaling_layer(model, statistics)
    rows = training.batches(cd.batch_size * _UPDATES_PER_STEP, seed=config.seed).map(
        lambda images, _: _flatten(scale(tf.cast(images, tf.float32)))
    )
    validation = None
    if held_out is not None:
        images, _ = next(iter(held_out.batches(_HELD_OUT)))
        validation = _flatten(scale(tf.cast(images, tf.float32)))
    dbn = factory.build_dbn(model, config.seed)
    dbn.pretrain_layerwise(
        rows,
        validation_data=validation,
        callbacks_for_layer=lambda layer: [
            tracking.epoch_callback(tracker, f"layer{layer + 1}/"),
            progress.epochs(cd.epochs, "reconstruction_error", f"layer {layer + 1} of {len(model.hidden_units)}, "),
        ],
        mean=scaling.visible_mean(model, statistics),
        num_examples=training.count,
    )
    _log_pictures(dbn.rbms[0], next(iter(rows))[:10], (*model.image_size, model.channels), tracker)
    return dbn


def _flatten(images: tf.Tensor) -> tf.Tensor:
    return tf.reshape(images, (tf.shape(images)[0], images.shape[1] * images.shape[2] * images.shape[3]))


def _log_pictures(rbm: RBM, rows: tf.Tensor, image_shape: tuple, tracker: tracking.StationTracker) -> None:
    tracker.log_figure(lambda: figures.filters(rbm.kernel.numpy(), image_shape), "filters.png")
    tracker.log_figure(
        lambda: figures.reconstructions(rows.numpy(), rbm.reconstruct(rows).numpy(), image_shape),
        "reconstructions.png",
    )


@component
def RBMPretrainer(  # noqa: N802, D103 - a TFX component; described by the module
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    model: OutputArtifact[standard_artifacts.Model],
    config: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    station = StationConfig.from_json(config)
    size, channels = station.model.image_size, station.model.channels
    training = load_images(examples.uri, station.splits, size, channels)
    held_out = None
    if features.VALIDATION not in station.splits:
        held_out = load_images(examples.uri, [features.VALIDATION], size, channels)
    statistics = load_statistics(transform_graph.uri, size, channels)
    with tracking.station_run("RBMPretrainer") as tracker:
        dbn = pretrain(station, training, held_out, statistics, tracker)
    dbn.save(Path(path_utils.serving_model_dir(model.uri)))
