"""The whole road as a user takes it: run, run again, predict, be refused, roll back, interrupt."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import cli
from pipeline.home import Home

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parent.parent.parent
SEVEN = ROOT / "docs" / "images" / "seven.png"
QUICK = ["--model.pretraining.epochs", "5", "--training.epochs", "10", "--gates.max-top1-error", "20"]
STATIONS = [
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Transform", "RBMPretrainer",
    "Trainer", "Baseline", "Evaluator", "TestEvaluator", "InfraValidator", "Pusher",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


class Said:
    """What a command printed and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def statuses(self):
        """Status of each station, from the final table."""
        found = re.findall(r"^ (\w+) +(ran|cached|resolved|skipped|failed) ", self.out, re.MULTILINE)
        return dict(found)


@pytest.fixture
def run(home, capfd):
    def command(*words):
        capfd.readouterr()
        code = cli.main([*words, "--home", str(home)])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Said(code, out, err)

    return command


def versions(home):
    return sorted(int(path.name) for path in Path(home, "serving", "digits-dbn").iterdir())


def executions(home):
    """States of all executions in ML Metadata."""
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(Home(Path(home)).metadata)
    store = ml_metadata.MetadataStore(config)
    return [mlmd.Execution.State.Name(execution.last_known_state) for execution in store.get_executions()]


def parent_runs(home, experiment):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Home(Path(home)).mlflow_database}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return [run for run in found if "mlflow.parentRunId" not in run.data.tags]


# The tests of this file build on each other, as a user's commands do.


def test_first_run_pushes_a_model(run, home):
    said = run("run", "digits-dbn", *QUICK)
    assert said.code == 0, said.out + said.err
    assert list(said.statuses()) == STATIONS
    assert set(said.statuses().values()) == {"ran", "resolved"}
    [version] = versions(home)
    assert f"pushed as version {version}" in said.out
    assert "95 % confidence" in said.out


def test_every_image_is_accounted_for(home):
    from components.manifest import count_images

    [examples] = Path(home, "digits-dbn", "artifacts", "ImageExampleGen", "examples").iterdir()
    assert count_images(examples) == {"train": 1437, "validation": 180, "test": 180}
    [newest] = parent_runs(home, "digits-dbn")
    assert newest.data.metrics["validation_example_count"] == 180
    assert newest.data.metrics["test_example_count"] == 180


def test_second_run_does_nothing(run, home):
    before = versions(home)
    said = run("run", "digits-dbn", *QUICK)
    assert said.code == 0
    assert set(said.statuses().values()) == {"cached", "resolved"}
    assert f"Up to date: version {before[0]}" in said.out
    assert versions(home) == before


def test_printed_configuration_is_the_same_run(run, home, tmp_path, capfd):
    assert cli.main(["show", "digits-dbn", *QUICK, "--home", str(home)]) == 0
    file = tmp_path / "config.yaml"
    file.write_text(capfd.readouterr().out, encoding="utf-8")
    said = run("run", "--config", str(file))
    assert said.code == 0
    assert set(said.statuses().values()) == {"cached", "resolved"}


def test_the_pushed_model_answers(run):
    said = run("predict", str(SEVEN), "--json")
    assert said.code == 0
    assert "7" in json.dumps(json.loads(said.out))
    assert re.search(r'"7"', said.out)


def test_a_removed_version_is_published_again(run, home):
    import shutil

    [version] = versions(home)
    shutil.rmtree(Path(home, "serving", "digits-dbn", str(version)))
    assert run("run", "digits-dbn", *QUICK).code == 0
    assert len(versions(home)) == 1
    assert run("predict", str(SEVEN)).code == 0


def test_a_worse_model_is_refused(run, home):
    before = versions(home)
    said = run("run", "digits-dbn", *QUICK, "--training.learning-rate", "0.0001")
    assert said.code == 3
    assert said.statuses()["RBMPretrainer"] == "cached"
    assert said.statuses()["Trainer"] == "ran"
    assert said.statuses()["Pusher"] == "skipped"
    assert "newest other blessed model" in " ".join(said.out.split())
    assert versions(home) == before


def test_a_degenerate_model_is_refused(run, home):
    before = versions(home)
    said = run("run", "digits-dbn", *QUICK, "--training.learning-rate", "1e6", "--gates.max-error-increase", "100")
    assert said.code == 3
    assert "gain_over_constant" in said.out
    assert versions(home) == before


