"""InfraValidator: checks that the exported model loads and responds outside the process that trained it.

TFX's own InfraValidator needs docker and reports its absence as a bad model. This one replays the requests stored in
the SavedModel, on every signature, in a fresh process that imports none of the project's model code: first on the
SavedModel itself, then through the model server, over gRPC and REST.
"""

import logging
import subprocess
import sys
from pathlib import Path

from tfx.types import standard_artifacts
from tfx.utils import path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components.blessing import INFRA_BLESSED, INFRA_NOT_BLESSED

# Importing TensorFlow takes 5 to 12 s, loading a model of 240 MB a few more seconds.
_TIMEOUT_SECONDS = 600
_TIERS = "fresh process, model server"


def validate(model_folder: Path) -> tuple[bool, str]:
    """Replays a SavedModel's stored requests in a fresh Python process.

    Args:
        model_folder: Folder of the SavedModel.

    Returns:
        Whether every response agreed with Trainer's to 1e-5, and a one-line finding.
    """
    command = [sys.executable, "-m", "serving.replay", str(model_folder)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, cwd=Path(__file__).parent.parent
        )
    except subprocess.TimeoutExpired:
        return False, f"the model did not respond within {_TIMEOUT_SECONDS} s in a fresh process"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"the process ended with code {done.returncode}"


@component
def InfraValidator(  # noqa: N802 - a component is a class to its users
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    fingerprint: Parameter[str],
) -> None:
    """Blesses a model that responds in a fresh process as it did in Trainer; see `validate`.

    Args:
        model: Reads the SavedModel in `Format-Serving/`, with the requests in
            `assets.extra/tf_serving_warmup_requests`.
        blessing: Writes `INFRA_BLESSED` or `INFRA_NOT_BLESSED`, a text file with the finding, and the custom properties
            `blessed`, `tier` and `finding`.
        fingerprint: Fingerprint of this node's source, so that a changed source runs again.
    """
    valid, finding = validate(Path(path_utils.serving_model_path(model.uri)))
    logging.info("InfraValidator, tiers %s: %s", _TIERS, finding)
    marker = INFRA_BLESSED if valid else INFRA_NOT_BLESSED
    Path(blessing.uri, marker).write_text(finding + "\n", encoding="utf-8")
    blessing.set_int_custom_property("blessed", int(valid))
    blessing.set_string_custom_property("tier", _TIERS)
    blessing.set_string_custom_property("finding", finding)
