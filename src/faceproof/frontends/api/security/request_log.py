"""`RequestLogMiddleware`, the outermost one, assigns request ids and logs each request.

A line has the time, request id, method, route template, status, milliseconds, bytes, key id, check
outcomes and the client's network. It never has the picture, its name, URLs and their queries,
headers or secrets: no logger receives them. A traceback is logged as frames and exception types,
without values and messages, which may quote the request.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends.api.security.metrics import Metrics
from faceproof.frontends.api.security.request_context import (
    REQUEST_CONTEXT,
    RequestContext,
    choose_request_id,
    client_of,
    method_of,
    network_of,
    template_of,
)
from faceproof.frontends.api.security.settings import Network
from faceproof.frontends.api.security.standard_error import relay_standard_error

LogFormat = Literal["json", "text", "off"]

_REQUESTS = "faceproof.requests"

#: Attributes of every LogRecord; the rest came with ``extra=``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
#: Loggers whose messages have more than one line: what happened, then values or source code.
_QUOTING = frozenset({"asyncio", "py.warnings"})
#: Libraries whose debug logs contain addresses, paths or parts of bodies.
_TALKATIVE = ("httpcore", "httpcore2", "httpx", "httpx2", "multipart", "python_multipart", "PIL")


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line in ASCII, without terminal control characters.

        Raises:
            ValueError: a field is NaN, which JSON does not have.
        """
        return json.dumps(_fields(record), default=str, allow_nan=False)


class TextFormatter(logging.Formatter):
    """Writes a record as text: time, level, event, then ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with values quoted unless they are one word."""
        fields = _fields(record)
        begin = " ".join(_word(fields.pop(name)) for name in ("time", "level", "event"))
        return " ".join([begin, *(f"{name}={_word(value)}" for name, value in fields.items())])


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes a line to standard error for each record, also for one that cannot be formatted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Write the record's place in the code; logging's own method prints a traceback."""
        place = {
            "place": f"{record.pathname}:{record.lineno}",
            "error": _type_name(sys.exception()),
        }
        content = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
        safe = logging.makeLogRecord({**content, **place, "msg": "unprintable log record"})
        with suppress(OSError, ValueError):  # standard error is closed or full
            self.stream.write(self.format(safe) + self.terminator)
            self.flush()


@contextmanager
def write_log(form: LogFormat = "json", *, relay: bool = True) -> Iterator[None]:
    """Write everything that this process reports as lines of `log_config` to standard error.

    Warnings, exceptions that nobody catches in any thread, and lines that C libraries write there
    become log records. The records stay lines after the end, until the process ends. Without
    ``relay`` C libraries' lines stay as they are, and those of child processes too.
    """
    with relay_standard_error() if relay else nullcontext(sys.stderr) as stream:
        logging.config.dictConfig(log_config(form, stream))
        logging.captureWarnings(capture=True)
        _log_uncaught_exceptions()
        yield


def _log_uncaught_exceptions() -> None:
    """Replace the interpreter's tracebacks by log records."""
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda given: _log_exception("uncaught in a thread", given.exc_value)
    sys.unraisablehook = lambda given: _log_exception("unraisable", given.exc_value)


def _log_uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    _log_exception("uncaught", error)


def _log_exception(event: str, error: BaseException | None) -> None:
    logging.getLogger("faceproof").error(event, exc_info=error or False)


