"""A `faceproof serve` on 127.0.0.1 and cheap clients, shared by the service's benchmarks.

Clients write prepared bytes to plain sockets, so that they take little of the cores that they
measure.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

HOST = "127.0.0.1"
BOUNDARY = "serving-benchmark"
START_SECONDS = 120
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Answer(NamedTuple):
    """An answer: status, body, and the seconds from the first byte sent to the last read."""

    status: int
    body: bytes
    seconds: float

    @property
    def content(self) -> dict[str, Any]:
        """The JSON of the body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def megabytes(self) -> float:
        """Resident memory of the service and its workers; what they share counts for each."""
        pages = [Path(f"/proc/{one}/statm").read_text().split()[1] for one in self._processes()]
        return sum(map(int, pages)) * _PAGE_BYTES / 2**20

    @property
    def cpu_seconds(self) -> float:
        """CPU time spent by the service and its workers, and by the system for them."""
        found = [Path(f"/proc/{one}/stat").read_text() for one in self._processes()]
        fields = [text.rpartition(")")[2].split() for text in found]
        return sum(int(one[11]) + int(one[12]) for one in fields) / _TICKS

    def _processes(self) -> list[int]:
        first = self.process.pid
        workers = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, workers)]


@contextmanager
def service(detector: str, *, workers: int = 1, **settings: object) -> Iterator[Service]:
    """Yield a ready service on a free port; it stops with the block.

    Several workers are awaited one by one.
    """
    given = {f"FACEPROOF_SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    given = {"FACEPROOF_SERVE_FEEDBACK__DATABASE": "off", **given}
    command = [sys.executable, "-m", "faceproof", "serve", "--port", "0", "--detector", detector]
    command += ["--workers", str(workers)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, env=os.environ | given, stdout=stream, stderr=stream
            )
        try:
            running = Service(process, _port(process, log), log)
            _wait_for_workers(running, workers)
            _wait_until_ready(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"the service did not start:\n{log.read_text()}")


def _wait_for_workers(running: Service, workers: int) -> None:
    end = time.monotonic() + START_SECONDS
    while workers > 1 and running.log.read_text().count('"worker started"') < workers:
        if time.monotonic() > end:
            raise SystemExit(f"not every worker started:\n{running.log.read_text()}")
        time.sleep(0.1)


def _wait_until_ready(running: Service) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if asyncio.run(ask_once(running.port, get("/readyz"))).status == 200:
            return
        time.sleep(0.1)
    raise SystemExit(f"the service is not ready:\n{running.log.read_text()}")


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def upload(data: bytes, *, name: str = "a.jpg", path: str = "/v1/check") -> bytes:
    """Return the request that checks one picture."""
    part = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    body = part + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    return head(len(body), path=path) + body


def head(length: int, *, path: str = "/v1/check") -> bytes:
    """Return the head of a request whose body has this many bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


class Client:
    """One kept-alive connection, opened again after the service closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, *parts: bytes, pause: float = 0.0) -> Answer:
        """Send the parts of a request with pauses between, and return the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self.port)
        reader, writer = self._streams
        started = time.perf_counter()
        for place, part in enumerate(parts):
            if place and pause:
                await asyncio.sleep(pause)
            writer.write(part)
            await writer.drain()
        status, kept, body = await read_answer(reader)
        if not kept:
            await self.close()
        return Answer(status, body, time.perf_counter() - started)

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Return the status of an answer, whether the connection is kept, and the body."""
    output = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = re.search(r"content-length: (\d+)", output)
    body = await reader.readexactly(int(length[1])) if length else await reader.read()
    return int(output.split(" ", 2)[1]), "connection: close" not in output and bool(length), body


async def ask_once(port: int, request: bytes) -> Answer:
    """Return the answer over a new connection."""
    client = Client(port)
    try:
        return await client.ask(request)
    finally:
        await client.close()


def quantile(seconds: Sequence[float], share: float) -> float:
    """Return the milliseconds within which this share of the answers arrived.

    >>> quantile([0.001, 0.002, 0.003, 0.004], 0.5)
    2.0
    """
    ordered = sorted(seconds)
    return 1000 * ordered[max(0, round(share * len(ordered)) - 1)]
