"""Stage: a bounded number of threads behind the event loop, whose queue can be left at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Stage:
    """Threads with a queue that is left at once by who is cancelled."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)
        self.under_way = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns, run in a thread.

        Cancelled while it runs, this ends when the thread has ended: until then what it holds
        is held.
        """
        async with self._free:
            self.under_way += 1
            try:
                return await _to_the_end(self._pool, function)
            finally:
                self.under_way -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _to_the_end(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    """Return what the function returns; a cancelled caller waits for the thread, then is."""
    future = asyncio.get_running_loop().run_in_executor(pool, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
