"""What a server answered: where it sends on to, or the bytes of a picture, within the limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from faceproof.errors import FetchError, UnsupportedFormatError
from faceproof.imaging.picture import Limits, check_bytes

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PICTURES = frozenset({200, 203})

#: Kinds that say nothing about what is inside; the decoder looks.
_UNSAID = frozenset({"application/octet-stream", "binary/octet-stream"})
_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Headers:
    """The headers of an answer, by lower-case name."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def one(self, name: str) -> str | None:
        """Return the value of a header that stands there once, or None where there is none.

        Raises:
            FetchError: it stands there with several values, or is no text.
        """
        wanted = name.encode()
        values = {value for found, value in self._pairs if found == wanted}
        if len(values) > 1:
            raise FetchError(f"the server contradicts itself about {name}")
        try:
            return values.pop().decode().strip() if values else None
        except UnicodeDecodeError:
            raise FetchError(f"the server's {name} cannot be read") from None


def location(headers: Headers) -> str:
    """Return where a redirect leads to, as it is written.

    Raises:
        FetchError: nowhere.
    """
    found = headers.one("location")
    if not found:
        raise FetchError("the server redirects to nowhere; open the address in a browser")
    return found


def media_type(status: int, headers: Headers) -> str:
    """Return the kind of what is answered, such as ``image/jpeg``.

    Raises:
        FetchError: the answer is no success, or is compressed although that was not asked for.
        UnsupportedFormatError: it is said to be no picture.
    """
    if status not in _PICTURES:
        raise FetchError(f"the server has no picture there, it answers {status}; {_BROWSER}")
    if (headers.one("content-encoding") or "identity").lower() != "identity":
        raise FetchError(f"the server compresses what it sends; {_BROWSER}")
    kind = (headers.one("content-type") or "application/octet-stream").partition(";")[0]
    kind = kind.strip().lower()
    if not _KIND.fullmatch(kind) or not (kind.startswith("image/") or kind in _UNSAID):
        what = "a web page" if kind in {"text/html", "application/xhtml+xml"} else "no picture"
        raise UnsupportedFormatError(f"this is {what}; name the address of the picture itself")
    return kind


_BROWSER = "open the address in a browser, save the picture and check the file"


def read_body(headers: Headers, parts: Iterator[bytes], limits: Limits) -> bytes:
    """Return the body, no more of which is read than the limit.

    Raises:
        FetchError: the announced length is no number.
        EmptyFileError: there is none.
        FileTooLargeError: it is announced to be, or is, larger than the limit.
    """
    announced = headers.one("content-length")
    if announced is not None:
        if not _LENGTH.fullmatch(announced):
            raise FetchError("the server announces a length that is no number")
        check_bytes(int(announced), limits)
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > limits.max_bytes:
            break
    check_bytes(len(body), limits)
    return bytes(body)
