"""Bodies: from a request to the pictures that it names, within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceproof.errors import (
    FileTooLargeError,
    SlowRequestError,
    StoppingError,
    UnsupportedSourceError,
)
from faceproof.frontends.api.room import Holding
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.uploads import Upload, Uploads, boundary_of, read_uploads
from faceproof.records import Record

LONGEST_ADDRESS = 4096
LONGEST_JSON = 1024 * 1024

Address = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ADDRESS,
        description="Address of a picture, http or https, that anyone on the net can open.",
    ),
]


class AddressBody(Record):
    """A picture named by its address on the net."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.org/a.jpg"}]}
    )
    url: Address = Field(
        json_schema_extra={"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}
    )


class AddressesBody(Record):
    """Several pictures named by their addresses on the net."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"urls": ["https://example.org/a.jpg"]}]}
    )
    urls: tuple[Address, ...] = Field(min_length=1)


Named = TypeVar("Named", AddressBody, AddressesBody)
Pictures = Sequence[Upload | str]


class Bodies:
    """Reads bodies for as long as there is room and time."""

    def __init__(self, settings: ServiceSettings, *, addresses: bool) -> None:
        self._settings, self._addresses = settings, addresses
        self._reading: set[asyncio.Timeout] = set()
        self._stopped = False

    def give_up(self) -> None:
        """Read no further: whose body is still arriving is told that the service has stopped."""
        self._stopped = True
        for timeout in self._reading:
            timeout.reschedule(asyncio.get_running_loop().time())

    async def one(self, request: Request, holding: Holding) -> Upload | str:
        """Return the one file or address of a request.

        Raises:
            HTTPException: 400, 415 or 422, the body is not as it should be.
            FileTooLargeError: it is too large.
            SlowRequestError: it did not arrive in time.
            BusyError: the service is full.
        """
        found = await self._read(request, holding, files=1, named=AddressBody)
        if isinstance(found, AddressBody):
            return self._allowed([found.url])[0]
        if not found:
            raise HTTPException(400, "no part called 'file' in the body")
        return found[0]

    async def several(self, request: Request, holding: Holding) -> Pictures:
        """Return the files or addresses of a request; raises what `one` does."""
        most = self._settings.max_files
        found = await self._read(request, holding, files=most, named=AddressesBody)
        if isinstance(found, AddressesBody):
            if len(found.urls) > most:
                raise HTTPException(400, f"more than {most} addresses; send fewer at once")
            return self._allowed(found.urls)
        if not found:
            raise HTTPException(400, "no part called 'file' in the body")
        return found

    async def _read(
        self, request: Request, holding: Holding, *, files: int, named: type[Named]
    ) -> list[Upload] | Named:
        """Return the files of a multipart body, or what a JSON body says."""
        boundary = boundary_of(request.headers.get("content-type", ""))
        chunks = self._chunks(request, holding, self._most(request, json=boundary is None))
        async with self._in_time():
            if boundary is None:
                return _parsed(named, b"".join([chunk async for chunk in chunks]))
            limit = self._settings.max_file_bytes
            uploads = Uploads(boundary, max_file_bytes=limit, max_files=files)
            return await read_uploads(chunks, uploads)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Give a body its time.

        Raises:
            SlowRequestError: it was not enough.
            StoppingError: the service stopped before it was over.
        """
        seconds = self._settings.upload_seconds
        timeout = asyncio.timeout(seconds)
        self._reading.add(timeout)
        try:
            async with timeout:
                yield
        except TimeoutError as error:
            if self._stopped:
                raise StoppingError("the service stopped before the body arrived") from error
            raise SlowRequestError(f"the body did not arrive in {seconds:g} seconds") from error
        finally:
            self._reading.discard(timeout)

    def _most(self, request: Request, *, json: bool) -> int:
        """Return how many bytes the body may have, after refusing what announces more.

        Raises:
            HTTPException: 415, the body is neither multipart nor JSON.
            FileTooLargeError: Content-Length is above the limit.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if json and kind != "application/json":
            wanted = "multipart/form-data with a part 'file', or application/json with 'url'"
            raise HTTPException(415, f"Content-Type is {kind!r}; send {wanted}")
        most = (
            min(LONGEST_JSON, self._settings.max_body_bytes)
            if json
            else (self._settings.max_body_bytes)
        )
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(most)
        return most

    async def _chunks(self, request: Request, holding: Holding, most: int) -> AsyncIterator[bytes]:
        """Yield the body's chunks, counted; refuse to go on beyond ``most`` bytes."""
        async for chunk in request.stream():
            if holding.bytes + len(chunk) > most:
                raise _too_large(most)
            holding.add(len(chunk))
            yield chunk

    def _allowed(self, addresses: Sequence[str]) -> Sequence[str]:
        if not self._addresses:
            raise UnsupportedSourceError("this service fetches no addresses: send the file itself")
        return addresses


def _parsed(named: type[Named], body: bytes) -> Named:
    """Return what a JSON body says.

    Raises:
        HTTPException: 422, naming the fields that do not fit.
    """
    try:
        return named.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(_faults(error))) from error


def _faults(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(['body', *map(str, fault['loc'])])}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]


def _too_large(most: int) -> FileTooLargeError:
    return FileTooLargeError(f"the body has more than the {most} bytes that it may have")
