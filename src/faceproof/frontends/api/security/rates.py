"""`RateLimitMiddleware`: rate limits for each client, with 429 and RateLimit headers.

Source: draft-ietf-httpapi-ratelimit-headers-11 (2026, not an RFC yet), sections 3 and 4; RFC 6585
(2012), section 4, for the status; RFC 9110 (2022), section 10.2.3, for ``Retry-After``.

Each client has a time at which its used units are paid off; a unit costs ``interval``. A unit is
granted while that time is less than ``burst`` intervals ahead. So at most burst + t / interval
units are granted in any time t. Times are whole nanoseconds, without rounding.

Source: ITU-T Recommendation I.371 (2004), annex A, "Generic Cell Rate Algorithm".
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends.api.problems import make_problem
from faceproof.frontends.api.routing import route_path
from faceproof.frontends.api.security import request_context
from faceproof.frontends.api.security.request_context import (
    OPEN_PATHS,
    client_of,
    network_of,
)
from faceproof.frontends.api.security.settings import Network

NANOSECONDS = 1_000_000_000
_MINUTE = 60 * NANOSECONDS


@dataclass(frozen=True)
class RateDecision:
    """Result of a request for a unit: granted, units left, whole seconds to the next unit."""

    granted: bool
    left: int
    seconds: int


class RateLimiter:
    """Units a minute for each of many clients, ``burst`` of them at once after a pause.

    At most ``most_clients`` are stored: the least recently seen client is dropped, and starts
    again with a full burst. Thread-safe.

    >>> rate = RateLimiter(60, burst=2, clock=lambda: 0)
    >>> [rate.take("a").granted for _ in range(3)], rate.take("b").granted
    ([True, True, False], True)
    """

    def __init__(
        self,
        per_minute: float,
        *,
        burst: int,
        most_clients: int = 100_000,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.burst = burst
        self.interval = math.ceil(_MINUTE / per_minute)
        self._most, self._clock = most_clients, clock
        self._paid: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of stored clients."""
        return len(self._paid)

    @property
    def seconds_to_fill(self) -> int:
        """Whole seconds to refill an empty burst."""
        return _seconds(self.burst * self.interval)

    def take(self, client: str) -> RateDecision:
        """Take one unit, if available."""
        with self._lock:
            now = self._clock()
            paid = max(self._paid.pop(client, now), now) + self.interval
            granted = paid - now <= self.burst * self.interval
            if not granted:
                paid -= self.interval
            self._paid[client] = paid
            if len(self._paid) > self._most:
                self._paid.popitem(last=False)
        return self._decide(paid - now, granted=granted)

    def _decide(self, debt: int, *, granted: bool) -> RateDecision:
        """Return the result for a client with a debt of ``debt`` nanoseconds."""
        left = (self.burst * self.interval - debt) // self.interval
        until_more = debt - (self.burst - left - 1) * self.interval
        return RateDecision(granted, left, max(1, _seconds(until_more)))


def _seconds(nanoseconds: int) -> int:
    """Return whole seconds, rounded up."""
    return -(-nanoseconds // NANOSECONDS)


class RateLimitMiddleware:
    """Limits requests by key, or by address without keys; rejects the rest with 429."""

    def __init__(
        self, app: ASGIApp, *, rate: RateLimiter, trusted_proxies: tuple[Network, ...] = ()
    ) -> None:
        self._app, self._rate, self._proxies = app, rate, trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reject it."""
        if scope["type"] != "http" or route_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        taken = self._rate.take(self._client(scope))
        if not taken.granted:
            request_context.record_refusal("rate")
            await too_many_requests(self._rate, taken, "too many requests")(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(rate_limit_headers(self._rate, taken))
            await send(message)

        await self._app(scope, receive, send_with_limits)

    def _client(self, scope: Scope) -> str:
        """Return the client that the request counts for."""
        known = request_context.REQUEST_CONTEXT.get()
        if known is not None and known.key is not None:
            return f"key {known.key}"
        return network_of(client_of(scope, self._proxies))


def rate_limit_headers(rate: RateLimiter, taken: RateDecision) -> dict[str, str]:
    """Return the RateLimit headers.

    >>> rate_limit_headers(
    ...     RateLimiter(60, burst=20), RateDecision(granted=True, left=19, seconds=1)
    ... )
    {'RateLimit-Policy': '"default";q=20;w=20', 'RateLimit': '"default";r=19;t=1'}
    """
    return {
        "RateLimit-Policy": f'"default";q={rate.burst};w={rate.seconds_to_fill}',
        "RateLimit": f'"default";r={taken.left};t={taken.seconds}',
    }


def too_many_requests(rate: RateLimiter, taken: RateDecision, why: str) -> Response:
    """Return the 429 response with Retry-After."""
    message = f"{why}: retry in {taken.seconds} s"
    headers = {"Retry-After": str(taken.seconds), **rate_limit_headers(rate, taken)}
    return make_problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", message).to_response(
        headers
    )
