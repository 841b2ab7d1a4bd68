"""The routes of feedback: give it, look at it, take it back."""

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
from faceproof.frontends.api.bodies import bounded, in_time, media_type, parsed
from faceproof.frontends.api.feedback.bodies import EXAMPLE, GivenFeedback, Receipt, feedback_of
from faceproof.frontends.api.feedback.database import (
    CONNECTIONS,
    PATIENCE_SECONDS,
    FeedbackSettings,
)
from faceproof.frontends.api.feedback.store import FeedbackStore

MOST_WAITING = 64

_log = logging.getLogger("faceproof.feedback")

T = TypeVar("T")


class Desk:
    """Runs what blocks in threads of its own; None for a store means that feedback is off."""

    def __init__(self, store: FeedbackStore | None) -> None:
        self._store = store
        self._limiter = CapacityLimiter(CONNECTIONS)
        self._here = 0

    async def run(self, work: Callable[[FeedbackStore], T]) -> T:
        """Return what the work returns, done on the store in a thread.

        Raises:
            FeedbackOffError: no feedback is kept.
            BusyError: too many wait for the database.
            FeedbackStoreError: it refused; why stands in the log, and not in the answer.
        """
        store = self._store
        if store is None:
            raise FeedbackOffError("this service keeps no feedback")
        if self._here >= CONNECTIONS + MOST_WAITING:
            raise BusyError("too much feedback at once", retry_after=PATIENCE_SECONDS)
        self._here += 1
        try:
            return await to_thread.run_sync(work, store, limiter=self._limiter)
        except FeedbackStoreError as error:
            _log.error("%s", error)
            raise FeedbackStoreError(
                "feedback cannot be kept or read just now: send it again later"
            ) from None
        finally:
            self._here -= 1


LONGEST_BODY = 1024 * 1024
BODY_PATIENCE_SECONDS = 30.0


async def read_feedback(request: Request) -> GivenFeedback:
    """Return what a request says.

    Only JSON is taken: a web page of strangers cannot send that without asking the service first.

    Raises:
        HTTPException: 415, it is not JSON; 422, naming the fields that do not fit.
        FileTooLargeError: it is too long.
        SlowRequestError: it did not arrive in time.
    """
    if media_type(request) != "application/json":
        raise HTTPException(415, "feedback is JSON: send Content-Type: application/json")
    too_large = (
        f"the body has more than {LONGEST_BODY} bytes: leave out heat maps and landmarks, "
        "which are not kept"
    )
    async with in_time(BODY_PATIENCE_SECONDS, _late):
        chunks = bounded(request, LONGEST_BODY, too_large=too_large)
        body = b"".join([chunk async for chunk in chunks])
    return parsed(GivenFeedback, body, strict=True, most_faults=20)


def _late() -> SlowRequestError:
    return SlowRequestError(f"the body did not arrive in {BODY_PATIENCE_SECONDS:g} s")


Name = Annotated[
    str, Path(pattern="^[0-9a-f]{32}$", description="The `id` that giving it was answered with.")
]

PATH = "/v1/feedback"

#: Schemas that the routes name in words; the description of the service has to hold them.
COMPONENTS = {model.__name__: model for model in (Feedback, GivenFeedback, Receipt)}

_MEANINGS = {
    404: "There is no feedback of this name, or the service keeps none.",
    408: "The body did not arrive in time.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The body does not fit, or says that nothing was wrong.",
    429: "Too much feedback at once.",
    503: "The database cannot be used just now, or holds all that it may.",
}


def router(store: FeedbackStore | None, settings: FeedbackSettings | None = None) -> APIRouter:
    """Return the routes of feedback, which is kept in the store; None: every answer is 404."""
    keep_note = (settings or FeedbackSettings()).keep_notes
    desk = Desk(store)
    routes = APIRouter(tags=["feedback"])

    async def give(request: Request) -> Response:
        """Say that a verdict was wrong. Neither the picture nor its name or address is kept."""
        feedback = feedback_of(await read_feedback(request), keep_note=keep_note)
        added = await desk.run(lambda store: store.add(feedback))
        kept = added.is_new and feedback.note is not None
        receipt = Receipt(id=added.id, is_new=added.is_new, note_kept=kept)
        return _json(receipt.model_dump_json(), 201 if added.is_new else 200)

    async def look(name: Name) -> Response:
        """Return all that is kept under a name."""
        found = await desk.run(lambda store: store.get(name))
        return _json(found.model_dump_json())

    async def take_back(name: Name) -> Response:
        """Delete what is kept under a name."""
        await desk.run(lambda store: store.erase(name))
        return Response(status_code=204)

    routes.add_api_route(
        PATH,
        give,
        methods=["POST"],
        status_code=201,
        summary="Say that a verdict was wrong",
        responses={
            201: _content("Receipt", "It is kept."),
            200: _content("Receipt", "The same was kept before."),
            **_problems(404, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra=_BODY,
    )
    routes.add_api_route(
        f"{PATH}/{{name}}",
        look,
        methods=["GET"],
        summary="What is kept of one piece of feedback",
        responses={200: _content("Feedback", "All of it."), **_problems(404, 422, 429, 503)},
    )
    routes.add_api_route(
        f"{PATH}/{{name}}",
        take_back,
        methods=["DELETE"],
        status_code=204,
        summary="Take feedback back",
        responses=_problems(404, 422, 429, 503),
    )
    return routes


def _json(content: str, status: int = 200) -> Response:
    return Response(content, status_code=status, media_type="application/json")


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _content(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": _ref(name)}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with, by status."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {"application/problem+json": _ref("Problem")},
        }
        for status in statuses
    }


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {**_ref("GivenFeedback"), "example": EXAMPLE}},
    }
}
