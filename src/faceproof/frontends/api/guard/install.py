"""Puts the parts of the guard around an app, in their order."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from faceproof.frontends.api.guard.buckets import Rate
from faceproof.frontends.api.guard.described import describe
from faceproof.frontends.api.guard.faults import FaultsAnswered
from faceproof.frontends.api.guard.framing import FramingChecked
from faceproof.frontends.api.guard.headers import SecurityHeaders
from faceproof.frontends.api.guard.hosts import HostsChecked
from faceproof.frontends.api.guard.keys import KeyRing, KeysRequired
from faceproof.frontends.api.guard.metrics import Metrics
from faceproof.frontends.api.guard.paths import METRICS_PATH, OPEN_PATHS
from faceproof.frontends.api.guard.rates import RatesLimited
from faceproof.frontends.api.guard.settings import GuardSettings
from faceproof.frontends.api.guard.watch import Watched

#: What a page that may call the service may send, and read of an answer.
_REQUEST_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_ANSWER_HEADERS = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy")
_FAILURES_AT_ONCE = 20


def install(app: Starlette, settings: GuardSettings, metrics: Metrics | None = None) -> Metrics:
    """Return the metrics of the app, which from now on is guarded; call it last.

    From the outside in:

    1. `Watched`: what comes after may refuse or fail, and still has an id, a line and a count.
    2. `SecurityHeaders`: on every answer, so outside of all that answers.
    3. CORS, where origins are allowed: before keys, as a browser asks without one whether it may
       ask, and as a page must be able to read why it was refused.
    4. `FaultsAnswered`: inside the headers, so that a 500 has them too.
    5. `FramingChecked`, `HostsChecked`: before keys, as they cost less and say nothing about them.
    6. `KeysRequired`, where there is a keys file: before rates, which are those of a key.
    7. `RatesLimited`, where there is a rate: last, so that only what is let in is counted.

    Nothing reads a body before the request has come through all of them.

    Raises:
        UsageError: the keys file cannot be trusted.
    """
    metrics = metrics or Metrics()
    if settings.metrics:
        app.add_route(METRICS_PATH, metrics.endpoint, methods=["GET"], include_in_schema=False)
    if isinstance(app, FastAPI):
        describe(app, settings)
    _limit(app, settings)
    _ask_for_keys(app, settings)
    app.add_middleware(
        HostsChecked,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
    )
    app.add_middleware(FramingChecked)
    app.add_middleware(FaultsAnswered)
    _allow_origins(app, settings)
    app.add_middleware(SecurityHeaders, tls_in_front=settings.tls_in_front)
    app.add_middleware(
        Watched,
        metrics=metrics,
        trusted_proxies=settings.trusted_proxies,
        log_addresses=settings.log_addresses,
    )
    return metrics


def _limit(app: Starlette, settings: GuardSettings) -> None:
    """Add the rates, where there are some."""
    if settings.requests_per_minute is None:
        return
    rate = Rate(
        settings.requests_per_minute, burst=settings.burst, most_clients=settings.most_clients
    )
    app.add_middleware(RatesLimited, rate=rate, trusted_proxies=settings.trusted_proxies)


def _ask_for_keys(app: Starlette, settings: GuardSettings) -> None:
    """Add the keys, where there is a file of them."""
    if settings.keys_file is None:
        return
    open_metrics = frozenset() if settings.metrics_need_key else frozenset({METRICS_PATH})
    app.add_middleware(
        KeysRequired,
        ring=KeyRing(settings.keys_file),
        failures=Rate(
            settings.failures_per_minute,
            burst=_FAILURES_AT_ONCE,
            most_clients=settings.most_clients,
        ),
        trusted_proxies=settings.trusted_proxies,
        open_paths=OPEN_PATHS | open_metrics,
    )


def _allow_origins(app: Starlette, settings: GuardSettings) -> None:
    """Add CORS, where origins are named."""
    if not settings.allowed_origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST"),
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_ANSWER_HEADERS,
    )
