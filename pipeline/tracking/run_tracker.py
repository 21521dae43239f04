"""MLflow around a run: the parent run, a child run for every station, the data set, the registered model.

Everything lies below the home: a sqlite file and a folder of artifacts. An unusable MLflow stops a run at `start`, when
nothing was done yet; from then on it is warned of in the log and the run goes on.
"""

import dataclasses
import functools
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, Literal, ParamSpec

from components import environment
from components.errors import UsageError, VisionTfxError
from components.interruption import held
from components.reporting.station_tracker import (
    STATION_TAG,
    metric_entities,
    param_entities,
    quiet_mlflow,
    run_tags,
)
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.options.arguments import to_yaml
from pipeline.options.fields import flatten
from pipeline.reports import INTERRUPTED, StationReport
from pipeline.tracking import registry
from pipeline.tracking.provenance import provenance

CONFIG_FILE = "config.yaml"
MAX_DIGEST = 36  # characters that MLflow keeps of a data set's digest; the tag data.digest has them all
# A skipped station is KILLED on MLflow's pages: a green tick would say that it ran.
_RUN_STATUS = {"ran": "FINISHED", "cached": "FINISHED", "resolved": "FINISHED", "skipped": "KILLED", "failed": "FAILED"}

_log = logging.getLogger(__name__)
_Arguments = ParamSpec("_Arguments")
_Method = Callable[Concatenate["RunTracker", _Arguments], None]


