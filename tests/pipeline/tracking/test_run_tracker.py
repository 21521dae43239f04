"""The record of a run in MLflow, in a real store."""

import hashlib
import json
import os
import sqlite3
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from components import environment
from components.errors import UsageError, VisionTfxError
from components.reporting.station_tracker import station_run
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.reports import StationReport
from pipeline.tracking.registry import mlflow_signature
from pipeline.tracking.run_tracker import RunTracker
from pipeline.tracking.store import promote, station_output, tracking_uri

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

CONFIG = RunConfig(name="tiny-dbn")


@pytest.fixture(autouse=True)
def own_environment():
    with mock.patch.dict(os.environ):
        os.environ.pop(environment.PARENT_RUN, None)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home of é"))


@pytest.fixture
def config(request):
    return replace(CONFIG, name=request.node.name)


@pytest.fixture
def tracker(home, config):
    tracker = RunTracker(home, config)
    tracker.start("run-1")
    yield tracker
    tracker.finish("FINISHED")


@pytest.fixture
def client(home):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(home))


def children_of(client, tracker):
    run = client.get_run(tracker.run_id)
    found = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    return {child.info.run_name: child for child in found}


@pytest.mark.lengthy
def test_parent_run_records_configuration_and_code(tracker, client, home, tmp_path):
    run = client.get_run(tracker.run_id)
    assert run.info.run_name == "run-1"
    assert run.data.params["training.epochs"] == str(CONFIG.training.epochs)
    assert run.data.params["model.pretraining.gibbs_steps"] == "1"
    assert run.data.tags["version.mlflow"]
    assert client.get_experiment(run.info.experiment_id).name == "test_parent_run_records_configuration_and_code"
    artifact = client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))
    assert str(CONFIG.seed) in Path(artifact).read_text()
    assert list(home.mlflow_artifacts.rglob("config.yaml")), "artifacts lie in the home"


@pytest.mark.lengthy
def test_configuration_artifact_runs_again_unchanged(tracker, config, client, tmp_path):
    from pipeline.options.arguments import parse

    artifact = client.download_artifacts(tracker.run_id, "config.yaml", str(tmp_path))
    assert parse(["--config", artifact]).config == config


def test_environment_is_exported_for_the_run_only(home, monkeypatch):
    monkeypatch.setenv(environment.TRACKING_URI, "http://elsewhere")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    tracker = RunTracker(home, CONFIG)
    run_id = tracker.start("run-1")
    assert os.environ[environment.PARENT_RUN] == run_id
    assert os.environ[environment.TRACKING_URI] == tracking_uri(home)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_RUN_ID" not in os.environ
    tracker.finish("FINISHED")
    assert os.environ[environment.TRACKING_URI] == "http://elsewhere"
    assert environment.PARENT_RUN not in os.environ


def test_every_node_gets_one_child_run(tracker, client):
    with station_run("RBMPretrainer") as station:
        station.log_metrics({"loss": 1.0}, step=1)
    with pytest.raises(KeyboardInterrupt), station_run("Trainer"):
        raise KeyboardInterrupt
    reports = [
        StationReport("ImageExampleGen", "ran", 1_000, 4_500, 1, {"examples": ["/home/a", "/home/b"]}),
        StationReport("StatisticsGen", "cached", 5_000, 5_000, 2, {"statistics": ["/home/c"]}),
        StationReport("RBMPretrainer", "ran", 6_000, 9_000, 3, {"model": ["/home/d"]}),
        StationReport("Trainer", "failed", 9_000, 9_500, 4, {}, "interrupted"),
        StationReport("Pusher", "skipped", 0, 0, None, {}, "Trainer failed"),
    ]
    tracker.record_stations(reports)
    tracker.record_stations(reports)
    children = children_of(client, tracker)
    assert len(children) == len(reports)
    assert len(client.search_runs([client.get_run(tracker.run_id).info.experiment_id])) == len(reports) + 1
    generated = children["ImageExampleGen"]
    assert (generated.info.start_time, generated.info.end_time) == (1_000, 4_500)
    assert generated.data.metrics == {"seconds": 3.5}
    assert generated.data.tags["output.examples"] == "/home/a\n/home/b"
    assert generated.data.tags["mlmd.execution_id"] == "1"
    assert children["RBMPretrainer"].data.metrics == {"loss": 1.0, "seconds": 3.0}
    assert {name: (run.data.tags["status"], run.info.status) for name, run in children.items()} == {
        "ImageExampleGen": ("ran", "FINISHED"),
        "StatisticsGen": ("cached", "FINISHED"),
        "RBMPretrainer": ("ran", "FINISHED"),
        "Trainer": ("failed", "KILLED"),
        "Pusher": ("skipped", "KILLED"),
    }
    assert children["Pusher"].data.tags["reason"] == "Trainer failed"


