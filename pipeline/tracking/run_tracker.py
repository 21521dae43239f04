"""The record of a run in MLflow: the parent run, a child run for each node, the data set, the registered model.

Everything is stored in the home: a SQLite file and a folder of artifacts. An unusable MLflow stops a run at `start`,
before any work is done; later failures of MLflow only cause a warning in the log.
"""

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec

from components import environment
from components.errors import VisionTfxError
from components.interruption import signals_deferred
from components.reporting.station_tracker import (
    STATION_TAG,
    metric_entities,
    param_entities,
    quiet_mlflow,
    run_tags,
)
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.options.config_file import to_yaml
from pipeline.options.keys import flatten
from pipeline.reports import INTERRUPTED, StationReport, Status
from pipeline.tracking import registry
from pipeline.tracking.provenance import provenance
from pipeline.tracking.store import check_database, create_database, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CONFIG_FILE = "config.yaml"
MAX_DIGEST = 36  # characters of a data set's digest that MLflow stores; the tag data.digest holds all of them
_RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
# MLflow's pages mark FINISHED with a green tick, which would look as if a skipped node had run.
_RUN_STATUS: dict[Status, _RunStatus] = {
    "ran": "FINISHED",
    "cached": "FINISHED",
    "resolved": "FINISHED",
    "skipped": "KILLED",
    "failed": "FAILED",
}

_log = logging.getLogger(__name__)
_Arguments = ParamSpec("_Arguments")
_Method = Callable[Concatenate["RunTracker", _Arguments], None]


