"""Ctrl-C and SIGTERM: the second ends a run as the first does, and neither strikes where it would do harm."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_came: list[int] = []  # signals, while `terminable` is entered


def _interrupt(number: int, _: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """While the block runs, SIGTERM, which a service manager sends, raises KeyboardInterrupt as Ctrl-C does."""
    _came.clear()
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def recognised() -> Iterator[None]:
    """Inside `terminable`: an error that a library made of an interruption becomes KeyboardInterrupt again.

    Beam adds the name of its step to any error, and what comes out is a RuntimeError.
    """
    try:
        yield
    except Exception as error:
        if _came:
            raise KeyboardInterrupt from error
        raise


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A signal that comes while the block runs takes effect at its end; outside the main thread, nothing is done.

    For writes to a database: an interrupted cursor of sqlite keeps its lock as long as the traceback lives, and
    whoever then wants to record the interruption waits in vain.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *signal_: came.append(signal_)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0][0])
