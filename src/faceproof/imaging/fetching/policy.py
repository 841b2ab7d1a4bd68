"""FetchPolicy: where a fetch may go and what it may cost."""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from functools import cached_property

from faceproof.errors import UsageError
from faceproof.imaging.fetching.addresses import (
    Address,
    Network,
    as_networks,
    carried,
    is_in,
    is_public,
)
from faceproof.imaging.fetching.resolving import Resolver, system_resolver
from faceproof.imaging.picture import DEFAULT_LIMITS

MOST_SECONDS = 600.0


@dataclass(frozen=True)
class FetchPolicy:
    """Where a fetch may go and what it may cost; only the public net unless said otherwise.

    ``seconds`` are for everything together: names, connections, redirects and the picture.
    ``allow_private`` are networks such as ``10.1.0.0/16`` that may be gone to although they are
    not public; ``refuse`` are networks that may not, and wins. ``trust`` verifies https in the
    place of the system's certificates.
    """

    max_bytes: int = DEFAULT_LIMITS.max_bytes
    seconds: float = 20.0
    max_redirects: int = 5
    ports: frozenset[int] = frozenset({80, 443})
    allow_private: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    resolver: Resolver = system_resolver
    trust: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be kept to."""
        if self.max_bytes < 1 or self.max_redirects < 0:
            raise UsageError("max_bytes must be 1 or more, max_redirects 0 or more")
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= MOST_SECONDS):
            raise UsageError(f"seconds must be more than 0 and at most {MOST_SECONDS:g}")
        if not all(0 < port < 65536 for port in self.ports):
            raise UsageError("ports are from 1 to 65535")
        try:
            _ = self.allowed, self.refused
        except ValueError as error:
            raise UsageError(f"allow_private and refuse are networks: {error}") from error

    @cached_property
    def allowed(self) -> tuple[Network, ...]:
        """The networks that may be gone to though they are not public."""
        return as_networks(self.allow_private)

    @cached_property
    def refused(self) -> tuple[Network, ...]:
        """The networks that may not be gone to."""
        return as_networks(self.refuse)

    def permits(self, address: Address) -> bool:
        """Return whether this address may be connected to.

        >>> from ipaddress import ip_address
        >>> policy = FetchPolicy(allow_private=("10.1.0.0/16",))
        >>> policy.permits(ip_address("10.1.2.3")), policy.permits(ip_address("10.2.0.1"))
        (True, False)
        """
        if is_in(address, self.refused) or is_in(carried(address), self.refused):
            return False
        return is_public(address) or is_in(address, self.allowed)


DEFAULT_POLICY = FetchPolicy()
