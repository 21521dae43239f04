"""Versions on disk: whole, ascending, reversible."""

import errno
from pathlib import Path

import pytest

from components.errors import UsageError, VisionTfxError
from components.export import publishing


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def test_push_copies_byte_for_byte(model, tmp_path):
    version = publishing.push(model, tmp_path / "served", now=1_700_000_000.9)
    assert version == 1_700_000_000
    pushed = tmp_path / "served" / str(version)
    assert (pushed / "saved_model.pb").read_bytes() == b"graph"
    assert (pushed / "variables" / "variables.index").read_bytes() == b"weights"


def test_two_pushes_in_one_second_are_two_versions(model, tmp_path):
    served = tmp_path / "served"
    assert [publishing.push(model, served, now=100.0) for _ in range(3)] == [100, 101, 102]
    # A clock that was set back does not make an older version.
    assert publishing.push(model, served, now=5.0) == 103
    assert publishing.versions(served) == [100, 101, 102, 103]


def test_nothing_but_versions_is_left_behind(model, tmp_path):
    publishing.push(model, tmp_path / "served", now=100.0)
    assert [path.name for path in (tmp_path / "served").iterdir()] == ["100"]


def test_full_disk_leaves_earlier_versions_alone(model, tmp_path, monkeypatch):
    served = tmp_path / "served"
    publishing.push(model, served, now=100.0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publishing.shutil, "copytree", full)
    with pytest.raises(VisionTfxError, match="No space left on device"):
        publishing.push(model, served, now=200.0)
    assert [path.name for path in served.iterdir()] == ["100"]


def test_half_written_and_foreign_folders_are_no_versions(tmp_path):
    for name in ("7", "incoming-x", "1.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "1.old" / "saved_model.pb").touch()
    assert publishing.versions(tmp_path) == []


def test_rollback_republishes_the_one_before(model, tmp_path):
    served = tmp_path / "served"
    publishing.push(model, served, now=100.0)
    (model / "saved_model.pb").write_bytes(b"newer")
    publishing.push(model, served, now=200.0)
    old, version = publishing.rollback(served)
    assert old == 100
    assert version > 200
    assert Path(served, str(version), "saved_model.pb").read_bytes() == b"graph"
    assert publishing.rollback(served, to=200) == (200, version + 1)


def test_rollback_says_what_there_is(model, tmp_path):
    served = tmp_path / "served"
    with pytest.raises(UsageError, match="has no pushed model; run the pipeline first"):
        publishing.rollback(served)
    publishing.push(model, served, now=100.0)
    with pytest.raises(UsageError, match="has only version 100; push another"):
        publishing.rollback(served)
    with pytest.raises(UsageError, match="no version 3; choose one of 100 with --to"):
        publishing.rollback(served, to=3)
