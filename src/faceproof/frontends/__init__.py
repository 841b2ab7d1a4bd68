"""The front ends beside the command line: each asks a Checker, and none knows another."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches ``host``; a name other than localhost counts as no.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.53", "[::1]", "::", "", "my-pc")]
    [True, True, True, False, False, False]
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ip_address(bare)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return bare.lower() == "localhost"
