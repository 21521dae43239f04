"""MLflow from inside a station: a child run of the pipeline's run, its metrics, figures and texts.

The runner exports the address of MLflow and the id of its run; a station that finds neither tracks nothing and does
not import MLflow. Whatever goes wrong in MLflow is warned of in the log and never stops a training.
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
from components.interruption import held

STATION_TAG = "station"
MAX_FAILURES = 3  # a locked sqlite file costs 20 s per call before it fails

_log = logging.getLogger(__name__)


class StationTracker:
    """Writes to the MLflow run of one station; without a client it does nothing.

    A call that MLflow refuses is warned of once and dropped; after `MAX_FAILURES` of them nothing more is tried.

    Args:
        client: An `mlflow.MlflowClient`, or none to track nothing.
        run_id: The station's MLflow run.
        station: The station's name, for the log.
    """

    def __init__(self, client: Any = None, run_id: str = "", station: str = ""):
        self.run_id = run_id
        self._client = client
        self._station = station
        self._failures = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs numbers, all of them in one transaction.

        Args:
            metrics: Value by name, scalars. Characters that MLflow does not allow in a name become "_".
            step: Position on the horizontal axis, such as the number of epochs done; none means 0.
        """
        self._send(lambda client: client.log_batch(self.run_id, metrics=metric_entities(metrics, step)))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs settings: text by name. A parameter keeps the first value that it gets."""
        self._send(lambda client: client.log_batch(self.run_id, params=param_entities(params)))

    def log_figure(self, figure: Any, name: str) -> None:
        """Logs a figure as an image.

        Args:
            figure: A `matplotlib.figure.Figure`, or a function that draws one: it is called only when there is a run
                to log to, and if it fails, the station goes on.
            name: The file's name; it ends in its format, such as "filters.png".
        """
        self._send(lambda client: client.log_figure(self.run_id, figure() if callable(figure) else figure, name))

    def log_text(self, text: str, name: str) -> None:
        """Logs a text file."""
        self._send(lambda client: client.log_text(self.run_id, text, name))

    def finish(self, status: str) -> None:
        """Ends the run as "FINISHED", "FAILED" or "KILLED"."""
        self._send(lambda client: client.set_terminated(self.run_id, status=status))

    def _send(self, call: Callable[[Any], object]) -> None:
        if self._client is None or self._failures >= MAX_FAILURES:
            return
        try:
            with held():
                call(self._client)
        except Exception as error:  # whatever it is, a training is worth more than its record
            self._failures += 1
            if self._failures == 1:
                _log.warning("MLflow did not take a record of %s, which goes on without: %s", self._station, error)


@contextmanager
def station_run(station: str) -> Iterator[StationTracker]:
    """Opens a child run of the exported pipeline run; it ends with the block.

    It ends as FINISHED, as FAILED after an exception or as KILLED after an interruption; the exception goes on.

    Args:
        station: The component's id in the pipeline, so that the runner finds the run again.

    Yields:
        The station's tracker; one that does nothing when no run was exported or MLflow cannot be reached.
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
    """A Keras callback that logs what every epoch of `fit` reports, for any number of fits.

    Args:
        tracker: Where to.
        prefix: Goes before every name, such as "layer1/".

    Returns:
        A `keras.callbacks.Callback`; the step of a metric is the number of epochs done, 1 after the first.
    """
    import keras  # late: a station that trains nothing should not pay for it

    def log(epoch: int, logs: Mapping[str, Any] | None) -> None:
        tracker.log_metrics({f"{prefix}{name}": value for name, value in (logs or {}).items()}, step=epoch + 1)

    return keras.callbacks.LambdaCallback(on_epoch_end=log)


def quiet_mlflow() -> None:
    """Prepares the environment; call it before every import of MLflow.

    No telemetry, no handler of MLflow's own on the screen, and no MLFLOW_RUN_ID, which would win over a run's parent.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.pop("MLFLOW_RUN_ID", None)


def run_tags(parent: str | None = None) -> dict[str, str]:
    """Tags that MLflow's pages show of every run: who and what made it, and below which run it stands."""
    tags = {"mlflow.source.name": "vision-tfx", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    return tags if parent is None else tags | {"mlflow.parentRunId": parent}


def metric_entities(metrics: Mapping[str, float], step: int | None = None, model_id: str | None = None) -> list[Any]:
    """Turns numbers into MLflow's `Metric`s of this moment; those with a model id are shown at the model too."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(_allowed(name), float(value), now, step or 0, model_id) for name, value in metrics.items()]


def param_entities(params: Mapping[str, Any]) -> list[Any]:
    """Turns settings into MLflow's `Param`s."""
    from mlflow.entities import Param

    return [Param(_allowed(name), str(value)) for name, value in params.items()]


def _open(station: str) -> StationTracker:
    uri, parent = os.environ.get(environment.TRACKING_URI), os.environ.get(environment.PARENT_RUN)
    if not uri or not parent:
        return StationTracker()
    try:
        quiet_mlflow()
        from mlflow import MlflowClient

        with held():
            client = MlflowClient(uri)
            experiment = client.get_run(parent).info.experiment_id
            run = client.create_run(experiment, tags=run_tags(parent) | {STATION_TAG: station}, run_name=station)
    except Exception as error:
        _log.warning("MLflow at %s opened no run for %s, which goes on without: %s", uri, station, error)
        return StationTracker()
    return StationTracker(client, run.info.run_id, station)


def _allowed(name: str) -> str:
    return re.sub(r"[^\w./: -]", "_", name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return str(os.getuid())
