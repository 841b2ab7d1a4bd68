"""Locator: a parsed URL; `is_public`: which IP addresses are public."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import quote, urljoin

from faceproof.errors import AddressRefusedError
from faceproof.sources import to_printable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Not public, independent of the tables in this Python's `ipaddress`.
_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; a cloud's metadata
        "127.0.0.0/8",  # loopback, RFC 1122
        "168.63.129.16/32",  # looks public, but is a cloud's service inside its own machines
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

#: All public unicast addresses; everything else (loopback, link-local, unique local, site-local,
#: multicast, IPv4-mapped and -compatible ...) is outside it and therefore refused.
_GLOBAL_6 = IPv6Network("2000::/3")

#: Inside it, but not public: tunnels contain an arbitrary IPv4 address.
_REFUSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID, anycast
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3ffe::/16",  # returned, RFC 3701
        "3fff::/20",  # documentation, RFC 9637
    )
)

#: IPv6-only networks reach IPv4 through it; checked by the IPv4 address inside.
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # the upper half of the interface's identifier


def is_public(address: Address) -> bool:
    """Return whether an IP address is public, judging by the number only.

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
        return is_public(embedded_ipv4(address))
    return address in _GLOBAL_6 and address.is_global and not _is_tunnel_or_special(address)


def embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 address behind a NAT64 address, or the address itself."""
    translated = isinstance(address, IPv6Address) and address in _NAT64
    return IPv4Address(int(address) & 0xFFFFFFFF) if translated else address


def _is_tunnel_or_special(address: IPv6Address) -> bool:
    upper_half = (int(address) >> 32) & 0xFFFFFFFF
    return upper_half in _ISATAP or any(address in network for network in _REFUSED_6)


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    """Return whether a network contains the address; False for an address with a zone."""
    zoned = isinstance(address, IPv6Address) and address.scope_id is not None
    return not zoned and any(address in network for network in networks)


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that are written as ``10.1.0.0/16`` or ``10.1.2.3``.

    Raises:
        ValueError: one is not a network, or has bits set after its prefix.
    """
    return tuple(ip_network(text) for text in texts)


_MOST_HOST_CHARACTERS = 253

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_IDEOGRAPHIC_STOP = "\u3002"  # parsed as a dot by some, and unchanged by NFKC

#: Suffixes of names of this machine or this network: RFC 6761, 6762, 7686 and 8375, and
#: ICANN's `internal`.
_INTERNAL = ("localhost", "localdomain", "local", "internal", "home.arpa", "onion", "invalid")


def read_host(text: str) -> str | Address:
    """Return the host: a lower-case ASCII name, or an IP address.

    Hosts that some parsers read as a number and others as a name are rejected: ``127.1``,
    ``0x7f000001``, ``2130706433``, ``0177.0.0.1``.

    Source: RFC 3986 section 3.2.2; "ends in a number" is the URL standard's (url.spec.whatwg.org).

    Raises:
        ValueError: it is neither; the message has the reason.

    >>> read_host("[::1]"), read_host("Example.ORG")
    (IPv6Address('::1'), 'example.org')
    """
    if text.startswith("["):
        return _read_ipv6(text[1:-1])
    name = _encode_ascii(text).lower()
    if len(name) > _MOST_HOST_CHARACTERS:
        raise ValueError("the host name is too long")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _read_ipv4(text)
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the host name is malformed")
    return name


def _is_internal(name: str) -> bool:
    """Return whether a name has the form of a name of this machine or network.

    >>> _is_internal("intranet"), _is_internal("a.localhost"), _is_internal("example.org")
    (True, True, False)
    """
    return "." not in name or f".{name}".endswith(tuple(f".{ending}" for ending in _INTERNAL))


def _read_ipv6(text: str) -> IPv6Address:
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise ValueError("an IPv6 address with a zone belongs to a local network")
    return address


