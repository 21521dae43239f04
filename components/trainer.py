"""Trainer's `run_fn`: trains the model with the module for its objective, then exports it."""

import importlib
from pathlib import Path

from tfx.components.trainer.fn_args_utils import FnArgs

from components import features
from components.export import saved_model
from components.export.exported_model import ExportedModel
from components.ingest.manifest import read_labels, read_manifest
from components.input_pipeline.image_data import load_images, read_records
from components.input_pipeline.image_statistics import load_statistics
from components.input_pipeline.label_share import labelled_subset
from components.reporting.station_tracker import StationTracker, station_run
from components.station_config import StationConfig
from components.training.checkpoints import station_checkpoint
from components.training.inputs import TrainingInputs
from models.config import AlexNetConfig, DBNConfig

# Examples stored in the SavedModel for warm-up and replay.
_STORED_EXAMPLES = 32


def training_module(model: AlexNetConfig | DBNConfig) -> str:
    """Returns the name of the module whose `train` trains a model: AlexNet's, or that of a DBN's objective.

    The module is named, not imported, so that the cache key of one kind of model does not cover the source of the
    others: pass the name to `fingerprint` together with this module's.

    Example:
        >>> training_module(DBNConfig(objective="density"))
        'components.training.density'
    """
    kind = model.objective if isinstance(model, DBNConfig) else model.family
    return f"components.training.{kind}"


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedModel:
    """Trains a model for its objective.

    Args:
        config: Network with its objective, training and seed.
        inputs: Images, their statistics and labels, pretrained weights.
        tracker: Receives metrics and plots.

    Raises:
        VisionTfxError: The training diverged.
    """
    model: ExportedModel = importlib.import_module(training_module(config.model)).train(config, inputs, tracker)
    return model


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a model; TFX's entry point.

    Reads `Split-<name>/`, `labels.txt` and `manifest.parquet` of Examples, and the statistics of TransformGraph. Writes
    the SavedModel to `Format-Serving/` of Model, and for the objective "joint" `label_dbn/` to ModelRun.

    Args:
        fn_args: TFX's arguments. `custom_config["config"]` is a StationConfig as JSON, `custom_config["fingerprint"]`
            the fingerprint of the source; `base_model` may name a folder of pretrained weights.
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
        # Other pretrained weights are in another folder, so the folder's name stands for the weights.
        checkpoint=station_checkpoint(
            "Trainer", examples_uri, custom["config"], custom["fingerprint"], str(fn_args.base_model)
        ),
        model_run=Path(fn_args.model_run_dir),
    )
    with station_run("Trainer") as tracker:
        model = train(config, inputs, tracker)
    records = read_records(examples_uri, features.VALIDATION, _STORED_EXAMPLES)
    saved_model.export(model, records, fn_args.serving_model_dir)
    inputs.checkpoint.clear()


def _labelled(config: StationConfig, examples_uri: str) -> list[str] | None:
    if config.training.label_share == 1:
        return None
    return labelled_subset(read_manifest(Path(examples_uri)), config.splits, config.training.label_share, config.seed)


def _pretrained(fn_args: FnArgs) -> Path | None:
    # TFX sets base_model to a path even if the artifact is empty.
    folder = Path(fn_args.base_model) if fn_args.base_model else None
    return folder if folder and folder.is_dir() and any(folder.iterdir()) else None
