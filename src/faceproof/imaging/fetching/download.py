"""fetch: from an address on the net to the bytes of a picture, by way of checked hops."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

from faceproof.errors import AddressRefusedError, FetchError, PictureError
from faceproof.imaging.fetching.answers import REDIRECTS, Headers, location, media_type, read_body
from faceproof.imaging.fetching.deadline import Deadline
from faceproof.imaging.fetching.locator import Locator, follow, locate
from faceproof.imaging.fetching.policy import DEFAULT_POLICY, FetchPolicy
from faceproof.imaging.fetching.resolving import resolve
from faceproof.imaging.picture import Limits

if TYPE_CHECKING:
    from httpcore2 import Response


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
