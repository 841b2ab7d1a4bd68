"""`serve` runs the app on a socket until a signal, then shuts down gracefully.

Shutdown has three steps. First the listening socket is closed and `/readyz` fails; open connections
may finish sending, and each response closes its connection. Then idle connections are closed, and
running requests are awaited. Requests that are not done in time get the error `stopping`.

uvicorn limits the time of idle connections, but not of slow heads, of bodies that continue after
the response, or of clients that do not read. Here one limit covers all of these: a connection
without a running request must start the next one in time, and a client must read its response in
time, or the connection is closed. Above the maximum number of connections, the one that has been
idle longest is closed, so that a new client is served however many idle ones there are.
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
from faceproof.frontends.api.problems import MEDIA_TYPE, make_problem
from faceproof.frontends.api.security import server_options
from faceproof.frontends.api.settings import ServiceSettings


class ServiceConfig(Config):
    """uvicorn's settings plus those of `PatientProtocol`."""

    def __init__(
        self, app: Any, *, head_seconds: float, max_connections: int, **options: Any
    ) -> None:
        """Accept uvicorn's own options in addition to ours."""
        super().__init__(app, http=PatientProtocol, **options)
        self.head_seconds = head_seconds
        self.max_connections = max_connections
        self.silent: dict[PatientProtocol, None] = {}


class PatientProtocol(H11Protocol):
    """One connection of a `ServiceConfig`."""

    config: ServiceConfig

    def __init__(self, *args: Any, **options: Any) -> None:
        """Accept uvicorn's arguments."""
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(transport)
        self._update_timer()
        if len(self.connections) > self.config.max_connections and self.config.silent:
            next(iter(self.config.silent)).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop()
        self._read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Stop the timer after a whole head, start it after other data."""
        super().data_received(data)
        self._update_timer()

    def on_response_complete(self) -> None:
        """Count the connection as idle after its response."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self.config.silent[self] = None

    def pause_writing(self) -> None:
        """Start the timer for the client to read its response."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.config.head_seconds, self.give_up)

    def resume_writing(self) -> None:
        """Stop the timer: the client has read enough."""
        self._read()
        super().resume_writing()

    def answer_and_close(self) -> None:
        """Close the connection after the current response, and send `Connection: close`.

        Without that header a client would send its next request to a closed connection.
        """
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.default_headers = [*self.cycle.default_headers, CLOSE_HEADER]

    def give_up(self) -> None:
        """Close the connection: it has no running request."""
        self._stop()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's words)
        """Respond to malformed HTTP with a problem, and close the connection."""
        body = make_problem(400, "bad_request", "malformed HTTP request").model_dump_json().encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body)))]
        response = h11.Response(status_code=400, headers=[*headers, ("connection", "close")])
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _update_timer(self) -> None:
        """Start or stop the timer by the state of the connection."""
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


_BACKLOG = 2048
_LAST_WORDS = 1.0  # seconds for started requests on open connections to arrive
MOST_FILES = 65536


class _PatientServer(Server):
    """uvicorn's server with a shutdown that loses no accepted request."""

    def __init__(
        self, app: FastAPI, config: ServiceConfig, *, seconds: int, started: Callable[[], None]
    ) -> None:
        """Accept the app to notify at shutdown, its time limit, and a callback for the start."""
        super().__init__(config)
        self._app, self._seconds, self._started = app, seconds, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call the start callback."""
        await super().startup(sockets)
        if self.started:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish requests, and stop the app."""
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
        await self._wait_until_idle(min(_LAST_WORDS, self._seconds))
        await super().shutdown(sockets)
        overdue.cancel()

    async def _wait_until_idle(self, seconds: float) -> None:
        """Wait until every connection is closed, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.server_state.connections:
                    await asyncio.sleep(0.02)


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen before the server runs.

    Raises:
        UsageError: the host or port is not available.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host}: cannot bind to this host ({error.strerror})") from error
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host} port {port} is not available ({error.strerror}): use another --port, "
            "or 0 for any free port"
        ) from error
    return listener


def serve(
    app: FastAPI,
    listener: socket.socket,
    settings: ServiceSettings,
    *,
    started: Callable[[], None],
) -> None:
    """Serve requests until SIGTERM or SIGINT; call ``started`` once the server listens."""
    _raise_file_limit()
    cv2.setNumThreads(1)  # pictures are decoded in parallel already
    config = ServiceConfig(
        app,
        head_seconds=settings.head_seconds,
        max_connections=settings.max_connections,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds + 1,
        backlog=_BACKLOG,
        lifespan="on",
        **server_options(),
    )
    server = _PatientServer(app, config, seconds=settings.shutdown_seconds, started=started)
    with _exit_cleanly(server):
        server.run(sockets=[listener])


@contextmanager
def _exit_cleanly(server: Server) -> Iterator[None]:
    """End the process with exit code 0 after a signal.

    The server raises those again that it has handled. One that comes before the server handles
    signals stops it as soon as it has started.
    """

    def stop(*_: Any) -> None:
        server.should_exit = True

    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_file_limit() -> None:
    """Raise this process's limit of open files to the maximum that the system allows."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
