"""The page's server: Streamlit in this process, with usage statistics disabled."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from faceproof.errors import MissingExtraError, UsageError
from faceproof.frontends import is_loopback
from faceproof.frontends.webapp.browser import SCRIPTS
from faceproof.frontends.webapp.settings import MOST_MEGABYTES, Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class PageHeadersMiddleware:
    """An ASGI application with security headers on every answer of another one."""

    def __init__(self, app: Application) -> None:
        """Take the application whose answers get the headers."""
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in page_headers().items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        await self._app(scope, receive, with_headers)


@cache
def page_headers() -> dict[str, str]:
    """Return the headers; scripts come only from this host, and inline ones are listed by hash."""
    scripts = [*_inline_scripts(), *SCRIPTS]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = {
        "default-src": "'self'",
        "script-src": f"'self' 'wasm-unsafe-eval' {hashes}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{what} {whom}" for what, whom in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(self), microphone=(), geolocation=(), usb=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _inline_scripts() -> list[str]:
    """Return the inline scripts of Streamlit's own page."""
    import streamlit

    page = Path(streamlit.__file__).parent / "static" / "index.html"
    return _INLINE_SCRIPT.findall(page.read_text(encoding="utf-8"))


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")

CONFIG: Mapping[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    "runner.magicEnabled": False,
    "server.disconnectedSessionTTL": 120,
    "server.enableAgentApi": False,
    "server.enableCORS": True,  # protection, not permission: other origins are refused
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": MOST_MEGABYTES,
    "server.runOnSave": False,
    "theme.headingFontSizes": ["2.25rem", "1.625rem", "1.25rem"],
    "theme.paddingTop": "2rem",
    "theme.paddingBottom": "3rem",
    "theme.light.primaryColor": "#1d4f91",
    "theme.dark.primaryColor": "#7fb2f0",
}
"""Options of Streamlit that override the user's configuration files."""


def serve(
    settings: Settings, *, host: str, port: int, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve the page until Ctrl-C; ``ready`` gets its address once it listens.

    Raises:
        MissingExtraError: Streamlit is not installed.
        UsageError: the port is in use, or the host does not exist.
    """
    try:
        import streamlit as st
        from starlette.middleware import Middleware
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "streamlit", extra="app") from error

    _refuse_taken(host, port)
    os.environ.update(settings.variables())
    keep_uploads_in_memory()

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        ready(f"http://{_host_in_url(host)}:{st.get_option('server.port')}")
        yield

    script = resources.files("faceproof.frontends.webapp") / "app.py"
    page = st.App(str(script), middleware=[Middleware(PageHeadersMiddleware)], lifespan=lifespan)
    page.run(config={**CONFIG, **_server_options(host, port)})


def _refuse_taken(host: str, port: int) -> None:
    """Refuse a host and port where nothing can listen: Streamlit would log it and stop."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise UsageError(
            f"the page cannot listen on {host}, port {port}: {error.strerror}; name another port, "
            "or 0 for a free one"
        ) from error


def _server_options(host: str, port: int) -> dict[str, Any]:
    """Return where the server listens, and to which names it answers.

    On this machine alone it answers to this machine's names alone: a page of a stranger whose
    name was made to lead here is refused.
    """
    names = [*_LOOPBACK_NAMES] if is_loopback(host) else []
    return {"server.address": host, "server.port": port, "server.allowedHosts": names}


def keep_uploads_in_memory() -> None:
    """Have Starlette keep an uploaded file in memory: beyond a megabyte it would go to disk.

    The size of an upload is limited by Streamlit while it arrives.
    """
    from starlette.formparsers import MultiPartParser

    MultiPartParser.spool_max_size = (MOST_MEGABYTES + 2) * 2**20


def _host_in_url(host: str) -> str:
    """Return a host as written in a URL; this machine's where the server listens on all."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "localhost"
    return f"[{host}]" if ":" in host else host
