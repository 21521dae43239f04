"""The average of several pushed models: measured beside its members, and pushed where it is no worse than they are."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components import features
from components.evaluation.measures import TOP1
from components.export import layout
from components.export.publishing import push
from components.reporting import progress
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.pushed_models.answers import PushedModel
from pipeline.pushed_models.members import EXAMPLES_FROM, labels, title
from pipeline.pushed_models.results import write_results
from pipeline.reports import StationReport
from pipeline.tracking.run_tracker import RunTracker

AVERAGE = "average"
# As in the metrics of a run: see `pipeline.outcome.metrics`.
TEN_CROPS = "test_ten_crop"
# Stored in the SavedModel for warm-up and replay.
_STORED_EXAMPLES = 32

Errors = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Average:
    """What became of an average.

    Args:
        errors: by split ("validation", "test", and "test_ten_crop" where all members have ten crops), then by member
            (NAME/VERSION) and last "average": what `components.evaluation.average_errors.measure_each` says.
        pushed: folder of the new version; none where it was refused.
        refusal: why, in one line; empty where it was pushed.
    """

    errors: Errors
    pushed: Path | None = None
    refusal: str = ""


def average(home: Home, members: Sequence[PushedModel], examples: str, name: str, run_id: str) -> Average:
    """Measures members and average, and pushes the average where it is no worse than the best member on validation.

    Validation chooses; test is only looked at. MLflow gets a run in the experiment of the average's name.

    Args:
        home: whose lock this process holds.
        members: two or more classifiers of the same labels.
        examples: folder of the Examples artifact on which all of them were judged.
        name: of the average.
        run_id: name of its run in MLflow.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 6.
    """
    settings = {"members": ", ".join(map(title, members)), "examples": examples}
    tracker = RunTracker(home, RunConfig(name), settings)
    with tracker.running(run_id):
        result = _measure_and_push(home, members, examples, name)
        _record(tracker, result, examples)
    return result


def _measure_and_push(home: Home, members: Sequence[PushedModel], examples: str, name: str) -> Average:
    from components.evaluation.average_errors import measure_each
    from components.export.averaged_classifier import AveragedClassifier
    from components.export.saved_model import export
    from components.infra_validator import validate
    from components.input_pipeline.image_data import read_records

    progress.say("Loading the members")
    averaged = AveragedClassifier([member.folder for member in members], labels(members[0]))
    passes: dict[str, tuple[str, ...]] = {split: (split,) for split in (features.VALIDATION, features.TEST)}
    if layout.TEN_CROP_EXAMPLES in averaged.signature_functions():
        passes[TEN_CROPS] = (features.TEST, layout.TEN_CROP_EXAMPLES)
    names = [*map(title, members), AVERAGE]
    errors = {
        split: dict(zip(names, measure_each(averaged, examples, *words), strict=True))
        for split, words in passes.items()
    }
    if refusal := refusal_of(errors[features.VALIDATION]):
        return Average(errors, refusal=refusal)
    with tempfile.TemporaryDirectory(prefix="average-", dir=home.root) as folder:
        progress.say("Writing the average, and asking it in a fresh process")
        model = Path(folder, "model")
        export(averaged, read_records(examples, features.VALIDATION, _STORED_EXAMPLES), str(model))
        valid, finding = validate(model)
        if not valid:
            return Average(errors, refusal=f"InfraValidator: {finding}")
        return Average(errors, home.serving / name / str(push(model, home.serving / name)))


def refusal_of(errors: dict[str, dict[str, float]]) -> str:
    """Why an average is not to be pushed, in one line; empty where it is no worse than the best of its members.

    Args:
        errors: on validation, by member and last of the average.
    """
    top1 = {name: each[TOP1.name] for name, each in errors.items()}
    found = top1.pop(AVERAGE)
    best = min(top1, key=lambda name: top1[name])
    if found <= top1[best]:
        return ""
    return f"validation: {TOP1.name} is {found:.4g}{TOP1.unit}, and {top1[best]:.4g}{TOP1.unit} that of {best} alone"


def _record(tracker: RunTracker, result: Average, examples: str) -> None:
    metrics = {
        f"{split}_{name}": value for split, each in result.errors.items() for name, value in each[AVERAGE].items()
    }
    of_members = {
        f"{member}/{split}_{name}": value
        for split, each in result.errors.items()
        for member, errors in each.items()
        for name, value in errors.items()
        if member != AVERAGE
    }
    tracker.log_metrics(metrics | of_members)
    station, key = EXAMPLES_FROM
    tracker.record_stations([StationReport(station, "resolved", outputs={key: [examples]})])
    if result.pushed is not None:
        uri = str(result.pushed.resolve())
        tracker.register(uri, int(result.pushed.name), metrics)
        write_results(result.pushed, metrics, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
