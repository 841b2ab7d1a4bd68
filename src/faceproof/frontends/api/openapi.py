"""What OpenAPI says beyond the types: bodies that are read by hand, problems, examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from faceproof.frontends.api import feedback
from faceproof.frontends.api.bodies import AddressBody, AddressesBody
from faceproof.frontends.api.examples import BATCH_EXAMPLE, CHECK_EXAMPLES, PROBLEM_EXAMPLES
from faceproof.frontends.api.problems import MEDIA_TYPE, Problem
from faceproof.frontends.api.wire import BatchResult
from faceproof.results import CheckResult

Json = dict[str, Any]
Responses = dict[int | str, Json]

#: Schemas that no route names by its types; `describer` adds them.
COMPONENTS = {
    model.__name__: model
    for model in (AddressBody, AddressesBody, BatchResult, CheckResult, Problem)
} | feedback.COMPONENTS
_FILE: Json = {"type": "string", "format": "binary", "description": "A picture."}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _problems(*statuses: int) -> Responses:
    """Return the problems that a route may answer with, by status."""
    return {
        status: {
            "description": "; ".join(example["detail"] for example in examples.values()),
            "content": {
                MEDIA_TYPE: {
                    "schema": _ref("Problem"),
                    "examples": {code: {"value": value} for code, value in examples.items()},
                }
            },
        }
        for status in statuses
        if (examples := PROBLEM_EXAMPLES[status])
    }


def _body(parts: Json, address: str) -> Json:
    multipart = {
        "type": "object",
        "properties": {"file": parts},
        "required": ["file"],
        "additionalProperties": False,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": multipart},
                "application/json": {"schema": _ref(address)},
            },
        }
    }


def _answer(name: str, examples: Mapping[str, Json], description: str) -> Json:
    shown = {title: {"value": value} for title, value in examples.items()}
    content = {"application/json": {"schema": _ref(name), "examples": shown}}
    return {"description": description, "content": content}


_REFUSED = (400, 408, 413, 415, 422, 429, 500, 503)

CHECK_BODY = _body(_FILE, "AddressBody")
BATCH_BODY = _body({"type": "array", "items": _FILE, "minItems": 1}, "AddressesBody")
CHECK_RESPONSES: Responses = {
    200: _answer("CheckResult", CHECK_EXAMPLES, "The verdict, or that there is no face."),
    **_problems(*_REFUSED, 502, 504),
}
BATCH_RESPONSES: Responses = {
    200: _answer("BatchResult", BATCH_EXAMPLE, "One result for each picture, in order."),
    **_problems(*_REFUSED),
}
DETECTOR_RESPONSES: Responses = {
    200: {
        "description": "detector.json",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **_problems(404, 422),
}
CARD_RESPONSES: Responses = {
    200: {"description": "Markdown", "content": {"text/markdown": {"schema": {"type": "string"}}}},
    **_problems(404, 422),
}
READY_RESPONSES: Responses = _problems(503)


def describer(
    app: FastAPI, operating_points: Sequence[str], *, max_files: int
) -> Callable[[], Json]:
    """Return the function that describes the app, once; what it may be asked is filled in."""

    def describe() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
            _fill_in(app.openapi_schema, operating_points, max_files)
        return app.openapi_schema

    return describe


def _described(app: FastAPI) -> Json:
    """Return the OpenAPI document of the app."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, model in COMPONENTS.items():
        schema = model.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    _spell_patterns(schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _spell_patterns(schema: Any) -> None:
    """Write the ends of patterns as JSON Schema has them; ours are those of Rust."""
    if isinstance(schema, dict):
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            schema["pattern"] = pattern.replace(r"\A", "^").replace(r"\z", "$")
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            _spell_patterns(inner)


def _fill_in(document: Json, operating_points: Sequence[str], max_files: int) -> None:
    """Write into the document what this detector and these settings allow."""
    for parameter in _parameters(document):
        if parameter["name"] == "at":
            parameter["schema"] = {"type": "string", "enum": list(operating_points)}
    batch = document["paths"]["/v1/check/batch"]["post"]["requestBody"]["content"]
    files = batch["multipart/form-data"]["schema"]["properties"]["file"]
    addresses = document["components"]["schemas"]["AddressesBody"]["properties"]["urls"]
    for several in (files, addresses):
        several["maxItems"] = max_files


def _parameters(document: Json) -> list[Json]:
    """Return the parameters of all operations."""
    return [
        parameter
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
    ]
