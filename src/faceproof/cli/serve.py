"""faceproof serve: the REST service."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.detector_options import Device, Scorer
from faceproof.cli.options import AT, DETECTOR
from faceproof.errors import MissingExtraError

if TYPE_CHECKING:
    import socket

_LOG = logging.getLogger(__name__)

#: What the extra brings, each by the name under which it is imported.
NEEDED = (
    *("fastapi", "uvicorn", "pydantic_settings", "python_multipart", "prometheus_client"),
    *("jinja2", "sqlalchemy"),
)


def serve(
    *,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0: any free one.")
    ] = 8000,
    detector: Annotated[str, DETECTOR] = "default",
    at: Annotated[str | None, AT] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=256,
            help="Processes that serve; each has its own queue, memory and rate limits.",
        ),
    ] = 1,
    scorer: Scorer = "auto",
    device: Device = "cpu",
) -> None:
    """Serve the REST API until stopped; environment variables set the limits.

    SIGTERM and Ctrl-C finish the accepted requests. A public address requires API keys and a
    rate limit, unless FACEPROOF_SERVE_GUARD__OPEN_TO_ALL is set.
    """
    _require_extra()
    from faceproof.frontends.api.security import require_security, write_log
    from faceproof.frontends.api.server import bind_socket
    from faceproof.frontends.api.server import serve as run
    from faceproof.frontends.api.settings import read_settings
    from faceproof.frontends.api.workers import (
        ServedDetector,
        require_workers,
        serve_with_workers,
    )

    settings = read_settings()
    require_security(host, settings.guard)
    require_workers(workers)
    listener = bind_socket(host, port)
    served = ServedDetector(detector, at, settings, scorer=scorer, device=device)
    with listener, write_log(settings.guard.log_format, relay=workers == 1):
        app = served.load_app()  # with several workers only to report what is wrong once, and here
        if workers == 1:
            run(app, listener, settings, started=lambda: _log_address(host, listener))
            return
        del app
        code = serve_with_workers(
            served, listener, workers, started=lambda: _log_address(host, listener)
        )
        if code:
            raise typer.Exit(code)


def _require_extra() -> None:
    """Raise MissingExtraError unless the extra is installed."""
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, extra="serve")


def _log_address(host: str, listener: socket.socket) -> None:
    """Log where the service listens; like all that it reports, this is a line of the log."""
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    _LOG.info("listening on http://%s:%d", shown, port)
