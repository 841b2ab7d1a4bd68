"""What the guard adds to the description of the service: how keys are sent, how it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from faceproof.frontends.api.guard.paths import OPEN_PATHS
from faceproof.frontends.api.guard.settings import GuardSettings
from faceproof.frontends.api.problems import MEDIA_TYPE, Problem, problem

Json = dict[str, Any]

_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_PROBLEM: Json = {"$ref": "#/components/schemas/Problem"}
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def describe(app: FastAPI, settings: GuardSettings) -> None:
    """Let the description of an app say how it is guarded."""
    plain = app.openapi

    def guarded() -> Json:
        return described(plain(), settings)

    app.openapi = guarded  # type: ignore[method-assign]


def described(document: Mapping[str, Any], settings: GuardSettings) -> Json:
    """Return an OpenAPI document with the guard's refusals, and with keys where they are used."""
    said = deepcopy(dict(document))
    refusals = dict(_refusals(settings))
    for path, operations in said.get("paths", {}).items():
        for method in _METHODS & operations.keys():
            if path in OPEN_PATHS:
                operations[method]["security"] = []
            else:
                _add(operations[method].setdefault("responses", {}), refusals)
    components = said.setdefault("components", {})
    components.setdefault("schemas", {}).setdefault("Problem", Problem.model_json_schema())
    if settings.keys_file is not None:
        components["securitySchemes"] = deepcopy(_SCHEMES)
        said["security"] = [{name: []} for name in _SCHEMES]
    return said


def _refusals(settings: GuardSettings) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield status, code and words of what the guard may answer."""
    yield 400, ("bad_request", "a request has one length")
    yield 403, ("forbidden", "this page may not call the service")
    yield 421, ("wrong_host", "not a name of this service")
    yield 500, ("internal", "the service failed; its log says where")
    if settings.keys_file is not None:
        yield 401, ("unauthorized", "send an API key that is valid")
        yield 503, ("keys_unavailable", "the service cannot read its API keys")
    if settings.keys_file is not None or settings.requests_per_minute is not None:
        yield 429, ("too_many_requests", "too many requests: come back in 3 s")


def _add(responses: Json, refusals: Mapping[int, tuple[str, str]]) -> None:
    """Add the refusals to what an operation answers, beside its own of the same status."""
    for status, (code, detail) in refusals.items():
        response = responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        content = response.setdefault("content", {}).setdefault(MEDIA_TYPE, {"schema": _PROBLEM})
        example = problem(status, code, detail).model_dump(mode="json")
        content.setdefault("examples", {}).setdefault(code, {"value": example})
