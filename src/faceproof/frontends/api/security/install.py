"""`install` adds the security middlewares to an app, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from faceproof.frontends.api.problems import MEDIA_TYPE, Problem, make_problem, schema_ref
from faceproof.frontends.api.security.keys import ApiKeyMiddleware, KeyRing
from faceproof.frontends.api.security.metrics import Metrics
from faceproof.frontends.api.security.middleware import (
    InternalErrorMiddleware,
    RequestSmugglingMiddleware,
    SecurityHeadersMiddleware,
    TrustedHostMiddleware,
)
from faceproof.frontends.api.security.rates import RateLimiter, RateLimitMiddleware
from faceproof.frontends.api.security.request_context import METRICS_PATH, OPEN_PATHS, is_from
from faceproof.frontends.api.security.request_log import RequestLogMiddleware
from faceproof.frontends.api.security.settings import SecuritySettings

Json = dict[str, Any]

_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def describe_security(document: Mapping[str, Any], settings: SecuritySettings) -> Json:
    """Return a copy of the document with the middlewares' errors and, if required, API keys."""
    result = deepcopy(dict(document))
    refusals = dict(_refusals(settings))
    for path, operations in result.get("paths", {}).items():
        for method in _METHODS & operations.keys():
            if path in OPEN_PATHS:
                operations[method]["security"] = []
            else:
                _add(operations[method].setdefault("responses", {}), refusals)
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).setdefault("Problem", Problem.model_json_schema())
    if settings.keys_file is not None:
        components["securitySchemes"] = deepcopy(_SCHEMES)
        result["security"] = [{name: []} for name in _SCHEMES]
    return result


def _refusals(settings: SecuritySettings) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield status, code and example message of the middlewares' errors."""
    yield 400, ("bad_request", "ambiguous request length")
    yield 403, ("forbidden", "cross-origin request rejected")
    yield 421, ("wrong_host", "unknown Host")
    yield 500, ("internal", "internal error; see the service's log")
    if settings.keys_file is not None:
        yield 401, ("unauthorized", "missing or invalid API key")
        yield 503, ("keys_unavailable", "the service cannot read its API keys")
    if settings.keys_file is not None or settings.requests_per_minute is not None:
        yield 429, ("too_many_requests", "too many requests: retry in 3 s")


def _add(responses: Json, refusals: Mapping[int, tuple[str, str]]) -> None:
    """Add the errors to an operation's responses, next to its own of the same status."""
    for status, (code, detail) in refusals.items():
        response = responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        content = response.setdefault("content", {}).setdefault(
            MEDIA_TYPE, {"schema": schema_ref("Problem")}
        )
        example = make_problem(status, code, detail).model_dump(mode="json")
        content.setdefault("examples", {}).setdefault(code, {"value": example})


def server_options() -> dict[str, Any]:
    """Return options for ``uvicorn.Config`` and ``uvicorn.run``; `write_log` configures logs.

    By default uvicorn logs whole addresses, sends a Server header, and trusts
    ``X-Forwarded-For`` from this machine. WebSockets have no route here.

    >>> options = server_options()
    >>> options["access_log"], options["server_header"], options["proxy_headers"], options["ws"]
    (False, False, False, 'none')
    """
    return {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws": "none",
    }


def trusts_prefix(settings: SecuritySettings) -> Callable[[Scope], bool] | None:
    """Return which requests may set ``X-Forwarded-Prefix``; None: none of them."""
    if not settings.forwarded_prefix:
        return None
    return lambda scope: is_from(scope, settings.trusted_proxies)


#: CORS: headers that an allowed page may send and read.
_REQUEST_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_ANSWER_HEADERS = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy")
_FAILURES_AT_ONCE = 20


def install(app: Starlette, settings: SecuritySettings, metrics: Metrics | None = None) -> Metrics:
    """Add the middlewares to the app and return its metrics; call it last.

    From the outside in:

    1. `RequestLogMiddleware`: a request rejected later still gets an id, a log line and a count.
    2. `SecurityHeadersMiddleware`: on every response, so outside of all that respond.
    3. CORS, if origins are allowed: before keys, as a browser sends preflights without a key
       and a page must be able to read the error.
    4. `InternalErrorMiddleware`: inside the headers, so that a 500 has them too.
    5. `RequestSmugglingMiddleware`, `TrustedHostMiddleware`: before keys, as they cost less and
       reveal nothing.
    6. `ApiKeyMiddleware`, if a keys file is set: before rates, which are counted by key.
    7. `RateLimitMiddleware`, if a rate is set: last, so that only accepted requests count.

    No body is read before the request has passed all of them.

    Raises:
        UsageError: the keys file cannot be trusted.
    """
    metrics = metrics or Metrics()
    if settings.metrics:
        app.add_route(METRICS_PATH, metrics.endpoint, methods=["GET"], include_in_schema=False)
    _limit_rates(app, settings)
    _ask_for_keys(app, settings)
    app.add_middleware(
        TrustedHostMiddleware,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
    )
    app.add_middleware(RequestSmugglingMiddleware)
    app.add_middleware(InternalErrorMiddleware)
    _allow_origins(app, settings)
    app.add_middleware(SecurityHeadersMiddleware, tls_in_front=settings.tls_in_front)
    app.add_middleware(
        RequestLogMiddleware,
        metrics=metrics,
        trusted_proxies=settings.trusted_proxies,
        log_addresses=settings.log_addresses,
    )
    return metrics


def _limit_rates(app: Starlette, settings: SecuritySettings) -> None:
    """Add rate limits, if set."""
    if settings.requests_per_minute is None:
        return
    rate = RateLimiter(
        settings.requests_per_minute, burst=settings.burst, most_clients=settings.most_clients
    )
    app.add_middleware(RateLimitMiddleware, rate=rate, trusted_proxies=settings.trusted_proxies)


def _ask_for_keys(app: Starlette, settings: SecuritySettings) -> None:
    """Add API-key authentication, if a keys file is set."""
    if settings.keys_file is None:
        return
    open_metrics = frozenset() if settings.metrics_need_key else frozenset({METRICS_PATH})
    app.add_middleware(
        ApiKeyMiddleware,
        ring=KeyRing(settings.keys_file),
        failures=RateLimiter(
            settings.failures_per_minute,
            burst=_FAILURES_AT_ONCE,
            most_clients=settings.most_clients,
        ),
        trusted_proxies=settings.trusted_proxies,
        open_paths=OPEN_PATHS | open_metrics,
    )


def _allow_origins(app: Starlette, settings: SecuritySettings) -> None:
    """Add CORS, if origins are allowed."""
    if not settings.allowed_origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_ANSWER_HEADERS,
    )
