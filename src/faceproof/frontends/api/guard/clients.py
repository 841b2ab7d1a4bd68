"""Whose request it is: the address, through proxies that are trusted and no others."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from faceproof.frontends.api.guard.settings import Network

Address = IPv4Address | IPv6Address

#: Of a client without an address, as through a Unix socket.
UNKNOWN = "unknown"
_MOST_HOPS = 32


def client_of(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """Return the nearest address that is no trusted proxy, None where there is no address.

    ``X-Forwarded-For`` is read from its end, where the proxy that we talk to wrote; what a
    stranger wrote stands before the first address that is not trusted, and is not read.
    """
    address = _peer(scope)
    hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops[-_MOST_HOPS:]):
        if address is None or not _within(address, trusted):
            break
        before = parsed(hop)
        if before is None:
            break
        address = before
    return address


def parsed(text: str) -> Address | None:
    """Return an address with or without a port, an IPv4 one in IPv6 as IPv4; None if it is none.

    >>> str(parsed(" 192.0.2.1:443")), str(parsed("[2001:db8::1]:443")), parsed("unknown")
    ('192.0.2.1', '2001:db8::1', None)
    >>> str(parsed("::ffff:192.0.2.1"))
    '192.0.2.1'
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_of(address: Address | None, *, ipv4: int = 32, ipv6: int = 64) -> str:
    """Return the network that an address is counted with; whoever has one IPv6 has its /64.

    >>> network_of(parsed("192.0.2.1")), network_of(parsed("2001:db8::1"))
    ('192.0.2.1/32', '2001:db8::/64')
    >>> network_of(parsed("192.0.2.1"), ipv4=24), network_of(None)
    ('192.0.2.0/24', 'unknown')
    """
    if address is None:
        return UNKNOWN
    bits = ipv4 if address.version == 4 else ipv6
    return str(ip_network((address, bits), strict=False))


def _peer(scope: Scope) -> Address | None:
    """Return the address at the other end of the connection."""
    client = scope.get("client")
    return parsed(client[0]) if client else None


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
