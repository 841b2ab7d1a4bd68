"""Which IP addresses are public: what is not known to be is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Not public, whatever `ipaddress` of this Python says of them.
_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # behind a provider's translator, RFC 6598; a cloud's metadata
        "127.0.0.0/8",  # loopback, RFC 1122
        "168.63.129.16/32",  # looks public, is a cloud's own service inside each of its machines
        "169.254.0.0/16",  # link-local, RFC 3927; clouds' metadata
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890; a cloud's metadata
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # multicast tunnels, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, RFC 1112, and broadcast
    )
)

#: All that is handed out to the public net; everything else (loopback, link-local, unique local,
#: site-local, multicast, IPv4-mapped and -compatible ...) is refused by not standing in it.
_GLOBAL_6 = IPv6Network("2000::/3")

#: In there, but not public: tunnels carry an IPv4 address inside, which may be any.
_REFUSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID, anycast
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3ffe::/16",  # given back, RFC 3701
        "3fff::/20",  # documentation, RFC 9637
    )
)

#: Networks that speak only IPv6 reach IPv4 through it; judged by the IPv4 address inside.
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # the upper half of the interface's identifier


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public net, as far as can be told by its number.

    Source: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890), RFC 6052
    for NAT64, RFC 5214 for ISATAP.

    >>> from ipaddress import ip_address
    >>> [is_public(ip_address(text)) for text in ("1.1.1.1", "10.0.0.1", "::ffff:1.1.1.1")]
    [True, False, False]
    """
    if isinstance(address, IPv4Address):
        listed = any(address in network for network in _REFUSED_4)
        return not listed and address.is_global and not address.is_multicast
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(carried(address))
    return address in _GLOBAL_6 and address.is_global and not _is_tunnel_or_special(address)


def carried(address: Address) -> Address:
    """Return the IPv4 address that a translator sends to, or the address itself."""
    translated = isinstance(address, IPv6Address) and address in _NAT64
    return IPv4Address(int(address) & 0xFFFFFFFF) if translated else address


def _is_tunnel_or_special(address: IPv6Address) -> bool:
    upper_half = (int(address) >> 32) & 0xFFFFFFFF
    return upper_half in _ISATAP or any(address in network for network in _REFUSED_6)


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    """Return whether one of the networks holds the address; one with a zone is held by none."""
    zoned = isinstance(address, IPv6Address) and address.scope_id is not None
    return not zoned and any(address in network for network in networks)


def as_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that are written as ``10.1.0.0/16`` or ``10.1.2.3``.

    Raises:
        ValueError: one is no network, or has bits set beyond its prefix.
    """
    return tuple(ip_network(text) for text in texts)
