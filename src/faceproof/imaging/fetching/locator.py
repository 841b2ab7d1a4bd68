"""An address on the net, taken apart once; what is connected to is put together from the parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin

from faceproof.errors import AddressRefusedError
from faceproof.imaging.fetching.addresses import Address
from faceproof.imaging.fetching.hosts import is_internal, read_host
from faceproof.sources import printable

MOST_CHARACTERS = 8000  # what every server should take, RFC 9110 section 4.1
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
    if len(address) > MOST_CHARACTERS:
        raise ValueError(f"an address has at most {MOST_CHARACTERS} characters")
    if "\\" in address or any(unicodedata.category(character)[0] in "CZ" for character in address):
        raise ValueError("an address must not hold blanks, backslashes or invisible characters")


def _target(rest: str) -> str:
    """Return path and query in ASCII; what is escaped already stays as it is."""
    wanted = rest.partition("#")[0]
    path = wanted if wanted.startswith("/") else f"/{wanted}"
    return quote(path, safe="!#$%&'()*+,/:;=?@[]~|")
