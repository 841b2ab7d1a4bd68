"""`Problem`: RFC 9457 problem details, with the same codes as the command line.

Source: RFC 9457, "Problem Details for HTTP APIs", 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from faceproof.errors import (
    BusyError,
    DeadlineError,
    FaceproofError,
    FeedbackError,
    FeedbackFullError,
    FeedbackNotFoundError,
    FeedbackOffError,
    FeedbackStoreError,
    FetchError,
    FetchTimeoutError,
    FileTooLargeError,
    MissingExtraError,
    PictureTooLargeError,
    ServiceError,
    SlowRequestError,
    SourceError,
    StoppingError,
    UsageError,
)
from faceproof.frontends.api.bodies import describe_invalid
from faceproof.frontends.api.routing import route_path
from faceproof.records import Record, VersionedRecord
from faceproof.tables import did_you_mean

MEDIA_TYPE = "application/problem+json"
SCHEMAS = "#/components/schemas/"
"""Where the OpenAPI document holds the schemas of bodies."""

_RETRY_AFTER = 5
"""Default for Retry-After in seconds, without an estimate."""

_LONGEST_PATH = 200
"""Characters of a path that are compared with those of the routes."""


def schema_ref(name: str) -> dict[str, str]:
    """Return a reference to a schema of the OpenAPI document.

    >>> schema_ref("Problem")
    {'$ref': '#/components/schemas/Problem'}
    """
    return {"$ref": f"{SCHEMAS}{name}"}


#: From an error's class to the HTTP status; the nearest ancestor decides.
STATUSES: Mapping[type[FaceproofError], HTTPStatus] = {
    FileTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    PictureTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    FetchError: HTTPStatus.BAD_GATEWAY,
    FetchTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
    SourceError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MissingExtraError: HTTPStatus.NOT_IMPLEMENTED,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    BusyError: HTTPStatus.TOO_MANY_REQUESTS,
    SlowRequestError: HTTPStatus.REQUEST_TIMEOUT,
    DeadlineError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoppingError: HTTPStatus.SERVICE_UNAVAILABLE,
    FeedbackNotFoundError: HTTPStatus.NOT_FOUND,
    FeedbackOffError: HTTPStatus.NOT_FOUND,
    FeedbackFullError: HTTPStatus.SERVICE_UNAVAILABLE,
    FeedbackStoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    FeedbackError: HTTPStatus.UNPROCESSABLE_ENTITY,
    FaceproofError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: From HTTP status to code, for requests rejected before any picture is read.
CODES: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "usage",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
}


class Fault(Record):
    """One invalid part of a request: its location, as ``query.at``, and a message."""

    where: str = Field(description="Location of the invalid part, such as query.at.")
    message: str = Field(description="What is wrong with it.")


class Problem(VersionedRecord):
    """RFC 9457 problem details; ``code`` is stable and the same as on the command line."""

    ADDED_FIELDS = frozenset({"errors"})
    type: Literal["about:blank"] = Field(
        default="about:blank", description="Kind of problem; the code says more."
    )
    title: str = Field(description="Phrase of the status.")
    status: int = Field(ge=400, le=599, description="HTTP status.")
    detail: str = Field(description="What failed, the limit and the fix, for people.")
    code: str = Field(description="Stable code, the same as on the command line.")
    errors: tuple[Fault, ...] = Field(
        default=(), description="Invalid parts of the request; omitted when empty."
    )

    def to_response(self, headers: Mapping[str, str] | None = None) -> Response:
        """Return the HTTP response."""
        return Response(
            self.model_dump_json(),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=dict(headers or {}),
        )


def make_problem(status: int, code: str, detail: str, errors: tuple[Fault, ...] = ()) -> Problem:
    """Return problem details titled with the phrase of the status.

    >>> make_problem(429, "busy", "Retry later.").title
    'Too Many Requests'
    """
    title = HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, code=code, errors=errors)


def status_of(error: type[FaceproofError]) -> int:
    """Return the HTTP status of an error.

    >>> from faceproof.errors import CorruptPictureError
    >>> status_of(CorruptPictureError)
    422
    """
    return int(next(STATUSES[cls] for cls in error.__mro__ if cls in STATUSES))


def problem_for_code(code: str, detail: str) -> Problem:
    """Return the problem for an error code, as in a CheckResult."""
    return make_problem(status_of(CLASSES[code]), code, detail)


async def on_faceproof_error(_: Request, error: FaceproofError) -> Response:
    """Return the problem of a FaceproofError."""
    return problem_for_code(error.code, str(error)).to_response()


async def on_service_error(request: Request, error: ServiceError) -> Response:
    """Return the problem of a temporary service error, and count it."""
    request.app.state.metrics.record_rejection(error.code)
    later = error.retry_after if isinstance(error, BusyError) else _RETRY_AFTER
    headers = {} if isinstance(error, SlowRequestError) else {"Retry-After": str(later)}
    return problem_for_code(error.code, str(error)).to_response(headers)


async def on_http_error(request: Request, error: HTTPException) -> Response:
    """Return the problem of a request that the framework rejects."""
    code = CODES.get(error.status_code, "http")
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request)) or headers.get("Allow", "")
    if detail == HTTPStatus.NOT_FOUND.phrase:  # the framework's: no route
        detail = f"no such route{_nearest_route(request) or ': GET /docs lists the routes'}"
    return make_problem(error.status_code, code, detail).to_response(headers)


def _described_methods(request: Request) -> dict[str, Any]:
    """Return the description of each method of a path, of all its routes."""
    path = route_path(request.scope)
    return {
        method: operation
        for template, methods in request.app.openapi()["paths"].items()
        if compile_path(template)[0].match(path)
        for method, operation in methods.items()
    }


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of a path; Starlette lists only those of its first route."""
    methods = {method.upper() for method in _described_methods(request)}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _nearest_route(request: Request) -> str:
    """Return the route that a misspelt path resembles, in words; empty without one."""
    path = route_path(request.scope)[:_LONGEST_PATH]
    return did_you_mean(path, list(request.app.openapi()["paths"]))


async def on_invalid(request: Request, error: RequestValidationError) -> Response:
    """Return the problem of invalid parameters, without repeating their values."""
    operation = _described_methods(request).get(request.method.lower(), {})
    known = [one["name"] for one in operation.get("parameters", ())]
    faults = tuple(
        Fault(
            where=".".join(map(str, fault["loc"])),
            message=describe_invalid(fault, known, what="parameter"),
        )
        for fault in error.errors()
    )
    message = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    return make_problem(HTTPStatus.UNPROCESSABLE_ENTITY, "usage", message, faults).to_response()


def _all_subclasses(cls: type[FaceproofError]) -> Iterator[type[FaceproofError]]:
    """Yield a class and all its subclasses."""
    yield cls
    for child in cls.__subclasses__():
        yield from _all_subclasses(child)


#: Every error by its code.
CLASSES: Mapping[str, type[FaceproofError]] = {
    cls.code: cls for cls in _all_subclasses(FaceproofError)
}
