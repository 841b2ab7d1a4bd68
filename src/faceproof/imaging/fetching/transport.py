"""One request over one connection to addresses that were checked; all of it by the deadline."""
# The arguments that are not used are those of the library's interface.
# ruff: noqa: ARG002

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpcore2

from faceproof.errors import FetchError
from faceproof.imaging.fetching.address import Address, Locator
from faceproof.imaging.fetching.policy import Deadline

if TYPE_CHECKING:
    from httpcore2 import SOCKET_OPTION

MOST_HEAD_BYTES = 256 * 1024  # of a response before its body, interim responses included

#: Where systems keep certificates when Python's own OpenSSL was built for another place.
_CERTIFICATES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


class Wire(httpcore2.NetworkStream):
    """A connection that never waits longer than the deadline, nor takes more bytes than allowed."""

    def __init__(
        self,
        stream: httpcore2.NetworkStream,
        deadline: Deadline,
        trust: ssl.SSLContext | None,
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._trust = trust
        self._allowed = MOST_HEAD_BYTES

    def allow(self, size: int) -> None:
        """Let that many more bytes through."""
        self._allowed += size

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return bytes; the caller's time limit does not count."""
        data = self._stream.read(max_bytes, self._deadline.left())
        self._allowed -= len(data)
        if self._allowed < 0:
            raise FetchError("the server sends far more than belongs to a picture")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes; the caller's time limit does not count."""
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Return the same over TLS, the certificate checked against the host's name.

        The library's context is not used: it would be changed for every connection, while other
        threads read it.
        """
        trust = self._trust or system_trust()
        secured = self._stream.start_tls(trust, server_hostname, self._deadline.left())
        return Wire(secured, self._deadline, self._trust)

    def get_extra_info(self, info: str) -> object:
        """Return what the connection says of itself."""
        return self._stream.get_extra_info(info)


class Pinned(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, in order, whatever host is asked for."""

    def __init__(
        self,
        addresses: tuple[Address, ...],
        deadline: Deadline,
        trust: ssl.SSLContext | None,
    ) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._trust = trust
        self._system = httpcore2.SyncBackend()
        self._made: list[httpcore2.NetworkStream] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection to the first address that answers.

        Each gets its share of the time that is left, so that one that is silent costs no picture.
        """
        *others, last = self._addresses
        for waiting, address in zip(range(len(self._addresses), 1, -1), others, strict=True):
            try:
                return self._connect(address, port, self._deadline.left() / waiting)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return self._connect(last, port, self._deadline.left())

    def _connect(self, address: Address, port: int, seconds: float) -> Wire:
        stream = self._system.connect_tcp(str(address), port, timeout=seconds)
        self._made.append(stream)
        return Wire(stream, self._deadline, self._trust)

    def close(self) -> None:
        """Close what was connected and came to nothing before the library took it over."""
        for stream in self._made:
            stream.close()


@contextmanager
def ask(
    locator: Locator,
    addresses: tuple[Address, ...],
    headers: list[tuple[str, str]],
    *,
    deadline: Deadline,
    trust: ssl.SSLContext | None,
) -> Iterator[httpcore2.Response]:
    """Give the response to one GET, its body still to be read; then close the connection.

    Raises:
        FetchError: no connection, or the server does not keep to HTTP.
        FetchTimeoutError: the deadline has passed.
    """
    url = httpcore2.URL(
        scheme=locator.scheme, host=str(locator.host), port=locator.port, target=locator.target
    )
    request = httpcore2.Request("GET", url, headers=[("Host", locator.authority), *headers])
    with (
        _translated(deadline),
        closing(Pinned(addresses, deadline, trust)) as backend,
        httpcore2.HTTPConnection(
            url.origin,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # not used, see Wire
            network_backend=backend,
        ) as connection,
    ):
        yield connection.handle_request(request)


@cache
def system_trust() -> ssl.SSLContext:
    """Return what verifies https with the system's certificates.

    OpenSSL verifies on every system: those of Windows and macOS may download what a certificate
    names, and a stranger wrote that.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.hostname_checks_common_name = False  # a name stands in the list of names, RFC 9110
    paths = ssl.get_default_verify_paths()
    if not context.cert_store_stats()["x509_ca"] and not (paths.cafile or paths.capath):
        for path in filter(Path.is_file, map(Path, _CERTIFICATES)):
            context.load_verify_locations(path)
            break
    return context


@contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    """Turn the errors of the connection into ours."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise deadline.missed() from None
    except httpcore2.NetworkError as error:
        raise FetchError(_reason(error)) from error
    except httpcore2.ProtocolError as error:
        problem = "the answer broke off or is no proper one; open the address in a browser"
        raise FetchError(problem) from error


def _reason(error: httpcore2.NetworkError) -> str:
    """Return why there is no connection, in words."""
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return "its certificate is not trusted, or is that of another host"
    if isinstance(error.__cause__, ssl.SSLError):
        return "no secure connection could be made"
    return "the connection was refused or broke off; look at the spelling, or try again later"
