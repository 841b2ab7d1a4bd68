"""`BodyReader` reads the pictures of a request within limits of size and time.

A picture arrives in one of four forms: a part of a multipart form, a raw body, base64 in JSON, or a
URL in JSON. All forms have the same limits and give the same `Upload`, or the URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceproof.errors import (
    FileTooLargeError,
    ServiceError,
    SlowRequestError,
    StoppingError,
    UnsupportedSourceError,
)
from faceproof.frontends.api.bodies import limit_time, media_type, parse_json, read_bounded
from faceproof.frontends.api.capacity import BodyBudget
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.uploads import (
    UNNAMED,
    MultipartUploads,
    Upload,
    boundary_of,
    disposition_name,
    file_name,
    read_uploads,
)
from faceproof.records import Record
from faceproof.sources import base64_bytes

_LONGEST_ADDRESS = 4096
_LONGEST_NAME = 1024
#: Bytes of a JSON body beside the picture in it; base64 with line breaks takes 1.4 times the bytes.
_LONGEST_JSON = 1024 * 1024

#: A white pixel as PNG: an example that is a picture and fits in a line.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
_EXAMPLE_ADDRESS = "https://example.org/portrait.jpg"


def _refuse_data_url(value: object) -> object:
    """Raise ValueError for a ``data:`` URL, which is a picture and not its place."""
    if isinstance(value, str) and value[:5].lower() == "data:":
        raise ValueError("a data: URL is not fetched: send it as 'image'")
    return value


Address = Annotated[
    str,
    BeforeValidator(_refuse_data_url),
    Field(
        min_length=1,
        max_length=_LONGEST_ADDRESS,
        description="Public http or https URL of a picture.",
        json_schema_extra={"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"},
    ),
]
Base64 = Annotated[
    str,
    Field(
        min_length=1,
        description="The file of a picture in base64, or as a base64 `data:` URL.",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]
Name = Annotated[
    str,
    Field(max_length=_LONGEST_NAME, description="File name, returned as the result's `source`."),
]


class EncodedPicture(Record):
    """A picture in base64."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"image": PIXEL, "name": "pixel.png"}]}
    )
    image: Base64 = Field(description="The file in base64.")
    name: Name | None = Field(
        default=None, description="Name of the file, the source of its result."
    )


class PictureJson(Record):
    """One picture, by URL or in base64: exactly one of `url` and `image`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": _EXAMPLE_ADDRESS}, {"image": PIXEL, "name": "pixel.png"}]
        }
    )
    url: Address | None = Field(default=None, description="Public URL of the picture.")
    image: Base64 | None = Field(default=None, description="The file in base64.")
    name: Name | None = Field(
        default=None, description="Name of the file, the source of its result."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.url is None) == (self.image is None):
            raise ValueError("send either 'url' or 'image'")
        if self.url is not None and self.name is not None:
            raise ValueError("'name' goes with 'image': a URL is its own name")
        return self


class PicturesJson(Record):
    """Several pictures, by URL or in base64: exactly one of `urls` and `images`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"urls": [_EXAMPLE_ADDRESS]},
                {"images": [{"image": PIXEL, "name": "pixel.png"}]},
            ]
        }
    )
    urls: tuple[Address, ...] | None = Field(
        default=None, min_length=1, description="Public URLs of the pictures."
    )
    images: tuple[EncodedPicture, ...] | None = Field(
        default=None, min_length=1, description="The files in base64."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.urls is None) == (self.images is None):
            raise ValueError("send either 'urls' or 'images'")
        return self


Named = TypeVar("Named", PictureJson, PicturesJson)
Pictures = Sequence[Upload | str]
_Form = Literal["multipart", "json", "raw"]


