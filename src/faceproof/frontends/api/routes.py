"""The routes: each asks the Service and says what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from faceproof.frontends.api import openapi
from faceproof.frontends.api.problems import of_code, problem
from faceproof.frontends.api.service import Service
from faceproof.frontends.api.wire import (
    Alive,
    BatchResult,
    Detectors,
    DetectorShown,
    Ready,
    Wish,
)
from faceproof.records import Record

router = APIRouter()

Asked = Annotated[Wish, Query()]


@router.post(
    "/v1/check",
    summary="Check one picture",
    responses=openapi.CHECK_RESPONSES,
    openapi_extra=openapi.CHECK_BODY,
)
async def check(request: Request, wish: Asked) -> Response:
    """Give a verdict on every face of one picture, sent as a file or named by its address."""
    service = _service(request)
    choice = service.checkers.choice(**wish.model_dump())
    result = await service.one(request, choice)
    if result.error:
        return of_code(result.error.code, result.error.message).response()
    return _json(result)


@router.post(
    "/v1/check/batch",
    summary="Check several pictures",
    responses=openapi.BATCH_RESPONSES,
    openapi_extra=openapi.BATCH_BODY,
)
async def check_batch(request: Request, wish: Asked) -> Response:
    """Give one result for each picture, in order; one that cannot be checked says so itself."""
    service = _service(request)
    choice = service.checkers.choice(**wish.model_dump())
    results = await service.several(request, choice)
    return _json(BatchResult(results=tuple(results)))


@router.get("/v1/detectors", summary="The detectors", response_model=Detectors)
async def detectors(request: Request) -> Response:
    """Say which detector judges here, what it promises and what it has seen."""
    service = _service(request)
    shown = DetectorShown.of(service.detector, at=service.checkers.default.at)
    return _json(Detectors(detectors=(shown,)))


@router.get(
    "/v1/detectors/{name}",
    summary="All that a detector says about itself",
    responses=openapi.DETECTOR_RESPONSES,
)
async def detector(request: Request, name: str) -> Response:
    """Return the detector's `detector.json`, measured results included."""
    bundle = _named(request, name).detector.bundle
    return Response(bundle.spec.to_json(), media_type="application/json")


@router.get(
    "/v1/detectors/{name}/card",
    summary="The card of a detector",
    responses=openapi.CARD_RESPONSES,
)
async def card(request: Request, name: str) -> Response:
    """Return the detector's card, Markdown."""
    bundle = _named(request, name).detector.bundle
    if bundle.spec.card is None:
        raise HTTPException(404, f"detector {name!r} has no card")
    return Response(bundle.read_file(bundle.spec.card), media_type="text/markdown")


@router.get("/healthz", summary="Is the process alive?", response_model=Alive)
async def healthz() -> Response:
    """Answer, whatever is waiting."""
    return _json(Alive())


@router.get(
    "/readyz",
    summary="May pictures be sent?",
    response_model=Ready,
    responses=openapi.READY_RESPONSES,
)
async def readyz(request: Request) -> Response:
    """Say whether the detector is loaded and has judged a known picture rightly."""
    why_not = _service(request).readiness.why_not
    return problem(503, "not_ready", why_not).response() if why_not else _json(Ready())


def _named(request: Request, name: str) -> Service:
    """Return the service where its detector has this name.

    Raises:
        HTTPException: 404, there is no such detector.
    """
    service = _service(request)
    if service.detector.spec.name != name:
        raise HTTPException(404, "no such detector; /v1/detectors names those that there are")
    return service


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(record: Record) -> Response:
    return Response(record.model_dump_json(), media_type="application/json")
