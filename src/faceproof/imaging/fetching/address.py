"""An address on the net, taken apart once: its host, and which IP addresses are public."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import quote, urljoin

from faceproof.errors import AddressRefusedError
from faceproof.sources import printable

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


MOST_HOST_CHARACTERS = 253

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_IDEOGRAPHIC_STOP = "\u3002"  # read as a dot by some, and left as it is by NFKC

#: Names of this machine or this network by their ending: RFC 6761, 6762, 7686 and 8375, and
#: ICANN's `internal`.
_INTERNAL = ("localhost", "localdomain", "local", "internal", "home.arpa", "onion", "invalid")


def read_host(text: str) -> str | Address:
    """Return the host: a lower-case ASCII name, or an IP address.

    What is a number to one reader and a name to another is refused: ``127.1``, ``0x7f000001``,
    ``2130706433``, ``0177.0.0.1``.

    Source: RFC 3986 section 3.2.2; "ends in a number" is the URL standard's (url.spec.whatwg.org).

    Raises:
        ValueError: it is neither; the message says why.

    >>> read_host("[::1]"), read_host("Example.ORG")
    (IPv6Address('::1'), 'example.org')
    """
    if text.startswith("["):
        return _read_ipv6(text[1:-1])
    name = _in_ascii(text).lower()
    if len(name) > MOST_HOST_CHARACTERS:
        raise ValueError("the host's name is too long")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _read_ipv4(text)
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the host's name is not a proper one")
    return name


def is_internal(name: str) -> bool:
    """Return whether a name is one of this machine or this network by its form.

    >>> is_internal("intranet"), is_internal("a.localhost"), is_internal("example.org")
    (True, True, False)
    """
    return "." not in name or f".{name}".endswith(tuple(f".{ending}" for ending in _INTERNAL))


def _read_ipv6(text: str) -> IPv6Address:
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise ValueError("an address with a zone is one of a local network")
    return address


def _read_ipv4(text: str) -> IPv4Address:
    """Return the IPv4 address if it is written as four decimal numbers, each in one spelling."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError("an IPv4 address is written as four decimal numbers") from None


def _in_ascii(text: str) -> str:
    """Return an international name in its ``xn--`` form.

    A name that another reader might turn into something else, with letters, digits or dots of
    full width for instance, is refused and not mended.

    Source: RFC 5891 (IDNA 2008), without the mapping of UTS 46.
    """
    if text.isascii():
        return text
    import idna

    if _IDEOGRAPHIC_STOP in text or unicodedata.normalize("NFKC", text) != text:
        raise ValueError("the host's name has letters that stand for others; write it plainly")
    if len(text) > MOST_HOST_CHARACTERS:
        raise ValueError("the host's name is too long")
    try:
        return idna.encode(text).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError("the host's name has letters that no name may have") from error


MOST_ADDRESS_CHARACTERS = 8000  # what every server should take, RFC 9110 section 4.1
MOST_SHOWN = 200

_PORTS = {"http": 80, "https": 443}
_SHAPE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_CREDENTIALS = re.compile(r"^([^A-Za-z/\\]*(?:[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2}))[^/\\]*@")


@dataclass(frozen=True)
class Locator:
    """The parts of an address: ``host`` is a lower-case ASCII name, or an IP address.

    ``target`` is what is asked for, path and query, in ASCII; a fragment is left out.
    """

    scheme: str
    host: str | Address
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as an address has them, without the port that goes without saying."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the address that was read, in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.target}"


def locate(address: str, *, ports: Collection[int], internal_names: bool = False) -> Locator:
    """Return the parts of an address, whose port must be one of ``ports``.

    Raises:
        AddressRefusedError: it is none of http or https, or is written in a way that another
            reader might read differently.

    >>> str(locate("HTTP://Example.org:80/a%20b.jpg#top", ports={80}))
    'http://example.org/a%20b.jpg'
    """
    try:
        found = _located(address)
        _check_place(found, ports, internal_names=internal_names)
    except ValueError as error:
        raise AddressRefusedError(f"{without_query(address)}: {error}") from None
    return found


def follow(locator: Locator, location: str) -> str:
    """Return the address that a redirect leads to, from where it was found; it is not checked yet.

    Raises:
        AddressRefusedError: it is written in a way that another reader might read differently.
    """
    try:
        _check_characters(location)
        return urljoin(str(locator), location)
    except ValueError as error:
        raise AddressRefusedError(
            f"{locator.authority}: it redirects to an address that is not gone to: {error}"
        ) from None


def without_query(address: str) -> str:
    """Return an address as results and logs may show it: no query, fragment or credentials.

    Queries hold keys that open private pictures, so that what is kept or sent on must not have
    them. The address need not be a proper one.

    >>> without_query("https://me:secret@example.org/a.jpg?key=1#top")
    'https://example.org/a.jpg'
    """
    shown = _CREDENTIALS.sub(r"\1", re.split(r"[?#]", address, maxsplit=1)[0])
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in printable(shown))
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}..."


def _located(address: str) -> Locator:
    """Return the parts of an address, or raise ValueError with what is wrong with it."""
    _check_characters(address)
    shape = _SHAPE.fullmatch(address)
    if shape is None:
        raise ValueError("only addresses that begin with http:// or https:// are fetched")
    scheme = shape["scheme"].lower()
    if "@" in shape["authority"]:
        raise ValueError("an address must not hold a user's name or password")
    authority = _AUTHORITY.fullmatch(shape["authority"])
    if authority is None:
        raise ValueError("the host or the port is not properly written")
    port = int(authority["port"] or _PORTS[scheme])
    return Locator(scheme, read_host(authority["host"]), port, _target(shape["rest"]))


def _check_place(locator: Locator, ports: Collection[int], *, internal_names: bool) -> None:
    """Refuse other ports, and names that a local network gives its machines."""
    if locator.port not in ports:
        raise ValueError(f"pictures are not fetched from port {locator.port}")
    if isinstance(locator.host, str) and is_internal(locator.host) and not internal_names:
        raise ValueError("the host is one of a local network by its name")


def _check_characters(address: str) -> None:
    """Refuse what readers of addresses drop, replace or cut at: blanks, controls, backslashes."""
    if len(address) > MOST_ADDRESS_CHARACTERS:
        raise ValueError(f"an address has at most {MOST_ADDRESS_CHARACTERS} characters")
    if "\\" in address or any(unicodedata.category(character)[0] in "CZ" for character in address):
        raise ValueError("an address must not hold blanks, backslashes or invisible characters")


def _target(rest: str) -> str:
    """Return path and query in ASCII; what is escaped already stays as it is."""
    wanted = rest.partition("#")[0]
    path = wanted if wanted.startswith("/") else f"/{wanted}"
    return quote(path, safe="!#$%&'()*+,/:;=?@[]~|")