def _read_ipv4(text: str) -> IPv4Address:
    """Return the IPv4 address if it is written as four decimal numbers in canonical form."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError("an IPv4 address must be four decimal numbers") from None


def _encode_ascii(text: str) -> str:
    """Return an international name in its ``xn--`` form.

    A name that other parsers may normalise differently, for example with full-width letters, digits
    or dots, is rejected and not normalised.

    Source: RFC 5891 (IDNA 2008), without the mapping of UTS 46.
    """
    if text.isascii():
        return text
    import idna

    if _IDEOGRAPHIC_STOP in text or unicodedata.normalize("NFKC", text) != text:
        raise ValueError("the host name has compatibility characters; write the plain letters")
    if len(text) > _MOST_HOST_CHARACTERS:
        raise ValueError("the host name is too long")
    try:
        return idna.encode(text).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError("the host name has invalid letters") from error


_MOST_ADDRESS_CHARACTERS = 8000  # what every server should accept, RFC 9110 section 4.1
_MOST_SHOWN = 200

_PORTS = {"http": 80, "https": 443}
_SHAPE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_CREDENTIALS = re.compile(r"^([^A-Za-z/\\]*(?:[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2}))[^/\\]*@")


@dataclass(frozen=True)
class Locator:
    """The parts of a URL: ``host`` is a lower-case ASCII name, or an IP address.

    ``target`` is path and query in ASCII; the fragment is dropped.
    """

    scheme: str
    host: str | Address
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as in a URL, without the default port of the scheme."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the URL in canonical form."""
        return f"{self.scheme}://{self.authority}{self.target}"


def locate(address: str, *, ports: Collection[int], internal_names: bool = False) -> Locator:
    """Return the parts of a URL, whose port must be one of ``ports``.

    Raises:
        AddressRefusedError: the scheme is neither http nor https, or parsers may disagree on
            the URL.

    >>> str(locate("HTTP://Example.org:80/a%20b.jpg#top", ports={80}))
    'http://example.org/a%20b.jpg'
    """
    try:
        found = _parse_url(address)
        _check_place(found, ports, internal_names=internal_names)
    except ValueError as error:
        raise AddressRefusedError(f"{strip_query(address)}: {error}") from None
    return found


def follow(locator: Locator, location: str) -> str:
    """Return the target URL of a redirect, resolved but not yet checked.

    Raises:
        AddressRefusedError: parsers may disagree on the target.
    """
    try:
        _check_characters(location)
        return urljoin(str(locator), location)
    except ValueError as error:
        raise AddressRefusedError(
            f"{locator.authority}: redirect to a refused URL: {error}"
        ) from None


def strip_query(address: str) -> str:
    """Return a URL for results and logs: without query, fragment and credentials.

    Queries may contain secret keys of private pictures, and must not be stored or forwarded. The
    URL may be malformed.

    >>> strip_query("https://me:secret@example.org/a.jpg?key=1#top")
    'https://example.org/a.jpg'
    """
    shown = _CREDENTIALS.sub(r"\1", re.split(r"[?#]", address, maxsplit=1)[0])
    shown = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in to_printable(shown)
    )
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."


def _parse_url(address: str) -> Locator:
    """Return the parts of a URL, or raise ValueError with the reason."""
    _check_characters(address)
    shape = _SHAPE.fullmatch(address)
    if shape is None:
        raise ValueError("only URLs that begin with http:// or https:// are fetched")
    scheme = shape["scheme"].lower()
    if "@" in shape["authority"]:
        raise ValueError("a URL must not contain a user name or password")
    authority = _AUTHORITY.fullmatch(shape["authority"])
    if authority is None:
        raise ValueError("the host or the port is malformed")
    port = int(authority["port"] or _PORTS[scheme])
    return Locator(scheme, read_host(authority["host"]), port, _encode_target(shape["rest"]))


def _check_place(locator: Locator, ports: Collection[int], *, internal_names: bool) -> None:
    """Reject other ports, and host names of local networks."""
    if locator.port not in ports:
        raise ValueError(f"port {locator.port} is not allowed")
    if isinstance(locator.host, str) and _is_internal(locator.host) and not internal_names:
        raise ValueError("the host name belongs to a local network")


def _check_characters(address: str) -> None:
    """Reject characters that URL parsers drop or replace: blanks, controls, backslashes."""
    if len(address) > _MOST_ADDRESS_CHARACTERS:
        raise ValueError(f"a URL must have at most {_MOST_ADDRESS_CHARACTERS} characters")
    if "\\" in address or any(unicodedata.category(character)[0] in "CZ" for character in address):
        raise ValueError("a URL must not contain blanks, backslashes or invisible characters")


def _encode_target(rest: str) -> str:
    """Return path and query in ASCII; existing escapes are kept."""
    wanted = rest.partition("#")[0]
    path = wanted if wanted.startswith("/") else f"/{wanted}"
    return quote(path, safe="!#$%&'()*+,/:;=?@[]~|")
