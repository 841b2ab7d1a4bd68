"""Batcher: pictures of several requests meet the networks together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faceproof.checker import Opened
from faceproof.results import CheckResult

Judge = Callable[[Sequence[Opened]], list[CheckResult]]


@dataclass(frozen=True, eq=False)
class Waiting:
    """An opened picture, who judges it, and where the answer goes."""

    key: Hashable
    judge: Judge
    opened: Opened
    answer: asyncio.Future[CheckResult]


class Batcher:
    """Threads that take what waits, up to ``faces`` at once, as soon as one of them is free.

    Pictures with the same key go together. Where the batch is not full and ``coming`` says that
    more pictures are being opened, it waits for them for at most ``wait`` seconds.
    """

    def __init__(
        self,
        *,
        threads: int,
        faces: int,
        wait: float,
        coming: Callable[[], int],
        batched: Callable[[int], None],
    ) -> None:
        self._faces, self._wait = faces, wait
        self._coming, self._batched = coming, batched
        self._queue: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="faceproof-judge")
        self._loops = [asyncio.create_task(self._serve()) for _ in range(threads)]

    async def judged(self, key: Hashable, judge: Judge, opened: Opened) -> CheckResult:
        """Return the result of an opened picture; a caller that is cancelled leaves the queue."""
        answer: asyncio.Future[CheckResult] = asyncio.get_running_loop().create_future()
        waiting = Waiting(key, judge, opened, answer)
        self._queue.append(waiting)
        self._arrived.set()
        try:
            return await answer
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)

    async def close(self) -> None:
        """End the threads; whatever is still waiting was given up before."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        """Judge batch after batch."""
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self._gather()
            if batch := self._next():
                await self._judge(batch)

    async def _gather(self) -> None:
        """Wait until a batch is full, nothing more is coming, or the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait
        while self._weight() < self._faces and self._coming() and loop.time() < until:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), until - loop.time())
            except TimeoutError:
                return

    def _weight(self) -> int:
        """Return how many faces wait."""
        return sum(waiting.opened.weight for waiting in self._queue)

    def _next(self) -> list[Waiting]:
        """Take the first picture that waits, and those of its kind that fit beside it."""
        batch: list[Waiting] = []
        left: deque[Waiting] = deque()
        room = self._faces
        for waiting in self._queue:
            fits = not batch or (waiting.key == batch[0].key and waiting.opened.weight <= room)
            if fits:
                batch.append(waiting)
                room -= waiting.opened.weight
            else:
                left.append(waiting)
        self._queue = left
        return batch

    async def _judge(self, batch: Sequence[Waiting]) -> None:
        """Judge a batch; where that fails, each picture alone, so that one harms no other."""
        loop = asyncio.get_running_loop()
        opened = [waiting.opened for waiting in batch]
        try:
            self._batched(sum(one.weight for one in opened))
            results = await loop.run_in_executor(self._pool, batch[0].judge, opened)
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(result)
        except Exception as error:  # noqa: BLE001 (handed to who asked, whatever it is)
            await self._failed(batch, error)

    async def _failed(self, batch: Sequence[Waiting], error: Exception) -> None:
        """Hand the error to the one who asked, or judge the pictures one by one."""
        if len(batch) > 1:
            for waiting in batch:
                await self._judge([waiting])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)
