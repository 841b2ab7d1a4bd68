"""`router`: the check, detector and health routes, which call the `Service`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from faceproof.frontends.api import openapi
from faceproof.frontends.api.problems import make_problem, problem_for_code
from faceproof.frontends.api.service import Service
from faceproof.frontends.api.wire import (
    Alive,
    BatchResult,
    CheckOptions,
    Detectors,
    DetectorShown,
    Ready,
)
from faceproof.records import Record

DetectorName = Annotated[str, Path(description="Name of the detector; GET /v1/detectors lists it.")]

router = APIRouter()

Asked = Annotated[CheckOptions, Query()]


@router.post(
    "/v1/check",
    operation_id="check",
    tags=["checks"],
    summary="Check one picture",
    responses=openapi.CHECK_RESPONSES,
    openapi_extra=openapi.CHECK_BODY,
)
async def check(request: Request, wish: Asked) -> Response:
    """Return a verdict on every face of one picture, sent as a file, in base64 or as a URL."""
    service = _service_of(request)
    choice = service.checkers.make_choice(**wish.model_dump())
    result = await service.check_one(request, choice)
    if result.error:
        return problem_for_code(result.error.code, result.error.message).to_response()
    return _json_response(result)


@router.post(
    "/v1/check/batch",
    operation_id="check_batch",
    tags=["checks"],
    summary="Check several pictures",
    responses=openapi.BATCH_RESPONSES,
    openapi_extra=openapi.BATCH_BODY,
)
async def check_batch(request: Request, wish: Asked) -> Response:
    """Return one result for each picture, in order; one that cannot be checked has an error."""
    service = _service_of(request)
    choice = service.checkers.make_choice(**wish.model_dump())
    results = await service.check_several(request, choice)
    return _json_response(BatchResult(results=tuple(results)))


@router.get(
    "/v1/detectors",
    operation_id="list_detectors",
    tags=["detectors"],
    summary="List detectors",
    response_model=Detectors,
)
async def detectors(request: Request) -> Response:
    """Return the detector in use: operating points, generators seen and notes."""
    service = _service_of(request)
    shown = DetectorShown.of(service.detector, at=service.checkers.default.at)
    return _json_response(Detectors(detectors=(shown,)))


@router.get(
    "/v1/detectors/{name}",
    operation_id="get_detector",
    tags=["detectors"],
    summary="Read a detector's full description",
    responses=openapi.DETECTOR_RESPONSES,
)
async def detector(request: Request, name: DetectorName) -> Response:
    """Return the detector's `detector.json`, including measured results."""
    bundle = _service_named(request, name).detector.bundle
    return Response(bundle.spec.to_json(), media_type="application/json")


@router.get(
    "/v1/detectors/{name}/card",
    operation_id="get_detector_card",
    tags=["detectors"],
    summary="Read a detector's model card",
    responses=openapi.CARD_RESPONSES,
)
async def card(request: Request, name: DetectorName) -> Response:
    """Return the detector's model card in Markdown."""
    bundle = _service_named(request, name).detector.bundle
    if bundle.spec.card is None:
        raise HTTPException(404, f"detector {name!r} has no model card")
    return Response(bundle.read_file(bundle.spec.card), media_type="text/markdown")


@router.get(
    "/healthz",
    operation_id="get_health",
    tags=["health"],
    summary="Liveness probe",
    response_model=Alive,
)
async def healthz() -> Response:
    """Return 200 while the process runs, whatever the load."""
    return _json_response(Alive())


@router.get(
    "/readyz",
    operation_id="get_readiness",
    tags=["health"],
    summary="Readiness probe",
    response_model=Ready,
    responses=openapi.READY_RESPONSES,
)
async def readyz(request: Request) -> Response:
    """Return 200 if the detector is loaded and judged a known picture correctly, else 503."""
    why_not = _service_of(request).readiness.reason_not_ready
    return (
        make_problem(503, "not_ready", why_not).to_response()
        if why_not
        else _json_response(Ready())
    )


def _service_named(request: Request, name: str) -> Service:
    """Return the service if its detector has this name.

    Raises:
        HTTPException: 404, unknown detector.
    """
    service = _service_of(request)
    if service.detector.spec.name != name:
        raise HTTPException(404, "unknown detector; GET /v1/detectors lists the available ones")
    return service


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json_response(record: Record) -> Response:
    return Response(record.model_dump_json(), media_type="application/json")
