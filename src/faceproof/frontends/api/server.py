"""serve: the app on a socket, until a signal says stop; then what was taken is finished.

Stopping goes in three steps. The listening socket is closed and `/readyz` says no; open
connections may still send what they had begun, and each answer closes its connection. Then idle
connections are closed, and what is under way is waited for. What is not done when the time is
over is answered with `stopping`.

uvicorn has a time limit for idle connections, but none for a head that arrives byte by byte, for
a body that goes on after its answer, nor for a client that does not read what it asked for. Here
one limit holds for all: a connection that has no request under way and has not begun the next one
in time is closed, and so is one that has not taken its answer in time. Where there are more open
connections than allowed, the one that has waited longest without a request is closed, so that a
new client is heard however many silent ones there are.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import h11
from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from faceproof.errors import UsageError
from faceproof.frontends.api.problems import MEDIA_TYPE, problem
from faceproof.frontends.api.security import server_options
from faceproof.frontends.api.settings import ServiceSettings


class ServiceConfig(Config):
    """uvicorn's settings, and those of `PatientProtocol`."""

    def __init__(
        self, app: Any, *, head_seconds: float, max_connections: int, **options: Any
    ) -> None:
        """Take uvicorn's own options beside ours."""
        super().__init__(app, http=PatientProtocol, **options)
        self.head_seconds = head_seconds
        self.max_connections = max_connections
        self.silent: dict[PatientProtocol, None] = {}


class PatientProtocol(H11Protocol):
    """One connection of a `ServiceConfig`."""

    config: ServiceConfig

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time for the first head."""
        super().connection_made(transport)
        self._look()
        if len(self.connections) > self.config.max_connections and self.config.silent:
            next(iter(self.config.silent)).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop()
        self._read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Stop the time when a whole head has arrived, start it when something else has."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Count a connection that has been answered among the silent ones."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self.config.silent[self] = None

    def pause_writing(self) -> None:
        """Start the time for the client to read what waits for it."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.config.head_seconds, self.give_up)

    def resume_writing(self) -> None:
        """Stop the time: enough was read."""
        self._read()
        super().resume_writing()

    def answer_and_close(self) -> None:
        """Let the answer under way be the last one here, and say so in its head.

        Without that a client would send its next request to a connection that is closed.
        """
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.default_headers = [*self.cycle.default_headers, CLOSE_HEADER]

    def give_up(self) -> None:
        """Close the connection: what was asked of it has been answered, or never came."""
        self._stop()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's words)
        """Answer what is no HTTP with a problem like all others, and close."""
        body = problem(400, "bad_request", "not a request of HTTP/1.1").model_dump_json().encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body)))]
        response = h11.Response(status_code=400, headers=[*headers, ("connection", "close")])
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        """Start or stop the time, as it should be."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.config.head_seconds, self.give_up)
            self.config.silent[self] = None

    def _stop(self) -> None:
        self.config.silent.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


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
