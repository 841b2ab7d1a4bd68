"""fetch: from an address on the net to the bytes of a picture, by way of checked hops."""

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


@dataclass(frozen=True)
class Fetched:
    """The bytes of a picture, the address that gave them after all redirects, and their kind.

    ``address`` may hold a query, and with it a secret: show it by way of `without_query`.
    """

    data: bytes = field(repr=False)
    address: str = field(repr=False)
    media_type: str


def fetch(address: str, policy: FetchPolicy = DEFAULT_POLICY) -> Fetched:
    """Return the picture at an address of http or https; safe between threads.

    Every host on the way is looked up once, all its addresses must be public (or allowed by the
    policy), and one of those is connected to. No cookie, no credential, no referrer is sent, and
    proxies named by the environment are not used.

    Raises:
        AddressRefusedError: the address or one on the way is not gone to.
        FetchError: the server gave no picture.
        FetchTimeoutError: it did not all happen in time.
        EmptyFileError: the picture has no bytes.
        FileTooLargeError: it has more than the policy allows.
        UnsupportedFormatError: the server says that it is no picture.
    """
    deadline = Deadline(policy.seconds)
    locator = _located(address, policy)
    for _ in range(policy.max_redirects + 1):
        found = _ask(locator, policy, deadline)
        if isinstance(found, Fetched):
            return found
        locator = _next(locator, found, policy)
    raise FetchError(f"{locator.authority}: more than {policy.max_redirects} redirects")


def _located(address: str, policy: FetchPolicy) -> Locator:
    return locate(address, ports=policy.ports, internal_names=bool(policy.allow_private))


def _next(locator: Locator, address: str, policy: FetchPolicy) -> Locator:
    """Return the next hop, checked like the first; never from https to http."""
    following = _located(address, policy)
    if locator.scheme == "https" and following.scheme == "http":
        raise AddressRefusedError(
            f"{locator.authority}: it redirects from https to http, where others could put"
            " another picture in its place"
        )
    return following


def _ask(locator: Locator, policy: FetchPolicy, deadline: Deadline) -> Fetched | str:
    """Return the picture, or the address that the server redirects to."""
    from faceproof.imaging.fetching.transport import ask

    addresses = resolve(locator.host, locator.port, policy, deadline)
    try:
        with ask(locator, addresses, _headers(), deadline=deadline, trust=policy.trust) as response:
            return _judged(locator, response, policy)
    except (FetchError, PictureError) as error:
        raise type(error)(f"{locator.authority}: {error}") from error.__cause__


def _judged(locator: Locator, response: Response, policy: FetchPolicy) -> Fetched | str:
    """Return what a server answered: the picture, or the address that it redirects to."""
    headers = Headers(response.headers)
    if response.status in REDIRECTS:
        return follow(locator, location(headers))
    kind = media_type(response.status, headers)
    response.extensions["network_stream"].allow(2 * policy.max_bytes)
    data = read_body(headers, response.iter_stream(), Limits(max_bytes=policy.max_bytes))
    return Fetched(data, str(locator), kind)


def _headers() -> list[tuple[str, str]]:
    """Return what is sent beside the host."""
    return [
        ("User-Agent", f"faceproof/{version('faceproof')}"),
        ("Accept", "image/*, application/octet-stream;q=0.5"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
