"""One request has one length: what announces two is refused, and its connection closed.

The HTTP parser reads a request with both ``Content-Length`` and ``Transfer-Encoding`` by the
latter, and goes on with the connection. A proxy that went by the former has another idea of where
the next request begins: what a stranger put between would be taken for somebody else's request.

Source: RFC 9112 (2022), sections 6.1 and 11.2, "Request Smuggling".
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from faceproof.frontends.api.guard import current
from faceproof.frontends.api.problems import problem

_TOLD = "a request has one length: send Content-Length or Transfer-Encoding, not both"


class FramingChecked:
    """Passes on what has one length; else 400."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http" and _has_two_lengths(Headers(scope=scope)):
            current.refused("framing")
            answer = problem(HTTPStatus.BAD_REQUEST, "bad_request", _TOLD)
            await answer.response({"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _has_two_lengths(headers: Headers) -> bool:
    lengths = headers.getlist("content-length")
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)
