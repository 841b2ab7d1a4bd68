"""`SecuritySettings`: security settings, and which of them a public bind requires."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from faceproof.errors import UsageError
from faceproof.frontends import is_loopback

Network = IPv4Network | IPv6Network

PREFIX = "FACEPROOF_SERVE_GUARD__"


def _split_words(value: object) -> object:
    """Split a string at commas or spaces; return other values unchanged."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _parse_network(value: object) -> Network:
    """Parse a network such as ``10.0.0.0/8``, or a single address."""
    return ip_network(str(value))


def _parse_origin(value: object) -> str:
    """Return an origin in the form that a browser sends.

    Source: RFC 6454, "The Web Origin Concept", 2011, section 6.2.
    """
    parts = urlsplit(str(value))
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in {"http", "https"} or not parts.hostname or origin != str(value):
        raise ValueError(
            f"{value!r} is not an origin: use the form https://example.org, without a path"
        )
    return origin


def _parse_host(value: object) -> str:
    """Return a host name in lower case, without a port."""
    host = str(value).lower()
    if not host or any(letter in host for letter in "*/@, "):
        raise ValueError(f"{value!r} is not a host name: use the form api.example.org")
    return host


Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_parse_network)], ...],
    NoDecode,
    BeforeValidator(_split_words),
]
Origins = Annotated[
    tuple[Annotated[str, BeforeValidator(_parse_origin)], ...],
    NoDecode,
    BeforeValidator(_split_words),
]
_Hosts = Annotated[
    tuple[Annotated[str, BeforeValidator(_parse_host)], ...],
    NoDecode,
    BeforeValidator(_split_words),
]


class SecuritySettings(BaseModel):
    """Security settings: keys, rate limits, hosts and logs; lists are separated by commas.

    Each is read from the environment variable ``FACEPROOF_SERVE_GUARD__`` plus its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keys_file: Path | None = Field(
        default=None, description="API-key file of `faceproof keys`; empty: no keys are required."
    )
    requests_per_minute: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Rate limit for each key, or for each address without keys; empty: no limit.",
    )
    burst: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests allowed at once after a pause."
    )
    failures_per_minute: float = Field(
        default=10.0,
        gt=0,
        le=1_000_000,
        description="Requests per minute without a valid key from one address; then 429, not 401.",
    )
    most_clients: int = Field(
        default=100_000,
        ge=1,
        description="Clients in the rate limiter; the least recently seen is dropped.",
    )
    open_to_all: bool = Field(
        default=False, description="Allow a public bind without keys and rate limits."
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks whose X-Forwarded-For is trusted; empty: none.",
    )
    forwarded_prefix: bool = Field(
        default=False,
        description="Trust X-Forwarded-Prefix of TRUSTED_PROXIES, instead of ROOT_PATH.",
    )
    allowed_hosts: _Hosts = Field(
        default=(),
        description="Accepted Host names; empty: any, but only localhost through the "
        "loopback address.",
    )
    allowed_origins: Origins = Field(
        default=(), description="Origins allowed by CORS; empty: none."
    )
    tls_in_front: bool = Field(
        default=False, description="A TLS proxy is in front of the service: send HSTS."
    )
    metrics: bool = Field(default=True, description="Enable GET /metrics.")
    metrics_need_key: bool = Field(
        default=True, description="Require an API key for /metrics if keys are used."
    )
    log_format: Literal["json", "text", "off"] = Field(
        default="json",
        description="Format of the request log on standard error; off: no request log.",
    )
    log_addresses: bool = Field(default=True, description="Log the client's network (/24, /48).")

    @model_validator(mode="after")
    def _prefix_has_a_proxy(self) -> Self:
        if self.forwarded_prefix and not self.trusted_proxies:
            raise ValueError("forwarded_prefix needs trusted_proxies: name the proxy that sends it")
        return self


def require_security(host: str, settings: SecuritySettings) -> None:
    """Raise an error if a bind to ``host`` is public without keys or rate limits.

    Raises:
        UsageError: ``host`` is public, keys or rates are missing, and OPEN_TO_ALL is off.

    >>> require_security("127.0.0.1", SecuritySettings())
    >>> require_security("0.0.0.0", SecuritySettings(open_to_all=True))
    """
    if is_loopback(host) or settings.open_to_all:
        return
    missing = list(_missing_settings(settings))
    if missing:
        raise UsageError(
            f"{host or 'every address'} is reachable from other machines, but there is "
            f"{' and '.join(what for what, _ in missing)}: {'; '.join(how for _, how in missing)}; "
            f"or set {PREFIX}OPEN_TO_ALL=true for open access, or bind to 127.0.0.1"
        )


def _missing_settings(settings: SecuritySettings) -> list[tuple[str, str]]:
    """Return the missing settings that a public bind requires, each with its fix."""
    missing = []
    if settings.keys_file is None:
        make = "run `faceproof keys new --name NAME --file keys.json`"
        missing.append(("no API key", f"{make} and set {PREFIX}KEYS_FILE=keys.json"))
    if settings.requests_per_minute is None:
        missing.append(("no rate limit", f"set {PREFIX}REQUESTS_PER_MINUTE=60"))
    return missing
