"""Who asks too often gets 429, and everyone is told how much is left.

Source: draft-ietf-httpapi-ratelimit-headers-11 (2026, not an RFC yet), sections 3 and 4; RFC 6585
(2012), section 4, for the status; RFC 9110 (2022), section 10.2.3, for ``Retry-After``.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends.api.guard import current
from faceproof.frontends.api.guard.buckets import Rate, Taken
from faceproof.frontends.api.guard.clients import client_of, network_of
from faceproof.frontends.api.guard.paths import OPEN_PATHS, route_path
from faceproof.frontends.api.guard.settings import Network
from faceproof.frontends.api.problems import problem


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
            current.refused("rate")
            await refusal(self._rate, taken, "too many requests")(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limits(self._rate, taken))
            await send(message)

        await self._app(scope, receive, send_with_limits)

    def _client(self, scope: Scope) -> str:
        """Return whose rate it is."""
        known = current.CURRENT.get()
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
