"""serve: the app on a socket, until a signal says stop; then what was taken is finished.

Stopping goes in three steps. The listening socket is closed and `/readyz` says no; open
connections may still send what they had begun, and each answer closes its connection. Then idle
connections are closed, and what is under way is waited for. What is not done when the time is
over is answered with `stopping`.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cv2
from fastapi import FastAPI
from uvicorn import Server
from uvicorn.protocols.http.flow_control import CLOSE_HEADER

from faceproof.errors import UsageError
from faceproof.frontends.api.guard import server_options
from faceproof.frontends.api.protocol import PatientProtocol, ServiceConfig
from faceproof.frontends.api.settings import ServiceSettings

BACKLOG = 2048
LAST_WORDS = 1.0  # seconds for requests that were begun on open connections to arrive
MOST_FILES = 65536


class PatientServer(Server):
    """uvicorn's server, which loses no request that it has accepted."""

    def __init__(
        self, app: FastAPI, config: ServiceConfig, *, seconds: int, started: Callable[[], None]
    ) -> None:
        """Take the app that is told of the end, the time for it, and who is told of the start."""
        super().__init__(config)
        self._app, self._seconds, self._started = app, seconds, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell who wants to know."""
        await super().startup(sockets)
        if self.started:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish, and end the app."""
        service = self._app.state.service
        service.readiness.stopping = True
        for server in self.servers:
            server.close()
        headers = self.server_state.default_headers
        self.server_state.default_headers = [*headers, CLOSE_HEADER]
        for connection in list(self.server_state.connections):
            if isinstance(connection, PatientProtocol):
                connection.answer_and_close()
        loop = asyncio.get_running_loop()
        overdue = loop.call_later(self._seconds, service.give_up)
        await self._quiet(min(LAST_WORDS, self._seconds))
        await super().shutdown(sockets)
        overdue.cancel()

    async def _quiet(self, seconds: float) -> None:
        """Wait until every connection has been answered and closed, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.server_state.connections:
                    await asyncio.sleep(0.02)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address, on which nobody is heard before the server runs.

    Raises:
        UsageError: the host or port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host}: no such host here ({error.strerror})") from error
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host} port {port} cannot be listened on ({error.strerror}): take another with "
            "--port, or 0 for any that is free"
        ) from error
    return listener


def serve(
    app: FastAPI,
    listener: socket.socket,
    settings: ServiceSettings,
    *,
    started: Callable[[], None],
) -> None:
    """Answer requests until SIGTERM or SIGINT, call ``started`` when the first one is heard."""
    raise_file_limit()
    cv2.setNumThreads(1)  # pictures are opened side by side already
    config = ServiceConfig(
        app,
        head_seconds=settings.head_seconds,
        max_connections=settings.max_connections,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds + 1,
        backlog=BACKLOG,
        lifespan="on",
        **server_options(settings.guard),
    )
    server = PatientServer(app, config, seconds=settings.shutdown_seconds, started=started)
    with ending_well():
        server.run(sockets=[listener])


@contextmanager
def ending_well() -> Iterator[None]:
    """Let a signal that the server has obeyed end the process with exit code 0."""
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_file_limit() -> None:
    """Let this process hold as many connections as the system allows it."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
