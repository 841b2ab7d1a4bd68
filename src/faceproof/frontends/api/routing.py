"""`HeadMiddleware` and `RootPathMiddleware`: HEAD for every GET, and the prefix of a proxy.

Source: RFC 9110 (2022), section 9.3.2, for HEAD; ASGI 3.0, HTTP scope, for ``root_path``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", re.ASCII)
_LONGEST_ROOT_PATH = 200
#: First segments of the service's own paths: a prefix that equals one would be ambiguous.
_OWN = frozenset({"docs", "healthz", "metrics", "openapi.json", "readyz", "v1"})


def parse_root_path(text: str) -> str:
    """Return a prefix of paths without a final slash; empty for none.

    >>> parse_root_path("/faces/"), parse_root_path("/")
    ('/faces', '')

    Raises:
        ValueError: it is malformed, or equals the beginning of the service's own paths.
    """
    path = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(path) or len(path) > _LONGEST_ROOT_PATH:
        raise ValueError("not a path: use the form /faces or /api/faces")
    if path.split("/")[1:2] and path.split("/")[1] in _OWN:
        raise ValueError(f"{path} begins like a route of the service: use another prefix")
    return path


def route_path(scope: Scope) -> str:
    """Return the path without the prefix under which the app is mounted.

    >>> route_path({"path": "/api/healthz", "root_path": "/api"}), route_path({"path": "/apix"})
    ('/healthz', '/apix')
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


class HeadMiddleware:
    """Answers HEAD as GET without a body; a route of FastAPI answers its own methods only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send_without_body)
        finally:  # the log reads the route from the scope
            scope.update({**inner, "method": "HEAD"})


class RootPathMiddleware:
    """Places the app below the prefix that a proxy adds, whether or not the proxy strips it.

    A path without the prefix is that of a proxy that strips it, or of a direct request. So health
    checks that bypass the proxy work too.
    """

    def __init__(
        self, app: ASGIApp, *, root_path: str, trusts: Callable[[Scope], bool] | None = None
    ) -> None:
        """Use ``X-Forwarded-Prefix`` instead of ``root_path`` in requests that ``trusts`` accepts.

        By default no request is trusted: the header would be the client's own.
        """
        self._app, self._root_path, self._trusts = app, root_path, trusts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http" and (root := self._root_path_of(scope)):
            path = str(scope["path"])
            below = path == root or path.startswith(f"{root}/")
            inner = path[len(root) :] or "/" if below else path
            scope = {**scope, "root_path": root, "path": root + inner}
        await self._app(scope, receive, send)

    def _root_path_of(self, scope: Scope) -> str:
        """Return the prefix of a request."""
        sent = Headers(scope=scope).getlist("x-forwarded-prefix")
        if self._trusts is not None and len(sent) == 1 and self._trusts(scope):
            try:
                return parse_root_path(sent[0])
            except ValueError:
                return self._root_path
        return self._root_path
