"""MLflow's page: refused clearly where it cannot be shown."""

import socket
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import ui
from pipeline.home import Home


def test_no_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert cli.main(["ui", "--home", str(tmp_path)]) == 2
    assert "no run was logged" in capsys.readouterr().err


def test_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mlflow.db").write_bytes(b"")
    with socket.create_server((ui.HOST, 0)) as other:
        port = str(other.getsockname()[1])
        assert cli.main(["ui", "--home", str(tmp_path), "--port", port]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_port_out_of_range(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert cli.main(["ui", "--home", str(tmp_path), "--port", "70000"]) == 2
    assert "at most 65535" in capsys.readouterr().err


def test_only_this_machine_may_look(tmp_path: Path):
    command = ui.server_command(Home(tmp_path), 5000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert f"sqlite:///{tmp_path}/mlflow.db" in command


def test_server_that_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    (tmp_path / "mlflow.db").write_bytes(b"")
    monkeypatch.setattr(ui, "server_command", lambda *_: [sys.executable, "-c", "raise SystemExit(4)"])
    with socket.create_server((ui.HOST, 0)) as free:
        port = free.getsockname()[1]
    assert cli.main(["ui", "--home", str(tmp_path), "--port", str(port)]) == 1
    assert "exit code 4" in capsys.readouterr().err