def _tolerant(method: _Method[_Arguments]) -> _Method[_Arguments]:
    """Wraps a method that writes to MLflow: it logs a warning instead of raising, and does nothing without a run."""

    @functools.wraps(method)
    def guarded(self: "RunTracker", *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        if not self.run_id:
            return
        try:
            with signals_deferred():
                method(self, *args, **kwargs)
        except Exception as error:  # any error: a run is worth more than its record
            _log.warning("MLflow failed in %s; the run continues without it: %s", method.__name__.strip("_"), error)

    return guarded


class RunTracker:
    """The MLflow run of one pipeline run, in the experiment with the name of the configuration.

    Typical use: `with tracker.running(run_id): tracker.log_metrics(...); tracker.record_stations(...)`.

    Args:
        home: Home folder of the runs, which holds mlflow.db and mlartifacts/.
        config: Configuration of the run.
        settings: Parameters to log in place of the configuration, for a run outside the pipeline; default, none.

    Attributes:
        experiment_id: Id of the MLflow experiment; empty before `start`.
        run_id: Id of the MLflow run; empty before `start`.
    """

    def __init__(self, home: Home, config: RunConfig, settings: Mapping[str, Any] | None = None):
        self._home = home
        self._config = config
        self._settings = settings
        self._client: MlflowClient
        self.experiment_id = ""
        self.run_id = ""
        self._environment: dict[str, str | None] = {}

    @contextmanager
    def running(self, run_id: str) -> Iterator[str]:
        """Keeps the run open during the block, then ends it: FINISHED, FAILED on an error, KILLED on an interruption.

        Args:
            run_id: Id of the pipeline run, as in `start`.

        Yields:
            Id of the MLflow run.

        Raises:
            VisionTfxError: As in `start`.
        """
        status: _RunStatus = "FAILED"
        try:
            yield self.start(run_id)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            with signals_deferred():
                self.finish(status)

    def start(self, run_id: str) -> str:
        """Opens the run, logs the configuration, and exports the addresses of MLflow and of the run to the nodes.

        Runs of this experiment that an earlier process left open are ended as KILLED: the home lock guarantees that no
        other process is running.

        Args:
            run_id: Id of the pipeline run, which becomes the name of the MLflow run.

        Returns:
            Id of the MLflow run.

        Raises:
            UsageError: The home's path cannot be written as a URI.
            VisionTfxError: mlflow.db cannot be written, or is not a database that this version of MLflow understands.
        """
        uri = tracking_uri(self._home)
        last_write_ms = check_database(self._home.mlflow_database)
        quiet_mlflow()
        from mlflow import MlflowClient, MlflowException

        try:
            with signals_deferred():
                create_database(self._home.mlflow_database)
                self._client = MlflowClient(uri)
                self.experiment_id = self._open_experiment()
                self._end_crashed_runs(last_write_ms)
                self.run_id = self._client.create_run(self.experiment_id, tags=run_tags(), run_name=run_id).info.run_id
        except MlflowException as error:
            raise VisionTfxError(
                f"MLflow cannot use {self._home.mlflow_database}: {error}; after a change of MLflow's version, run "
                f"`mlflow db upgrade {uri}`, or move the file away to start a new one"
            ) from error
        self._export(uri)
        self._describe()
        return self.run_id

    @_tolerant
    def set_data_digest(self, digest: str, source: str, splits: Mapping[str, int] | None = None) -> None:
        """Logs the data set of the run, without reading it.

        Args:
            digest: Hash of the content of all images.
            source: A folder, or the name of a data set.
            splits: Number of images by split; default, unknown.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        counts = dict(splits or {})
        dataset = Dataset(
            name=self._config.data,
            digest=digest[:MAX_DIGEST],
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": sum(counts.values()), **counts}),
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, [context])])
        self._client.set_tag(self.run_id, "data.digest", digest)

    @_tolerant
    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Logs results of the run.

        Args:
            metrics: Value by name, such as the top-1 error in percent.
        """
        self._client.log_batch(self.run_id, metrics=metric_entities(metrics))

    @_tolerant
    def log_text(self, text: str, name: str) -> None:
        """Stores a text file with the run, such as a table of results by slice.

        Args:
            text: Content of the file.
            name: Name of the file.
        """
        self._client.log_text(self.run_id, text, name)

    @_tolerant
    def record_stations(self, stations: Sequence[StationReport]) -> None:
        """Records the outcome of each node in a child run; a second call updates the child runs.

        A child run that a node opened itself is completed; any other node gets one with the times of its report.

        Args:
            stations: Reports of the nodes.
        """
        children = {run.data.tags.get(STATION_TAG): run for run in self._children()}
        for report in stations:
            child = children.get(report.name) or self._client.create_run(
                self.experiment_id, report.started_ms or None, run_tags(self.run_id), report.name
            )
            self._complete(child, report)

    @_tolerant
    def register(
        self,
        pushed_uri: str,
        version: int,
        metrics: Mapping[str, float] | None = None,
        example: bytes | None = None,
    ) -> None:
        """Registers the pushed model under the name of the configuration and makes it the champion.

        The same version is never registered twice.

        Args:
            pushed_uri: Folder of the pushed SavedModel.
            version: Version under which it is served.
            metrics: Results of the model on test and validation; default, none.
            example: An encoded image, which becomes the input example; default, none.
        """
        registry.register(
            self._client,
            self.run_id,
            self._config.name,
            pushed_uri,
            version,
            metrics=metrics or {},
            example=example,
        )

    def finish(self, status: _RunStatus) -> None:
        """Ends the run and its open child runs, and restores the environment; no-op without `start`.

        Args:
            status: Final status; "KILLED" after an interruption.
        """
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment = {}
        self._end(status)

    @_tolerant
    def _end(self, status: _RunStatus) -> None:
        for child in self._children():
            if child.info.status == "RUNNING":
                self._client.set_terminated(child.info.run_id, "KILLED")
        self._client.set_terminated(self.run_id, status)

    def _open_experiment(self) -> str:
        """Returns the id of the experiment. Without an explicit location, MLflow would write artifacts to ./mlruns."""
        location = (self._home.mlflow_artifacts.resolve() / self._config.name).as_uri()
        experiment = self._client.get_experiment_by_name(self._config.name)
        if experiment is None:
            return str(self._client.create_experiment(self._config.name, artifact_location=location))
        if experiment.lifecycle_stage == "deleted":  # by a user, on MLflow's pages
            self._client.restore_experiment(experiment.experiment_id)
        if experiment.artifact_location != location:
            _log.warning("The home was moved; MLflow still writes artifacts to %s.", experiment.artifact_location)
        return str(experiment.experiment_id)

    def _end_crashed_runs(self, last_write_ms: int) -> None:
        for run in self._client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'"):
            self._client.set_tag(run.info.run_id, "reason", "its process ended without closing it")
            self._client.set_terminated(run.info.run_id, "KILLED", max(last_write_ms, run.info.start_time))

    def _export(self, uri: str) -> None:
        for name, value in {environment.TRACKING_URI: uri, environment.PARENT_RUN: self.run_id}.items():
            self._environment[name] = os.environ.get(name)
            os.environ[name] = value

    @_tolerant
    def _describe(self) -> None:
        from mlflow.entities import RunTag

        made_by = provenance()
        if "git.commit" in made_by:
            made_by["mlflow.source.git.commit"] = made_by["git.commit"]  # the tag that MLflow's pages show
        tags = [RunTag(name, value) for name, value in made_by.items()]
        settings = flatten(dataclasses.asdict(self._config)) if self._settings is None else self._settings
        self._client.log_batch(self.run_id, params=param_entities(settings), tags=tags)
        if self._settings is None:
            self._client.log_text(self.run_id, to_yaml(self._config), CONFIG_FILE)

    def _children(self) -> "list[Run]":
        return list(self._client.search_runs([self.experiment_id], f"tags.`mlflow.parentRunId` = '{self.run_id}'"))

    def _complete(self, child: "Run", report: StationReport) -> None:
        from mlflow.entities import RunTag

        tags = {STATION_TAG: report.name, "status": report.status, "reason": report.reason}
        if report.execution_id is not None:
            tags["mlmd.execution_id"] = str(report.execution_id)
        tags |= {f"output.{key}": "\n".join(uris) for key, uris in report.outputs.items()}
        self._client.log_batch(
            child.info.run_id,
            metrics=metric_entities({"seconds": report.seconds} if report.started_ms else {}),
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        # The node's own run decides whether it failed, but not why: libraries turn an interruption into errors of their
        # own.
        interrupted = report.reason == INTERRUPTED
        if interrupted or child.info.status in ("RUNNING", "FINISHED"):
            status = "KILLED" if interrupted else _RUN_STATUS[report.status]
            self._client.set_terminated(child.info.run_id, status, report.finished_ms or None)
