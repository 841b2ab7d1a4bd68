"""By which name the service may be called: a page elsewhere cannot pose as one of this machine.

A web page whose name is suddenly said to live at 127.0.0.1 (DNS rebinding) sends its own name as
``Host``; so a service that was reached through loopback answers to the names of loopback alone.
A page may also post to a service without reading the answer; what a browser says of where a
request comes from (``Origin``) must be the service itself or a page that is allowed.

Source: RFC 9110 (2022), sections 7.4 and 15.5.20; RFC 6454 (2011), section 7.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from faceproof.frontends.api.guard import current
from faceproof.frontends.api.guard.paths import OPEN_PATHS, route_path
from faceproof.frontends.api.guard.settings import PREFIX, is_loopback
from faceproof.frontends.api.problems import problem


class HostsChecked:
    """Passes on what was sent to a name of the service, from a page that may; else 421 or 403."""

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
        """Answer one request, or pass it on."""
        if scope["type"] != "http" or route_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._is_ours(scope, headers.getlist("host")):
            current.refused("host")
            detail = f"not a name of this service: call it localhost, or set {PREFIX}ALLOWED_HOSTS"
            answer = problem(HTTPStatus.MISDIRECTED_REQUEST, "wrong_host", detail)
        elif not self._may_call(headers):
            current.refused("origin")
            detail = f"this page may not call the service: {PREFIX}ALLOWED_ORIGINS does not name it"
            answer = problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
        else:
            await self._app(scope, receive, send)
            return
        await answer.response()(scope, receive, send)

    def _is_ours(self, scope: Scope, hosts: list[str]) -> bool:
        """Return whether the one ``Host`` is a name of the service."""
        name = _without_port(hosts[0]) if len(hosts) == 1 else ""
        if self._hosts:
            return name in self._hosts or is_loopback(name)
        return is_loopback(name) or not _through_loopback(scope)

    def _may_call(self, headers: Headers) -> bool:
        """Return whether no other page sent this from a browser, or one that is allowed."""
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        return origin.partition("://")[2] == headers.get("host")


def _through_loopback(scope: Scope) -> bool:
    """Return whether the connection ended at this machine's own address."""
    address = str((scope.get("server") or ("",))[0])
    return is_loopback(address) and address != "localhost"


def _without_port(host: str) -> str:
    """Return the name or address of a ``Host`` header in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
