"""What the guard may be told, and what it must be told where strangers can reach the service."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from faceproof.errors import UsageError
from faceproof.frontends import is_loopback

Network = IPv4Network | IPv6Network

PREFIX = "FACEPROOF_SERVE_GUARD__"


def _words(value: object) -> object:
    """Return the words of a text parted by commas or spaces; other values as they are."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _network(value: object) -> Network:
    """Return the network of ``10.0.0.0/8``, or of a single address."""
    return ip_network(str(value))


def _origin(value: object) -> str:
    """Return an origin as a browser sends it.

    Source: RFC 6454, "The Web Origin Concept", 2011, section 6.2.
    """
    parts = urlsplit(str(value))
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in {"http", "https"} or not parts.hostname or origin != str(value):
        raise ValueError(f"{value!r} is no origin: write it as https://example.org, without a path")
    return origin


def _host(value: object) -> str:
    """Return a host name in small letters, without a port."""
    host = str(value).lower()
    if not host or any(letter in host for letter in "*/@, "):
        raise ValueError(f"{value!r} is no host name: write it as api.example.org")
    return host


Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], NoDecode, BeforeValidator(_words)
]
Origins = Annotated[
    tuple[Annotated[str, BeforeValidator(_origin)], ...], NoDecode, BeforeValidator(_words)
]
Hosts = Annotated[
    tuple[Annotated[str, BeforeValidator(_host)], ...], NoDecode, BeforeValidator(_words)
]


class GuardSettings(BaseModel):
    """Who may ask, how often, and what is told of it; lists are parted by commas.

    Each is read from ``FACEPROOF_SERVE_GUARD__`` and its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keys_file: Path | None = Field(
        default=None, description="File of `faceproof keys`; empty: nobody is asked for a key."
    )
    requests_per_minute: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Requests a minute of a key, or of an address without keys; empty: no limit.",
    )
    burst: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests that may come at once after a pause."
    )
    failures_per_minute: float = Field(
        default=10.0,
        gt=0,
        le=1_000_000,
        description="Requests with a wrong key or none a minute of one address; then 429, not 401.",
    )
    most_clients: int = Field(
        default=100_000,
        ge=1,
        description="Clients whose rates are remembered; the one unseen longest is forgotten.",
    )
    open_to_all: bool = Field(
        default=False, description="Serve strangers without keys or rates, and mean it."
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks whose X-Forwarded-For is believed; empty: nobody's.",
    )
    allowed_hosts: Hosts = Field(
        default=(),
        description="Names by which the service may be called; empty: any, through loopback "
        "localhost alone.",
    )
    allowed_origins: Origins = Field(
        default=(), description="Web pages that may call from a browser; empty: no CORS."
    )
    tls_in_front: bool = Field(
        default=False, description="HTTPS ends in front of this service: browsers are told to stay."
    )
    metrics: bool = Field(default=True, description="Whether GET /metrics answers.")
    metrics_need_key: bool = Field(
        default=True, description="Whether /metrics asks for a key where keys are used."
    )
    log_format: Literal["json", "text", "off"] = Field(
        default="json", description="The lines on standard error; off: no line for a request."
    )
    log_addresses: bool = Field(
        default=True, description="Whether a line has the client's network (/24, /48)."
    )


def required(host: str, settings: GuardSettings) -> None:
    """Return if strangers may reach a service that is bound to ``host``.

    Raises:
        UsageError: bound beyond this machine without keys or rates, and nobody said so.

    >>> required("127.0.0.1", GuardSettings())
    >>> required("0.0.0.0", GuardSettings(open_to_all=True))
    """
    if is_loopback(host) or settings.open_to_all:
        return
    missing = list(_missing(settings))
    if missing:
        raise UsageError(
            f"{host or 'every address'} can be reached from other machines, and there is "
            f"{' and '.join(what for what, _ in missing)}: {'; '.join(how for _, how in missing)}; "
            f"or set {PREFIX}OPEN_TO_ALL=true to serve anyone, or bind to 127.0.0.1"
        )


def _missing(settings: GuardSettings) -> list[tuple[str, str]]:
    """Return what strangers make necessary and is not there, each with its remedy."""
    missing = []
    if settings.keys_file is None:
        make = "run `faceproof keys new --name NAME --file keys.json`"
        missing.append(("no API key", f"{make} and set {PREFIX}KEYS_FILE=keys.json"))
    if settings.requests_per_minute is None:
        missing.append(("no rate limit", f"set {PREFIX}REQUESTS_PER_MINUTE=60"))
    return missing
