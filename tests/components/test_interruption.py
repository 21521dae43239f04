"""Signals strike at once, or after what must not be interrupted."""

import signal
import threading

import pytest

from components.interruption import held, recognised, terminable

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_end_of_the_block(number):
    done = []
    with pytest.raises(KeyboardInterrupt), terminable():
        with held():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("block")
        done.append("after")
    assert done == ["block"]


def test_no_signal_changes_nothing():
    before = [signal.getsignal(number) for number in SIGNALS]
    with terminable(), held(), held():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_error_goes_on():
    with pytest.raises(ValueError, match="inside"), held():
        raise ValueError("inside")


def test_another_thread_holds_nothing():
    entered = []

    def work():
        with held():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered


def test_an_interruption_is_recognised_behind_an_error():
    with pytest.raises(KeyboardInterrupt), terminable(), recognised():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interruption:
            raise RuntimeError("KeyboardInterrupt [while running 'Write']") from interruption


def test_without_an_interruption_an_error_stays_what_it_is():
    with pytest.raises(RuntimeError), terminable(), recognised():
        raise RuntimeError
