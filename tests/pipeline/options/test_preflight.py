"""Checks before a run: every number has a range, and each refusal names field, value, range and cure."""

import dataclasses
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from components.errors import UsageError
from models.config import AlexNetConfig
from pipeline.config import RUN_TYPES
from pipeline.options import preflight
from pipeline.options.keys import keys_of
from pipeline.options.preflight import check_initial_weights
from pipeline.presets import PRESETS

DIGITS = PRESETS["digits-dbn"].config


def changed(key: str, value: Any, config: Any = DIGITS) -> Any:
    head, _, rest = key.partition(".")
    new = changed(rest, value, getattr(config, head)) if rest else value
    return dataclasses.replace(config, **{head: new})


def test_every_number_has_a_range():
    for run in RUN_TYPES.values():
        for name, key in keys_of(run).items():
            assert bool(key.accepts) == bool(re.search(r"\b(int|float)\b", str(key.type))), name


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("validation_share", 0.0, "validation_share is 0.0, but must be above 0 and below 1"),
        ("test_share", 1.0, "above 0 and below 1"),
        ("validation_share", float("nan"), "validation_share is nan"),
        ("training.learning_rate", float("inf"), "training.learning_rate is inf"),
        ("seed", -1, "seed is -1, but must be at least 0"),
        ("model.hidden_units", (), "model.hidden_units is empty"),
        ("model.hidden_units", (100, 0), "model.hidden_units is 0, but must be at least 1"),
        ("model.image_size", (0, 8), "model.image_size is 0"),
        ("training.batch_size", 0, "training.batch_size is 0"),
        ("training.momentum", 1.0, "at least 0 and below 1"),
        ("gates.max_top1_error", 101.0, "at least 0 and at most 100"),
        ("gates.max_broken_percent", -1.0, "change it with --gates.max-broken-percent"),
        ("gates.min_log_probability", 1.0, "gates.min_log_probability is 1.0, but must be at least -1e"),
        ("training.hidden_dropout", 1.0, "at least 0 and below 1"),
        ("model.partition.chains", 1, "model.partition.chains is 1, but must be at least 2"),
        ("model.up_down.gibbs_steps", (3, 0), "model.up_down.gibbs_steps is 0"),
    ],
)
def test_out_of_range(key: str, value: Any, words: str):
    with pytest.raises(UsageError, match=words):
        preflight.check_ranges(changed(key, value))


def test_none_is_not_out_of_range():
    preflight.check_ranges(changed("gates.max_top1_error", None))


def test_shares_leave_something_to_train_on():
    config = dataclasses.replace(DIGITS, validation_share=0.5, test_share=0.5)
    with pytest.raises(UsageError, match="leaves no images to train on"):
        preflight.check_ranges(config)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "größe", "a:b", "x" * 64, "serving", "logs"])
def test_bad_names(name: str):
    with pytest.raises(UsageError, match="--name"):
        preflight.check_name(name)


@pytest.mark.parametrize("name", ["digits-dbn", "A", "7.up_x"])
def test_good_names(name: str):
    preflight.check_name(name)


@pytest.mark.parametrize("data", ["", "folder:", "tfds:", "s3:x", "digit", "folder:PATH"])
def test_bad_data(data: str):
    with pytest.raises(UsageError, match="folder:PATH"):
        preflight.check_data(data)


def test_folder_is_checked_by_the_station_that_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen = []
    datasets = types.ModuleType("components.sources.datasets")
    datasets.check_folder = seen.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "components.sources.datasets", datasets)
    preflight.check_data(f"folder:{tmp_path}")
    assert seen == [tmp_path]


def test_initial_weights(tmp_path: Path):
    config = dataclasses.replace(PRESETS["folder-alexnet"].config, model=AlexNetConfig(initial_weights="w.pth"))
    with pytest.raises(UsageError, match=r"must end in .weights.h5, .keras or .npz"):
        check_initial_weights(config)
    file = tmp_path / "w.npz"
    config = dataclasses.replace(config, model=AlexNetConfig(initial_weights=str(file)))
    with pytest.raises(UsageError, match="there is no file of weights"):
        check_initial_weights(config)
    file.touch()
    check_initial_weights(config)


def test_home_is_made(tmp_path: Path):
    preflight.check(dataclasses.replace(DIGITS, home=str(tmp_path / "new" / "home")))
    assert list((tmp_path / "new" / "home").iterdir()) == []


def test_home_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the home .*file/home cannot be written \(Not a directory\); .*--home"):
        preflight.check_writable(tmp_path / "file" / "home")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(preflight.tempfile, "TemporaryFile", denied)  # root may write anywhere
    with pytest.raises(UsageError, match=r"cannot be written \(Permission denied\)"):
        preflight.check_writable(tmp_path)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10 * 1024**2))
    with pytest.raises(UsageError, match="10 MiB free, but this run needs about 501 MiB"):
        preflight.check_space(tmp_path, 1024**2)


def test_images_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(preflight, "check_data", lambda _: None)
    monkeypatch.setattr(preflight, "check_space", lambda _, data_bytes: asked.append(data_bytes))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"12345")
    config = dataclasses.replace(DIGITS, name="mine", data=f"folder:{tmp_path}/images", home=str(tmp_path / "home"))
    preflight.check(config)
    (tmp_path / "home" / "mine" / "artifacts").mkdir(parents=True)
    preflight.check(config)
    assert asked == [5, 0]
