"""What every answer tells browsers and caches, and that no answer names its server.

Source: OWASP REST Security Cheat Sheet, section "Security Headers"; RFC 6797 (2012) for HSTS.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: JSON needs nothing from anywhere, and stands in nobody's frame.
CLOSED_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#: Of every answer, also where a route has set another.
ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Of an answer whose route has not set its own, as a page with scripts must.
UNLESS_SET: Mapping[str, str] = {
    "Content-Security-Policy": CLOSED_POLICY,
    "Cache-Control": "no-store",
}
#: One year. Subdomains are left to whoever owns the domain.
HSTS = "max-age=31536000"


class SecurityHeaders:
    """Adds the headers to every answer; HSTS only where HTTPS ends in front of the service."""

    def __init__(self, app: ASGIApp, *, tls_in_front: bool = False) -> None:
        self._app = app
        self._always = {**ALWAYS, **({"Strict-Transport-Security": HSTS} if tls_in_front else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders) -> None:
        headers.update(self._always)
        for name, value in UNLESS_SET.items():
            headers.setdefault(name, value)
        del headers["server"]
