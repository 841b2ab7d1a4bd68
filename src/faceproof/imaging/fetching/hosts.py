"""The host in an address: an IP address in its usual form, or a name in ASCII."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address

from faceproof.imaging.fetching.addresses import Address

MOST_CHARACTERS = 253

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
    if len(name) > MOST_CHARACTERS:
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
    if len(text) > MOST_CHARACTERS:
        raise ValueError("the host's name is too long")
    try:
        return idna.encode(text).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError("the host's name has letters that no name may have") from error
