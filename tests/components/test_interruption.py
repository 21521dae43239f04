"""Signals take effect at once, or after a block that must not be interrupted."""

import signal
import threading

import pytest

from components.interruption import interruptible, interruption_restored, signals_deferred

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_end_of_the_block(number):
    done = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        with signals_deferred():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("block")
        done.append("after")
    assert done == ["block"]


def test_no_signal_changes_nothing():
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible(), signals_deferred(), signals_deferred():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_error_within_the_block_is_raised():
    with pytest.raises(ValueError, match="inside"), signals_deferred():
        raise ValueError("inside")


def test_another_thread_defers_nothing():
    entered = []

    def work():
        with signals_deferred():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered


def test_an_interruption_is_recognised_behind_an_error():
    with pytest.raises(KeyboardInterrupt), interruptible(), interruption_restored():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interruption:
            raise RuntimeError("KeyboardInterrupt [while running 'Write']") from interruption


def test_without_an_interruption_an_error_stays_what_it_is():
    with pytest.raises(RuntimeError), interruptible(), interruption_restored():
        raise RuntimeError
