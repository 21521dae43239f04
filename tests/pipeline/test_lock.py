"""One run per home; a dead one does not block."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import VisionTfxError
from pipeline.lock import LOCK_FILE, home_lock

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.lock import home_lock
with home_lock(Path(sys.argv[1]), "run-7"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_run_is_told_who_holds_it(tmp_path: Path, holder: subprocess.Popen):
    with (
        pytest.raises(VisionTfxError, match=rf"run run-7 \(process {holder.pid}, since 2.*--home") as refused,
        home_lock(tmp_path, "run-8"),
    ):
        pytest.fail("two runs in one home")
    assert refused.value.exit_code == 1
    assert json.loads((tmp_path / LOCK_FILE).read_text())["run_id"] == "run-7"


def test_killed_holder_does_not_block(tmp_path: Path, holder: subprocess.Popen):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with home_lock(tmp_path, "run-8"):
        written = json.loads((tmp_path / LOCK_FILE).read_text())
    assert written["run_id"] == "run-8"
    assert written["pid"] == os.getpid()


def test_garbage_in_the_file_does_not_block(tmp_path: Path):
    (tmp_path / LOCK_FILE).write_text("not json")
    with home_lock(tmp_path, "run-1"):
        pass


def test_released_after_an_error_and_for_the_next(tmp_path: Path):
    home = tmp_path / "new" / "home"
    with pytest.raises(ZeroDivisionError), home_lock(home, "run-1"):
        raise ZeroDivisionError
    with home_lock(home, "run-2"):
        pass
    assert json.loads((home / LOCK_FILE).read_text()) == {}


def test_two_homes_are_independent(tmp_path: Path):
    with home_lock(tmp_path / "a", "run-1"), home_lock(tmp_path / "b", "run-2"):
        pass
