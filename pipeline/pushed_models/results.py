"""The results of a pushed model, written into its folder: what a server's demo page shows of it.

`assets.extra/` is the SavedModel's place for what its graph does not need; TensorFlow Serving leaves it alone. The
figures are known only after the model was judged, so they are written after the push, which copies byte for byte.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluation.measures import ALL
from components.export.layout import RESULTS_FILE

_SPLITS = ("test", "validation")

_log = logging.getLogger(__name__)


def write_results(
    pushed: Path,
    metrics: Mapping[str, float],
    *,
    run_id: str = "",
    experiment_id: str = "",
    warnings: Sequence[str] = (),
) -> None:
    """Writes them, unless they are there: an unchanged model keeps those of the run that made it.

    Args:
        pushed: Folder of the version.
        metrics: As `RunResult.metrics`.
        run_id: Of MLflow; empty without a record.
        experiment_id: Of MLflow.
        warnings: Reasons not to trust the figures.
    """
    file = pushed / RESULTS_FILE
    if file.exists():
        return
    said: dict[str, Any] = {"figures": figures(metrics), "warnings": list(warnings)}
    if run_id:
        said["mlflow"] = {"experiment_id": experiment_id, "run_id": run_id}
    aside = file.with_suffix(".incoming")
    try:
        file.parent.mkdir(exist_ok=True)
        aside.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        aside.replace(file)
    except OSError as error:  # the model is served all the same
        _log.warning("The results cannot be written to %s: %s", file, error)


def read_run(pushed: Path) -> tuple[str, str] | None:
    """The experiment and the run of MLflow that made a pushed version; none where that was not recorded."""
    try:
        run = json.loads((pushed / RESULTS_FILE).read_text(encoding="utf-8"))["mlflow"]
        return str(run["experiment_id"]), str(run["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def figures(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Every measure on test, then on validation, in the words and units of the screen."""
    found = []
    for split in _SPLITS:
        for measure in ALL:
            key = f"{split}_{measure.name}"
            if key in metrics:
                bounds = {name: metrics[f"{key}_{name}"] for name in ("low", "high") if f"{key}_{name}" in metrics}
                entry = {"name": measure.words, "split": split, "value": metrics[key], "unit": measure.unit.strip()}
                found.append(entry | bounds)
    return found
