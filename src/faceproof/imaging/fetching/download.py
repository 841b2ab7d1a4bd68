"""`fetch`: download a picture from a URL, checking every redirect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

from faceproof.errors import AddressRefusedError, FetchError, PictureError, UnsupportedFormatError
from faceproof.imaging.decode import Limits, check_bytes
from faceproof.imaging.fetching.address import Locator, follow, locate
from faceproof.imaging.fetching.policy import DEFAULT_POLICY, Deadline, FetchPolicy, resolve

if TYPE_CHECKING:
    from httpcore2 import Response


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PICTURES = frozenset({200, 203})

#: Media types without information; the decoder detects the format.
_UNSAID = frozenset({"application/octet-stream", "binary/octet-stream"})
_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_LENGTH = re.compile(r"[0-9]{1,18}")


class _ResponseHeaders:
    """The headers of a response, by lower-case name."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def get(self, name: str) -> str | None:
        """Return the value of a header, or None if it is missing.

        Raises:
            FetchError: it occurs with several values, or is not text.
        """
        wanted = name.encode()
        values = {value for found, value in self._pairs if found == wanted}
        if len(values) > 1:
            raise FetchError(f"the server sent several values of {name}")
        try:
            return values.pop().decode().strip() if values else None
        except UnicodeDecodeError:
            raise FetchError(f"the server sent an unreadable {name}") from None


def location(headers: _ResponseHeaders) -> str:
    """Return the target of a redirect, unparsed.

    Raises:
        FetchError: the target is missing.
    """
    found = headers.get("location")
    if not found:
        raise FetchError("the server sent a redirect without a target; open the URL in a browser")
    return found


def media_type(status: int, headers: _ResponseHeaders) -> str:
    """Return the media type of the response, such as ``image/jpeg``.

    Raises:
        FetchError: the status is not a success, or the body is compressed without request.
        UnsupportedFormatError: the media type is not that of a picture.
    """
    if status not in _PICTURES:
        raise FetchError(f"the server answered with status {status}; {_BROWSER}")
    if (headers.get("content-encoding") or "identity").lower() != "identity":
        raise FetchError(f"the server sent a compressed response; {_BROWSER}")
    kind = (headers.get("content-type") or "application/octet-stream").partition(";")[0]
    kind = kind.strip().lower()
    if not _KIND.fullmatch(kind) or not (kind.startswith("image/") or kind in _UNSAID):
        what = "a web page" if kind in {"text/html", "application/xhtml+xml"} else "no picture"
        raise UnsupportedFormatError(f"this is {what}; use the URL of the picture itself")
    return kind


_BROWSER = "open the URL in a browser, save the picture and check the file"


def _read_body(headers: _ResponseHeaders, parts: Iterator[bytes], limits: Limits) -> bytes:
    """Return the body, reading at most the limit.

    Raises:
        FetchError: Content-Length is not a number.
        EmptyFileError: the body is empty.
        FileTooLargeError: the declared or actual length is above the limit.
    """
    announced = headers.get("content-length")
    if announced is not None:
        if not _LENGTH.fullmatch(announced):
            raise FetchError("the server sent a Content-Length that is not a number")
        check_bytes(int(announced), limits)
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > limits.max_bytes:
            break
    check_bytes(len(body), limits)
    return bytes(body)


@dataclass(frozen=True)
class FetchedFile:
    """The bytes of a picture, their URL after all redirects, and their media type.

    The query of ``address`` may contain a secret: show it through `strip_query`.
    """

    data: bytes = field(repr=False)
    address: str = field(repr=False)
    media_type: str


def fetch(address: str, policy: FetchPolicy = DEFAULT_POLICY) -> FetchedFile:
    """Return the picture at an http or https URL; thread-safe.

    Every host, also of redirects, is resolved once. All its IP addresses must be public (or allowed
    by the policy), and the connection goes to one of them. No cookie, credential or referrer is
    sent, and proxies from the environment are ignored.

    Raises:
        AddressRefusedError: the URL or a redirect's target is refused.
        FetchError: the server did not send a picture.
        FetchTimeoutError: the deadline passed.
        EmptyFileError: the body is empty.
        FileTooLargeError: the body is larger than the policy allows.
        UnsupportedFormatError: the media type is not that of a picture.
    """
    deadline = Deadline(policy.seconds)
    locator = _locate(address, policy)
    for _ in range(policy.max_redirects + 1):
        found = _ask(locator, policy, deadline)
        if isinstance(found, FetchedFile):
            return found
        locator = _next_hop(locator, found, policy)
    raise FetchError(f"{locator.authority}: more than {policy.max_redirects} redirects")


def _locate(address: str, policy: FetchPolicy) -> Locator:
    return locate(address, ports=policy.ports, internal_names=bool(policy.allow_private))


def _next_hop(locator: Locator, address: str, policy: FetchPolicy) -> Locator:
    """Return the next hop, checked like the first; never from https to http."""
    following = _locate(address, policy)
    if locator.scheme == "https" and following.scheme == "http":
        raise AddressRefusedError(
            f"{locator.authority}: redirect from https to http refused: others could replace"
            " the picture"
        )
    return following


def _ask(locator: Locator, policy: FetchPolicy, deadline: Deadline) -> FetchedFile | str:
    """Return the picture, or the target URL of a redirect."""
    from faceproof.imaging.fetching.transport import ask

    addresses = resolve(locator.host, locator.port, policy, deadline)
    try:
        with ask(
            locator, addresses, _request_headers(), deadline=deadline, trust=policy.trust
        ) as response:
            return _read_response(locator, response, policy)
    except (FetchError, PictureError) as error:
        raise type(error)(f"{locator.authority}: {error}") from error.__cause__


def _read_response(locator: Locator, response: Response, policy: FetchPolicy) -> FetchedFile | str:
    """Return the response of a server: the picture, or the target URL of a redirect."""
    headers = _ResponseHeaders(response.headers)
    if response.status in _REDIRECTS:
        return follow(locator, location(headers))
    kind = media_type(response.status, headers)
    response.extensions["network_stream"].allow(2 * policy.max_bytes)
    data = _read_body(headers, response.iter_stream(), Limits(max_bytes=policy.max_bytes))
    return FetchedFile(data, str(locator), kind)


def _request_headers() -> list[tuple[str, str]]:
    """Return the request headers besides the host."""
    return [
        ("User-Agent", f"faceproof/{version('faceproof')}"),
        ("Accept", "image/*, application/octet-stream;q=0.5"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
