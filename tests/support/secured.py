"""A small service of the tests' own, guarded; what it answers and what it says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from faceproof.frontends.api.security import Metrics, SecuritySettings, install
from faceproof.frontends.api.security.key_file import Keys, change_keys, create_key, now_utc
from faceproof.frontends.api.security.request_log import JsonFormatter, TextFormatter
from faceproof.imaging.quality import Quality
from faceproof.results import CheckedBy, CheckedFace, CheckError, CheckResult

DETECTOR = CheckedBy(name="bright", version="1.0", sha256="0" * 64)


def result(*verdicts: str, code: str | None = None) -> CheckResult:
    """Return the result of a picture with faces of these verdicts, or with an error."""
    faces = tuple(
        CheckedFace(
            box=(0, 0, 9, 9),
            landmarks=None,
            detection_score=None,
            quality=Quality(side_px=9, cautions=()),
            verdict=verdict,
            fake_probability=0.5,
        )
        for verdict in verdicts
    )
    return CheckResult(
        source="holiday.jpg",
        status="error" if code else "ok" if faces else "no_face",
        error=CheckError(code=code, message="no") if code else None,
        verdict=verdicts[0] if verdicts else None,
        fake_probability=0.5 if verdicts else None,
        faces=faces,
        detector=DETECTOR,
        operating_point="balanced",
        elapsed_ms=80.0,
    )


def service(settings: SecuritySettings | None = None, metrics: Metrics | None = None) -> FastAPI:
    """Return a guarded app with routes that are open, closed, broken and cut off."""
    app, router, metrics = FastAPI(docs_url=None), APIRouter(), metrics or Metrics()

    @app.get("/healthz")
    @app.get("/readyz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.post("/v1/check")
    async def check(request: Request, at: str = "") -> dict[str, int]:
        body = await request.body()
        metrics.record_result(result("fake", "real"))
        return {"bytes": len(body)}

    @app.post("/v1/check/batch")
    def batch() -> dict[str, int]:
        for one in (result("real"), result(), result(code="empty_file"), result("real")):
            metrics.record_result(one)
        return {"pictures": 4}

    @app.post("/v1/bug")
    async def bug(request: Request) -> None:
        sent = (await request.body()).decode()
        raise KeyError(f"could not read {sent} of {request.url} for {request.headers}")

    @app.get("/v1/cut")
    async def cut() -> StreamingResponse:
        def lines() -> Iterator[bytes]:
            yield b"one"
            raise OSError("gone")

        return StreamingResponse(lines())

    @router.get("/detectors/{name}")
    async def detector(name: str) -> dict[str, str]:
        return {"name": name}

    app.include_router(router, prefix="/v1")
    install(app, settings or SecuritySettings(), metrics)
    return app


def client(settings: SecuritySettings | None = None, **options: object) -> TestClient:
    """Return a client of the guarded app; bugs are answered, as a server would."""
    options = {"raise_server_exceptions": False, **options}
    return TestClient(service(settings), **options)


def add_key(file: Path, name: str = "shop", **changes: object) -> tuple[str, str]:
    """Return the secret and the id of a new key in a file."""
    secret, key = create_key(name, now=now_utc(), expires=None)
    kept = key.model_copy(update=changes)
    change_keys(file, lambda keys: Keys(keys=(*keys.keys, kept)))
    return secret, key.id


class _Kept(logging.Handler):
    """Keeps each record as JSON and as text, formatted when it was logged.

    What the tests' own client says of its requests is left out: it is no part of a service.
    """

    def __init__(self) -> None:
        super().__init__()
        self.json: list[str] = []
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("httpx", "httpcore")):
            return
        self.json.append(JsonFormatter().format(record))
        self.text.append(TextFormatter().format(record))


@contextmanager
def logged() -> Iterator[_Kept]:
    """Give all that is logged by anyone, at every level."""
    kept, root = _Kept(), logging.getLogger()
    named = [logging.getLogger(name) for name in ("faceproof", "faceproof.requests")]
    before = [(logger, logger.level) for logger in (root, *named)]
    root.addHandler(kept)
    for logger, _ in before:
        logger.setLevel(logging.DEBUG)
    try:
        yield kept
    finally:
        root.removeHandler(kept)
        for logger, level in before:
            logger.setLevel(level)
