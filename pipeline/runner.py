"""Runs a configuration from raw images to a pushed model, and reports the outcome."""

import errno
import logging
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from components import environment
from components.disk import has_space
from components.errors import VisionTfxError
from components.interruption import interruptible, interruption_restored
from pipeline.config import RunConfig
from pipeline.home import Home, new_run_id
from pipeline.lock import home_lock
from pipeline.pushed_models.pushed_model import newest_version
from pipeline.pushed_models.results import write_results
from pipeline.reports import INTERRUPTED, RunResult, StationReport
from pipeline.screen import Screen
from pipeline.tracking.run_tracker import RunTracker

if TYPE_CHECKING:
    from pipeline.dag import LocalDag


def run_local(config: RunConfig, screen: Screen | None = None) -> RunResult:
    """Runs the pipeline in this process; nodes whose inputs and source are unchanged come from the cache.

    To resume an interrupted run, call it again with the same configuration.

    Args:
        config: The configuration.
        screen: Screen that shows the run; default, a new one on stdout.

    Returns:
        The outcome, which need not be a pushed model: see `RunResult.blessed`.

    Raises:
        VisionTfxError: A node failed (exit code 1), or one of the subclasses: a gate refused the data (3), or the
            configuration cannot be run (2). Earlier results stay untouched.
    """
    home = Home(Path(config.home).resolve())
    run_id = new_run_id()
    screen = screen or Screen()
    log_file = home.logs(run_id) / "run.log"
    with home_lock(home.root, run_id), interruptible(), screen.capture(log_file):
        os.environ[environment.LOG_DIR] = str(log_file.parent)
        os.environ[environment.CHECKPOINT_DIR] = str(home.checkpoints / config.name)
        result = _run(config, home, run_id, screen, log_file)
    screen.summary(result)
    return result


def _run(config: RunConfig, home: Home, run_id: str, screen: Screen, log_file: Path) -> RunResult:
    handler = logging.FileHandler(log_file, encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[handler], force=True
    )
    screen.message(f"Run {run_id} of {config.name}; loading TFX takes some 20 s. Log: {log_file}")
    tracker = RunTracker(home, config)
    stations: list[StationReport] = []
    with tracker.running(run_id) as mlflow_run_id:
        try:
            dag = _load(config, run_id)
            _launch_all(dag, screen, stations, log_file)
            result = _conclude(config, home, dag, stations, mlflow_run_id, log_file)
            _record(tracker, dag, result, config.data)
        finally:
            tracker.record_stations(stations)
    return result


def _load(config: RunConfig, run_id: str) -> "LocalDag":
    from pipeline.dag import LocalDag  # imports TFX, inside the screen's capture
    from pipeline.pipeline import create_pipeline

    dag = LocalDag(create_pipeline(config), run_id)
    dag.discard_unfinished()
    return dag


def _launch_all(dag: "LocalDag", screen: Screen, stations: list[StationReport], log_file: Path) -> None:
    from components.reporting import progress

    screen.start(dag.names)
    for name in dag.names:
        screen.update(name, "running")
        progress.listen(partial(screen.progress, name))
        started = time.time()
        try:
            with interruption_restored():
                report = dag.launch(name)
        except BaseException as error:
            stations.append(_failed(name, started, error))
            reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else f"{name} failed"
            stations += [StationReport(rest, "skipped", reason=reason) for rest in dag.names[len(stations) :]]
            screen.stations(stations)
            if isinstance(error, VisionTfxError) or not isinstance(error, Exception):
                raise
            raise _explained(name, error, log_file) from error
        stations.append(report)
        screen.update(name, report.status, report.seconds, report.reason)


def _failed(name: str, started: float, error: BaseException) -> StationReport:
    reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else _one_line(error)
    return StationReport(name, "failed", int(started * 1000), int(time.time() * 1000), reason=reason)


def _explained(name: str, error: Exception, log_file: Path) -> Exception:
    if not has_space(log_file.parent):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return VisionTfxError(f"{name} failed: {_one_line(error)}; see the log {log_file}")


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _conclude(
    config: RunConfig,
    home: Home,
    dag: "LocalDag",
    stations: list[StationReport],
    mlflow_run_id: str,
    log_file: Path,
) -> RunResult:
    """Reads results, blessings and the pushed version from the artifacts."""
    from pipeline import outcome

    by_name = {station.name: station for station in stations}
    refusals = outcome.refusals(by_name)
    pushed = None if refusals else outcome.recorded_push(dag, by_name)
    republished = pushed is not None and not pushed.is_dir()
    if republished:
        pushed = outcome.publish_again(by_name, home.serving / config.name)
    if refusals:
        refused = replace(by_name["Pusher"], status="skipped", reason="; ".join(refusals))
        stations[:] = [refused if station.name == "Pusher" else station for station in stations]
    return RunResult(
        blessed=not refusals,
        pushed_version=int(pushed.name) if pushed else None,
        pushed_uri=str(pushed) if pushed else None,
        served_version=newest_version(home, config.name),
        up_to_date=pushed is not None and not republished and by_name["Pusher"].status == "cached",
        mlflow_run_id=mlflow_run_id,
        results=outcome.results(by_name),
        stations=stations,
        log_file=str(log_file),
        warnings=outcome.warnings(by_name),
    )


def _record(tracker: RunTracker, dag: "LocalDag", result: RunResult, source: str) -> None:
    from pipeline import outcome

    by_name = {station.name: station for station in result.stations}
    data = outcome.data_facts(dag, by_name, source)
    tracker.set_data_digest(data.digest, data.source, data.splits)
    tracker.log_metrics(result.metrics)
    for split in ("validation", "test"):
        tracker.log_text(outcome.slices_table(by_name, split), f"errors_by_slice_{split}.csv")
    # After a rollback, the older model remains the champion.
    if result.pushed_uri and result.pushed_version is not None and result.pushed_version == result.served_version:
        tracker.register(result.pushed_uri, result.pushed_version, result.metrics, data.example)
    if result.pushed_uri:
        write_results(
            Path(result.pushed_uri),
            result.results,
            run_id=tracker.run_id,
            experiment_id=tracker.experiment_id,
            warnings=result.warnings,
        )
