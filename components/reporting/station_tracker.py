"""MLflow from inside a node: a child run of the pipeline's run with metrics, plots and texts.

The runner exports the address of MLflow and the id of its run. Without them, a node tracks nothing and does not import
MLflow. Errors of MLflow are logged as warnings and never stop a training.
"""

import getpass
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from components import environment
from components.interruption import signals_deferred

STATION_TAG = "station"
MAX_FAILURES = 3  # a locked sqlite file costs 20 s per call before it fails

_log = logging.getLogger(__name__)


class StationTracker:
    """Writes to the MLflow run of one node; without a client every method is a no-op.

    The first failed call is logged as a warning; after `MAX_FAILURES` failures, further calls are skipped.

    Args:
        client: An `mlflow.MlflowClient`; None tracks nothing.
        run_id: Id of the node's MLflow run.
        station: Name of the node, for warnings.

    Example:
        >>> tracker = StationTracker()
        >>> tracker.log_metrics({"loss": 0.5}, step=1)  # no client, so nothing happens
    """

    def __init__(self, client: Any = None, run_id: str = "", station: str = "") -> None:
        self.run_id = run_id
        self._client = client
        self._station = station
        self._failures = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs numbers, all of them in one transaction.

        Args:
            metrics: Scalar values by name. Characters that MLflow does not allow in a name become "_".
            step: Position on the horizontal axis, such as the number of finished epochs; default 0.
        """
        self._send(lambda client: client.log_batch(self.run_id, metrics=metric_entities(metrics, step)))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs settings by name. MLflow keeps the first value of each parameter."""
        self._send(lambda client: client.log_batch(self.run_id, params=param_entities(params)))

    def log_figure(self, figure: Any, name: str) -> None:
        """Logs a figure as an image.

        Args:
            figure: A `matplotlib.figure.Figure`, or a function that returns one. The function is called only if there
                is a run to log to, and its errors do not stop the node.
            name: File name with the format as its suffix, such as "filters.png".
        """
        self._send(lambda client: client.log_figure(self.run_id, figure() if callable(figure) else figure, name))

    def log_text(self, text: str, name: str) -> None:
        """Logs a text file."""
        self._send(lambda client: client.log_text(self.run_id, text, name))

    def finish(self, status: str) -> None:
        """Ends the run with the status "FINISHED", "FAILED" or "KILLED"."""
        self._send(lambda client: client.set_terminated(self.run_id, status=status))

    def _send(self, call: Callable[[Any], object]) -> None:
        if self._client is None or self._failures >= MAX_FAILURES:
            return
        try:
            with signals_deferred():
                call(self._client)
        except Exception as error:  # whatever fails, the training matters more than its record
            self._failures += 1
            if self._failures == 1:
                _log.warning("MLflow did not accept a record of %s, which continues: %s", self._station, error)


@contextmanager
def station_run(station: str) -> Iterator[StationTracker]:
    """Opens a child run of the exported pipeline run, which ends with the block.

    The run ends as FINISHED, as FAILED after an exception, or as KILLED after an interruption. Exceptions propagate.

    Args:
        station: The component's id in the pipeline, by which the runner finds the run.

    Yields:
        The node's tracker. It tracks nothing if the runner exported no run or MLflow cannot be reached.

    Example:
        >>> with station_run("Trainer") as tracker:  # outside a pipeline, nothing is tracked
        ...     tracker.log_metrics({"loss": 0.5})
    """
    tracker = _open(station)
    status = "KILLED"
    try:
        yield tracker
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        tracker.finish(status)


def epoch_callback(tracker: StationTracker, prefix: str = "") -> Any:
    """Returns a Keras callback that logs the metrics of every epoch, for any number of `fit` calls.

    Args:
        tracker: The tracker that receives the metrics.
        prefix: Beginning of each metric's name, such as "layer1/".

    Returns:
        A `keras.callbacks.Callback`; the step of a metric is the number of finished epochs, 1 after the first.
    """
    import keras  # late, because nodes that train nothing do not need it

    def log(epoch: int, logs: Mapping[str, Any] | None) -> None:
        tracker.log_metrics({f"{prefix}{name}": value for name, value in (logs or {}).items()}, step=epoch + 1)

    return keras.callbacks.LambdaCallback(on_epoch_end=log)


def quiet_mlflow() -> None:
    """Prepares the environment; call it before every import of MLflow.

    Turns off telemetry and MLflow's own log handler, and removes MLFLOW_RUN_ID, which would override a run's parent.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.pop("MLFLOW_RUN_ID", None)


def run_tags(parent: str | None = None) -> dict[str, str]:
    """Returns the tags that MLflow's pages show of a run: user, source and parent run."""
    tags = {"mlflow.source.name": "vision-tfx", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    return tags if parent is None else tags | {"mlflow.parentRunId": parent}


def metric_entities(metrics: Mapping[str, float], step: int | None = None, model_id: str | None = None) -> list[Any]:
    """Converts numbers to MLflow's `Metric`s with the current time; a model id makes them metrics of the model too."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(_allowed(name), float(value), now, step or 0, model_id) for name, value in metrics.items()]


def param_entities(params: Mapping[str, Any]) -> list[Any]:
    """Converts settings to MLflow's `Param`s."""
    from mlflow.entities import Param

    return [Param(_allowed(name), str(value)) for name, value in params.items()]


def _open(station: str) -> StationTracker:
    uri, parent = os.environ.get(environment.TRACKING_URI), os.environ.get(environment.PARENT_RUN)
    if not uri or not parent:
        return StationTracker()
    try:
        quiet_mlflow()
        from mlflow import MlflowClient

        with signals_deferred():
            client = MlflowClient(uri)
            experiment = client.get_run(parent).info.experiment_id
            run = client.create_run(experiment, tags=run_tags(parent) | {STATION_TAG: station}, run_name=station)
    except Exception as error:
        _log.warning("MLflow at %s opened no run for %s, which continues: %s", uri, station, error)
        return StationTracker()
    return StationTracker(client, run.info.run_id, station)


def _allowed(name: str) -> str:
    return re.sub(r"[^\w./: -]", "_", name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return str(os.getuid())
