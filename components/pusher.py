"""Pusher: a blessed model becomes the next version of the served one."""

import logging
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.blessing import is_blessed
from components.export import publishing

# The names that TFX's own Pusher gives these properties.
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"


def push_if_blessed(model_folder: Path, blessings: dict[str, Path], destination: Path) -> int | None:
    """Pushes a model if every judge blessed it.

    Args:
        model_folder: the SavedModel.
        blessings: by the judge's name, the folder of its blessing artifact.
        destination: base path of the served model.

    Returns:
        The version, or none if a judge refused.
    """
    refused = [judge for judge, folder in blessings.items() if not is_blessed(folder)]
    if refused:
        logging.warning("Not pushed: %s did not bless the model.", " and ".join(refused))
        return None
    return publishing.push(model_folder, destination)


@component
def Pusher(  # noqa: N802, D103 - a TFX component; described by the module
    model: InputArtifact[standard_artifacts.Model],
    validation_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    test_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    pushed_model: OutputArtifact[standard_artifacts.PushedModel],
    destination: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    blessings = {
        "Evaluator": Path(validation_blessing.uri),
        "TestEvaluator": Path(test_blessing.uri),
        "InfraValidator": Path(infra_blessing.uri),
    }
    version = push_if_blessed(Path(path_utils.serving_model_path(model.uri)), blessings, Path(destination))
    pushed_model.set_int_custom_property(PUSHED, 0 if version is None else 1)
    if version is not None:
        pushed_model.set_string_custom_property(PUSHED_DESTINATION, str(Path(destination) / str(version)))
        pushed_model.set_string_custom_property(PUSHED_VERSION, str(version))
