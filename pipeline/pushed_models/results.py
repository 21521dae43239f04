"""The file with the results of a pushed model, which a model server's demo page shows.

It is in `assets.extra/`, the folder of a SavedModel for files that its graph does not need; TensorFlow Serving ignores
it. It is written after the push, which copies byte for byte, because the results are known only after the evaluation.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import features
from components.evaluation.measures import ALL
from components.evaluation.results import Result
from components.export.layout import RESULTS_FILE

# The order of the demo page.
_SPLITS = (features.TEST, features.VALIDATION)

_log = logging.getLogger(__name__)


def write_results(
    pushed: Path,
    results: Sequence[Result],
    *,
    run_id: str = "",
    experiment_id: str = "",
    warnings: Sequence[str] = (),
) -> None:
    """Writes the results, unless the file exists: an unchanged model keeps the results of the run that made it.

    Args:
        pushed: Folder of the version.
        results: Results of the run, as in `RunResult.results`.
        run_id: Id of the run in MLflow; empty if it has no record there.
        experiment_id: Id of the experiment in MLflow.
        warnings: Reasons not to trust the results.
    """
    file = pushed / RESULTS_FILE
    if file.exists():
        return
    content: dict[str, Any] = {"figures": shown_results(results), "warnings": list(warnings)}
    if run_id:
        content["mlflow"] = {"experiment_id": experiment_id, "run_id": run_id}
    aside = file.with_suffix(".incoming")
    try:
        file.parent.mkdir(exist_ok=True)
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        aside.replace(file)
    except OSError as error:  # the model can be served without its results
        _log.warning("The results cannot be written to %s: %s", file, error)


def read_run(pushed: Path) -> tuple[str, str] | None:
    """Returns the ids of the MLflow experiment and run that made a pushed version; None if they were not recorded.

    Args:
        pushed: Folder of the version.
    """
    try:
        run = json.loads((pushed / RESULTS_FILE).read_text(encoding="utf-8"))["mlflow"]
        return str(run["experiment_id"]), str(run["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shown_results(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Returns the objectives' measures on test, then on validation, with the words and units of the screen.

    Args:
        results: Results of the run.

    Example:
        >>> from components.evaluation.measures import TOP1
        >>> shown_results([Result(TOP1, "test", 2.78)])
        [{'name': 'top-1 error', 'split': 'test', 'value': 2.78, 'unit': '%'}]
    """
    return [
        {
            "name": result.measure.words,
            "split": split,
            "value": result.value,
            "unit": result.measure.unit.strip(),
            **result.bounds,
        }
        for split in _SPLITS
        for result in results
        if result.split == split and result.measure in ALL
    ]
