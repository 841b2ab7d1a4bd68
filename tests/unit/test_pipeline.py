"""Work in threads, answers in order."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from faceproof.pipeline import batch_by_weight, map_in_order


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_answers_come_in_order_however_long_they_take(workers):
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return -item

    assert list(map_in_order(slow_first, range(9), workers=workers, ahead=5)) == [
        -number for number in range(9)
    ]


def test_work_runs_beside_the_caller():
    names = set(
        map_in_order(lambda _: threading.current_thread().name, range(9), workers=2, ahead=4)
    )
    assert names <= {"faceproof_0", "faceproof_1"}


def test_a_result_does_not_wait_for_more_items():
    taken = []

    def slow_items():
        for item in range(200):
            taken.append(item)
            yield item
            time.sleep(0.005)

    answers = map_in_order(abs, slow_items(), workers=1, ahead=1000)
    assert next(answers) == 0
    assert len(taken) < 150
    answers.close()


def test_an_error_is_raised_in_its_turn():
    answers = map_in_order(lambda item: 1 // item, [1, 0, 1], workers=2, ahead=3)
    assert next(answers) == 1
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_what_was_not_begun_is_left_when_the_caller_stops():
    begun = []
    gate = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            gate.wait(5)
        return item

    answers = map_in_order(work, range(100), workers=1, ahead=50)
    assert next(answers) == 0
    threading.Timer(0.05, gate.set).start()
    answers.close()
    assert begun in ([0], [0, 1])


def test_batches_are_closed_when_they_weigh_enough():
    assert list(batch_by_weight([5, 1, 1, 1, 9], int, weight=3)) == [[5], [1, 1, 1], [9]]
    assert list(batch_by_weight([], int, weight=3)) == []


#: Ctrl-C at each call and each return of the caller's thread in turn; a run that does not end is
#: ended with exit code 1.
_INTERRUPT_EVERYWHERE = """
import faulthandler, signal, sys
from faceproof.pipeline import map_in_order

def events_until(wanted):
    count = 0
    def count_event(frame, event, argument):
        nonlocal count
        count += 1
        if count == wanted:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)
    sys.setprofile(count_event)
    try:
        for _ in map_in_order(abs, range(4), workers=2, ahead=2):
            pass
    finally:
        sys.setprofile(None)
    return count

signal.signal(signal.SIGINT, signal.default_int_handler)
faulthandler.dump_traceback_later(60, exit=True)
interrupted = 0
for wanted in range(1, events_until(0)):
    try:
        events_until(wanted)
    except KeyboardInterrupt:
        interrupted += 1
print(interrupted)
"""


def test_a_signal_at_any_moment_ends_the_work():
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPT_EVERYWHERE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200
