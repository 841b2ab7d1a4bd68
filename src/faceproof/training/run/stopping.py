"""`record_signals`: graceful stopping by Ctrl-C and SIGTERM between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingStopped(KeyboardInterrupt):
    """A signal ended the training after its state was saved; the same call resumes it.

    ``exit_code`` is what a shell reports for a program that the signal ended.
    """

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; run the same command again to resume")
        self.exit_code = 128 + number


@dataclass
class _StopRequest:
    """The number of the received stop signal; 0 for none."""

    number: int = 0


@contextmanager
def record_signals() -> Iterator[_StopRequest]:
    """Record a first signal without interruption; a second one interrupts at once.

    Outside the main thread, where Python cannot handle signals, nothing is recorded.
    """
    request = _StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def record(number: int, _frame: FrameType | None) -> None:
        if request.number:
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, record) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def ignore_signals() -> None:
    """Ignore signals in a worker process; its parent handles them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
