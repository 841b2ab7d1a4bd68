"""Service: what one running instance holds, and what it does with a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.frontends.api.bodies import Bodies
from faceproof.frontends.api.checkers import Checkers, Choice
from faceproof.frontends.api.engine import Engine, Observer, Task
from faceproof.frontends.api.readiness import Readiness
from faceproof.frontends.api.room import Room
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.uploads import Upload
from faceproof.results import CheckedBy, CheckResult

T = TypeVar("T")


class Service:
    """A detector behind a queue; made in the event loop that it runs in."""

    def __init__(
        self,
        checker: Checker,
        settings: ServiceSettings,
        *,
        readiness: Readiness,
        observer: Observer | None = None,
    ) -> None:
        self.detector, self.readiness = checker.detector, readiness
        self.checkers = Checkers(checker, max_faces=settings.max_faces)
        self.room = Room(places=settings.max_waiting, bytes_=settings.max_held_bytes)
        self.engine = Engine(settings, room=self.room, observer=observer)
        addresses = settings.addresses and checker.addresses is not None
        self.bodies = Bodies(settings, addresses=addresses)
        if observer:
            observer.judged_by(_named(self.detector), self.checkers.default.at)

    async def one(self, request: Request, choice: Choice) -> CheckResult:
        """Return the result of the one picture in a request."""
        self.room.check()
        with self.room.holding() as holding:
            source = await self.bodies.one(request, holding)
            return (await unless_gone(request, self.judged([source], choice)))[0]

    async def several(self, request: Request, choice: Choice) -> list[CheckResult]:
        """Return the results of the pictures in a request, in order."""
        self.room.check()
        with self.room.holding() as holding:
            sources = await self.bodies.several(request, holding)
            return await unless_gone(request, self.judged(sources, choice))

    async def judged(self, sources: Sequence[Upload | str], choice: Choice) -> list[CheckResult]:
        """Return the results of pictures, in order."""
        checker = self.checkers[choice]
        return await self.engine.check([Task(choice, checker, source) for source in sources])

    def give_up(self) -> None:
        """Answer all who still wait that the service has stopped."""
        self.bodies.give_up()
        self.engine.give_up()

    async def judge_built_in(self) -> None:
        """Judge the picture that says whether the service is ready."""
        await self.readiness.look(lambda upload: self.judged([upload], self.checkers.default))


def _named(detector: Detector) -> CheckedBy:
    """Return how results name a detector."""
    spec = detector.spec
    return CheckedBy(name=spec.name, version=spec.version, sha256=detector.sha256)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """Give a service that has judged the built-in picture, and end it."""
    service.readiness.stopping = False
    try:
        await service.judge_built_in()
        yield service
    finally:
        service.readiness.stopping = True
        await service.engine.close()


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; cancel it when the client closes the connection.

    Raises:
        ClientDisconnect: there is nobody left to answer.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
