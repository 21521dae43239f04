"""Trainer's `run_fn`: trains the model with the module for its objective, then exports it."""

import importlib
from pathlib import Path

from tfx.components.trainer.fn_args_utils import FnArgs

from components import features
from components.export import saved_model
from components.export.exported_model import ExportedModel
from components.ingest.manifest import read_labels, read_manifest
from components.input_pipeline.image_data import load_images, read_records
from components.input_pipeline.label_share import labelled
from components.reporting import station_tracker
from components.station_config import StationConfig
from components.training.checkpoints import station_checkpoint
from components.training.inputs import TrainingInputs
from components.transform import load_statistics
from models.config import AlexNetConfig, DBNConfig

# Examples stored in the SavedModel for warm-up and replay.
_STORED_EXAMPLES = 32


def training_module(model: AlexNetConfig | DBNConfig) -> str:
    """Returns the module whose `train` trains a model: AlexNet's, or that of a deep belief net's objective.

    Named, not imported, so that the cache key of one kind of model does not cover the source of the others: pass the
    name to `fingerprint` together with this module's.
    """
    kind = model.objective if isinstance(model, DBNConfig) else model.family
    return f"components.training.{kind}"


def train(config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> ExportedModel:
    """Trains a model to its objective.

    Args:
        config: network with its objective, training and seed.
        inputs: images, their statistics and labels, pretrained weights.
        tracker: receives what is measured on the way.
    """
    return importlib.import_module(training_module(config.model)).train(config, inputs, tracker)


def run_fn(fn_args: FnArgs) -> None:
    """TFX's entry point.

    Args:
        fn_args: with `custom_config["config"]`, a StationConfig as JSON, and `custom_config["fingerprint"]` of the
            source; `base_model` may name pretrained weights.
    """
    custom = fn_args.custom_config
    config = StationConfig.from_json(custom["config"])
    examples_uri = str(Path(fn_args.train_files[0]).parent.parent)
    size, channels = config.model.image_size, config.model.channels
    validation = None
    if features.VALIDATION not in config.splits:
        validation = load_images(examples_uri, [features.VALIDATION], size, channels)
    inputs = TrainingInputs(
        training=load_images(examples_uri, config.splits, size, channels, _labelled(config, examples_uri)),
        validation=validation,
        statistics=load_statistics(fn_args.transform_output, size, channels),
        labels=read_labels(Path(examples_uri)),
        pretrained=_pretrained(fn_args),
        # The folder of the pretrained weights is another one whenever they are.
        checkpoint=station_checkpoint(
            "Trainer", examples_uri, custom["config"], custom["fingerprint"], str(fn_args.base_model)
        ),
        keep=Path(fn_args.model_run_dir),
    )
    with station_tracker.station_run("Trainer") as tracker:
        served = train(config, inputs, tracker)
    records = read_records(examples_uri, features.VALIDATION, _STORED_EXAMPLES)
    saved_model.export(served, records, fn_args.serving_model_dir)
    inputs.checkpoint.clear()


def _labelled(config: StationConfig, examples_uri: str) -> list[str] | None:
    if config.training.label_share == 1:
        return None
    return labelled(read_manifest(Path(examples_uri)), config.splits, config.training.label_share, config.seed)


def _pretrained(fn_args: FnArgs) -> Path | None:
    # TFX sets base_model to a path even where the artifact is empty.
    folder = fn_args.base_model and Path(fn_args.base_model)
    return folder if folder and folder.is_dir() and any(folder.iterdir()) else None
