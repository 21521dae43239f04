"""The doctor: what it reports as a failure, and the cure it names. The host is a fake."""

import sys
import types
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from pipeline import cli, doctor
from pipeline.commands import doctor as command
from pipeline.doctor import Check


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 14), "fail"), ((3, 11, 0), "ok"), ((3, 13, 9), "ok"), ((3, 14, 0), "fail")]
)
def test_python(version: tuple[int, ...], status: str):
    assert doctor.python(version).status == status


@pytest.mark.parametrize(
    ("version", "libc", "status"),
    [
        ((3, 12), ("glibc", "2.36"), "fail"),
        ((3, 13), ("glibc", "2.38"), "fail"),
        ((3, 12), ("glibc", "2.39"), "ok"),
        ((3, 13), ("glibc", "2.41"), "ok"),
        ((3, 11), ("glibc", "2.31"), "ok"),
        ((3, 12), ("", ""), "ok"),
    ],
)
def test_python_and_glibc(version: tuple[int, ...], libc: tuple[str, str], status: str):
    check = doctor.glibc(version, libc)
    assert check.status == status
    assert bool(check.cure) == (status == "fail")


def test_missing_packages_are_named():
    def version(name: str) -> str:
        if name == "tfx":
            raise PackageNotFoundError(name)
        return "1.0"

    check = doctor.packages(version)
    assert (check.status, check.found) == ("fail", "missing: tfx")
    assert check.cure


def test_component_that_is_silently_none(monkeypatch: pytest.MonkeyPatch):
    components = types.SimpleNamespace(**(dict.fromkeys(doctor.TFX_COMPONENTS, object) | {"Trainer": None}))
    monkeypatch.setitem(sys.modules, "tfx", types.ModuleType("tfx"))
    monkeypatch.setitem(sys.modules, "tfx.v1", types.SimpleNamespace(components=components))
    monkeypatch.setitem(sys.modules, doctor.TFX_COMPONENTS["Trainer"], None)  # cannot be imported, even if it was
    check = doctor.tfx_components()
    assert check.status == "fail"
    assert check.found.startswith("Trainer: ModuleNotFoundError")


def test_gpu_that_tensorflow_does_not_see(monkeypatch: pytest.MonkeyPatch):
    config = types.SimpleNamespace(list_physical_devices=lambda _: [])
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    assert doctor.gpu().status == "ok"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.gpu().status == "warn"


def test_home_is_checked_not_created(tmp_path: Path):
    assert doctor.writable(tmp_path / "new").status == "ok"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("free", "status"), [(1, "fail"), (2 * 1024**3, "warn"), (9 * 1024**3, "ok")])
def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=free))
    assert doctor.disk(tmp_path / "new").status == status


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_exit_code_and_cure(
    status: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    monkeypatch.setattr(command, "slow_checks", lambda: [Check("GPU", status, "none", "buy one")])  # type: ignore[arg-type]
    assert cli.main(["doctor", "--home", str(tmp_path)]) == code
    shown = capfd.readouterr().out
    assert "GPU" in shown
    assert "Cure: buy one" in shown
