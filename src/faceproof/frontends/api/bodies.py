"""Request bodies within limits of size and time, for pictures and for feedback."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceproof.errors import FileTooLargeError, ServiceError
from faceproof.tables import did_you_mean

Model = TypeVar("Model", bound=BaseModel)

#: Commas in a JSON body. A parsed value takes many times the byte or two that it takes in JSON;
#: no value comes without a comma, except by nesting, which the parser limits.
MOST_COMMAS = 100_000
_LONGEST_SHOWN = 60


def media_type(request: Request) -> str:
    """Return the media type of a body, lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_compressed(request: Request) -> None:
    """Reject a body with a content coding, which would be read as if it had none.

    Raises:
        HTTPException: 415, naming the coding.

    Source: RFC 9110 (2022), sections 8.4 and 15.5.16.
    """
    codings = ", ".join(request.headers.getlist("content-encoding")).strip()
    if codings.lower() not in {"", "identity"}:
        raise HTTPException(
            415,
            f"Content-Encoding {codings[:_LONGEST_SHOWN]!r} is not supported: "
            "send the body uncompressed",
            headers={"Accept-Encoding": "identity"},
        )


async def read_bounded(request: Request, most: int, *, too_large: str) -> AsyncIterator[bytes]:
    """Yield the chunks of a body of at most ``most`` bytes.

    Raises:
        HTTPException: 415, it is compressed; nothing is read.
        FileTooLargeError: there are more, in the words of ``too_large``; the rest is not read.
    """
    refuse_compressed(request)
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

    A byte-order mark before it is ignored.

    Raises:
        HTTPException: 422, it is not UTF-8, or it has fields that do not fit, of which at most
            ``most_faults`` are named.
    """
    _refuse_other_encodings(body)
    if body.count(b",") > MOST_COMMAS:
        raise HTTPException(422, f"body: too many values, limit {MOST_COMMAS:,}")
    try:
        return model.model_validate_json(body.removeprefix(codecs.BOM_UTF8), strict=strict)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:most_faults]
        known = list(_field_names(model))
        raise HTTPException(
            422, "; ".join(_describe_fault(fault, known) for fault in faults)
        ) from error


def describe_invalid(fault: Mapping[str, Any], known: Iterable[str], *, what: str) -> str:
    """Return the message of a pydantic error, for an unknown name with the closest known one."""
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"]).removeprefix("Value error, ")
    names = list(known)
    nearest = did_you_mean(str(fault["loc"][-1])[:_LONGEST_SHOWN], names)
    choices = f". Choices: {', '.join(names)}" if names else ""
    return f"unknown {what}{nearest or choices}"


def _describe_fault(fault: Mapping[str, Any], known: Iterable[str]) -> str:
    message = describe_invalid(fault, known, what="field")
    return f"{'.'.join(['body', *map(str, fault['loc'])])}: {message}"


def _field_names(model: type[BaseModel]) -> Iterable[str]:
    """Yield the names of the fields of a body."""
    for name, field in model.model_fields.items():
        yield field.alias or name


def _refuse_other_encodings(body: bytes) -> None:
    """Raise HTTPException 422 for JSON that is not UTF-8.

    Source: RFC 8259 (2017), section 8.1.
    """
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        raise HTTPException(422, f"body: the JSON is {encoding.upper()}: send it as UTF-8")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        message = f"body: byte {error.start} is not UTF-8: send the JSON as UTF-8"
        raise HTTPException(422, message) from None
