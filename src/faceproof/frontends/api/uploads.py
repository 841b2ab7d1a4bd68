"""`MultipartUploads` parses the files of a form, and `disposition_name` their names.

This parser keeps files in memory and stops reading as soon as a limit is exceeded. Starlette's form
parser accepts truncated bodies and has no size limit for a file (``docs/decisions/0009``).

Source: RFC 7578, "Returning Values from Forms: multipart/form-data", 2015.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, Any

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from faceproof.errors import FileTooLargeError
from faceproof.sources import to_printable
from faceproof.tables import did_you_mean

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_PART = "file"
UNNAMED = "<upload>"
_LONGEST_NAME = 255
_MOST_HEADERS = 8
_LONGEST_HEADER = 4096
_LONGEST_SHOWN = 60
#: Headers of a part that is not sent as it is, and the values that change nothing.
_ENCODINGS = frozenset({b"content-encoding", b"content-transfer-encoding"})
_UNCHANGED = frozenset({b"", b"identity", b"7bit", b"8bit", b"binary"})


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
        elif self._part.header.lower() in _ENCODINGS:
            _refuse_encoded(self._part.header, self._part.value)

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        name = _decode_name(options.get(b"name", b""))
        if name != _PART:
            nearest = did_you_mean(name[:_LONGEST_SHOWN], [_PART]) or "."
            message = f"unexpected part{nearest} Only parts named {_PART!r} are accepted"
            raise HTTPException(400, message)
        self._part.name = disposition_name(self._part.disposition)

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


async def read_uploads(chunks: AsyncIterator[bytes], uploads: MultipartUploads) -> list[Upload]:
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


def disposition_name(header: bytes) -> str:
    r"""Return the printable file name of a Content-Disposition header.

    RFC 7578 forbids ``filename*`` in forms, but clients send it for names beyond ASCII. It is the
    better one of two names; some clients send an encoded word of RFC 2047 beside it, or alone.

    >>> disposition_name(b"form-data; name=\"file\"; filename*=UTF-8''Jos%C3%A9.jpg")
    'José.jpg'
    >>> disposition_name(b'attachment; filename="=?utf-8?B?Sm9zw6kuanBn?="')
    'José.jpg'

    Source: RFC 6266 (2011), section 4.3; RFC 8187 (2017); RFC 2231 (1997) for ``filename*0``.
    """
    _, options = parse_options_header(header)
    plain = _decode_name(options.get(b"filename", b""))
    return file_name(_extended_name(header, plain) if b"*" in header else _decode_words(plain))


def _extended_name(header: bytes, plain: str) -> str:
    """Return the value of ``filename*`` or of ``filename*0`` and on, else the plain name."""
    message = Message()
    message["Content-Disposition"] = header.decode("latin-1")
    parameters = message.get_params(header="Content-Disposition") or []
    values: list[Any] = [value for key, value in parameters if key.lower() == "filename"]
    joined = [value for value in values if isinstance(value, str)]
    try:
        extended = [collapse_rfc2231_value(value) for value in values if isinstance(value, tuple)]
    except ValueError:  # an impossible character set
        extended = []
    return next(filter(None, [*extended, plain, *joined]), "")


def _decode_words(name: str) -> str:
    """Return a name with its encoded words decoded; as it is if they are malformed."""
    if not (name.startswith("=?") and name.endswith("?=")):
        return name
    try:
        return str(make_header(decode_header(name))) or name
    except (MessageError, ValueError, LookupError):
        return name


def file_name(name: str) -> str:
    r"""Return an upload's name for results: no folder, no control characters.

    >>> file_name("C:\\faces\\a.jpg"), file_name("../b.png"), file_name("a\nb.jpg"), file_name("")
    ('a.jpg', 'b.png', 'a\\x0ab.jpg', '<upload>')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in to_printable(last))
    return shown[-_LONGEST_NAME:] or UNNAMED


def _refuse_encoded(header: bytes, value: bytes) -> None:
    """Raise HTTPException 415 for a part whose bytes are not those of the file."""
    if value.strip().lower() not in _UNCHANGED:
        name, shown = (text.decode("latin-1")[:_LONGEST_SHOWN] for text in (header, value))
        raise HTTPException(415, f"part with {name} {shown!r}: send the bytes of the file as it is")


def _decode_name(name: bytes) -> str:
    return name.decode("utf-8", errors="surrogateescape")


def _malformed_error(error: FormParserError) -> HTTPException:
    return HTTPException(400, f"malformed multipart body ({error})")
