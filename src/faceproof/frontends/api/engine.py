"""Engine: from uploads to results, in threads behind an event loop that never computes."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from faceproof.checker import Checker
from faceproof.detector.scorers import usable_cores
from faceproof.errors import DeadlineError, StoppingError
from faceproof.frontends.api.batching import Batcher
from faceproof.frontends.api.room import Room
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.sources import fetched, opened_by
from faceproof.frontends.api.threads import Stage
from faceproof.frontends.api.uploads import Upload
from faceproof.results import CheckedBy, CheckResult
from faceproof.sources import Refused


class Observer(Protocol):
    """Takes what metrics are made of."""

    def judged_by(self, detector: CheckedBy, operating_point: str) -> None:
        """Note which detector judges."""

    def checked(self, result: CheckResult) -> None:
        """Count a result."""

    def batched(self, size: int) -> None:
        """Note how many faces met the networks together."""

    def queued(self, depth: int) -> None:
        """Note how many pictures are taken and not answered."""


class Unobserved:
    """An observer that looks away."""

    def judged_by(self, detector: CheckedBy, operating_point: str) -> None:
        """Note nothing."""

    def checked(self, result: CheckResult) -> None:
        """Count nothing."""

    def batched(self, size: int) -> None:
        """Note nothing."""

    def queued(self, depth: int) -> None:
        """Note nothing."""


@dataclass(frozen=True, eq=False)
class Task:
    """One picture to judge, sent or to be fetched, and by which checker; `key` names that."""

    key: Hashable
    checker: Checker
    source: Upload | str


class Engine:
    """Bounded, batching and cancellable; one for the life of the service."""

    def __init__(
        self, settings: ServiceSettings, *, room: Room, observer: Observer | None = None
    ) -> None:
        self._settings, self.room = settings, room
        self._observer = observer or Unobserved()
        openers = settings.opening_threads or usable_cores()
        self._opening = Stage(openers, "faceproof-open")
        self._fetching = Stage(settings.fetches, "faceproof-fetch")
        self._batcher = Batcher(
            threads=settings.judging_threads or usable_cores(),
            faces=settings.batch_faces,
            wait=settings.batch_wait_ms / 1000,
            coming=lambda: self._opening.under_way,
            batched=self._observer.batched,
        )
        self._running: set[asyncio.Task[CheckResult]] = set()

    async def check(self, tasks: Sequence[Task]) -> list[CheckResult]:
        """Return the results in order; who is cancelled gives its places back.

        Raises:
            BusyError: there is no place for all of them.
            StoppingError: the service is shutting down.
            DeadlineError: they were not all answered in time.
        """
        self.room.take(len(tasks))
        running = [self._started(task) for task in tasks]
        try:
            _, late = await asyncio.wait(running, timeout=self._settings.answer_seconds)
            if late:
                seconds = self._settings.answer_seconds
                raise DeadlineError(f"no answer within {seconds:g} seconds: ask again later")
            if any(task.cancelled() for task in running):
                raise StoppingError("the service stopped before this was answered")
            return [task.result() for task in running]
        finally:
            for one in running:
                one.cancel()

    def give_up(self) -> None:
        """End all that runs: who still waits is told that the service has stopped."""
        self.room.closed = True
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """Give up, and end the threads."""
        self.give_up()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._batcher.close()
        self._opening.close()
        self._fetching.close()

    def _started(self, task: Task) -> asyncio.Task[CheckResult]:
        """Return the running task of one picture, which frees its place when it ends."""
        running = asyncio.create_task(self._checked(task))
        self._running.add(running)
        running.add_done_callback(self._ended)
        self._observer.queued(self.room.waiting)
        return running

    def _ended(self, running: asyncio.Task[CheckResult]) -> None:
        self._running.discard(running)
        self.room.give_back()
        self._observer.queued(self.room.waiting)
        if not running.cancelled() and running.exception() is None:
            self._observer.checked(running.result())

    async def _checked(self, task: Task) -> CheckResult:
        """Return the result of one picture."""
        checker = task.checker
        with self.room.holding() as holding:
            source = await self._had(task)
            if source is not task.source and isinstance(source, Upload):
                holding.add(len(source.data))
            opened = await self._opening.run(partial(opened_by, checker, source))
        return await self._batcher.judged(task.key, checker.judge, opened)

    async def _had(self, task: Task) -> Upload | Refused:
        """Return the bytes of the picture, fetched where it was named by its address."""
        if isinstance(task.source, Upload):
            return task.source
        return await self._fetching.run(partial(fetched, task.source, task.checker.addresses))
