"""`faceproof serve` as a process of its own, and requests to it byte by byte."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-c", "from faceproof.cli import main; main()", "serve")
BOUNDARY = b"abc"


@dataclass
class Served:
    """A running service: its process, its port, and the file of what it says."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def open(self, *, seconds: float = 20.0) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def ask(self, request: bytes, *, seconds: float = 20.0) -> bytes:
        """Return all that comes back until the service closes the connection."""
        with self.open(seconds=seconds) as connection:
            connection.sendall(request)
            return rest(connection)

    def get(self, path: str) -> bytes:
        """Return the answer to a GET."""
        return self.ask(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def code(self, *, seconds: float = 30.0) -> int:
        """Return the exit code, when it has ended."""
        return self.process.wait(seconds)


@contextmanager
def served(detector: Path, folder: Path, *words: str, **settings: object) -> Iterator[Served]:
    """Give a service on a free port of this machine; settings go by the environment.

    ``words`` are further options of the command.
    """
    environment = {
        f"FACEPROOF_SERVE_{name.upper()}": str(value) for name, value in settings.items()
    }
    environment = {"FACEPROOF_SERVE_FEEDBACK__DATABASE": "off", **environment}
    output = folder / "said.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", "--detector", str(detector), *words],
            stderr=stream,
            stdout=stream,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )
    try:
        yield Served(process, _port(process, output), output)
    finally:
        process.kill()
        process.wait()


def upload(
    data: bytes, *, path: str = "/v1/check?faces=whole", copies: int = 1, close: bool = True
) -> bytes:
    """Return a request that sends a picture; with ``close`` the answer ends the connection."""
    last = "Connection: close\r\n" if close else ""
    head = b'--abc\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    body = (head + data + b"\r\n") * copies + b"--abc--\r\n"
    start = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{last}"
        f"Content-Type: multipart/form-data; boundary=abc\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return start.encode() + body


def status(answer: bytes) -> int:
    """Return the status of an answer, 0 where there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return int(found[1]) if found else 0


def rest(connection: socket.socket) -> bytes:
    """Return all that still comes; a connection that is reset has said what it had to say."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        return b"".join(parts)
    return b"".join(parts)


def _port(process: subprocess.Popen[bytes], message: Path) -> int:
    """Return the port that the service says it listens on."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        text = message.read_text(encoding="utf-8")
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", text):
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(message.read_text(encoding="utf-8"))
