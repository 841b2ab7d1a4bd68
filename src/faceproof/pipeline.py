"""`map_in_order` maps in threads and keeps the order; `batch_by_weight` groups by weight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in order; at most ``ahead`` items are in progress.

    After each item the next result is yielded if it is finished, so that slow items delay no
    result. Items are taken in the caller's thread, so that any iterable works. When the iteration
    ends, pending work is cancelled and the threads are joined. With ``workers`` 0 everything runs
    in the caller's thread.

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
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead or waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
