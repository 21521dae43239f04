"""Pusher: publishes a blessed model as the next version of the served model."""

import logging
from pathlib import Path

from tfx.types import standard_artifacts
from tfx.utils import path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components.blessing import is_blessed
from components.export import publishing

# The names that TFX's own Pusher gives to these properties.
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"


def push_if_blessed(model_folder: Path, blessings: dict[str, Path], destination: Path) -> int | None:
    """Pushes a model if every judging node blessed it.

    Args:
        model_folder: Folder of the SavedModel.
        blessings: Folder of the blessing artifact of each judging node, by its name.
        destination: Base path of the served model.

    Returns:
        The version; None if a node did not bless the model.

    Raises:
        VisionTfxError: The destination cannot be written.

    Example:
        >>> Path("evaluator").mkdir()
        >>> push_if_blessed(Path("model"), {"Evaluator": Path("evaluator")}, Path("serving", "digits")) is None
        True
    """
    refused = [node for node, folder in blessings.items() if not is_blessed(folder)]
    if refused:
        logging.warning("not pushed: %s did not bless the model", " and ".join(refused))
        return None
    return publishing.push(model_folder, destination)


@component
def Pusher(  # noqa: N802 - a component is a class to its users
    model: InputArtifact[standard_artifacts.Model],
    validation_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    test_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    pushed_model: OutputArtifact[standard_artifacts.PushedModel],
    destination: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    """Copies a blessed model to `<destination>/<version>/`; see `push_if_blessed`.

    Args:
        model: Reads the SavedModel in `Format-Serving/`.
        validation_blessing: Reads Evaluator's marker file `BLESSED`.
        test_blessing: Reads TestEvaluator's marker file `BLESSED`.
        infra_blessing: Reads InfraValidator's marker file `INFRA_BLESSED`.
        pushed_model: Has no files; the custom properties `pushed` (0 or 1), `pushed_destination` and `pushed_version`.
        destination: Base path of the served model.
        fingerprint: Fingerprint of this node's source, so that a changed source runs again.
    """
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
