"""The routes of feedback: give it, look at it, take it back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from faceproof.evaluation.feedback import Feedback
from faceproof.frontends.api.feedback.bodies import (
    EXAMPLE,
    GivenFeedback,
    Receipt,
    feedback_of,
)
from faceproof.frontends.api.feedback.desk import Desk
from faceproof.frontends.api.feedback.reading import read_feedback
from faceproof.frontends.api.feedback.settings import FeedbackSettings
from faceproof.frontends.api.feedback.store import FeedbackStore

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
