"""Lock of a home: two runs at a time would write the same metadata and artifacts."""

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
    """Locks the home for one run. The kernel releases the lock when the process ends, so a stale lock cannot block.

    Args:
        home: Home folder; created if it does not exist.
        run_id: Name of the run, for the error message of a second run.

    Raises:
        VisionTfxError: Another process holds the lock; nothing was changed.

    Example:
        >>> with home_lock(Path("home"), "run-1"), home_lock(Path("home"), "run-2"):
        ...     pass
        Traceback (most recent call last):
        components.errors.VisionTfxError: run run-1 (process ..., since ...) is using the home home; ...
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VisionTfxError(_refusal(home, file.name)) from None
        # The file is never deleted: a third run could then lock a new file while the old one is still locked.
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
        holding = f"run {holder['run_id']} (process {holder['pid']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        holding = "another run"
    return f"{holding} is using the home {home}; wait until it ends, or choose another home with --home DIR"
