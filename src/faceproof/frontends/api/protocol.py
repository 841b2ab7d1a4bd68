"""PatientProtocol: uvicorn's HTTP/1.1 with an end to the patience with clients that send nothing.

uvicorn has a time limit for idle connections, but none for a head that arrives byte by byte, for
a body that goes on after its answer, nor for a client that does not read what it asked for. Here
one limit holds for all: a connection that has no request under way and has not begun the next one
in time is closed, and so is one that has not taken its answer in time. Where there are more open
connections than allowed, the one that has waited longest without a request is closed, so that a
new client is heard however many silent ones there are.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from faceproof.frontends.api.problems import MEDIA_TYPE, problem


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
