"""Fixtures of the whole-pipeline tests: a small folder of images, the command line in this process, a home after a run.

The command line runs in the test's process, so that TFX is imported once; its descriptors 1 and 2 go to files, as a
shell would redirect them.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Blanks, letters outside ASCII, a script outside Latin: the class names of every test.
CLASSES = {"rotes Auto": (200, 60, 60), "zöld fa": (60, 200, 60), "青 ボール": (60, 60, 200)}
SMALL_MODEL = (
    *("--model.image-size", "6,6", "--model.hidden-units", "12", "--model.pretraining.epochs", "1"),
    *("--training.epochs", "12", "--training.batch-size", "10", "--validation-share", "0.25"),
)


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The content of stderr, which is one line and not a traceback."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out
        assert lines[0].startswith("vision-tfx: ")
        return lines[0]

    @property
    def statuses(self) -> dict[str, str]:
        """Status by station, from the table on the screen."""
        table = self.out.rpartition(" station ")[2]
        return dict(re.findall(r"^ (\w+) +(ran|cached|resolved|skipped|failed) ", table, re.MULTILINE))

    def note(self, station: str) -> str:
        """The line that was printed at the end of a station."""
        return next(line for line in self.out.splitlines() if line.startswith(f"{station} "))


@contextlib.contextmanager
def _descriptors(out: int, err: int) -> Iterator[None]:
    sys.stdout.flush(), sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    streams = sys.stdout, sys.stderr
    os.dup2(out, 1), os.dup2(err, 2)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w", closefd=False), "utf-8") for n in (1, 2))
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()  # not closed: handlers of `logging` keep them
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def run_cli(*words: object) -> Done:
    """Runs one command line in this process."""
    from pipeline.cli import main

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _descriptors(out.fileno(), err.fileno()):
            code = main([str(word) for word in words])
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return Done(code, *texts)


def make_images(root: Path, per_class: int, seed: int = 1) -> Path:
    """Creates class folders of noisy images, with one colour per class."""
    random = np.random.default_rng(seed)
    for label, colour in CLASSES.items():
        folder = root / label
        folder.mkdir(parents=True)
        for index in range(per_class):
            pixels = np.clip(np.array(colour) + random.normal(0, 60, (8, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"Bild {index:02}.png")
    return root


@dataclass(frozen=True)
class Place:
    """A home with the outputs of its runs, and a folder of images."""

    home: Path
    data: Path
    name: str = "colours"
    model: tuple = SMALL_MODEL

    def run(self, *words: object) -> Done:
        """`vision-tfx run` on the folder with a small model."""
        data = ("--data", f"folder:{self.data}", "--name", self.name)
        return run_cli("run", *data, "--home", self.home, *self.model, *words)

    @property
    def an_image(self) -> Path:
        """One of the images."""
        return self.data / "val" / "zöld fa" / "Bild 03.png"

    def predict(self, image: Path) -> dict:
        """`vision-tfx predict`: model, version, and the answer for one image."""
        done = run_cli("predict", image, "--home", self.home, "--json")
        assert done.code == 0, done.err
        answer = json.loads(done.out)
        return answer | answer["predictions"][0]

    def best_label(self, image: Path) -> str:
        """The best label for an image, from the newest version."""
        answer = self.predict(image)
        assert answer["version"] == self.versions[-1]
        return answer["classes"][0]

    @property
    def versions(self) -> list[int]:
        """Pushed versions; an incomplete model fails the test."""
        folder = self.home / "serving" / self.name
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        assert all(name.isdecimal() and (folder / name / "saved_model.pb").is_file() for name in names), names
        return sorted(map(int, names))

    def open_executions(self) -> list[str]:
        """Executions in ML Metadata that are neither finished nor cancelled."""
        from ml_metadata.proto import metadata_store_pb2 as mlmd
        from tfx.orchestration import metadata

        with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(self.home / "metadata.sqlite"))) as store:
            executions = store.store.get_executions()
        open_states = (mlmd.Execution.RUNNING, mlmd.Execution.NEW, mlmd.Execution.UNKNOWN)
        return [f"{e.id} {e.type}" for e in executions if e.last_known_state in open_states]

    def mlflow_statuses(self) -> tuple[str, Counter]:
        """Status of the newest parent run in MLflow, and the number of its child runs by status."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.home / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(self.name)
        runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
        assert not [run for run in runs if run.info.status == "RUNNING"]
        parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
        mine = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        return parent.info.status, Counter(run.info.status for run in mine)

    def assert_tidy(self, status: str) -> None:
        """Checks that no execution and no MLflow run is left open."""
        assert self.open_executions() == []
        assert self.mlflow_statuses()[0] == status


@pytest.fixture(scope="session")
def cli():
    """The command line, in this process."""
    return run_cli


def _place(root: Path) -> Place:
    make_images(root / "data" / "train", 24, seed=1)
    make_images(root / "data" / "val", 8, seed=2)
    return Place(root / "home", root / "data")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty home and a folder with train/ and val/ inside."""
    return _place(tmp_path)


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Done]:
    """A home with one good run, shared by all tests; each leaves it with a served model that answers."""
    place = _place(tmp_path_factory.mktemp("shared"))
    done = place.run()
    assert done.code == 0, done.err
    return place, done


@pytest.fixture
def pushed(first: tuple[Place, Done]) -> Iterator[Place]:
    """The shared home; after every test nothing is open in it and its served model answers."""
    place, _ = first
    before = place.versions
    yield place
    assert place.open_executions() == []
    assert set(before) <= set(place.versions)
    assert place.best_label(place.an_image) == place.an_image.parent.name


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory with the given options; a second call changes its options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> Path:
        options = f"remount,{options}" if disk.is_mount() else options
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True).returncode:
            pytest.skip("only root may mount")
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(["umount", "-l", disk], check=True)
