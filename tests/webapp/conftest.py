"""Sessions of the page, and a site that it may fetch pictures from."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faceproof.frontends.webapp import settings
from support.webpage import Page, opened, sample


@pytest.fixture
def page(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """The page as it opens, with the detector that calls bright faces fake."""
    monkeypatch.setenv(settings.DETECTOR, str(tiny_bundle))
    return opened()


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a server of the test's own that has one picture."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = sample("real-astronaut.jpg")
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/astronaut.jpg"
        server.shutdown()
        thread.join()
