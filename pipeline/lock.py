"""One run at a time in a home: two would write the same metadata and artifacts."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import VisionTfxError

LOCK_FILE = ".lock"


@contextmanager
def home_lock(home: Path, run_id: str) -> Iterator[None]:
    """Holds the home for one run. The kernel lets go of it when the process ends, so no stale lock ever blocks.

    Args:
        home: The home folder; made when it is not there.
        run_id: Name of the run, told to whoever comes second.

    Raises:
        VisionTfxError: Another process holds it; nothing was touched.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VisionTfxError(_refusal(home, file.name)) from None
        # Held by a file that stays: unlinking it would let a third run lock a new file beside the old one.
        _write(file.name, {"pid": os.getpid(), "run_id": run_id, "since": time.strftime("%Y-%m-%d %H:%M:%S")})
        try:
            yield
        finally:
            _write(file.name, {})


def _write(path: str, holder: dict[str, object]) -> None:
    Path(path).write_text(json.dumps(holder), encoding="utf-8")


def _refusal(home: Path, path: str) -> str:
    try:
        holder = json.loads(Path(path).read_text(encoding="utf-8"))
        who = f"run {holder['run_id']} (process {holder['pid']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another run"
    return f"{who} is using the home {home}: wait until it ends, or give this run a home of its own with --home DIR"
