"""Who asks too often gets 429, and everyone is told how much is left.

Source: draft-ietf-httpapi-ratelimit-headers-11 (2026, not an RFC yet), sections 3 and 4; RFC 6585
(2012), section 4, for the status; RFC 9110 (2022), section 10.2.3, for ``Retry-After``.

A client's number is the moment at which it will have paid for all it took, each unit costing
``interval``. A unit is granted while that moment lies less than ``burst`` intervals ahead, so that
in any time t no more than burst + t / interval are granted. Whole nanoseconds: nothing is rounded.

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

from faceproof.frontends.api.problems import problem
from faceproof.frontends.api.security import request_context
from faceproof.frontends.api.security.request_context import (
    OPEN_PATHS,
    client_of,
    network_of,
    route_path,
)
from faceproof.frontends.api.security.settings import Network

NANOSECONDS = 1_000_000_000
_MINUTE = 60 * NANOSECONDS


@dataclass(frozen=True)
class Taken:
    """What came of asking: granted or not, units left, whole seconds until there is one more."""

    granted: bool
    left: int
    seconds: int


class Rate:
    """Units a minute for each of many clients, ``burst`` of them at once after a pause.

    No more than ``most_clients`` are remembered: the one that has asked for nothing longest is
    forgotten, and starts anew with a full burst. Threads may share it.

    >>> rate = Rate(60, burst=2, clock=lambda: 0)
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
        """Return how many clients are remembered."""
        return len(self._paid)

    @property
    def seconds_to_fill(self) -> int:
        """Whole seconds from nothing left to a full burst."""
        return _seconds(self.burst * self.interval)

    def take(self, client: str) -> Taken:
        """Take one unit, if there is one."""
        with self._lock:
            now = self._clock()
            paid = max(self._paid.pop(client, now), now) + self.interval
            granted = paid - now <= self.burst * self.interval
            if not granted:
                paid -= self.interval
            self._paid[client] = paid
            if len(self._paid) > self._most:
                self._paid.popitem(last=False)
        return self._taken(paid - now, granted=granted)

    def _taken(self, debt: int, *, granted: bool) -> Taken:
        """Return the answer to a client that owes ``debt`` nanoseconds."""
        left = (self.burst * self.interval - debt) // self.interval
        until_more = debt - (self.burst - left - 1) * self.interval
        return Taken(granted, left, max(1, _seconds(until_more)))


def _seconds(nanoseconds: int) -> int:
    """Return whole seconds, rounded up."""
    return -(-nanoseconds // NANOSECONDS)


class RatesLimited:
    """Passes on what a key, or without keys an address, may ask; the rest gets 429."""

    def __init__(
        self, app: ASGIApp, *, rate: Rate, trusted_proxies: tuple[Network, ...] = ()
    ) -> None:
        self._app, self._rate, self._proxies = app, rate, trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http" or route_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        taken = self._rate.take(self._client(scope))
        if not taken.granted:
            request_context.refused("rate")
            await refusal(self._rate, taken, "too many requests")(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limits(self._rate, taken))
            await send(message)

        await self._app(scope, receive, send_with_limits)

    def _client(self, scope: Scope) -> str:
        """Return whose rate it is."""
        known = request_context.CURRENT.get()
        if known is not None and known.key is not None:
            return f"key {known.key}"
        return network_of(client_of(scope, self._proxies))


def limits(rate: Rate, taken: Taken) -> dict[str, str]:
    """Return the headers that tell a client its limits.

    >>> limits(Rate(60, burst=20), Taken(granted=True, left=19, seconds=1))
    {'RateLimit-Policy': '"default";q=20;w=20', 'RateLimit': '"default";r=19;t=1'}
    """
    return {
        "RateLimit-Policy": f'"default";q={rate.burst};w={rate.seconds_to_fill}',
        "RateLimit": f'"default";r={taken.left};t={taken.seconds}',
    }


def refusal(rate: Rate, taken: Taken, why: str) -> Response:
    """Return the 429 that says when to come back."""
    told = f"{why}: come back in {taken.seconds} s"
    headers = {"Retry-After": str(taken.seconds), **limits(rate, taken)}
    return problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", told).response(headers)
