"""`MultipartUploads` and `BodyReader` parse a request's pictures within limits of size and time.

This parser keeps files in memory and stops reading as soon as a limit is exceeded. Starlette's form
parser accepts truncated bodies and has no size limit for a file (``docs/decisions/0009``).

Source: RFC 7578, "Returning Values from Forms: multipart/form-data", 2015.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar

import python_multipart
from pydantic import ConfigDict, Field
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
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
from faceproof.records import Record
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_PART = "file"
UNNAMED = "<upload>"
_LONGEST_NAME = 255
_MOST_HEADERS = 8
_LONGEST_HEADER = 4096


@dataclass(frozen=True, eq=False)
class Upload:
    """An uploaded file: its printable name and its bytes."""

    name: str
    data: bytes = field(repr=False)


class MultipartUploads:
    """Multipart parser, fed chunk by chunk; `files` are complete after `finish`."""

    def __init__(self, boundary: bytes, *, max_file_bytes: int, max_files: int) -> None:
        """Raise HTTPException 400 for an invalid boundary."""
        self._max_bytes, self._max_files = max_file_bytes, max_files
        self.files: list[Upload] = []
        self._part = _MultipartPart()
        self._ended = False
        try:
            self._parser = python_multipart.MultipartParser(
                boundary,
                self._callbacks(),
                max_header_count=_MOST_HEADERS,
                max_header_size=_LONGEST_HEADER,
            )
        except FormParserError as error:
            raise _malformed_error(error) from error

    def feed(self, chunk: bytes) -> None:
        """Parse a chunk.

        Raises:
            FileTooLargeError: a file exceeds the limit, as soon as it does.
            HTTPException: 400, the body is not multipart, or has too many parts.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed_error(error) from error

    def finish(self) -> list[Upload]:
        """Return the files.

        Raises:
            HTTPException: 400, the body is truncated.
        """
        if not self._ended:
            raise HTTPException(400, "the multipart body is truncated")
        return self.files

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_begin": self._on_header_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        if len(self.files) >= self._max_files:
            raise HTTPException(400, f"too many parts, limit {self._max_files}: send fewer at once")
        self._part = _MultipartPart()

    def _on_header_begin(self) -> None:
        self._part.header, self._part.value = b"", b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _on_header_end(self) -> None:
        if self._part.header.lower() == b"content-disposition":
            self._part.disposition = self._part.value

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        if _decode_name(options.get(b"name", b"")) != _PART:
            raise HTTPException(400, f"unexpected part: only parts named {_PART!r} are accepted")
        self._part.name = file_name(_decode_name(options.get(b"filename", b"")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if len(self._part.data) + end - start > self._max_bytes:
            raise FileTooLargeError(
                f"{self._part.name}: file too large, limit {self._max_bytes} bytes"
            )
        self._part.data += data[start:end]

    def _on_part_end(self) -> None:
        self.files.append(Upload(self._part.name, bytes(self._part.data)))
        self._part = _MultipartPart()

    def _on_end(self) -> None:
        self._ended = True


@dataclass
class _MultipartPart:
    """The part being received."""

    name: str = UNNAMED
    data: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    header: bytes = b""
    value: bytes = b""


async def _read_uploads(chunks: AsyncIterator[bytes], uploads: MultipartUploads) -> list[Upload]:
    """Return the files of a body that arrives in chunks."""
    async for chunk in chunks:
        uploads.feed(chunk)
    return uploads.finish()


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart body, None for other bodies.

    >>> boundary_of("multipart/form-data; boundary=abc")
    b'abc'
    >>> boundary_of("application/json") is None
    True

    Raises:
        HTTPException: 400, it is multipart without a boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        return None
    if not options.get(b"boundary"):
        raise HTTPException(400, "Content-Type has no boundary")
    return options[b"boundary"]


def file_name(name: str) -> str:
    r"""Return an upload's name for results: no folder, no control characters.

    >>> file_name("C:\\faces\\a.jpg"), file_name("../b.png"), file_name("a\nb.jpg"), file_name("")
    ('a.jpg', 'b.png', 'a\\x0ab.jpg', '<upload>')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in to_printable(last))
    return shown[-_LONGEST_NAME:] or UNNAMED


def _decode_name(name: bytes) -> str:
    return name.decode("utf-8", errors="surrogateescape")


def _malformed_error(error: FormParserError) -> HTTPException:
    return HTTPException(400, f"malformed multipart body ({error})")


_LONGEST_ADDRESS = 4096
_LONGEST_JSON = 1024 * 1024

Address = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_LONGEST_ADDRESS,
        description="Public http or https URL of a picture.",
    ),
]


class AddressBody(Record):
    """A picture by URL."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.org/a.jpg"}]}
    )
    url: Address = Field(
        json_schema_extra={"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}
    )


class AddressesBody(Record):
    """Several pictures by URL."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"urls": ["https://example.org/a.jpg"]}]}
    )
    urls: tuple[Address, ...] = Field(min_length=1)


Named = TypeVar("Named", AddressBody, AddressesBody)
Pictures = Sequence[Upload | str]


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
        found = await self._read(request, budget, files=1, named=AddressBody)
        if isinstance(found, AddressBody):
            return self._check_addresses([found.url])[0]
        if not found:
            raise HTTPException(400, "the body has no part named 'file'")
        return found[0]

    async def read_several(self, request: Request, budget: BodyBudget) -> Pictures:
        """Return the files or URLs of a request; raises the same errors as `read_one`."""
        most = self._settings.max_files
        found = await self._read(request, budget, files=most, named=AddressesBody)
        if isinstance(found, AddressesBody):
            if len(found.urls) > most:
                raise HTTPException(400, f"too many URLs, limit {most}: send fewer at once")
            return self._check_addresses(found.urls)
        if not found:
            raise HTTPException(400, "the body has no part named 'file'")
        return found

    async def _read(
        self, request: Request, budget: BodyBudget, *, files: int, named: type[Named]
    ) -> list[Upload] | Named:
        """Return the files of a multipart body, or the parsed JSON body."""
        boundary = boundary_of(request.headers.get("content-type", ""))
        chunks = self._read_chunks(
            request, budget, self._byte_limit(request, json=boundary is None)
        )
        async with self._limit_time():
            if boundary is None:
                return parse_json(named, b"".join([chunk async for chunk in chunks]))
            limit = self._settings.max_file_bytes
            uploads = MultipartUploads(boundary, max_file_bytes=limit, max_files=files)
            return await _read_uploads(chunks, uploads)

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

    def _byte_limit(self, request: Request, *, json: bool) -> int:
        """Return the byte limit of the body; reject a larger Content-Length.

        Raises:
            HTTPException: 415, the body is neither multipart nor JSON.
            FileTooLargeError: Content-Length is above the limit.
        """
        kind = media_type(request)
        if json and kind != "application/json":
            wanted = "multipart/form-data with a part 'file', or application/json with 'url'"
            raise HTTPException(415, f"Content-Type is {kind!r}; send {wanted}")
        most = (
            min(_LONGEST_JSON, self._settings.max_body_bytes)
            if json
            else (self._settings.max_body_bytes)
        )
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > most:
            raise FileTooLargeError(_too_large_message(most))
        return most

    async def _read_chunks(
        self, request: Request, budget: BodyBudget, most: int
    ) -> AsyncIterator[bytes]:
        """Yield the body's chunks, counted; raise an error beyond ``most`` bytes."""
        async for chunk in read_bounded(request, most, too_large=_too_large_message(most)):
            budget.add(len(chunk))
            yield chunk

    def _check_addresses(self, addresses: Sequence[str]) -> Sequence[str]:
        if not self._addresses:
            raise UnsupportedSourceError("fetching URLs is disabled here: send the file itself")
        return addresses


def _too_large_message(most: int) -> str:
    return f"the body exceeds the limit of {most} bytes"
