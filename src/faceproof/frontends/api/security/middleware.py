"""`SecurityHeadersMiddleware` and other stateless middlewares: errors, framing, Host and Origin.

Source: OWASP REST Security Cheat Sheet, section "Security Headers"; RFC 6797 (2012) for HSTS.

The HTTP parser frames a request with both ``Content-Length`` and ``Transfer-Encoding`` by the
latter, and keeps the connection open. A proxy that frames by the former finds another start of the
next request, so an attacker can smuggle a request into another client's connection.

Source: RFC 9112 (2022), sections 6.1 and 11.2, "Request Smuggling".

A web page whose name resolves to 127.0.0.1 (DNS rebinding) sends its own name as ``Host``; so a
service reached through loopback accepts only the names of loopback.
A page may also post to a service without reading the response; the ``Origin`` header of the
browser must be the service itself or an allowed page.

Source: RFC 9110 (2022), sections 7.4 and 15.5.20; RFC 6454 (2011), section 7.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends import is_loopback
from faceproof.frontends.api.problems import make_problem
from faceproof.frontends.api.routing import route_path
from faceproof.frontends.api.security import request_context
from faceproof.frontends.api.security.request_context import OPEN_PATHS
from faceproof.frontends.api.security.settings import PREFIX

#: JSON loads nothing and must not be framed.
_CLOSED_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#: Set on every response; overrides the route's value.
_ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Set only if the route has not set its own, as a page with scripts must.
_UNLESS_SET: Mapping[str, str] = {
    "Content-Security-Policy": _CLOSED_POLICY,
    "Cache-Control": "no-store",
}
#: One year, without subdomains: those are the domain owner's decision.
HSTS = "max-age=31536000"


class SecurityHeadersMiddleware:
    """Adds security headers to every response; HSTS only behind a TLS proxy."""

    def __init__(self, app: ASGIApp, *, tls_in_front: bool = False) -> None:
        self._app = app
        self._always = {**_ALWAYS, **({"Strict-Transport-Security": HSTS} if tls_in_front else {})}

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
        for name, value in _UNLESS_SET.items():
            headers.setdefault(name, value)
        del headers["server"]


_LOG = logging.getLogger(__name__)


class InternalErrorMiddleware:
    """Turns uncaught exceptions into a 500; a response that has started is aborted instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # `request_log` writes frames without messages, which may quote the request.
            _LOG.exception("bug")
            if begun or scope["type"] != "http":
                raise
            detail = "internal error; see the service's log under the X-Request-ID of this response"
            answer = make_problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail
            ).to_response()
            await answer(scope, receive, send)


_TOLD = "ambiguous request length: send Content-Length or Transfer-Encoding, not both"


class RequestSmugglingMiddleware:
    """Rejects requests of ambiguous length with 400."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reject it."""
        if scope["type"] == "http" and _has_two_lengths(Headers(scope=scope)):
            request_context.record_refusal("framing")
            answer = make_problem(HTTPStatus.BAD_REQUEST, "bad_request", _TOLD)
            await answer.to_response({"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _has_two_lengths(headers: Headers) -> bool:
    lengths = headers.getlist("content-length")
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)


class TrustedHostMiddleware:
    """Rejects an unknown Host with 421 and a page of another origin with 403."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: tuple[str, ...] = (),
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._hosts, self._origins = frozenset(allowed_hosts), frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reject it."""
        if scope["type"] != "http" or route_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._is_ours(scope, headers.getlist("host")):
            request_context.record_refusal("host")
            detail = f"unknown Host: use localhost, or set {PREFIX}ALLOWED_HOSTS"
            answer = make_problem(HTTPStatus.MISDIRECTED_REQUEST, "wrong_host", detail)
        elif not self._may_call(headers):
            request_context.record_refusal("origin")
            detail = f"cross-origin request rejected: add the page to {PREFIX}ALLOWED_ORIGINS"
            answer = make_problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
        else:
            await self._app(scope, receive, send)
            return
        await answer.to_response()(scope, receive, send)

    def _is_ours(self, scope: Scope, hosts: list[str]) -> bool:
        """Return whether there is exactly one ``Host`` and it is a name of the service."""
        name = _strip_port(hosts[0]) if len(hosts) == 1 else ""
        if self._hosts:
            return name in self._hosts or is_loopback(name)
        return is_loopback(name) or not _is_through_loopback(scope)

    def _may_call(self, headers: Headers) -> bool:
        """Return whether the request comes from an allowed page or not from another page."""
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        return origin.partition("://")[2] == headers.get("host")


def _is_through_loopback(scope: Scope) -> bool:
    """Return whether the connection's local address is loopback."""
    address = str((scope.get("server") or ("",))[0])
    return is_loopback(address) and address != "localhost"


def _strip_port(host: str) -> str:
    """Return the name or address of a ``Host`` header in lower case."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