def test_outputs_of_an_earlier_run_are_found(tracker, home, tmp_path):
    tracker.record_stations([StationReport("ImageExampleGen", "ran", outputs={"examples": ["/artifacts/1"]})])
    run = (tracker.experiment_id, tracker.run_id)
    assert station_output(home, *run, "ImageExampleGen", "examples") == "/artifacts/1"
    assert station_output(home, *run, "ImageExampleGen", "model") is None
    assert station_output(home, *run, "Trainer", "examples") is None
    assert station_output(home, tracker.experiment_id, "0" * 32, "ImageExampleGen", "examples") is None
    assert station_output(Home(tmp_path), *run, "ImageExampleGen", "examples") is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_outside_the_pipeline_has_settings_of_its_own(home, client):
    tracker = RunTracker(home, replace(CONFIG, name="both"), {"members": "a/1, b/2"})
    tracker.start("run-1")
    tracker.finish("FINISHED")
    assert client.get_run(tracker.run_id).data.params == {"members": "a/1, b/2"}
    assert client.list_artifacts(tracker.run_id) == []


def test_data_set_is_an_input_with_the_digest_given(tracker, client):
    digest = hashlib.sha256(b"images").hexdigest()
    tracker.set_data_digest(digest, "/data/digits", {"train": 8, "validation": 1, "test": 1})
    run = client.get_run(tracker.run_id)
    (given,) = run.inputs.dataset_inputs
    assert run.data.tags["data.digest"] == digest
    assert digest.startswith(given.dataset.digest)
    assert len(given.dataset.digest) == 36
    assert json.loads(given.dataset.source) == {"uri": "/data/digits"}
    assert json.loads(given.dataset.profile)["num_rows"] == 10


