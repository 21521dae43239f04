"""Redirects stdout and stderr of the process to a file, including those of C++ code and child processes."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def redirected(log_file: Path) -> Iterator[TextIO]:
    """Redirects file descriptors 1 and 2 to the end of a log file while the block runs.

    Replacing `sys.stdout` and `sys.stderr` would not suffice, because TensorFlow's C++ code and Beam's workers write to
    the descriptors.

    Args:
        log_file: File to append to; its folder is created if it does not exist.

    Yields:
        A text stream to the terminal, file or pipe that stdout was before.

    Example:
        >>> with redirected(Path("run.log")):
        ...     _ = os.write(STDOUT, b"from C++")
        >>> Path("run.log").read_text()
        'from C++'
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (STDOUT, STDERR)}
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # A separate copy, because closing the stream must not close the copy that stdout is restored from.
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
        with contextlib.suppress(OSError):  # a reader that has exited (`| head`) is not an error
            console.close()


@contextlib.contextmanager
def quiet(text: str) -> Iterator[Callable[[str], None]]:
    """Discards the output of libraries while the block runs, and shows a status line on a terminal.

    Args:
        text: Text of the status line, such as "Loading TensorFlow".

    Yields:
        A function that changes the text.
    """
    from rich.console import Console

    with redirected(Path(os.devnull)) as stream:
        console = Console(file=stream)
        status = console.status(text)
        with status if console.is_terminal else contextlib.nullcontext():
            yield status.update


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nothing can be lost in a closed or broken stream
            stream.flush()
