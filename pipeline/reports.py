"""Reports of a run: one for each node, and one for the whole."""

from dataclasses import dataclass, field
from typing import Literal

from components.evaluation.results import Result, flat

# Reason of a node that Ctrl-C or SIGTERM ended, and of the nodes after it.
INTERRUPTED = "interrupted"

Status = Literal["ran", "cached", "resolved", "skipped", "failed"]


@dataclass(frozen=True)
class StationReport:
    """The outcome of one node in one run: a row of the table of stations on the screen.

    Args:
        name: Id of the node in the pipeline.
        status: "ran"; "cached" if its outputs come from an earlier run; "resolved" if they were looked up in the
            metadata; "skipped" if it never started; "failed".
        started_ms: Start in milliseconds since 1970; 0 if it never started.
        finished_ms: End in milliseconds since 1970; 0 if it never started.
        execution_id: Id of its execution in ML Metadata; None if it has none.
        outputs: URIs of its output artifacts, by output key.
        reason: Why it was not cached, was skipped or failed, in one line; empty if there is nothing to report.

    Example:
        >>> StationReport("Trainer", "ran", started_ms=1_000, finished_ms=3_500).seconds
        2.5
    """

    name: str
    status: Status
    started_ms: int = 0
    finished_ms: int = 0
    execution_id: int | None = None
    outputs: dict[str, list[str]] = field(default_factory=dict)
    reason: str = ""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return (self.finished_ms - self.started_ms) / 1000


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run.

    Args:
        blessed: Whether both evaluators and InfraValidator accepted the model.
        pushed_version: Version under which the model of this configuration and data was pushed; None if it was not.
        pushed_uri: Folder of that version; None if the model was not pushed.
        served_version: Newest pushed version, which servers answer with; another one after a rollback. None if nothing
            was ever pushed under this name.
        up_to_date: Whether an earlier run had pushed this very model.
        mlflow_run_id: Id of the run in MLflow.
        results: The measures of the model's objective on validation and test, with their 95 % intervals, and log Z of a
            density.
        stations: A report for each node, in the order of the pipeline.
        log_file: File with the output of the nodes and their libraries.
        warnings: Reasons not to trust the results, one sentence each without its full stop.

    Example:
        >>> from components.evaluation.measures import TOP1
        >>> results = (Result(TOP1, "test", 2.78, 1.19, 6.34),)
        >>> RunResult(True, 7, "serving/digits/7", 7, False, "", results, [], "run.log").metrics
        {'test_top1_error': 2.78, 'test_top1_error_low': 1.19, 'test_top1_error_high': 6.34}
    """

    blessed: bool
    pushed_version: int | None
    pushed_uri: str | None
    served_version: int | None
    up_to_date: bool
    mlflow_run_id: str
    results: tuple[Result, ...]
    stations: list[StationReport]
    log_file: str
    warnings: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """Results by their names in MLflow.

        Such as `test_top1_error` in percent or `test_log_probability` in nats, each with `_low` and `_high`, the bounds
        of its 95 % interval.
        """
        return flat(self.results)