def push(folder, outputs):
    """A SavedModel as far as its signature goes: outputs by name, each with its type and its shape."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    signature = model.meta_graphs.add().signature_def["serving_default"]
    signature.inputs["image_bytes"].dtype = types_pb2.DT_STRING
    signature.inputs["image_bytes"].tensor_shape.dim.add(size=-1)
    for name, (dtype, shape) in outputs.items():
        signature.outputs[name].dtype = dtype
        for size in shape:
            signature.outputs[name].tensor_shape.dim.add(size=size)
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


FLOAT, STRING = 1, 7  # TensorFlow's DT_FLOAT and DT_STRING
CLASSIFIER = {"classes": (STRING, (-1, 2)), "probabilities": (FLOAT, (-1, 2)), "scores": (FLOAT, (-1, 2))}


def test_pushed_model_is_registered_once_as_champion(tracker, config, home, client, tmp_path):
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    name = config.name
    pushed = push(tmp_path / name / "1", CLASSIFIER)
    (pushed / "assets" / "labels.txt").write_text("zero\none\n")
    for _ in range(2):
        tracker.register(str(pushed), 1, {"top1_error": 2.5}, example=b"\x89PNG bytes")
    champion = client.get_model_version_by_alias(name, "champion")
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
    assert champion.tags == {"saved_model": str(pushed), "serving_version": "1"}
    assert champion.run_id == tracker.run_id
    folder = download_artifacts(f"models:/{name}@champion")
    described = Model.load(folder)
    assert described.signature.inputs.input_names() == ["image_bytes"]
    assert described.signature.outputs.input_names() == ["classes", "probabilities", "scores"]
    assert described.load_input_example(folder)["image_bytes"][0] == b"\x89PNG bytes"
    assert described.metadata["labels"] == ["zero", "one"]
    assert described.metadata["saved_model"] == str(pushed)
    logged = client.get_logged_model(champion.source.removeprefix("models:/"))
    assert logged.status == "READY"
    assert logged.model_type == "image-classifier"
    assert {metric.key: metric.value for metric in logged.metrics} == {"top1_error": 2.5}
    assert client.get_run(tracker.run_id).data.metrics == {"top1_error": 2.5}

    tracker.register(str(push(pushed.with_name("2"), CLASSIFIER)), 2)
    assert client.get_model_version_by_alias(name, "champion").tags["serving_version"] == "2"
    promote(home, name, old=1, new=3, pushed_uri=str(pushed.with_name("3")))  # after a rollback
    again = client.get_model_version_by_alias(name, "champion")
    assert again.version == champion.version
    assert again.tags == {"saved_model": str(pushed.with_name("3")), "serving_version": "3"}


def test_a_registered_signature_is_that_of_the_saved_model(tmp_path):
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    from pipeline.tracking.registry import default_signature

    outputs = {"log_probability": (FLOAT, (-1,)), "reconstruction": (FLOAT, (-1, 8, 8, 1))}
    signature = mlflow_signature(default_signature(push(tmp_path / "1", outputs)))
    assert [(column.name, column.type) for column in signature.inputs] == [("image_bytes", DataType.binary)]
    assert [(column.name, column.type) for column in signature.outputs] == [
        ("log_probability", DataType.float),
        ("reconstruction", Array(DataType.float)),
    ]


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (VisionTfxError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_the_run_ends_with_the_block_as_the_block_does_and_open_children_with_it(home, client, error, status):
    tracker = RunTracker(home, CONFIG)
    with pytest.raises(type(error)) if error else nullcontext(), tracker.running("run-1") as run_id:
        station = station_run("Trainer")
        station.__enter__()
        children = children_of(client, tracker)
        if error:
            raise error
    assert run_id == tracker.run_id
    assert client.get_run(run_id).info.status == status
    assert client.get_run(children["Trainer"].info.run_id).info.status == "KILLED"
    assert environment.PARENT_RUN not in os.environ


def test_runs_left_open_by_a_crash_are_closed_with_the_time_of_their_last_write(home, client):
    crashed = RunTracker(home, CONFIG).start("crashed")
    with station_run("Trainer"):
        written = home.mlflow_database.stat().st_mtime
    os.utime(home.mlflow_database, (written + 3600, written + 3600))
    tracker = RunTracker(home, CONFIG)
    tracker.start("next")
    closed = client.get_run(crashed).info
    assert closed.status == "KILLED"
    assert closed.end_time == pytest.approx((written + 3600) * 1000, abs=1)
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    tracker.finish("FINISHED")


def test_run_continues_when_mlflow_fails_after_the_start(tracker, monkeypatch, caplog):
    from mlflow import MlflowClient

    def locked(*arguments, **keywords):
        raise OSError("database is locked")

    for method in ("log_batch", "search_runs", "log_inputs", "search_registered_models", "set_terminated"):
        monkeypatch.setattr(MlflowClient, method, locked)
    tracker.log_metrics({"top1_error": 1.0})
    tracker.record_stations([StationReport("Trainer", "ran", 1, 2, 1, {})])
    tracker.set_data_digest("abc", "/data")
    tracker.register("/pushed/1", 1)
    tracker.finish("FINISHED")
    monkeypatch.undo()
    assert len(caplog.records) == 5
    assert "MLflow failed in record_stations; the run continues without it: database is locked" in caplog.text
    assert environment.PARENT_RUN not in os.environ


def test_deleted_experiment_comes_back(home, client):
    tracker = RunTracker(home, CONFIG)
    tracker.start("run-1")
    tracker.finish("FINISHED")
    experiment = client.get_experiment_by_name(CONFIG.name)
    client.delete_experiment(experiment.experiment_id)
    tracker.start("run-2")
    tracker.finish("FINISHED")
    assert client.get_experiment_by_name(CONFIG.name).lifecycle_stage == "active"


def test_database_that_is_none_is_refused_at_once_and_kept(tmp_path, caplog):
    home = Home(tmp_path)
    home.mlflow_database.write_text("not a database, but long enough to be looked at as one " * 10)
    before = home.mlflow_database.read_bytes()
    caplog.set_level("WARNING")
    tracker = RunTracker(home, CONFIG)
    with pytest.raises(VisionTfxError, match=r"cannot write .*mlflow\.db \(file is not a database\)"):
        tracker.start("run-1")
    tracker.record_stations([StationReport("Trainer", "skipped")])
    tracker.finish("FAILED")
    assert not caplog.records
    assert home.mlflow_database.read_bytes() == before


def test_database_of_another_mlflow_is_refused_with_the_cure(tracker, home, tmp_path):
    copy = Home(tmp_path)
    copy.mlflow_database.write_bytes(home.mlflow_database.read_bytes())
    with closing(sqlite3.connect(copy.mlflow_database)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    with pytest.raises(VisionTfxError, match="mlflow db upgrade sqlite:///"):
        RunTracker(copy, CONFIG).start("run-1")


@pytest.mark.parametrize("folder", ["what?", "100%20"])
def test_home_that_is_no_address_is_refused(tmp_path, folder):
    with pytest.raises(UsageError, match="choose another home with --home"):
        RunTracker(Home(tmp_path / folder), CONFIG).start("run-1")
