"""The average of several pushed models, which is measured beside them and pushed if it is no worse than the best."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components import features
from components.evaluation.measures import TOP1
from components.evaluation.results import TEN_CROP_TEST, Result, flat
from components.export import layout
from components.export.publishing import push
from components.reporting import progress
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.pushed_models.members import EXAMPLES_FROM, labels
from pipeline.pushed_models.pushed_model import PushedModel
from pipeline.pushed_models.results import write_results
from pipeline.reports import StationReport
from pipeline.tracking.run_tracker import RunTracker

if TYPE_CHECKING:
    from components.export.averaged_classifier import AveragedClassifier

AVERAGE = "average"
# Stored in the SavedModel for warm-up and replay.
_STORED_EXAMPLES = 32

# Results by member (NAME/VERSION, and last "average").
ByMember = Mapping[str, tuple[Result, ...]]


@dataclass(frozen=True)
class Average:
    """The outcome of averaging.

    Args:
        results: By split ("validation", "test", and "test_ten_crop" if all members have ten crops), then by member
            (NAME/VERSION, and last "average").
        pushed: Folder of the new version; None if it was refused.
        refusal: Reason of the refusal, in one line; empty if the average was pushed.
    """

    results: Mapping[str, ByMember]
    pushed: Path | None = None
    refusal: str = ""


def average(home: Home, members: Sequence[PushedModel], examples: str, name: str, run_id: str) -> Average:
    """Measures members and average, and pushes the average if it is no worse than the best member on validation.

    Validation decides; test is only reported. The average gets a run in MLflow, in the experiment of its name.

    Args:
        home: Home folder of the runs, whose lock this process holds.
        members: Two or more classifiers with the same labels.
        examples: Folder of the Examples artifact on which all members were evaluated.
        name: Name of the average.
        run_id: Name of its run in MLflow.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 6.
    """
    settings = {"members": ", ".join(member.title for member in members), "examples": examples}
    tracker = RunTracker(home, RunConfig(name), settings)
    with tracker.running(run_id):
        result = _measure_and_push(home, members, examples, name)
        _record(tracker, result, examples)
    return result


def _measure_and_push(home: Home, members: Sequence[PushedModel], examples: str, name: str) -> Average:
    from components.evaluation.average_errors import measure_each
    from components.export.averaged_classifier import AveragedClassifier

    progress.say("Loading the members")
    averaged = AveragedClassifier([member.folder for member in members], labels(members[0]))
    splits = [features.VALIDATION, features.TEST]
    if layout.TEN_CROP_EXAMPLES in averaged.signature_functions():
        splits.append(TEN_CROP_TEST)
    names = [*(member.title for member in members), AVERAGE]
    results = {split: dict(zip(names, measure_each(averaged, examples, split), strict=True)) for split in splits}
    if refusal := refusal_of(results[features.VALIDATION]):
        return Average(results, refusal=refusal)
    return _push(home, averaged, examples, name, results)


def _push(
    home: Home, averaged: "AveragedClassifier", examples: str, name: str, results: Mapping[str, ByMember]
) -> Average:
    from components.export.saved_model import export
    from components.infra_validator import validate
    from components.input_pipeline.image_data import read_records

    with tempfile.TemporaryDirectory(prefix="average-", dir=home.root) as folder:
        progress.say("Writing the average, and replaying images on it in a new process")
        model = Path(folder, "model")
        export(averaged, read_records(examples, features.VALIDATION, _STORED_EXAMPLES), str(model))
        valid, finding = validate(model)
        if not valid:
            return Average(results, refusal=f"InfraValidator: {finding}")
        return Average(results, home.serving / name / str(push(model, home.serving / name)))


def refusal_of(results: ByMember) -> str:
    """Returns why an average is refused, in one line; empty if it is no worse than the best of its members.

    Args:
        results: Results on validation, by member and last of the average.
    """
    top1 = {name: result.value for name, each in results.items() for result in each if result.measure == TOP1}
    found = top1.pop(AVERAGE)
    best = min(top1, key=lambda name: top1[name])
    if found <= top1[best]:
        return ""
    return f"validation: {TOP1.name} is {found:.4g}{TOP1.unit}, but {top1[best]:.4g}{TOP1.unit} for {best} alone"


def _record(tracker: RunTracker, result: Average, examples: str) -> None:
    own = [each for by_member in result.results.values() for each in by_member[AVERAGE]]
    of_members = {
        f"{member}/{name}": value
        for by_member in result.results.values()
        for member, results in by_member.items()
        if member != AVERAGE
        for name, value in flat(results).items()
    }
    tracker.log_metrics(flat(own) | of_members)
    station, key = EXAMPLES_FROM
    tracker.record_stations([StationReport(station, "resolved", outputs={key: [examples]})])
    if result.pushed is not None:
        tracker.register(str(result.pushed.resolve()), int(result.pushed.name), flat(own))
        write_results(result.pushed, own, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
