"""`map_in_order` maps in threads and keeps the order; `batch_by_weight` groups by weight.

`hold_signals` delays signals to the end of a block that must not be left half done.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in order; at most ``ahead`` items are in progress.

    After each item the next result is yielded if it is finished, so that slow items delay no
    result. Items are taken in the caller's thread, so that any iterable works. When the iteration
    ends, pending work is cancelled and the threads are joined. With ``workers`` 0 everything runs
    in the caller's thread. A signal is delivered between two items, not while one is waited for.

    >>> list(map_in_order(str.upper, "abc", workers=2, ahead=2))
    ['A', 'B', 'C']
    """
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="faceproof")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            # An exception of a handler in there may leave a lock of the future or of the pool
            # taken (threading.Condition enters in Python); its worker would wait for it for ever.
            with hold_signals():
                waiting.append(pool.submit(function, item))
                is_due = len(waiting) >= ahead or waiting[0].done()
            if is_due:
                yield _take_result(waiting)
        while waiting:
            yield _take_result(waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take_result(waiting: deque[Future[R]]) -> R:
    with hold_signals():
        return waiting.popleft().result()


def batch_by_weight(
    items: Iterable[T], weigh: Callable[[T], int], *, weight: int
) -> Generator[list[T], None, None]:
    """Yield lists of items, each of total weight ``weight`` or more; the last may weigh less.

    >>> list(batch_by_weight("abcde", lambda letter: 3 if letter == "b" else 1, weight=2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    batch: list[T] = []
    weighed = 0
    for item in items:
        batch.append(item)
        weighed += weigh(item)
        if weighed >= weight:
            yield batch
            batch, weighed = [], 0
    if batch:
        yield batch


@contextmanager
def hold_signals() -> Iterator[None]:
    """Deliver SIGINT, SIGTERM and SIGHUP after the block, not within it.

    Blocking them in the thread is not enough: another thread receives them, and the interpreter
    then calls the handler in the main thread. In other threads nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before: dict[int, Any] = {}
    try:
        for number in _HELD:
            if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                before[number] = signal.getsignal(number)
                signal.signal(number, lambda held, _: received.append(held))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
