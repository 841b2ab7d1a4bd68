"""Servers on loopback that answer as they are told, and the names and connections of a test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from faceproof.imaging.fetching import FetchPolicy

LOOPBACK = "127.0.0.1"
PUBLIC = "93.184.216.34"
Talk = Callable[["Server", socket.socket], None]


class Server:
    """Answers every connection with what stands for its path, bytes or a talk; counts them."""

    def __init__(
        self,
        answers: Mapping[str, bytes | Talk] | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        secured: ssl.SSLContext | None = None,
        greeting: bytes = b"",
    ) -> None:
        self.answers = dict(answers or {})
        self.requests: list[str] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._secured = secured
        self._greeting = greeting
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=64)
        self.port = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def __enter__(self) -> Server:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):  # wakes accept on every system
            socket.create_connection(self._socket.getsockname()[:2], timeout=1).close()
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def url(self, path: str = "/", *, host: str = "pictures.example", scheme: str = "http") -> str:
        """Return the address of a path on this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self.stopped.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        """Read one request and answer it; a client that goes away is no error of the server."""
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            connection.sendall(self._greeting)
            if self._secured:
                connection = self._secured.wrap_socket(connection, server_side=True)
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return
            head += part
        self.requests.append(head.decode())
        path = head.split()[1].decode().partition("?")[0]
        answer = self.answers.get(path, answered(status="404 Not Found"))
        if callable(answer):
            answer(self, connection)
        else:
            connection.sendall(answer)


def answered(
    body: bytes = b"",
    *headers: str,
    status: str = "200 OK",
    kind: str | None = "image/jpeg",
    length: int | None = -1,
) -> bytes:
    """Return an answer in HTTP/1.1; ``length`` -1 is the right one, None none."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirected(to: str, *, status: str = "302 Found") -> bytes:
    """Return a redirect."""
    return answered(b"", f"Location: {to}", status=status, kind=None)


class Names:
    """A resolver with answers of the test's own; one after another where there are several."""

    def __init__(self, **answers: str | Sequence[Sequence[str]]) -> None:
        self.answers = {
            name.replace("_", "."): [[found]] if isinstance(found, str) else list(found)
            for name, found in answers.items()
        }
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Return the next answer for a name, the last one again and again; none if not known."""
        before = self.asked.count(host)
        self.asked.append(host)
        answers = self.answers.get(host, [[]])
        return answers[min(before, len(answers) - 1)]


def trusting(*servers: Server, **changes: object) -> FetchPolicy:
    """Return a policy that lets 127.0.0.1 be gone to, at the ports of these servers."""
    standard = {
        "seconds": 20.0,
        "ports": frozenset({80, 443, *(server.port for server in servers)}),
        "allow_private": ("127.0.0.1/32",),
        "resolver": Names(pictures_example=LOOPBACK, other_example=LOOPBACK),
    }
    return FetchPolicy(**(standard | changes))


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[str, int]]]:
    """Give the list of where connections are made to; those that would leave loopback fail.

    Looking up a name fails too, so that no test asks the machine's own resolver.
    """
    gone: list[tuple[str, int]] = []
    create, connect = socket.create_connection, socket.socket.connect
    look_up = socket.getaddrinfo

    def stay(address: tuple[str, int]) -> None:
        if not ip_address(address[0]).is_loopback:
            gone.append((address[0], address[1]))
            raise ConnectionRefusedError(111, "a test stays on loopback")

    def creating(address: tuple[str, int], *rest: object, **options: object) -> socket.socket:
        stay(address)  # before a socket of the family is made, which not every machine has
        return create(address, *rest, **options)

    def connecting(self: socket.socket, address: tuple[str, int]) -> None:
        stay(address)
        gone.append((address[0], address[1]))
        connect(self, address)

    def looking_up(host: str, *args: object, **options: object) -> object:
        ip_address(host)
        return look_up(host, *args, **options)

    socket.socket.connect, socket.getaddrinfo = connecting, looking_up
    socket.create_connection = creating
    try:
        yield gone
    finally:
        del socket.socket.connect
        socket.create_connection, socket.getaddrinfo = create, look_up
