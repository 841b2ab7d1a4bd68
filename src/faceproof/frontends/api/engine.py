"""`Engine` turns uploads into results in worker threads, off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from faceproof.checker import Checker, PreparedPicture
from faceproof.detector.scorers import usable_cores
from faceproof.errors import DeadlineError, SourceError, StoppingError, UnsupportedSourceError
from faceproof.frontends.api.capacity import Capacity
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.uploads import Upload
from faceproof.imaging.fetching import FetchPolicy, fetch, strip_query
from faceproof.results import CheckedBy, CheckResult
from faceproof.sources import RefusedSource

T = TypeVar("T")


class ThreadPool:
    """Thread pool with a queue; a cancelled caller leaves the queue immediately."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)
        self.under_way = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns, run in a thread.

        When cancelled while the function runs, this waits for the thread to end, so that its
        resources stay reserved until then.
        """
        async with self._free:
            self.under_way += 1
            try:
                return await _run_to_end(self._pool, function)
            finally:
                self.under_way -= 1

    def close(self) -> None:
        """Shut down the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _run_to_end(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    """Return the function's result; a cancelled caller waits for the thread, then raises."""
    future = asyncio.get_running_loop().run_in_executor(pool, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _fetch_upload(address: str, policy: FetchPolicy | None) -> Upload | RefusedSource:
    """Return the file fetched from a URL, named by the URL without its query, or the error."""
    name = strip_query(address)
    try:
        if policy is None:
            raise UnsupportedSourceError("fetching URLs is disabled here: send the file itself")
        return Upload(name, fetch(address, policy).data)
    except SourceError as error:
        return RefusedSource(name, error)


def _open_source(checker: Checker, source: Upload | RefusedSource) -> PreparedPicture:
    """Return the opened picture, or its error."""
    if isinstance(source, RefusedSource):
        return checker.open(source)
    return checker.open(source.data, name=source.name)


_JudgeBatch = Callable[[Sequence[PreparedPicture]], list[CheckResult]]


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A queued picture with its judge and the future for its result."""

    key: Hashable
    judge: _JudgeBatch
    opened: PreparedPicture
    answer: asyncio.Future[CheckResult]


class _Batcher:
    """Worker threads; each free one takes queued pictures, up to ``faces`` at once.

    Pictures with the same key share a batch. If the batch is not full and ``coming`` reports
    more pictures being opened, it waits for them for at most ``wait`` seconds.
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
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="faceproof-judge")
        self._loops = [asyncio.create_task(self._serve()) for _ in range(threads)]

    async def submit(
        self, key: Hashable, judge: _JudgeBatch, opened: PreparedPicture
    ) -> CheckResult:
        """Return the result of an opened picture; a caller that is cancelled leaves the queue."""
        answer: asyncio.Future[CheckResult] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(key, judge, opened, answer)
        self._queue.append(waiting)
        self._arrived.set()
        try:
            return await answer
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)

    async def close(self) -> None:
        """Shut down the threads; cancel queued pictures first."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        """Judge batches in a loop."""
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self._gather()
            if batch := self._next_batch():
                await self._judge(batch)

    async def _gather(self) -> None:
        """Wait until a batch is full, no picture is being opened, or the time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait
        while self._count_queued_faces() < self._faces and self._coming() and loop.time() < until:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), until - loop.time())
            except TimeoutError:
                return

    def _count_queued_faces(self) -> int:
        """Return the number of queued faces."""
        return sum(waiting.opened.weight for waiting in self._queue)

    def _next_batch(self) -> list[_Waiting]:
        """Take the first queued picture and those with the same key that fit in its batch."""
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
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

    async def _judge(self, batch: Sequence[_Waiting]) -> None:
        """Judge a batch; on failure judge each picture separately, to isolate the faulty one."""
        loop = asyncio.get_running_loop()
        opened = [waiting.opened for waiting in batch]
        try:
            self._batched(sum(one.weight for one in opened))
            results = await loop.run_in_executor(self._pool, batch[0].judge, opened)
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(result)
        except Exception as error:  # noqa: BLE001 (handed to who asked, whatever it is)
            await self._handle_failure(batch, error)

    async def _handle_failure(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Set the error on a single picture, or judge the pictures one by one."""
        if len(batch) > 1:
            for waiting in batch:
                await self._judge([waiting])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)


class Observer(Protocol):
    """Receives the events that metrics count."""

    def record_detector(self, detector: CheckedBy, operating_point: str) -> None:
        """Record the detector in use."""

    def record_result(self, result: CheckResult) -> None:
        """Count a result."""

    def record_batch(self, size: int) -> None:
        """Record the number of faces in one inference batch."""

    def record_queue(self, depth: int) -> None:
        """Record the number of pictures accepted and not yet answered."""


class NullObserver:
    """An observer that does nothing."""

    def record_detector(self, detector: CheckedBy, operating_point: str) -> None:
        """Note nothing."""

    def record_result(self, result: CheckResult) -> None:
        """Count nothing."""

    def record_batch(self, size: int) -> None:
        """Note nothing."""

    def record_queue(self, depth: int) -> None:
        """Note nothing."""


@dataclass(frozen=True, eq=False)
class CheckTask:
    """One picture to judge, uploaded or to be fetched; `key` names the checker."""

    key: Hashable
    checker: Checker
    source: Upload | str


class Engine:
    """Bounded, batching, cancellable check engine; one for each service."""

    def __init__(
        self, settings: ServiceSettings, *, capacity: Capacity, observer: Observer | None = None
    ) -> None:
        self._settings, self.capacity = settings, capacity
        self._observer = observer or NullObserver()
        openers = settings.opening_threads or usable_cores()
        self._opening = ThreadPool(openers, "faceproof-open")
        self._fetching = ThreadPool(settings.fetches, "faceproof-fetch")
        self._batcher = _Batcher(
            threads=settings.judging_threads or usable_cores(),
            faces=settings.batch_faces,
            wait=settings.batch_wait_ms / 1000,
            coming=lambda: self._opening.under_way,
            batched=self._observer.record_batch,
        )
        self._running: set[asyncio.Task[CheckResult]] = set()

    async def check(self, tasks: Sequence[CheckTask]) -> list[CheckResult]:
        """Return the results in order; cancelling releases their places.

        Raises:
            BusyError: there is no capacity for all of them.
            StoppingError: the service is shutting down.
            DeadlineError: the results were not ready in time.
        """
        self.capacity.reserve(len(tasks))
        running = [self._start_task(task) for task in tasks]
        try:
            _, late = await asyncio.wait(running, timeout=self._settings.answer_seconds)
            if late:
                seconds = self._settings.answer_seconds
                raise DeadlineError(f"no result within {seconds:g} seconds: retry later")
            if any(task.cancelled() for task in running):
                raise StoppingError("the service stopped before the result was ready")
            return [task.result() for task in running]
        finally:
            for one in running:
                one.cancel()

    def give_up(self) -> None:
        """Cancel all running tasks; their callers get StoppingError."""
        self.capacity.closed = True
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """Cancel all tasks and shut down the threads."""
        self.give_up()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._batcher.close()
        self._opening.close()
        self._fetching.close()

    def _start_task(self, task: CheckTask) -> asyncio.Task[CheckResult]:
        """Return the running task of one picture; it releases its place when it ends."""
        running = asyncio.create_task(self._check_one(task))
        self._running.add(running)
        running.add_done_callback(self._finish_task)
        self._observer.record_queue(self.capacity.waiting)
        return running

    def _finish_task(self, running: asyncio.Task[CheckResult]) -> None:
        self._running.discard(running)
        self.capacity.release()
        self._observer.record_queue(self.capacity.waiting)
        if not running.cancelled() and running.exception() is None:
            self._observer.record_result(running.result())

    async def _check_one(self, task: CheckTask) -> CheckResult:
        """Return the result of one picture."""
        checker = task.checker
        with self.capacity.open_budget() as budget:
            source = await self._get_upload(task)
            if source is not task.source and isinstance(source, Upload):
                budget.add(len(source.data))
            opened = await self._opening.run(partial(_open_source, checker, source))
        return await self._batcher.submit(task.key, checker.judge, opened)

    async def _get_upload(self, task: CheckTask) -> Upload | RefusedSource:
        """Return the picture's bytes; fetch them if the task has a URL."""
        if isinstance(task.source, Upload):
            return task.source
        return await self._fetching.run(partial(_fetch_upload, task.source, task.checker.addresses))
