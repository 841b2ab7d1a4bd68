"""The request that is being answered: its client, its route, and what is known of it."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from faceproof.frontends.api.security.settings import Network

#: No underscore: an API key that somebody sends as the id of a request is none, and not logged.
_REQUEST_ID = re.compile(r"[A-Za-z0-9.-]{8,64}", re.ASCII)


@dataclass
class Current:
    """One request: its id, whose key it had, why it was refused, what its checks came to."""

    id: str
    client: str
    key: str | None = None
    refused: str | None = None
    checks: Counter[str] = field(default_factory=Counter)


#: Seen by all that runs for a request, also in threads that the framework starts for it.
CURRENT: ContextVar[Current | None] = ContextVar("faceproof_current_request", default=None)


def request_id(sent: str) -> str:
    r"""Return the id that came with a request if it is one, else a new one.

    >>> request_id("build-7.attempt-2"), len(request_id("two\nlines"))
    ('build-7.attempt-2', 32)
    """
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def refused(why: str) -> bool:
    """Remember why the current request is refused; return whether there is one."""
    current = CURRENT.get()
    if current is not None:
        current.refused = why
    return current is not None


def known_key(identity: str) -> None:
    """Remember whose key the current request has."""
    if current := CURRENT.get():
        current.key = identity


def checked(outcome: str) -> None:
    """Remember what a check of the current request came to: a verdict, status or error code."""
    if current := CURRENT.get():
        current.checks[outcome] += 1


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


#: What anyone may ask, as often as they like: whether the service lives, and whether it is ready.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
METRICS_PATH = "/metrics"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Of a request that no route takes, or with a method of the client's own.
OTHER = "other"


def route_path(scope: Scope) -> str:
    """Return the path as the routes see it, without the prefix under which the app is mounted.

    >>> route_path({"path": "/api/healthz", "root_path": "/api"}), route_path({"path": "/apix"})
    ('/healthz', '/apix')
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def method_of(scope: Scope) -> str:
    """Return the method, or `OTHER`: a client may write any word there."""
    method = str(scope["method"])
    return method if method in METHODS else OTHER


def template_of(scope: Scope) -> str:
    """Return the template of the route that took a request, `OTHER` where none did.

    A router that is included under a prefix knows the rest alone; the prefix is what the path has
    more at its beginning. Of an app that is mounted, the place is known and no more.

    >>> from types import SimpleNamespace
    >>> route = SimpleNamespace(path_format="/detectors/{name}")
    >>> template_of({"path": "/v1/detectors/x", "endpoint": len, "route": route, "path_params": {}})
    '/v1/detectors/{name}'
    >>> template_of({"path": "/docs", "endpoint": len, "path_params": {}})
    '/docs'
    >>> template_of({"path": "/wp-admin"})
    'other'
    """
    if "endpoint" not in scope:
        return OTHER
    if "app_root_path" in scope:
        return str(scope["root_path"]).removeprefix(str(scope["app_root_path"])) + "/*"
    template, parameters = getattr(scope.get("route"), "path_format", None), scope["path_params"]
    if template is None:
        return OTHER if parameters else route_path(scope).rstrip()
    if any("/" in str(value) for value in parameters.values()):
        return str(template)
    before = route_path(scope).split("/")[: -template.count("/")]
    return "/".join(before) + str(template)
