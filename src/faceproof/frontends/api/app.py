"""`create_app` builds the REST service around a `Checker`, `load_app` from a detector's name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from faceproof import __version__
from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.detector.scorers import AUTO
from faceproof.errors import FaceproofError, ServiceError
from faceproof.frontends.api import feedback, openapi, pages, problems, security
from faceproof.frontends.api.routes import router
from faceproof.frontends.api.routing import HeadMiddleware, RootPathMiddleware
from faceproof.frontends.api.service import Readiness, Service, run_service
from faceproof.frontends.api.settings import ServiceSettings

#: nginx's status for a client that disconnected before the response; only the log has it.
_CLIENT_LEFT = 499


def create_app(checker: Checker, settings: ServiceSettings | None = None) -> FastAPI:
    """Return the service as an ASGI app; its lifespan starts and stops the threads.

    Raises:
        UsageError: the keys file, picture or database in the settings cannot be used.
    """
    used = settings or ServiceSettings()
    metrics = security.Metrics()
    readiness = Readiness(used.ready_picture, used.ready_verdict)
    store = feedback.make_store(used.feedback)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            feedback.run_retention(store, used.feedback),
            run_service(Service(checker, used, readiness=readiness, observer=metrics)) as service,
        ):
            app.state.service = service
            yield

    app = FastAPI(
        title="faceproof",
        summary="Detects generated and manipulated faces in photographs.",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,  # `pages` serves it, with the prefix of a proxy
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the client's Host header
        exception_handlers={
            FaceproofError: problems.on_faceproof_error,
            ServiceError: problems.on_service_error,
            HTTPException: problems.on_http_error,
            RequestValidationError: problems.on_invalid,
            ClientDisconnect: _on_client_left,
        },
    )
    app.state.metrics = metrics
    app.include_router(router)
    app.include_router(feedback.make_router(store, used.feedback))
    openapi.install(app, checker.detector.spec, used)
    pages.install(app, tls_in_front=used.guard.tls_in_front)
    app.add_middleware(HeadMiddleware)
    security.install(app, used.guard, metrics)
    app.add_middleware(
        RootPathMiddleware, root_path=used.root_path, trusts=security.trusts_prefix(used.guard)
    )
    return app


def load_app(
    detector: str = "default",
    at: str | None = None,
    settings: ServiceSettings | None = None,
    *,
    scorer: str = AUTO,
    device: str = "cpu",
) -> FastAPI:
    """Return the service of a detector, by name or folder, within the limits of the settings.

    Raises:
        DetectorError: the detector cannot be loaded.
        UsageError: no such operating point, or as `Detector.load` and `create_app`.
    """
    used = settings or ServiceSettings()
    loaded = Detector.load(detector, scorer=scorer, device=device)
    checker = Checker(loaded, at=at, limits=used.limits, addresses=used.fetch_policy)
    return create_app(checker, used)


async def _on_client_left(_: Request, __: Exception) -> Response:
    """Return the status that the log counts; the client has disconnected."""
    return Response(status_code=_CLIENT_LEFT)
