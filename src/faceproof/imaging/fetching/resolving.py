"""From a host to the addresses that are connected to: looked up once, every one of them checked."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from faceproof.errors import AddressRefusedError, FetchError, FetchTimeoutError
from faceproof.imaging.fetching.addresses import Address
from faceproof.imaging.fetching.deadline import Deadline

MOST_ADDRESSES = 64  # a name has a few; a hostile one may have thousands
MOST_LOOKUPS = 32

_SLOTS = threading.BoundedSemaphore(MOST_LOOKUPS)


class Resolver(Protocol):
    """What knows the addresses of a name."""

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Return the addresses of a name, written out; none where it has none.

        Raises:
            TimeoutError: it takes longer than ``seconds``.
        """


class Permissions(Protocol):
    """Who says where to go."""

    @property
    def resolver(self) -> Resolver:
        """What knows the addresses of a name."""

    def permits(self, address: Address) -> bool:
        """Return whether this address may be connected to."""


def system_resolver(host: str, port: int, seconds: float) -> Sequence[str]:
    """Return the addresses of a name in the system's order of preference; none where it has none.

    The system's look-up has no time limit, so that it runs in a thread of its own and is left
    behind. No more than ``MOST_LOOKUPS`` are under way at once: names that are never answered
    cannot fill the process with threads.

    Raises:
        TimeoutError: it takes longer than ``seconds``.
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
    """Put the addresses of the name, none where it is not known, and free the slot."""
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
    host: str | Address, port: int, policy: Permissions, deadline: Deadline
) -> tuple[Address, ...]:
    """Return the addresses to connect to, in order: all those of the host, and all permitted.

    Raises:
        AddressRefusedError: one of them is not permitted.
        FetchError: the name is not known.
        FetchTimeoutError: it was not answered in time.
    """
    named = isinstance(host, str)
    found = _look_up(host, port, policy.resolver, deadline) if isinstance(host, str) else (host,)
    if not all(policy.permits(address) for address in found):
        where = "the name leads to an address" if named else "this is an address"
        raise AddressRefusedError(
            f"{host}: {where} that is not public, and nothing is fetched from there; save the"
            " picture and check the file"
        )
    return found


def _look_up(host: str, port: int, resolver: Resolver, deadline: Deadline) -> tuple[Address, ...]:
    """Return the different addresses of a name."""
    try:
        texts = dict.fromkeys(resolver(host, port, deadline.left()))
        found = tuple(ip_address(text) for text in texts)
    except TimeoutError:
        raise FetchTimeoutError(f"{host}: this name is not answered; try again later") from None
    except ValueError:
        raise AddressRefusedError(f"{host}: the name leads to no proper address") from None
    if not found:
        raise FetchError(
            f"{host}: no such host is known here; look at the spelling, and whether you are online"
        )
    if len(found) > MOST_ADDRESSES:
        raise AddressRefusedError(f"{host}: the name leads to more than {MOST_ADDRESSES} addresses")
    return found
