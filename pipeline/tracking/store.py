"""MLflow's store of a home, a SQLite file, and the requests to it from outside a run."""

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from components.errors import UsageError, VisionTfxError
from components.interruption import signals_deferred
from components.reporting.station_tracker import STATION_TAG, quiet_mlflow
from pipeline.home import Home
from pipeline.tracking import registry

_log = logging.getLogger(__name__)


def tracking_uri(home: Home) -> str:
    """Returns the URI of MLflow's store.

    Args:
        home: Home folder of the runs.

    Raises:
        UsageError: The path contains a "?" or "%", which have another meaning in a URI.

    Example:
        >>> tracking_uri(Home(Path("/data/home")))
        'sqlite:////data/home/mlflow.db'
    """
    path = str(home.mlflow_database.resolve())
    if set("?%") & set(path):
        raise UsageError(
            f"the home {home.root} has a ? or % in its path, which MLflow cannot use; choose another home with --home"
        )
    return f"sqlite:///{path}"


def check_database(path: Path) -> int:
    """Checks with SQLite that the store can be written, because MLflow repeats a failing attempt for 100 s.

    Args:
        path: The SQLite file; created if it does not exist.

    Returns:
        Time of the last write in milliseconds since 1970; now for a new file.

    Raises:
        VisionTfxError: The file cannot be written, or is not a database.
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
            f"cannot write MLflow's database {path} ({error}); end the program that locks it, check the folder's "
            "permissions, or move the file away to start a new one"
        ) from error
    return last_write_ms


def create_database(path: Path) -> None:
    """Creates MLflow's tables in an empty store, in a temporary file: MLflow cannot resume half of its 100 migrations.

    Args:
        path: The SQLite file, which exists.
    """
    if path.stat().st_size:
        return
    from mlflow import MlflowClient

    with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
        aside = Path(folder, path.name)
        MlflowClient(f"sqlite:///{aside}").search_experiments(max_results=1)
        aside.replace(path)


def station_output(home: Home, experiment_id: str, run_id: str, station: str, key: str) -> str | None:
    """Returns the output of a node in an earlier run, as `RunTracker.record_stations` recorded it.

    Args:
        home: Home folder of the runs.
        experiment_id: Id of the MLflow experiment.
        run_id: Id of the MLflow run.
        station: Id of the node.
        key: Key of the output, such as "examples".

    Returns:
        Folder of the artifact; None if MLflow has no record of it.
    """
    if not home.mlflow_database.is_file():
        return None
    quiet_mlflow()
    from mlflow import MlflowClient, MlflowException

    wanted = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.{STATION_TAG} = '{station}'"
    try:
        with signals_deferred():
            children = MlflowClient(tracking_uri(home)).search_runs([experiment_id], wanted)
    except MlflowException as error:
        _log.warning("MLflow could not look up the outputs of the run %s: %s", run_id, error)
        return None
    return next((run.data.tags[f"output.{key}"] for run in children if f"output.{key}" in run.data.tags), None)


def promote(home: Home, name: str, old: int, new: int, pushed_uri: str) -> None:
    """Moves the `champion` alias to the version rolled back to; no-op if the home has no MLflow database.

    Args:
        home: Home folder of the runs.
        name: Name of the model.
        old: Served version that was rolled back to.
        new: Version number under which it is served now.
        pushed_uri: Folder of the new version.
    """
    if not home.mlflow_database.is_file():
        return
    quiet_mlflow()
    from mlflow import MlflowClient, MlflowException

    try:
        with signals_deferred():
            registry.promote(MlflowClient(tracking_uri(home)), name, old, new, pushed_uri)
    except MlflowException as error:
        _log.warning("The champion in MLflow was not moved after the rollback: %s", error)
