"""Signals are noted, obeyed by whoever asks, and handed back afterwards."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from faceproof.training.run.stopping import SIGNALS, TrainingStopped, ignore_signals, record_signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to oneself on Windows")


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted(number):
    with record_signals() as request:
        assert request.number == 0
        os.kill(os.getpid(), number)
        assert request.number == number


def test_the_second_one_interrupts():
    with record_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_handed_back():
    before = [signal.getsignal(number) for number in SIGNALS]

    def break_off() -> None:
        with record_signals():
            assert [signal.getsignal(number) for number in SIGNALS] != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_nothing_is_noted():
    noted: list[int] = []

    def look() -> None:
        with record_signals() as request:
            noted.append(request.number)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert noted == [0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_names_the_signal_and_the_shells_exit_code(number, code):
    stopped = TrainingStopped(number)
    assert stopped.exit_code == code
    assert str(stopped) == f"stopped by {number.name}; run the same command again to resume"
    assert isinstance(stopped, KeyboardInterrupt)


def test_helpers_ignore_signals():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        ignore_signals()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
