"""The body of a request that gives feedback: JSON, short, and there in time."""

from __future__ import annotations

import asyncio

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceproof.errors import FileTooLargeError, SlowRequestError
from faceproof.frontends.api.feedback.bodies import GivenFeedback

LONGEST_BODY = 1024 * 1024
PATIENCE_SECONDS = 30.0


async def read_feedback(request: Request) -> GivenFeedback:
    """Return what a request says.

    Only JSON is taken: a web page of strangers cannot send that without asking the service first.

    Raises:
        HTTPException: 415, it is not JSON; 422, naming the fields that do not fit.
        FileTooLargeError: it is too long.
        SlowRequestError: it did not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "feedback is JSON: send Content-Type: application/json")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await _body(request)
    except TimeoutError as error:
        raise SlowRequestError(f"the body did not arrive in {PATIENCE_SECONDS:g} s") from error
    return _parsed(body)


async def _body(request: Request) -> bytes:
    """Return the whole body, which is given up as soon as it is too long."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > LONGEST_BODY:
            raise FileTooLargeError(
                f"the body has more than {LONGEST_BODY} bytes: leave out heat maps and landmarks, "
                "which are not kept"
            )
    return bytes(found)


def _parsed(body: bytes) -> GivenFeedback:
    """Return what the body says; its values are not repeated where they do not fit."""
    try:
        return GivenFeedback.model_validate_json(body, strict=True)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        said = "; ".join(f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults[:20])
        raise HTTPException(422, said) from error


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(["body", *map(str, parts)])
