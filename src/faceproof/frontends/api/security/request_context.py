"""`RequestContext`: context of the current request: its client, route and outcome."""

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

from faceproof.frontends.api.routing import route_path
from faceproof.frontends.api.security.settings import Network

#: No underscore: an API key sent as a request id does not match, and is not logged.
_REQUEST_ID = re.compile(r"[A-Za-z0-9.-]{8,64}", re.ASCII)


@dataclass
class RequestContext:
    """One request: its id, key id, reason of rejection and check outcomes."""

    id: str
    client: str
    key: str | None = None
    refused: str | None = None
    checks: Counter[str] = field(default_factory=Counter)


#: Visible to all code of a request, also in threads that the framework starts for it.
REQUEST_CONTEXT: ContextVar[RequestContext | None] = ContextVar(
    "faceproof_current_request", default=None
)


def choose_request_id(sent: str) -> str:
    r"""Return the client's request id if it is valid, else a new one.

    >>> choose_request_id("build-7.attempt-2"), len(choose_request_id("two\nlines"))
    ('build-7.attempt-2', 32)
    """
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def record_refusal(why: str) -> bool:
    """Record why the current request is rejected; return whether there is one."""
    current = REQUEST_CONTEXT.get()
    if current is not None:
        current.refused = why
    return current is not None


def record_key(identity: str) -> None:
    """Record the key id of the current request."""
    if current := REQUEST_CONTEXT.get():
        current.key = identity


def record_check(outcome: str) -> None:
    """Record a check's outcome for the current request: a verdict, status or error code."""
    if current := REQUEST_CONTEXT.get():
        current.checks[outcome] += 1


Address = IPv4Address | IPv6Address

#: For a client without an address, as through a Unix socket.
UNKNOWN = "unknown"
_MOST_HOPS = 32


def client_of(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """Return the nearest address that is not a trusted proxy, None without an address.

    ``X-Forwarded-For`` is read from its end, written by the nearest proxy. Reading stops at the
    first untrusted address; a client can forge only the entries before it.
    """
    address = _peer_address(scope)
    hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops[-_MOST_HOPS:]):
        if address is None or not _is_in(address, trusted):
            break
        before = _parse_ip(hop)
        if before is None:
            break
        address = before
    return address


def _parse_ip(text: str) -> Address | None:
    """Return the parsed address, with or without a port, IPv4-mapped as IPv4; None if invalid.

    >>> str(_parse_ip(" 192.0.2.1:443")), str(_parse_ip("[2001:db8::1]:443")), _parse_ip("unknown")
    ('192.0.2.1', '2001:db8::1', None)
    >>> str(_parse_ip("::ffff:192.0.2.1"))
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
    """Return the network that an address counts for; one client controls an IPv6 /64.

    >>> network_of(_parse_ip("192.0.2.1")), network_of(_parse_ip("2001:db8::1"))
    ('192.0.2.1/32', '2001:db8::/64')
    >>> network_of(_parse_ip("192.0.2.1"), ipv4=24), network_of(None)
    ('192.0.2.0/24', 'unknown')
    """
    if address is None:
        return UNKNOWN
    bits = ipv4 if address.version == 4 else ipv6
    return str(ip_network((address, bits), strict=False))


def _peer_address(scope: Scope) -> Address | None:
    """Return the address at the other end of the connection."""
    client = scope.get("client")
    return _parse_ip(client[0]) if client else None


def is_from(scope: Scope, networks: Sequence[Network]) -> bool:
    """Return whether the other end of the connection is in one of the networks."""
    address = _peer_address(scope)
    return address is not None and _is_in(address, networks)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


#: Paths without keys and rate limits: liveness and readiness probes.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
METRICS_PATH = "/metrics"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: For a request without a route, or with an unknown method.
OTHER = "other"


def method_of(scope: Scope) -> str:
    """Return the method, or `OTHER` for an unknown one."""
    method = str(scope["method"])
    return method if method in METHODS else OTHER


def template_of(scope: Scope) -> str:
    """Return the template of the matched route, `OTHER` without one.

    A router included under a prefix has only the rest of the template; the prefix is taken from
    the path. For a mounted app only its prefix is known.

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
