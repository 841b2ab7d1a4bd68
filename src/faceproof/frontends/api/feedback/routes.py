"""Feedback routes: submit, read and delete."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from faceproof.errors import (
    BusyError,
    FeedbackOffError,
    FeedbackStoreError,
    SlowRequestError,
)
from faceproof.evaluation.feedback import Feedback
from faceproof.frontends.api.bodies import limit_time, media_type, parse_json, read_bounded
from faceproof.frontends.api.feedback.bodies import EXAMPLE, GivenFeedback, Receipt, make_feedback
from faceproof.frontends.api.feedback.database import (
    CONNECTIONS,
    PATIENCE_SECONDS,
    FeedbackSettings,
)
from faceproof.frontends.api.feedback.store import FeedbackStore
from faceproof.frontends.api.problems import MEDIA_TYPE, schema_ref

MOST_WAITING = 64

_log = logging.getLogger("faceproof.feedback")

T = TypeVar("T")


class _StoreExecutor:
    """Runs blocking store calls in its own threads; a store of None disables feedback."""

    def __init__(self, store: FeedbackStore | None) -> None:
        self._store = store
        self._limiter = CapacityLimiter(CONNECTIONS)
        self._here = 0

    async def run(self, work: Callable[[FeedbackStore], T]) -> T:
        """Return the result of the work, which runs on the store in a thread.

        Raises:
            FeedbackOffError: feedback is disabled.
            BusyError: too many requests wait for the database.
            FeedbackStoreError: the database failed; only the log has the reason.
        """
        store = self._store
        if store is None:
            raise FeedbackOffError(
                "this service stores no feedback; its operator enables it with "
                "FACEPROOF_SERVE_FEEDBACK__DATABASE=default"
            )
        if self._here >= CONNECTIONS + MOST_WAITING:
            raise BusyError("too many feedback requests at once", retry_after=PATIENCE_SECONDS)
        self._here += 1
        try:
            return await to_thread.run_sync(work, store, limiter=self._limiter)
        except FeedbackStoreError as error:
            _log.error("%s", error)
            raise FeedbackStoreError("the feedback database is unavailable: retry later") from None
        finally:
            self._here -= 1


LONGEST_BODY = 1024 * 1024
_BODY_PATIENCE_SECONDS = 30.0


async def read_feedback(request: Request) -> GivenFeedback:
    """Return the parsed feedback of a request.

    Only JSON is accepted: a cross-origin web page cannot send it without a CORS preflight.

    Raises:
        HTTPException: 415, it is not JSON; 422, naming the invalid fields.
        FileTooLargeError: it is too long.
        SlowRequestError: it did not arrive in time.
    """
    if media_type(request) != "application/json":
        raise HTTPException(415, "unsupported Content-Type: send feedback as application/json")
    too_large = (
        f"the body has more than {LONGEST_BODY} bytes: omit heat maps and landmarks, "
        "which are not stored"
    )
    async with limit_time(_BODY_PATIENCE_SECONDS, _late_error):
        chunks = read_bounded(request, LONGEST_BODY, too_large=too_large)
        body = b"".join([chunk async for chunk in chunks])
    return parse_json(GivenFeedback, body, strict=True, most_faults=20)


def _late_error() -> SlowRequestError:
    return SlowRequestError(f"the body took more than {_BODY_PATIENCE_SECONDS:g} s")


Name = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{32}$",
        description="The `id` from the receipt.",
        examples=["0123456789abcdef0123456789abcdef"],
    ),
]

PATH = "/v1/feedback"

#: Schemas that the routes reference by name; the OpenAPI document must include them.
COMPONENTS = {model.__name__: model for model in (Feedback, GivenFeedback, Receipt)}

_MEANINGS = {
    404: "Feedback not found, or feedback is disabled on this service.",
    408: "The body did not arrive in time.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The body is invalid, or the verdict was right.",
    429: "Too many feedback requests at once.",
    503: "The database is unavailable or full.",
}


def make_router(store: FeedbackStore | None, settings: FeedbackSettings | None = None) -> APIRouter:
    """Return the feedback routes on a store; with None every response is 404."""
    keep_note = (settings or FeedbackSettings()).keep_notes
    desk = _StoreExecutor(store)
    routes = APIRouter(tags=["feedback"])

    async def give(request: Request) -> Response:
        """Report a wrong verdict. The picture, its name and its URL are not stored."""
        feedback = make_feedback(await read_feedback(request), keep_note=keep_note)
        added = await desk.run(lambda store: store.add(feedback))
        kept = added.is_new and feedback.note is not None
        receipt = Receipt(id=added.id, is_new=added.is_new, note_kept=kept)
        return _json_response(receipt.model_dump_json(), 201 if added.is_new else 200)

    async def look(name: Name) -> Response:
        """Return all stored fields of one feedback entry."""
        found = await desk.run(lambda store: store.get(name))
        return _json_response(found.model_dump_json())

    async def take_back(name: Name) -> Response:
        """Delete one feedback entry."""
        await desk.run(lambda store: store.erase(name))
        return Response(status_code=204)

    routes.add_api_route(
        PATH,
        give,
        operation_id="report_feedback",
        methods=["POST"],
        status_code=201,
        summary="Report a wrong verdict",
        responses={
            201: _content("Receipt", "Stored."),
            200: _content("Receipt", "Already stored."),
            **_problems(404, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra=_BODY,
    )
    routes.add_api_route(
        f"{PATH}/{{name}}",
        look,
        operation_id="get_feedback",
        methods=["GET"],
        summary="Read one feedback entry",
        responses={200: _content("Feedback", "The feedback."), **_problems(404, 422, 429, 503)},
    )
    routes.add_api_route(
        f"{PATH}/{{name}}",
        take_back,
        operation_id="delete_feedback",
        methods=["DELETE"],
        status_code=204,
        summary="Delete one feedback entry",
        responses=_problems(404, 422, 429, 503),
    )
    return routes


def _json_response(content: str, status: int = 200) -> Response:
    return Response(content, status_code=status, media_type="application/json")


def _content(name: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema_ref(name)}},
    }


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with, by status."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": schema_ref("Problem")}},
        }
        for status in statuses
    }


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": schema_ref("GivenFeedback"), "example": EXAMPLE}
        },
    }
}
