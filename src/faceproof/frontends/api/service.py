"""`Service`: the state of one running instance and the handling of its requests.

`built-in.jpg` is Grace Hopper, official portrait of the United States Navy, 1984, public domain:
`samples/real-hopper.jpg`, cropped to the face, 256 px high, JPEG quality 90.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from faceproof.checker import FACES, Checker
from faceproof.errors import FaceproofError, TooManyFacesError, UsageError
from faceproof.frontends.api.capacity import Capacity
from faceproof.frontends.api.engine import CheckTask, Engine, Observer
from faceproof.frontends.api.pictures import BodyReader
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.uploads import Upload
from faceproof.imaging.decode import Pixels
from faceproof.imaging.faces import Face, FaceFinder, YuNet
from faceproof.results import CheckedBy, CheckResult
from faceproof.tables import choose

BUILT_IN = "built-in.jpg"

_LOG = logging.getLogger(__name__)


class Readiness:
    """Readiness of the service, with the reason if it is not ready."""

    def __init__(self, picture: Path | None, verdict: str) -> None:
        """Read the picture; raise UsageError if it cannot be read."""
        self.upload = _read(picture)
        self._right = verdict
        self._judged: str | None = "the readiness picture is not judged yet"
        self.stopping = False

    @property
    def reason_not_ready(self) -> str | None:
        """Reason why the service is not ready; None if it is ready."""
        return "the service is shutting down" if self.stopping else self._judged

    async def judge_picture(
        self, judge: Callable[[Upload], Awaitable[Sequence[CheckResult]]]
    ) -> None:
        """Judge the picture and record whether the verdict is correct."""
        try:
            (result,) = await judge(self.upload)
        except FaceproofError as error:
            self._judged = f"{self.upload.name}: check failed: {error}"
        else:
            self._judged = find_fault(result, self._right)
        if self._judged is not None:
            _LOG.warning("not ready: %s", self._judged)


def find_fault(result: CheckResult, right: str) -> str | None:
    """Return the error of a result with a known verdict, None if it is correct."""
    if result.error:
        return f"{result.source}: check failed: {result.error.message}"
    if len(result.faces) != 1:
        return f"{result.source}: expected one face, found {len(result.faces)}"
    if result.verdict != right:
        return f"{result.source}: expected verdict {right}, got {result.verdict}"
    return None


def _read(picture: Path | None) -> Upload:
    """Return the configured picture, or the built-in one."""
    if picture is None:
        return Upload(BUILT_IN, resources.files(__package__).joinpath(BUILT_IN).read_bytes())
    try:
        return Upload(picture.name, picture.read_bytes())
    except OSError as error:
        raise UsageError(f"ready_picture {picture}: {error.strerror}") from error


@dataclass(frozen=True)
class _Choice:
    """Options of a request: operating point, faces and heat maps."""

    at: str
    faces: str = "all"
    heatmaps: bool = False


class LimitedFaceFinder:
    """A face finder that rejects a picture with too many faces."""

    def __init__(self, finder: FaceFinder, most: int) -> None:
        self._finder, self._most = finder, most

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces, the largest first.

        Raises:
            TooManyFacesError: there are more than the service's limit.
        """
        faces = self._finder.find(pixels)
        if len(faces) > self._most:
            raise TooManyFacesError(
                f"{len(faces)} faces, limit {self._most} for one picture: "
                "send parts of it, or set faces=largest"
            )
        return faces


class _Checkers:
    """Derives checkers for each choice from the service's own, with a cache."""

    def __init__(self, checker: Checker, *, max_faces: int) -> None:
        self._given, self._max_faces = checker, max_faces
        self._finder = YuNet()
        self._made: dict[_Choice, Checker] = {}
        self.default = _Choice(at=checker.operating_point.name)

    def make_choice(
        self, *, at: str | None = None, faces: str = "all", heatmaps: bool = False
    ) -> _Choice:
        """Return a validated choice.

        Raises:
            UnknownChoiceError: unknown operating point, or unknown choice of faces.
            NoHeatMapError: the detector has no heat maps.
        """
        detector = self._given.detector
        choose(FACES, faces, what="choice of faces")
        if heatmaps:
            detector.refuse_without_maps()
        point = detector.operating_point(self.default.at if at is None else at)
        return _Choice(at=point.name, faces=faces, heatmaps=heatmaps)

    def __getitem__(self, choice: _Choice) -> Checker:
        """Return the checker for a choice."""
        if choice not in self._made:
            base = replace(choice, at=self.default.at)
            if base not in self._made:
                self._made[base] = self._make(base)
            self._made[choice] = self._made[base].at(choice.at)
        return self._made[choice]

    def _make(self, choice: _Choice) -> Checker:
        bounded = LimitedFaceFinder(self._finder, self._max_faces)
        given = self._given
        return Checker(
            given.detector,
            faces=choice.faces,
            at=choice.at,
            limits=given.limits,
            finder=bounded if choice.faces == "all" else self._finder,
            heatmaps=choice.heatmaps,
            addresses=given.addresses,
        )


T = TypeVar("T")


class Service:
    """A detector behind a queue; create it in the event loop that runs it."""

    def __init__(
        self,
        checker: Checker,
        settings: ServiceSettings,
        *,
        readiness: Readiness,
        observer: Observer | None = None,
    ) -> None:
        self.detector, self.readiness = checker.detector, readiness
        self.checkers = _Checkers(checker, max_faces=settings.max_faces)
        self.capacity = Capacity(places=settings.max_waiting, bytes_=settings.max_held_bytes)
        self.engine = Engine(settings, capacity=self.capacity, observer=observer)
        addresses = settings.addresses and checker.addresses is not None
        self.bodies = BodyReader(settings, addresses=addresses)
        if observer:
            observer.record_detector(CheckedBy.of(self.detector), self.checkers.default.at)

    async def check_one(self, request: Request, choice: _Choice) -> CheckResult:
        """Return the result of the one picture in a request."""
        self.capacity.check()
        with self.capacity.open_budget() as budget:
            source = await self.bodies.read_one(request, budget)
            return (await _cancel_when_gone(request, self.check_uploads([source], choice)))[0]

    async def check_several(self, request: Request, choice: _Choice) -> list[CheckResult]:
        """Return the results of the pictures in a request, in order."""
        self.capacity.check()
        with self.capacity.open_budget() as budget:
            sources = await self.bodies.read_several(request, budget)
            return await _cancel_when_gone(request, self.check_uploads(sources, choice))

    async def check_uploads(
        self, sources: Sequence[Upload | str], choice: _Choice
    ) -> list[CheckResult]:
        """Return the results of pictures, in order."""
        checker = self.checkers[choice]
        return await self.engine.check([CheckTask(choice, checker, source) for source in sources])

    def give_up(self) -> None:
        """Cancel all waiting requests with StoppingError."""
        self.bodies.give_up()
        self.engine.give_up()

    async def judge_built_in(self) -> None:
        """Judge the readiness picture."""
        await self.readiness.judge_picture(
            lambda upload: self.check_uploads([upload], self.checkers.default)
        )


@asynccontextmanager
async def run_service(service: Service) -> AsyncIterator[Service]:
    """Yield a service that has judged the readiness picture; close it at the end."""
    service.readiness.stopping = False
    try:
        await service.judge_built_in()
        yield service
    finally:
        service.readiness.stopping = True
        await service.engine.close()


async def _cancel_when_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; cancel it when the client closes the connection.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed the connection; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
