"""A service around the tiny detector, which calls bright pictures fake, and pictures for it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from faceproof import Checker, Detector
from faceproof.checker import PreparedPicture
from faceproof.frontends.api import ServiceSettings, create_app
from faceproof.results import CheckResult

T = TypeVar("T")

SAMPLES = Path(__file__).parents[2] / "samples"


def picture(shade: int = 255, *, side: int = 40, kind: str = "PNG") -> bytes:
    """Return the file of a grey square: white is fake and black is real, with faces=whole."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, shade, shade)).save(file, kind)
    return file.getvalue()


def app_of(bundle: Path, **settings: Any) -> FastAPI:
    """Return the service of a detector's folder; feedback is kept nowhere."""
    used = ServiceSettings(**{"feedback": {"database": "off"}, **settings})
    detector = Detector.load(bundle)
    checker = Checker(detector, limits=used.limits, addresses=used.fetch_policy)
    return create_app(checker, used)


@contextmanager
def client_of(bundle: Path, **settings: Any) -> Iterator[TestClient]:
    """Give a client of a running service."""
    with TestClient(app_of(bundle, **settings), raise_server_exceptions=False) as client:
        yield client


def run(work: Callable[[], Coroutine[Any, Any, T]], *, seconds: float = 20.0) -> T:
    """Return what the work returns, run in an event loop of its own."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work()

    return asyncio.run(bounded())


class Held:
    """A checker of its own tempo: judging waits until `gate` is open."""

    addresses = None

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self.gate, self.begun = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []
        self.opened = 0

    def open(self, source: Any, *, name: str | None = None) -> PreparedPicture:
        """Open as the checker does, and count."""
        self.opened += 1
        return self._checker.open(source, name=name)

    def judge(self, batch: Sequence[PreparedPicture]) -> list[CheckResult]:
        """Judge as the checker does, when the gate is open."""
        self.begun.set()
        self.batches.append([opened.source for opened in batch])
        assert self.gate.wait(10)
        return self._checker.judge(batch)
