"""InfraValidator: does the exported model load and answer, outside the process that trained it?

TFX's own needs docker and reports docker's absence as a bad model. This one replays the requests stored in the
SavedModel, on every signature, in a fresh process that imports none of the project's model code: first on the
SavedModel itself, then through the model server, over gRPC and REST.
"""

import logging
import subprocess
import sys
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.blessing import INFRA_BLESSED, INFRA_NOT_BLESSED

# Importing TensorFlow takes 5 to 12 s, loading a model of 240 MB some seconds more.
_TIMEOUT_SECONDS = 600


def validate(model_folder: Path) -> tuple[bool, str]:
    """Replays a SavedModel's stored requests in a fresh Python process.

    Args:
        model_folder: the SavedModel.

    Returns:
        Whether every answer agreed with the trainer's to 1e-5, and one line that says what was found.
    """
    command = [sys.executable, "-m", "serving.replay", str(model_folder)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, cwd=Path(__file__).parent.parent
        )
    except subprocess.TimeoutExpired:
        return False, f"the model did not answer within {_TIMEOUT_SECONDS} s in a fresh process"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"the process ended with code {done.returncode}"


@component
def InfraValidator(  # noqa: N802, D103 - a TFX component; described by the module
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    fingerprint: Parameter[str],
) -> None:
    valid, finding = validate(Path(path_utils.serving_model_path(model.uri)))
    logging.info("InfraValidator, tiers: fresh process, model server; %s", finding)
    marker = INFRA_BLESSED if valid else INFRA_NOT_BLESSED
    Path(blessing.uri, marker).write_text(finding + "\n", encoding="utf-8")
    blessing.set_int_custom_property("blessed", int(valid))
    blessing.set_string_custom_property("tier", "fresh process, model server")
    blessing.set_string_custom_property("finding", finding)
