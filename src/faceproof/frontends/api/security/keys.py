"""`ApiKeyMiddleware`: API-key authentication by `Authorization: Bearer` or `X-API-Key`.

Source: RFC 6750, "Bearer Token Usage", 2012, sections 2.1 and 3.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from faceproof.errors import UsageError
from faceproof.frontends.api.problems import make_problem
from faceproof.frontends.api.routing import route_path
from faceproof.frontends.api.security import request_context
from faceproof.frontends.api.security.key_file import KEY, Key, hash_key, read_keys
from faceproof.frontends.api.security.rates import RateLimiter, too_many_requests
from faceproof.frontends.api.security.request_context import (
    OPEN_PATHS,
    client_of,
    network_of,
)
from faceproof.frontends.api.security.settings import Network

_LOG = logging.getLogger(__name__)

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="faceproof"'}
_WANTED = "missing or invalid API key: send Authorization: Bearer KEY or X-API-Key: KEY"
_LONGEST_KEY = 256
_NO_HASH = "0" * 64


class KeyRing:
    """The keys of a file, reloaded within a second of a change.

    If the file becomes invalid or disappears, its last keys stay valid for ``GRACE`` seconds,
    so that an editor may finish. After that every key is rejected until the file is valid.
    """

    SECONDS_BETWEEN_LOOKS = 1.0
    GRACE = 10.0

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._clock, self._now = path, clock, now
        self._keys: Mapping[str, Key] = {}
        self._signature = _signature(path)
        self._keys = _read_keys_by_id(path)
        self._looked = clock()
        self._bad_since: float | None = None

    def find_holder(self, presented: str) -> str | None:
        """Return the id of a valid key, else None, in constant time."""
        self._look_again()
        match = KEY.fullmatch(presented)
        key = self._keys.get(match["id"]) if match else None
        same = hmac.compare_digest(hash_key(presented), key.sha256 if key else _NO_HASH)
        valid = key is not None and key.state(self._now()) == "valid"
        return key.id if key and same & valid else None

    @property
    def trusted(self) -> bool:
        """Whether the file was valid within the grace period."""
        return self._bad_since is None or self._clock() - self._bad_since < self.GRACE

    def _look_again(self) -> None:
        """Reload the file if it has changed, at most once a second."""
        clock = self._clock()
        if clock - self._looked < self.SECONDS_BETWEEN_LOOKS:
            return
        self._looked = clock
        signature = _signature(self._path)
        if signature == self._signature and self._bad_since is None:
            return
        try:
            self._keys, self._signature = _read_keys_by_id(self._path), signature
            self._bad_since = None
            _LOG.info("keys file reloaded", extra={"keys": len(self._keys)})
        except UsageError as error:
            self._bad_since = self._bad_since or clock
            _LOG.error("keys file: %s", error)


class ApiKeyMiddleware:
    """Passes requests with a valid key and open paths; rejects the others with 401."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        ring: KeyRing,
        failures: RateLimiter,
        trusted_proxies: tuple[Network, ...] = (),
        open_paths: frozenset[str] = OPEN_PATHS,
    ) -> None:
        self._app, self._ring, self._failures = app, ring, failures
        self._proxies, self._open = trusted_proxies, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reject it."""
        if scope["type"] != "http" or route_path(scope) in self._open:
            await self._app(scope, receive, send)
            return
        holder = self._ring.find_holder(presented_key(Headers(scope=scope)))
        if not self._ring.trusted:
            await self._refuse_all(scope, receive, send)
        elif holder is None:
            await self._refuse(scope, receive, send)
        else:
            request_context.record_key(holder)
            await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond 401, or 429 to an address with too many failures."""
        taken = self._failures.take(network_of(client_of(scope, self._proxies)))
        if taken.granted:
            request_context.record_refusal("no_valid_key")
            answer = make_problem(HTTPStatus.UNAUTHORIZED, "unauthorized", _WANTED).to_response(
                _CHALLENGE
            )
        else:
            request_context.record_refusal("too_many_failures")
            answer = too_many_requests(
                self._failures, taken, "too many requests without a valid API key"
            )
        await answer(scope, receive, send)

    async def _refuse_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond 503: no key can be verified."""
        request_context.record_refusal("keys_unavailable")
        detail = "the service cannot read its API keys; see its log"
        answer = make_problem(HTTPStatus.SERVICE_UNAVAILABLE, "keys_unavailable", detail)
        await answer.to_response({"Retry-After": "10"})(scope, receive, send)


def presented_key(headers: Headers) -> str:
    """Return the only key in the headers, an empty string for none or several.

    >>> presented_key(Headers({"authorization": "bearer a"})), presented_key(
    ...     Headers({"x-api-key": "b"})
    ... )
    ('a', 'b')
    >>> presented_key(Headers({"authorization": "Bearer a", "x-api-key": "b"}))
    ''
    """
    found = list(_presented_keys(headers))
    return found[0][:_LONGEST_KEY] if len(found) == 1 else ""


def _presented_keys(headers: Headers) -> Iterator[str]:
    """Yield every key in the headers."""
    for value in headers.getlist("authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()
    for value in headers.getlist("x-api-key"):
        yield value.strip()


def _read_keys_by_id(path: Path) -> Mapping[str, Key]:
    return {key.id: key for key in read_keys(path).keys}


def _signature(path: Path) -> tuple[int, ...]:
    """Return a signature that changes with the file; empty for a missing file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