def log_config(form: LogFormat = "json", stream: TextIO | None = None) -> dict[str, Any]:
    """Return the configuration of logging to a stream, by default standard error.

    uvicorn's own access log, which contains whole addresses, is disabled.
    """
    lines = TextFormatter if form == "text" else JsonFormatter
    quiet = {"level": "ERROR"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{lines.__module__}.{lines.__name__}"}},
        "handlers": {
            "stderr": {
                "()": f"{LineHandler.__module__}.LineHandler",
                "formatter": "lines",
                "stream": stream,
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "faceproof": {"level": "INFO"},
            _REQUESTS: {"level": "CRITICAL" if form == "off" else "INFO"},
            # Explicit because other programs that run uvicorn (Streamlit) disable it.
            "uvicorn": {"level": "INFO", "propagate": True},
            "uvicorn.error": {"level": "INFO", "propagate": True},
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            **dict.fromkeys(_TALKATIVE, quiet),
        },
    }


def exception_frames(error: BaseException | None) -> list[str]:
    """Return the types of an exception and its causes, with their frames.

    >>> try:
    ...     int("secret")
    ... except ValueError as error:
    ...     said = exception_frames(error)
    >>> said[0], any("secret" in line for line in said)
    ('ValueError', False)
    """
    found: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found += [_type_name(error), *_places(error.__traceback__)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a log line."""
    current = REQUEST_CONTEXT.get()
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": _event(record),
        "logger": record.name,
    }
    if current is not None:
        fields["request_id"] = current.id
    fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info:
        fields["traceback"] = exception_frames(record.exc_info[1])
    return fields


def _event(record: logging.LogRecord) -> str:
    """Return the message; only the first line where the next ones quote values or source code."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name in _QUOTING else message


def _type_name(error: BaseException | None) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _places(trace: TracebackType | None) -> list[str]:
    """Return ``file:line in function`` from the outermost call to the innermost."""
    return [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(trace)
    ]


def _word(value: object) -> str:
    """Return a value as one word, quoted if necessary."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return (
        text
        if text and text.isascii() and text.isprintable() and " " not in text
        else json.dumps(text)
    )


_LOG = logging.getLogger(_REQUESTS)
#: Status of a request whose client disconnected before the response.
_NO_STATUS = "none"


@dataclass
class _Exchange:
    """Byte counts and status of one request."""

    status: int | None = None
    received: int = 0
    sent: int = 0


class RequestLogMiddleware:
    """Logs each request from its head to the end of its response; rejects WebSockets."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        trusted_proxies: tuple[Network, ...] = (),
        log_addresses: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app, self._metrics, self._clock = app, metrics, clock
        self._proxies, self._log_addresses = trusted_proxies, log_addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and log it when it has ended, even by an exception."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        current, exchange = self._make_context(scope), _Exchange()
        token, begun = REQUEST_CONTEXT.set(current), self._clock()
        self._metrics.record_start()
        try:
            await self._app(
                scope,
                _count_received(receive, exchange),
                _record_response(send, exchange, current.id),
            )
        finally:
            self._log_request(scope, current, exchange, self._clock() - begun)
            REQUEST_CONTEXT.reset(token)

    def _make_context(self, scope: Scope) -> RequestContext:
        """Return the context of a request from its head."""
        sent = Headers(scope=scope).get("x-request-id", "")
        client = network_of(client_of(scope, self._proxies), ipv4=24, ipv6=48)
        return RequestContext(id=choose_request_id(sent), client=client)

    def _log_request(
        self, scope: Scope, current: RequestContext, exchange: _Exchange, seconds: float
    ) -> None:
        """Log a request, and count it."""
        route, method = template_of(scope), method_of(scope)
        self._metrics.record_answer(
            (route, method, str(exchange.status or _NO_STATUS)),
            seconds=seconds,
            received=exchange.received,
            sent=exchange.sent,
            refused=current.refused,
        )
        line = {
            "method": method,
            "route": route,
            "status": exchange.status,
            "ms": round(seconds * 1000, 1),
            "bytes_in": exchange.received,
            "bytes_out": exchange.sent,
            "key": current.key,
            "refused": current.refused,
            "checks": dict(current.checks) or None,
            "client": current.client if self._log_addresses else None,
        }
        fields = {name: value for name, value in line.items() if value is not None}
        _LOG.info("request", extra=fields)


def _count_received(receive: Receive, exchange: _Exchange) -> Receive:
    """Return ``receive`` that counts the bytes of the body."""

    async def receive_counted() -> Message:
        message = await receive()
        exchange.received += len(message.get("body", b""))
        return message

    return receive_counted


def _record_response(send: Send, exchange: _Exchange, identity: str) -> Send:
    """Return ``send`` that records the response and adds the X-Request-ID header."""

    async def record(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = identity
        exchange.sent += len(message.get("body", b""))
        await send(message)

    return record
