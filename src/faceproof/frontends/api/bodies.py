"""Request bodies within limits of size and time, for pictures and for feedback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceproof.errors import FileTooLargeError, ServiceError

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the media type of a body, lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bounded(request: Request, most: int, *, too_large: str) -> AsyncIterator[bytes]:
    """Yield the chunks of a body of at most ``most`` bytes.

    Raises:
        FileTooLargeError: there are more, in the words of ``too_large``; the rest is not read.
    """
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most:
            raise FileTooLargeError(too_large)
        yield chunk


@asynccontextmanager
async def limit_time(
    seconds: float, late: Callable[[], ServiceError]
) -> AsyncIterator[asyncio.Timeout]:
    """Give a body so many seconds, and raise ``late()`` where that is not enough."""
    try:
        async with asyncio.timeout(seconds) as timeout:
            yield timeout
    except TimeoutError as error:
        raise late() from error


def parse_json(
    model: type[Model], body: bytes, *, strict: bool | None = None, most_faults: int | None = None
) -> Model:
    """Return what a JSON body holds; values that do not fit are not repeated in the error.

    Raises:
        HTTPException: 422, naming the fields that do not fit, ``most_faults`` of them at most.
    """
    try:
        return model.model_validate_json(body, strict=strict)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:most_faults]
        raise HTTPException(422, "; ".join(map(_describe_fault, faults))) from error


def _describe_fault(fault: Mapping[str, Any]) -> str:
    return f"{'.'.join(['body', *map(str, fault['loc'])])}: {fault['msg']}"
