"""The outermost part: gives each request its id, its line in the log and its counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends.api.guard.clients import client_of, network_of
from faceproof.frontends.api.guard.current import CURRENT, Current, request_id
from faceproof.frontends.api.guard.logs import REQUESTS
from faceproof.frontends.api.guard.metrics import Metrics
from faceproof.frontends.api.guard.paths import method_of, template_of
from faceproof.frontends.api.guard.settings import Network

_LOG = logging.getLogger(REQUESTS)
#: Of a request whose client had gone before there was an answer.
NO_STATUS = "none"


@dataclass
class Exchange:
    """What went over the wire for one request."""

    status: int | None = None
    received: int = 0
    sent: int = 0


class Watched:
    """Watches each request from its head to the end of its answer; refuses WebSockets."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        trusted_proxies: tuple[Network, ...] = (),
        log_addresses: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app, self._metrics, self._clock = app, metrics, clock
        self._proxies, self._log_addresses = trusted_proxies, log_addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and tell of it when it has ended, however it ended."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._watch(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        current, exchange = self._current(scope), Exchange()
        token, begun = CURRENT.set(current), self._clock()
        self._metrics.begun()
        try:
            await self._app(
                scope, _counting(receive, exchange), _telling(send, exchange, current.id)
            )
        finally:
            self._tell(scope, current, exchange, self._clock() - begun)
            CURRENT.reset(token)

    def _current(self, scope: Scope) -> Current:
        """Return what is known of a request from its head."""
        sent = Headers(scope=scope).get("x-request-id", "")
        client = network_of(client_of(scope, self._proxies), ipv4=24, ipv6=48)
        return Current(id=request_id(sent), client=client)

    def _tell(self, scope: Scope, current: Current, exchange: Exchange, seconds: float) -> None:
        """Write the line of a request, and count it."""
        route, method = template_of(scope), method_of(scope)
        self._metrics.answered(
            (route, method, str(exchange.status or NO_STATUS)),
            seconds=seconds,
            received=exchange.received,
            sent=exchange.sent,
            refused=current.refused,
        )
        line = {
            "method": method,
            "route": route,
            "status": exchange.status,
            "ms": round(seconds * 1000, 1),
            "bytes_in": exchange.received,
            "bytes_out": exchange.sent,
            "key": current.key,
            "refused": current.refused,
            "checks": dict(current.checks) or None,
            "client": current.client if self._log_addresses else None,
        }
        said = {name: value for name, value in line.items() if value is not None}
        _LOG.info("request", extra=said)


def _counting(receive: Receive, exchange: Exchange) -> Receive:
    """Return ``receive`` that counts the bytes of the body."""

    async def counted() -> Message:
        message = await receive()
        exchange.received += len(message.get("body", b""))
        return message

    return counted


def _telling(send: Send, exchange: Exchange, identity: str) -> Send:
    """Return ``send`` that remembers the answer, and tells the client the request's id."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = identity
        exchange.sent += len(message.get("body", b""))
        await send(message)

    return told
