"""Handling of Ctrl-C and SIGTERM: both end a run alike, and neither interrupts a write that must be completed."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_received: list[int] = []  # signals received since `interruptible` was entered


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, SIGTERM raises KeyboardInterrupt as Ctrl-C does; service managers send SIGTERM."""
    _received.clear()
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruption_restored() -> Iterator[None]:
    """Raises KeyboardInterrupt in place of the error that a library made of it; for use within `interruptible`.

    Beam, for example, appends the name of its step to every error and raises the result as a RuntimeError.
    """
    try:
        yield
    except Exception as error:
        if _received:
            raise KeyboardInterrupt from error
        raise


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Defers signals to the end of the block; has no effect outside the main thread, which alone receives signals.

    For writes to a database: an interrupted cursor of SQLite keeps its lock as long as the traceback exists, so that a
    later write, such as the record of the interruption, waits in vain.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deferred: list[int] = []
    before = {number: signal.signal(number, lambda number, _: deferred.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if deferred:
            signal.raise_signal(deferred[0])
