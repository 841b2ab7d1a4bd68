"""Uploads: the files of a multipart body, in memory, counted while they arrive.

Starlette's own form parser writes files above one megabyte to the disk. This one keeps them in
memory, and stops reading as soon as a limit is passed, so that no byte of a picture is ever
written down.

Source: RFC 7578, "Returning Values from Forms: multipart/form-data", 2015.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from faceproof.errors import FileTooLargeError
from faceproof.sources import printable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PART = "file"
UNNAMED = "<upload>"
LONGEST_NAME = 255
MOST_HEADERS = 8
LONGEST_HEADER = 4096


@dataclass(frozen=True, eq=False)
class Upload:
    """A file that was sent: its name, made printable, and its bytes."""

    name: str
    data: bytes = field(repr=False)


class Uploads:
    """Takes the body chunk by chunk; `files` are whole after `finish`."""

    def __init__(self, boundary: bytes, *, max_file_bytes: int, max_files: int) -> None:
        """Raise HTTPException 400 for a boundary that cannot be one."""
        self._max_bytes, self._max_files = max_file_bytes, max_files
        self.files: list[Upload] = []
        self._part = _Part()
        self._ended = False
        try:
            self._parser = python_multipart.MultipartParser(
                boundary,
                self._callbacks(),
                max_header_count=MOST_HEADERS,
                max_header_size=LONGEST_HEADER,
            )
        except FormParserError as error:
            raise _malformed(error) from error

    def feed(self, chunk: bytes) -> None:
        """Take a chunk.

        Raises:
            FileTooLargeError: a file is larger than the limit, however much is still to come.
            HTTPException: 400, what arrives is no multipart body, or has too many parts.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(error) from error

    def finish(self) -> list[Upload]:
        """Return the files.

        Raises:
            HTTPException: 400, the end is missing.
        """
        if not self._ended:
            raise HTTPException(400, "the multipart body ends too early")
        return self.files

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_begin": self._header_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        if len(self.files) >= self._max_files:
            raise HTTPException(400, f"more than {self._max_files} parts; send fewer at once")
        self._part = _Part()

    def _header_begin(self) -> None:
        self._part.header, self._part.value = b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _header_end(self) -> None:
        if self._part.header.lower() == b"content-disposition":
            self._part.disposition = self._part.value

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        if _text(options.get(b"name", b"")) != PART:
            raise HTTPException(400, f"a part that is not called {PART!r}; nothing else is read")
        self._part.name = file_name(_text(options.get(b"filename", b"")))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if len(self._part.data) + end - start > self._max_bytes:
            raise FileTooLargeError(
                f"{self._part.name}: more than the {self._max_bytes} bytes that a picture may have"
            )
        self._part.data += data[start:end]

    def _end(self) -> None:
        self.files.append(Upload(self._part.name, bytes(self._part.data)))
        self._part = _Part()

    def _all(self) -> None:
        self._ended = True


@dataclass
class _Part:
    """The part that is arriving."""

    name: str = UNNAMED
    data: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    header: bytes = b""
    value: bytes = b""


async def read_uploads(chunks: AsyncIterator[bytes], uploads: Uploads) -> list[Upload]:
    """Return the files of a body that arrives in chunks."""
    async for chunk in chunks:
        uploads.feed(chunk)
    return uploads.finish()


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart body, None where the body is something else.

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
        raise HTTPException(400, "Content-Type names no boundary")
    return options[b"boundary"]


def file_name(name: str) -> str:
    r"""Return an upload's name as a result may show it: no folder, no control character.

    >>> file_name("C:\\faces\\a.jpg"), file_name("../b.png"), file_name("a\nb.jpg"), file_name("")
    ('a.jpg', 'b.png', 'a\\x0ab.jpg', '<upload>')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in printable(last))
    return shown[-LONGEST_NAME:] or UNNAMED


def _text(name: bytes) -> str:
    return name.decode("utf-8", errors="surrogateescape")


def _malformed(error: FormParserError) -> HTTPException:
    return HTTPException(400, f"not a multipart body that can be read ({error})")
