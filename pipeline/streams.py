"""Sends all that a process writes to stdout and stderr into a file, C++ logs and child processes included."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def redirected(log_file: Path) -> Iterator[TextIO]:
    """Points file descriptors 1 and 2 at the end of a log file while the block runs.

    TensorFlow's C++ code and Beam's workers write to the descriptors, not to `sys.stderr`, so replacing the Python
    objects would not be enough.

    Args:
        log_file: Appended to; its folder is made when it is not there.

    Yields:
        A text stream on the terminal (or file, or pipe) that stdout was before.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (STDOUT, STDERR)}
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # A copy of its own, so that closing the stream does not close what stdout is restored from.
    console = os.fdopen(os.dup(saved[STDOUT]), "w", encoding="utf-8", errors="replace")
    try:
        for descriptor in saved:
            os.dup2(log, descriptor)
        yield console
    finally:
        _flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(log)
        with contextlib.suppress(OSError):  # a reader that went away (`| head`) is no reason to fail
            console.close()


@contextlib.contextmanager
def quiet(text: str) -> Iterator[Callable[[str], None]]:
    """Drops what others write while the block runs; on a terminal, says what the wait is for.

    Args:
        text: Such as "Loading TensorFlow".

    Yields:
        A function that says something else from then on.
    """
    from rich.console import Console

    with redirected(Path(os.devnull)) as stream:
        console = Console(file=stream)
        status = console.status(text)
        with status if console.is_terminal else contextlib.nullcontext():
            yield status.update


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a closed or broken stream has nothing left to lose
            stream.flush()