def _survives(method: _Method[_Arguments]) -> _Method[_Arguments]:
    """Makes a method that writes to MLflow warn instead of raise, and do nothing without a run."""

    @functools.wraps(method)
    def guarded(self: "RunTracker", *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        if not self.run_id:
            return
        try:
            with held():
                method(self, *args, **kwargs)
        except Exception as error:  # whatever it is, a run is worth more than its record
            _log.warning("MLflow failed in %s, and the run goes on without: %s", method.__name__.strip("_"), error)

    return guarded


class RunTracker:
    """One MLflow run for one run of the pipeline, in the experiment that has the configuration's name.

    Args:
        home: Where mlflow.db and mlartifacts/ lie.
        config: What is run.
        settings: Parameters to log of a run that is not of the pipeline, in place of the configuration.
    """

    def __init__(self, home: Home, config: RunConfig, settings: Mapping[str, Any] | None = None):
        self._home = home
        self._config = config
        self._settings = settings
        self._client: Any = None
        self.experiment_id = ""
        self.run_id = ""  # of MLflow, as is the experiment's
        self._environment: dict[str, str | None] = {}

    @contextmanager
    def running(self, run_id: str) -> Iterator[str]:
        """The run is open as long as the block: FINISHED after it, FAILED by an error, KILLED by an interruption.

        Args:
            run_id: As in `start`, whose errors it has.

        Yields:
            The MLflow run id.
        """
        status: Literal["FINISHED", "FAILED", "KILLED"] = "FAILED"
        try:
            yield self.start(run_id)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            with held():
                self.finish(status)

    def start(self, run_id: str) -> str:
        """Opens the run, logs what is known beforehand and exports both for the stations.

        Runs of this experiment that an earlier process left open are ended as KILLED: the home's lock says that no
        other process is at work.

        Args:
            run_id: The pipeline's run id, which becomes the run's name.

        Returns:
            The MLflow run id.

        Raises:
            UsageError: The home's path cannot be written as a database address.
            VisionTfxError: mlflow.db cannot be written, or is not a database that this MLflow understands.
        """
        uri = tracking_uri(self._home)
        last_write_ms = _check_database(self._home.mlflow_database)
        quiet_mlflow()
        from mlflow import MlflowClient, MlflowException

        try:
            with held():
                _create_database(self._home.mlflow_database)
                self._client = MlflowClient(uri)
                self.experiment_id = self._open_experiment()
                self._end_crashed_runs(last_write_ms)
                self.run_id = self._client.create_run(self.experiment_id, tags=run_tags(), run_name=run_id).info.run_id
        except MlflowException as error:
            raise VisionTfxError(
                f"MLflow cannot use {self._home.mlflow_database}: {error}; after a change of MLflow's version, "
                f"`mlflow db upgrade {uri}` brings it up to date, or move the file away to begin a new one"
            ) from error
        self._export(uri)
        self._describe()
        return self.run_id

    @_survives
    def set_data_digest(self, digest: str, source: str, splits: Mapping[str, int] | None = None) -> None:
        """Logs which data the run saw, without reading any.

        Args:
            digest: Hash of the content of all images.
            source: Where they come from: a folder, or a data set's name.
            splits: Number of images by split.
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

    @_survives
    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Logs results of the whole run, such as the top-1 error in percent."""
        self._client.log_batch(self.run_id, metrics=metric_entities(metrics))

    @_survives
    def log_text(self, text: str, name: str) -> None:
        """Keeps a text file with the run, such as a table of results by slice."""
        self._client.log_text(self.run_id, text, name)

    @_survives
    def record_stations(self, stations: Sequence[StationReport]) -> None:
        """Gives every station a child run with what became of it; a second call brings them up to date.

        Stations that opened their own child run have it completed; the others get one with the report's times.

        Args:
            stations: What the runner knows of them.
        """
        children = {run.data.tags.get(STATION_TAG): run for run in self._children()}
        for report in stations:
            child = children.get(report.name) or self._client.create_run(
                self.experiment_id, report.started_ms or None, run_tags(self.run_id), report.name
            )
            self._complete(child, report)

    @_survives
    def register(
        self,
        pushed_uri: str,
        version: int,
        metrics: Mapping[str, float] | None = None,
        example: bytes | None = None,
    ) -> None:
        """Registers the pushed model under the configuration's name and makes it the champion.

        The same version is never registered twice.

        Args:
            pushed_uri: Folder of the pushed SavedModel.
            version: The version it is served as.
            metrics: Its results on test and validation.
            example: An encoded image that it was shown, kept as the model's input example.
        """
        registry.register(
            self._client,
            self.run_id,
            self._config.name,
            pushed_uri,
            version,
            metrics=metrics or {},
            example=example,
            objective=self._config.model.objective,
        )

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Ends the run, and any child still open, and takes back what was exported. Harmless without a start.

        Args:
            status: "KILLED" after an interruption.
        """
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment = {}
        self._end(status)

    @_survives
    def _end(self, status: str) -> None:
        for child in self._children():
            if child.info.status == "RUNNING":
                self._client.set_terminated(child.info.run_id, "KILLED")
        self._client.set_terminated(self.run_id, status)

    def _open_experiment(self) -> str:
        """The experiment's id. Without a location of its own, MLflow would write artifacts to ./mlruns."""
        location = (self._home.mlflow_artifacts.resolve() / self._config.name).as_uri()
        experiment = self._client.get_experiment_by_name(self._config.name)
        if experiment is None:
            return str(self._client.create_experiment(self._config.name, artifact_location=location))
        if experiment.lifecycle_stage == "deleted":  # by hand, on MLflow's pages
            self._client.restore_experiment(experiment.experiment_id)
        if experiment.artifact_location != location:
            _log.warning("The home was moved: MLflow goes on writing figures to %s.", experiment.artifact_location)
        return str(experiment.experiment_id)

    def _end_crashed_runs(self, last_write_ms: int) -> None:
        for run in self._client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'"):
            self._client.set_tag(run.info.run_id, "reason", "its process ended without closing it")
            self._client.set_terminated(run.info.run_id, "KILLED", max(last_write_ms, run.info.start_time))

    def _export(self, uri: str) -> None:
        for name, value in {environment.TRACKING_URI: uri, environment.PARENT_RUN: self.run_id}.items():
            self._environment[name] = os.environ.get(name)
            os.environ[name] = value

    @_survives
    def _describe(self) -> None:
        from mlflow.entities import RunTag

        made_by = provenance()
        if "git.commit" in made_by:
            made_by["mlflow.source.git.commit"] = made_by["git.commit"]  # the name that MLflow's pages look for
        tags = [RunTag(name, value) for name, value in made_by.items()]
        settings = flatten(dataclasses.asdict(self._config)) if self._settings is None else self._settings
        self._client.log_batch(self.run_id, params=param_entities(settings), tags=tags)
        if self._settings is None:
            self._client.log_text(self.run_id, to_yaml(self._config), CONFIG_FILE)

    def _children(self) -> list[Any]:
        return list(self._client.search_runs([self.experiment_id], f"tags.`mlflow.parentRunId` = '{self.run_id}'"))

    def _complete(self, child: Any, report: StationReport) -> None:
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
        # A station's own run knows better than the report that it failed, but not why: libraries make errors of their
        # own of an interruption.
        interrupted = report.reason == INTERRUPTED
        if interrupted or child.info.status in ("RUNNING", "FINISHED"):
            status = "KILLED" if interrupted else _RUN_STATUS[report.status]
            self._client.set_terminated(child.info.run_id, status, report.finished_ms or None)


def station_output(home: Home, experiment_id: str, run_id: str, station: str, key: str) -> str | None:
    """Where a station of an earlier run left an output, as `RunTracker.record_stations` wrote it down.

    Args:
        home: Where mlflow.db lies.
        experiment_id: Of MLflow, as is the run's.
        run_id: The run.
        station: Its name.
        key: Of the output, such as "examples".

    Returns:
        The artifact's folder; none where MLflow knows of none.
    """
    if not home.mlflow_database.is_file():
        return None
    quiet_mlflow()
    from mlflow import MlflowClient, MlflowException

    wanted = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.{STATION_TAG} = '{station}'"
    try:
        with held():
            children = MlflowClient(tracking_uri(home)).search_runs([experiment_id], wanted)
    except MlflowException as error:
        _log.warning("MLflow does not say what the run %s left: %s", run_id, error)
        return None
    return next((run.data.tags[f"output.{key}"] for run in children if f"output.{key}" in run.data.tags), None)


def promote(home: Home, name: str, old: int, new: int, pushed_uri: str) -> None:
    """Lets MLflow's champion follow a rollback; does nothing in a home that MLflow was never used in.

    Args:
        home: Where mlflow.db lies.
        name: Of the model.
        old: The served version that was returned to.
        new: The number it is served under now.
        pushed_uri: Its folder.
    """
    if not home.mlflow_database.is_file():
        return
    quiet_mlflow()
    from mlflow import MlflowClient, MlflowException

    try:
        with held():
            registry.promote(MlflowClient(tracking_uri(home)), name, old, new, pushed_uri)
    except MlflowException as error:
        _log.warning("MLflow's champion did not follow the rollback: %s", error)


def tracking_uri(home: Home) -> str:
    """The address of MLflow for all that is in a home.

    Raises:
        UsageError: The path has a "?" or "%", which mean something else in an address.
    """
    path = str(home.mlflow_database.resolve())
    if set("?%") & set(path):
        raise UsageError(
            f"the home {home.root} has a ? or % in its path, which MLflow cannot use: choose another --home"
        )
    return f"sqlite:///{path}"


def _create_database(path: Path) -> None:
    """Makes MLflow's tables aside, where there are none: half of its hundred migrations cannot be taken up again."""
    if path.stat().st_size:
        return
    from mlflow import MlflowClient

    with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
        aside = Path(folder, path.name)
        MlflowClient(f"sqlite:///{aside}").search_experiments(max_results=1)
        aside.replace(path)


def _check_database(path: Path) -> int:
    """Asks sqlite whether the file can be written, because MLflow repeats a failing attempt for 100 s.

    Returns:
        When the file was last written, in ms since 1970; now for a new one.
    """
    now = int(time.time() * 1000)
    last_write_ms = int(path.stat().st_mtime * 1000) if path.exists() else now
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except (OSError, sqlite3.Error) as error:
        raise VisionTfxError(
            f"MLflow's database {path} cannot be written ({error}): free it if another program holds it, "
            "check the folder's permissions, or move the file away to begin a new one"
        ) from error
    return last_write_ms