def test_only_what_changed_runs_again(run):
    said = run("run", "digits-dbn", *QUICK, "--training.epochs", "30", "--gates.max-error-increase", "100")
    assert said.code == 0
    ran = [name for name, status in said.statuses().items() if status == "ran"]
    assert ran == ["Trainer", "Evaluator", "TestEvaluator", "InfraValidator", "Pusher"]
    assert "training.epochs" in said.out


def test_rollback_serves_the_version_before(run, home):
    from mlflow import MlflowClient

    before = versions(home)
    assert run("rollback", "digits-dbn").code == 0
    after = versions(home)
    assert len(after) == len(before) + 1
    newest, source = (Path(home, "serving", "digits-dbn", str(v), "saved_model.pb") for v in (after[-1], before[-2]))
    assert newest.read_bytes() == source.read_bytes()
    champion = MlflowClient(f"sqlite:///{Home(home).mlflow_database}").get_model_version_by_alias(
        "digits-dbn", "champion"
    )
    assert champion.tags["serving_version"] == str(after[-1])


def photos(root, classes=("Äpfel und Birnen", "cat"), count=20):
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            image = np.clip(rng.normal(60 + 100 * number, 20, (12, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / name / f"{i}.png")
    return root


FOLDER = ["--model.hidden-units", "20", "--model.pretraining.epochs", "2", "--training.epochs", "10"]


def test_broken_files_stop_the_run_before_training(run, home, tmp_path):
    root = photos(tmp_path / "photos")
    (root / "cat" / "text.png").write_text("no image")
    said = run("run", "--data", f"folder:{root}", "--name", "photos", *FOLDER)
    assert said.code == 3
    assert "cat/text.png" in said.err
    assert said.err.count("\n") == 1
    assert said.statuses()["DataGate"] == "failed"
    assert said.statuses()["Trainer"] == "skipped"
    assert not Path(home, "serving", "photos").exists()
    [log] = {path for path in Path(home, "logs").glob("*/data_gate.txt") if "text.png" in path.read_text()}
    assert log.is_file()


def test_a_folder_of_two_classes_is_served(run, home, tmp_path):
    root = photos(tmp_path / "photos")
    said = run("run", "--data", f"folder:{root}", "--name", "pictures", *FOLDER)
    assert said.code == 0, said.out + said.err
    assert "top-5" not in said.out  # two classes: nothing to miss
    said = run("predict", str(root / "Äpfel und Birnen" / "0.png"), "--model", "pictures")
    assert said.code == 0
    assert "Äpfel und Birnen" in said.out


def test_nothing_is_left_open(home):
    assert not {"RUNNING", "NEW"} & set(executions(home))
    assert {run.info.status for run in parent_runs(home, "digits-dbn")} == {"FINISHED"}
    assert {run.info.status for run in parent_runs(home, "photos")} == {"FAILED"}


@pytest.fixture
def interrupted(home):
    """Starts a long run in a process of its own and waits until it trains."""
    words = ["run", "digits-dbn", *QUICK, "--model.pretraining.epochs", "100000", "--home", str(home)]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("Transform"):
            break
    time.sleep(5)  # into the first epochs of pretraining
    yield process
    process.kill()
    process.wait()


def test_two_runs_in_one_home(interrupted, run):
    said = run("run", "digits-dbn", *QUICK)
    assert said.code == 1
    assert f"process {interrupted.pid}" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_loses_nothing(interrupted, run, home, number):
    before = versions(home)
    interrupted.send_signal(number)
    out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "Traceback" not in out + err
    assert Said(130, out, err).statuses()["RBMPretrainer"] == "failed"
    assert versions(home) == before
    assert not {"RUNNING", "NEW"} & set(executions(home))
    assert not list(Path(home, "digits-dbn", "artifacts").glob("*/.temp/*/*"))
    assert "KILLED" in {run.info.status for run in parent_runs(home, "digits-dbn")}
    assert run("predict", str(SEVEN), "--model", "digits-dbn").code == 0
    said = run("run", "digits-dbn", *QUICK, "--training.epochs", "30", "--gates.max-error-increase", "100")
    assert said.code == 0
    assert said.statuses()["RBMPretrainer"] == "cached"


def test_a_killed_process_does_not_lock_the_home(interrupted, run, home):
    interrupted.kill()
    interrupted.wait()
    said = run("run", "digits-dbn", *QUICK, "--training.epochs", "30", "--gates.max-error-increase", "100")
    assert said.code == 0
    assert run("predict", str(SEVEN), "--model", "digits-dbn").code == 0
    # What the killed process left open is closed at the next start.
    assert "RUNNING" not in {run.info.status for run in parent_runs(home, "digits-dbn")}