class BodyReader:
    """Reads request bodies within the limits of memory and time."""

    def __init__(self, settings: ServiceSettings, *, addresses: bool) -> None:
        self._settings, self._addresses = settings, addresses
        self._reading: set[asyncio.Timeout] = set()
        self._stopped = False

    def give_up(self) -> None:
        """Stop reading; unfinished bodies raise StoppingError."""
        self._stopped = True
        for timeout in self._reading:
            timeout.reschedule(asyncio.get_running_loop().time())

    async def read_one(self, request: Request, budget: BodyBudget) -> Upload | str:
        """Return the only file or URL of a request.

        Raises:
            HTTPException: 400, 415 or 422, the body is malformed.
            FileTooLargeError: the body is too large.
            SlowRequestError: the body did not arrive in time.
            BusyError: the service is full.
        """
        form = _form_of(request, several=False)
        async with self._limit_time():
            if form == "json":
                one = await self._read_json(request, budget, PictureJson)
                if one.url is not None:
                    return self._check_addresses([one.url])[0]
                given = EncodedPicture(image=one.image or "", name=one.name)
                return (await self._decode([given], budget, places=["image"]))[0]
            if form == "raw":
                return await self._read_raw(request, budget)
            return (await self._read_multipart(request, budget, files=1))[0]

    async def read_several(self, request: Request, budget: BodyBudget) -> Pictures:
        """Return the files or URLs of a request; raises the same errors as `read_one`."""
        most = self._settings.max_files
        form = _form_of(request, several=True)
        async with self._limit_time():
            if form == "multipart":
                return await self._read_multipart(request, budget, files=most)
            found = await self._read_json(request, budget, PicturesJson)
            given = found.images or ()
            if len(found.urls or given) > most:
                raise HTTPException(400, f"too many pictures, limit {most}: send fewer at once")
            if found.urls is not None:
                return self._check_addresses(found.urls)
            places = [f"images.{place}.image" for place in range(len(given))]
            return await self._decode(given, budget, places=places)

    async def _read_multipart(
        self, request: Request, budget: BodyBudget, *, files: int
    ) -> list[Upload]:
        """Return the files of a form, of which there is at least one."""
        boundary = boundary_of(request.headers.get("content-type", "")) or b""
        chunks = self._read_chunks(request, budget, self._settings.max_body_bytes)
        limit = self._settings.max_file_bytes
        uploads = MultipartUploads(boundary, max_file_bytes=limit, max_files=files)
        if not (found := await read_uploads(chunks, uploads)):
            raise HTTPException(400, "the body has no part named 'file'")
        return found

    async def _read_raw(self, request: Request, budget: BodyBudget) -> Upload:
        """Return the picture that is the whole body, named by Content-Disposition."""
        most = min(self._settings.max_file_bytes, self._settings.max_body_bytes)
        name = disposition_name(request.headers.get("content-disposition", "").encode("latin-1"))
        data = bytearray()
        async for chunk in self._read_chunks(request, budget, most):
            data += chunk
        return Upload(name, bytes(data))

    async def _read_json(self, request: Request, budget: BodyBudget, named: type[Named]) -> Named:
        """Return the parsed JSON body."""
        most = self._settings.max_body_bytes
        if named is PictureJson:
            most = min(most, self._settings.max_file_bytes * 7 // 5 + _LONGEST_JSON)
        body = b"".join([chunk async for chunk in self._read_chunks(request, budget, most)])
        if len(body) <= _LONGEST_JSON:
            return parse_json(named, body)
        return await asyncio.to_thread(parse_json, named, body)

    async def _decode(
        self, given: Sequence[EncodedPicture], budget: BodyBudget, *, places: Sequence[str]
    ) -> list[Upload]:
        """Return the files of base64 texts; ``places`` are their names in messages.

        The decoded bytes count like those of the body, as both are in memory.
        """
        limit = self._settings.max_file_bytes
        uploads = []
        for one, place in zip(given, places, strict=True):
            budget.add(len(one.image) * 3 // 4)
            name = file_name(one.name) if one.name else UNNAMED
            data = await asyncio.to_thread(decode_base64, one.image, place=place)
            if len(data) > limit:
                raise FileTooLargeError(f"{name}: file too large, limit {limit} bytes")
            uploads.append(Upload(name, data))
        return uploads

    @asynccontextmanager
    async def _limit_time(self) -> AsyncIterator[None]:
        """Apply the timeout to a body.

        Raises:
            SlowRequestError: the timeout expired.
            StoppingError: the service stopped before that.
        """
        async with limit_time(self._settings.upload_seconds, self._late_error) as timeout:
            self._reading.add(timeout)
            try:
                yield
            finally:
                self._reading.discard(timeout)

    def _late_error(self) -> ServiceError:
        if self._stopped:
            return StoppingError("the service stopped before the body arrived")
        seconds = self._settings.upload_seconds
        return SlowRequestError(f"the body did not arrive within {seconds:g} seconds")

    async def _read_chunks(
        self, request: Request, budget: BodyBudget, most: int
    ) -> AsyncIterator[bytes]:
        """Yield the body's chunks, counted.

        Raises:
            FileTooLargeError: there are more than ``most`` bytes, or Content-Length announces more.
        """
        too_large = f"the body exceeds the limit of {most} bytes"
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > most:
            raise FileTooLargeError(too_large)
        async for chunk in read_bounded(request, most, too_large=too_large):
            budget.add(len(chunk))
            yield chunk

    def _check_addresses(self, addresses: Sequence[str]) -> Sequence[str]:
        if not self._addresses:
            raise UnsupportedSourceError("fetching URLs is disabled here: send the file itself")
        return addresses


def _form_of(request: Request, *, several: bool) -> _Form:
    """Return the form of a body by its Content-Type; a raw body is one picture.

    Raises:
        HTTPException: 415, none of them.
    """
    kind = media_type(request)
    raw = kind.startswith("image/") or kind == "application/octet-stream"
    if kind == "multipart/form-data":
        return "multipart"
    if kind == "application/json":
        return "json"
    if raw and not several:
        return "raw"
    wanted = (
        "multipart/form-data with parts 'file', or application/json with 'urls' or 'images'"
        if several
        else "the picture itself as image/jpeg, multipart/form-data with a part 'file', "
        "or application/json with 'url' or 'image'"
    )
    raise HTTPException(415, f"Content-Type is {kind[:60]!r}; send {wanted}")


def decode_base64(text: str, *, place: str = "image") -> bytes:
    r"""Return the bytes of base64 text or of a base64 ``data:`` URL.

    Either alphabet, line breaks and missing padding are accepted, as encoders differ in them.

    >>> decode_base64("aGk="), decode_base64("data:image/png;base64,aG\nk")
    (b'hi', b'hi')

    Raises:
        HTTPException: 422, it is not base64; ``place`` is its name in the message.

    Source: RFC 4648 (2006), sections 4 and 5; RFC 2397 (1998) for ``data:``.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise HTTPException(422, f"body.{place}: the data: URL is not in base64")
    try:
        return base64_bytes(text)
    except ValueError:  # not ASCII, or binascii.Error
        raise HTTPException(422, f"body.{place}: not base64") from None
