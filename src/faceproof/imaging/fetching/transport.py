"""One HTTP request over one connection to checked addresses, within the deadline."""
# The unused arguments belong to the library's interface.
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

_MOST_HEAD_BYTES = 256 * 1024  # of a response before its body, interim responses included

#: Certificate files of systems, for a Python whose OpenSSL was built for another path.
_CERTIFICATES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


class _LimitedStream(httpcore2.NetworkStream):
    """A connection that never waits beyond the deadline, nor reads more bytes than allowed."""

    def __init__(
        self,
        stream: httpcore2.NetworkStream,
        deadline: Deadline,
        trust: ssl.SSLContext | None,
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._trust = trust
        self._allowed = _MOST_HEAD_BYTES

    def allow(self, size: int) -> None:
        """Allow that many more bytes."""
        self._allowed += size

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return bytes; the caller's timeout is ignored."""
        data = self._stream.read(max_bytes, self._deadline.seconds_left())
        self._allowed -= len(data)
        if self._allowed < 0:
            raise FetchError("the server sends more bytes than allowed")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes; the caller's timeout is ignored."""
        self._stream.write(buffer, self._deadline.seconds_left())

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
        trust = self._trust or make_tls_context()
        secured = self._stream.start_tls(trust, server_hostname, self._deadline.seconds_left())
        return _LimitedStream(secured, self._deadline, self._trust)

    def get_extra_info(self, info: str) -> object:
        """Return a property of the connection."""
        return self._stream.get_extra_info(info)


class _PinnedBackend(httpcore2.NetworkBackend):
    """Connects to the checked addresses, in order, for any requested host."""

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

        Each gets a share of the remaining time, so that a silent address does not use it up.
        """
        *others, last = self._addresses
        for waiting, address in zip(range(len(self._addresses), 1, -1), others, strict=True):
            try:
                return self._connect(address, port, self._deadline.seconds_left() / waiting)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return self._connect(last, port, self._deadline.seconds_left())

    def _connect(self, address: Address, port: int, seconds: float) -> _LimitedStream:
        stream = self._system.connect_tcp(str(address), port, timeout=seconds)
        self._made.append(stream)
        return _LimitedStream(stream, self._deadline, self._trust)

    def close(self) -> None:
        """Close a connection that failed before the library took it over."""
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
    """Give the response to one GET, with its body unread; then close the connection.

    Raises:
        FetchError: no connection, or the response violates HTTP.
        FetchTimeoutError: the deadline passed.
    """
    url = httpcore2.URL(
        scheme=locator.scheme, host=str(locator.host), port=locator.port, target=locator.target
    )
    request = httpcore2.Request("GET", url, headers=[("Host", locator.authority), *headers])
    with (
        _convert_errors(deadline),
        closing(_PinnedBackend(addresses, deadline, trust)) as backend,
        httpcore2.HTTPConnection(
            url.origin,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # ignored, see `_LimitedStream`
            network_backend=backend,
        ) as connection,
    ):
        yield connection.handle_request(request)


@cache
def make_tls_context() -> ssl.SSLContext:
    """Return the TLS context that verifies https with the system's certificates.

    OpenSSL verifies on every system: the verifiers of Windows and macOS may download URLs in a
    certificate, which is untrusted input.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.hostname_checks_common_name = False  # the host must be in subjectAltName, RFC 9110
    paths = ssl.get_default_verify_paths()
    if not context.cert_store_stats()["x509_ca"] and not (paths.cafile or paths.capath):
        for path in filter(Path.is_file, map(Path, _CERTIFICATES)):
            context.load_verify_locations(path)
            break
    return context


@contextmanager
def _convert_errors(deadline: Deadline) -> Iterator[None]:
    """Convert the errors of the connection to FetchError."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise deadline.missed_error() from None
    except httpcore2.NetworkError as error:
        raise FetchError(_describe_reason(error)) from error
    except httpcore2.ProtocolError as error:
        problem = "the response is truncated or malformed; open the URL in a browser"
        raise FetchError(problem) from error


def _describe_reason(error: httpcore2.NetworkError) -> str:
    """Return the reason of a failed connection as text."""
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return "its certificate is not trusted, or belongs to another host"
    if isinstance(error.__cause__, ssl.SSLError):
        return "the TLS connection failed"
    return "the connection was refused or closed; check the spelling, or try again later"
