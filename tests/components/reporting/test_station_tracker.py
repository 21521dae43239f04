import os
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from components import environment
from components.reporting import station_tracker
from components.reporting.station_tracker import (
    StationTracker,
    epoch_callback,
    station_run,
)

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    station_tracker.quiet_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('home')}/mlflow.db")


@pytest.fixture
def parent(client, tmp_path, monkeypatch):
    experiment = client.create_experiment(tmp_path.name, artifact_location=tmp_path.as_uri())
    run_id = client.create_run(experiment).info.run_id
    monkeypatch.setenv(environment.TRACKING_URI, client.tracking_uri)
    monkeypatch.setenv(environment.PARENT_RUN, run_id)
    return run_id


def test_nothing_exported_imports_no_mlflow_and_does_nothing():
    script = (
        "import sys\n"
        "from components.reporting.station_tracker import station_run\n"
        "with station_run('Trainer') as tracker:\n"
        "    tracker.log_metrics({'loss': 1.0})\n"
        "    tracker.log_figure(None, 'x.png')\n"
        "assert not {'mlflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
    )
    bare = {name: value for name, value in os.environ.items() if name != environment.PARENT_RUN}
    subprocess.run([sys.executable, "-c", script], check=True, env=bare)


@pytest.mark.lengthy
def test_child_run_has_what_was_logged(client, parent):
    with station_run("RBMPretrainer") as tracker:
        tracker.log_metrics({"layer1/loss": 2.5}, step=1)
        tracker.log_metrics({"layer1/loss": 1.5}, step=2)
        tracker.log_params({"hidden_units": (500, 500)})
        tracker.log_figure(Figure(), "filters.png")
        tracker.log_text("hello", "note.txt")
        assert client.get_run(tracker.run_id).info.status == "RUNNING"
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == run.data.tags["station"] == "RBMPretrainer"
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.info.experiment_id == client.get_run(parent).info.experiment_id
    assert [(m.step, m.value) for m in client.get_metric_history(tracker.run_id, "layer1/loss")] == [(1, 2.5), (2, 1.5)]
    assert run.data.params == {"hidden_units": "(500, 500)"}
    assert {file.path for file in client.list_artifacts(tracker.run_id)} == {"filters.png", "note.txt"}


@pytest.mark.lengthy
@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_end_tells_failure_from_interruption(client, parent, error, status):
    with pytest.raises(error), station_run("Trainer") as tracker:
        raise error
    assert client.get_run(tracker.run_id).info.status == status


def test_names_that_mlflow_forbids_and_values_that_are_no_number(client, parent):
    with station_run("Evaluator") as tracker:
        tracker.log_metrics({"error/5%": 1.0, "Straße": 2.0, "nan": float("nan")})
    assert set(client.get_run(tracker.run_id).data.metrics) == {"error/5_", "Straße", "nan"}


class Broken:
    """A client whose database is locked."""

    def __init__(self):
        self.calls = 0

    def __getattr__(self, name):
        def call(*arguments, **keywords):
            self.calls += 1
            raise OSError("database is locked")

        return call


def test_a_broken_mlflow_is_warned_of_once_and_then_left_alone(caplog):
    client = Broken()
    tracker = StationTracker(client, "run", "Trainer")
    for epoch in range(10):
        tracker.log_metrics({"loss": 1.0}, step=epoch)
    tracker.finish("FINISHED")
    assert client.calls == station_tracker.MAX_FAILURES
    assert [record.getMessage() for record in caplog.records] == [
        "MLflow did not accept a record of Trainer, which continues: database is locked"
    ]


def test_full_disk_while_a_figure_is_logged_does_not_stop_the_station(parent, monkeypatch, caplog):
    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with station_run("Trainer") as tracker:
        tracker.log_figure(Figure(), "filters.png")
    assert "No space left on device" in caplog.text


def test_an_unknown_parent_leaves_the_station_untracked(client, parent, monkeypatch, caplog):
    monkeypatch.setenv(environment.PARENT_RUN, "0" * 32)
    with station_run("Trainer") as tracker:
        tracker.log_metrics({"loss": 1.0})
    assert tracker.run_id == ""
    assert "opened no run for Trainer" in caplog.text


def test_stray_run_id_in_the_environment_is_removed(client, parent, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    with station_run("Trainer") as tracker:
        assert "MLFLOW_RUN_ID" not in os.environ
    assert tracker.run_id != parent


def test_epoch_callback_logs_every_fit_under_its_prefix(client, parent):
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    images, targets = np.ones((8, 2)), np.ones((8, 1))
    with station_run("Trainer") as tracker:
        for epochs, prefix in [(2, ""), (3, "fine/")]:
            model.fit(images, targets, epochs=epochs, verbose=0, callbacks=[epoch_callback(tracker, prefix)])
    assert [m.step for m in client.get_metric_history(tracker.run_id, "loss")] == [1, 2]
    history = client.get_metric_history(tracker.run_id, "fine/loss")
    assert [m.step for m in history] == [1, 2, 3]
    assert history[0].value > history[-1].value


def test_figure_may_be_a_function_that_is_called_only_where_it_is_kept(client, parent, caplog):
    def draw():
        raise ValueError("nothing to draw")

    StationTracker().log_figure(draw, "filters.png")
    with station_run("Trainer") as tracker:
        tracker.log_figure(Figure, "empty.png")
        tracker.log_figure(draw, "filters.png")
    assert [file.path for file in client.list_artifacts(tracker.run_id)] == ["empty.png"]
    assert "nothing to draw" in caplog.text
