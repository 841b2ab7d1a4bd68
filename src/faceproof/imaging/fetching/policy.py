"""FetchPolicy: allowed networks and limits of a fetch, its deadline and the DNS look-up."""

from __future__ import annotations

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from typing import Protocol

from faceproof.errors import AddressRefusedError, FetchError, FetchTimeoutError, UsageError
from faceproof.imaging.decode import DEFAULT_LIMITS
from faceproof.imaging.fetching.address import (
    Address,
    Network,
    embedded_ipv4,
    is_in,
    is_public,
    parse_networks,
)


@dataclass(frozen=True)
class Deadline:
    """A point in time ``seconds`` after its creation."""

    seconds: float
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_end", time.monotonic() + self.seconds)

    def seconds_left(self) -> float:
        """Return the remaining seconds, more than 0.

        Raises:
            FetchTimeoutError: the deadline passed.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.missed_error()
        return left

    def missed_error(self) -> FetchTimeoutError:
        """Return the error for a missed deadline."""
        return FetchTimeoutError(
            f"the picture did not arrive within {self.seconds:g} seconds; try again, or save it"
            " and check the file"
        )


_MOST_ADDRESSES = 64  # a usual name has a few; a hostile one may have thousands
MOST_LOOKUPS = 32

_SLOTS = threading.BoundedSemaphore(MOST_LOOKUPS)


class _Resolver(Protocol):
    """Looks up the addresses of a name."""

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Return the IP addresses of a name as texts; empty if it has none.

        Raises:
            TimeoutError: the look-up takes longer than ``seconds``.
        """


class _Permissions(Protocol):
    """Decides which IP addresses may be connected to."""

    @property
    def resolver(self) -> _Resolver:
        """Looks up the addresses of a name."""

    def permits(self, address: Address) -> bool:
        """Return whether this address may be connected to."""


def system_resolver(host: str, port: int, seconds: float) -> Sequence[str]:
    """Return the addresses of a name in the system's order of preference; empty if it has none.

    The system's look-up has no timeout, so that it runs in a thread of its own, which is abandoned.
    At most ``MOST_LOOKUPS`` run at once: names that are never answered cannot fill the process with
    threads.

    Raises:
        TimeoutError: the look-up takes longer than ``seconds``.
    """
    if not _SLOTS.acquire(timeout=seconds):
        raise TimeoutError
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    work = (host, port, answers, _SLOTS)
    threading.Thread(target=_ask_system, args=work, name=f"look up {host}", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None


def _ask_system(
    host: str, port: int, answers: queue.SimpleQueue[list[str]], slots: threading.Semaphore
) -> None:
    """Put the addresses of the name, empty if it is unknown, and free the slot."""
    found: list[str] = []
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [str(info[4][0]) for info in infos]
    except (OSError, UnicodeError):
        found = []
    finally:
        slots.release()
        answers.put(found)


def resolve(
    host: str | Address, port: int, policy: _Permissions, deadline: Deadline
) -> tuple[Address, ...]:
    """Return the addresses to connect to, in order: all those of the host, and all permitted.

    Raises:
        AddressRefusedError: one of them is not permitted.
        FetchError: the name is unknown.
        FetchTimeoutError: there was no answer in time.
    """
    named = isinstance(host, str)
    found = _look_up(host, port, policy.resolver, deadline) if isinstance(host, str) else (host,)
    if not all(policy.permits(address) for address in found):
        where = "the name resolves to an address" if named else "this is an address"
        raise AddressRefusedError(
            f"{host}: {where} that is not public, fetching from it is refused; save the"
            " picture and check the file"
        )
    return found


def _look_up(host: str, port: int, resolver: _Resolver, deadline: Deadline) -> tuple[Address, ...]:
    """Return the distinct addresses of a name."""
    try:
        texts = dict.fromkeys(resolver(host, port, deadline.seconds_left()))
        found = tuple(ip_address(text) for text in texts)
    except TimeoutError:
        raise FetchTimeoutError(f"{host}: no answer to the DNS look-up; try again later") from None
    except ValueError:
        raise AddressRefusedError(f"{host}: the name resolves to a malformed address") from None
    if not found:
        raise FetchError(f"{host}: no such host; check the spelling and the network connection")
    if len(found) > _MOST_ADDRESSES:
        raise AddressRefusedError(f"{host}: the name has more than {_MOST_ADDRESSES} addresses")
    return found


_MOST_SECONDS = 600.0


@dataclass(frozen=True)
class FetchPolicy:
    """Allowed networks and limits of a fetch; by default only public addresses.

    ``seconds`` is the total for names, connections, redirects and the picture. ``allow_private``
    are networks such as ``10.1.0.0/16`` that are allowed although they are not public; ``refuse``
    are networks that are refused, and takes precedence. ``trust`` replaces the system's
    certificates for https.
    """

    max_bytes: int = DEFAULT_LIMITS.max_bytes
    seconds: float = 20.0
    max_redirects: int = 5
    ports: frozenset[int] = frozenset({80, 443})
    allow_private: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    resolver: _Resolver = system_resolver
    trust: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for invalid values."""
        if self.max_bytes < 1 or self.max_redirects < 0:
            raise UsageError("max_bytes must be 1 or more, max_redirects 0 or more")
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= _MOST_SECONDS):
            raise UsageError(f"seconds must be more than 0 and at most {_MOST_SECONDS:g}")
        if not all(0 < port < 65536 for port in self.ports):
            raise UsageError("ports are from 1 to 65535")
        try:
            _ = self.allowed, self.refused
        except ValueError as error:
            raise UsageError(f"allow_private and refuse are networks: {error}") from error

    @cached_property
    def allowed(self) -> tuple[Network, ...]:
        """The networks that are allowed although they are not public."""
        return parse_networks(self.allow_private)

    @cached_property
    def refused(self) -> tuple[Network, ...]:
        """The refused networks."""
        return parse_networks(self.refuse)

    def permits(self, address: Address) -> bool:
        """Return whether this address may be connected to.

        >>> from ipaddress import ip_address
        >>> policy = FetchPolicy(allow_private=("10.1.0.0/16",))
        >>> policy.permits(ip_address("10.1.2.3")), policy.permits(ip_address("10.2.0.1"))
        (True, False)
        """
        if is_in(address, self.refused) or is_in(embedded_ipv4(address), self.refused):
            return False
        return is_public(address) or is_in(address, self.allowed)


DEFAULT_POLICY = FetchPolicy()
