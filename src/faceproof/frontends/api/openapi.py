"""Request bodies, problems and examples of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from faceproof.detector.spec import DetectorSpec
from faceproof.frontends.api import feedback, security
from faceproof.frontends.api.pictures import EncodedPicture, PictureJson, PicturesJson
from faceproof.frontends.api.problems import MEDIA_TYPE, SCHEMAS, Problem, make_problem, schema_ref
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.api.wire import BatchResult
from faceproof.results import CheckResult

Json = dict[str, Any]

_DETECTOR: Json = {
    "name": "faceproof-densenet121",
    "version": "1.0",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
_ASKED: Json = {"detector": _DETECTOR, "operating_point": "1-in-200"}

FAKE: Json = {
    "schema": "faceproof.check/1",
    "source": "portrait.jpg",
    "status": "ok",
    "error": None,
    "image": {
        "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "width": 1024,
        "height": 1024,
        "format": "JPEG",
        "pictures": 1,
        "damaged": 0.0,
        "smallest_face_px": 32,
    },
    "verdict": "fake",
    "fake_probability": 0.981,
    "faces": [
        {
            "box": [301.5, 288.25, 402.0, 515.75],
            "landmarks": [
                [400.1, 480.2],
                [597.3, 478.9],
                [499.8, 590.4],
                [420.6, 690.1],
                [580.2, 688.7],
            ],
            "detection_score": 0.9312,
            "quality": {"side_px": 402, "cautions": []},
            "verdict": "fake",
            "fake_probability": 0.981,
            "heatmap": None,
        }
    ],
    "provenance": {"content_credentials": None, "findings": []},
    **_ASKED,
    "elapsed_ms": 71.302,
}
NO_FACE: Json = FAKE | {
    "source": "cat.jpg",
    "status": "no_face",
    "verdict": None,
    "fake_probability": None,
    "faces": [],
    "elapsed_ms": 24.118,
}
BROKEN: Json = NO_FACE | {
    "source": "half.jpg",
    "status": "error",
    "error": {
        "code": "truncated_picture",
        "message": "half.jpg: the end of the picture is missing",
    },
    "image": None,
    "elapsed_ms": 1.204,
}

CHECK_EXAMPLES: dict[str, Json] = {"fake": FAKE, "no_face": NO_FACE}
BATCH_EXAMPLE: dict[str, Json] = {
    "two pictures": {"schema": "faceproof.batch/1", "results": [FAKE, BROKEN]}
}


def _problem_example(status: int, code: str, detail: str) -> Json:
    return make_problem(status, code, detail).model_dump(mode="json")


def _group_by_status(*problems: Json) -> dict[int, dict[str, Json]]:
    found: dict[int, dict[str, Json]] = {}
    for one in problems:
        found.setdefault(one["status"], {})[one["code"]] = one
    return found


PROBLEM_EXAMPLES = _group_by_status(
    _problem_example(400, "bad_request", "the multipart body is truncated"),
    _problem_example(
        404, "not_found", "unknown detector; GET /v1/detectors lists the available ones"
    ),
    _problem_example(408, "slow_request", "the body did not arrive within 30 seconds"),
    _problem_example(413, "file_too_large", "the body exceeds the limit of 67108864 bytes"),
    _problem_example(413, "picture_too_large", "a.png: 90000 x 90000 pixels, more than the limit"),
    _problem_example(415, "unsupported_media_type", "Content-Type is 'text/plain'"),
    _problem_example(422, "usage", "query.heatmap: unknown parameter, did you mean 'heatmaps'?"),
    _problem_example(422, "unknown_choice", "unknown operating point '1-in-2'"),
    _problem_example(422, "truncated_picture", "half.jpg: the end of the picture is missing"),
    _problem_example(422, "unsupported_format", "not one of the picture formats"),
    _problem_example(422, "address_refused", "127.0.0.1: not a public address"),
    _problem_example(429, "busy", "queue full: 128 pictures are waiting, limit 128; retry later"),
    _problem_example(500, "internal", "internal error; see the service's log"),
    _problem_example(502, "fetch_failed", "example.org: the server gave no picture"),
    _problem_example(503, "deadline", "no result within 30 seconds: retry later"),
    _problem_example(503, "stopping", "the service is shutting down"),
    _problem_example(503, "not_ready", "built-in.jpg: expected verdict real, got fake"),
    _problem_example(504, "fetch_timeout", "example.org: no picture within 20 seconds"),
)


_Responses = dict[int | str, Json]

_FILE: Json = {"type": "string", "format": "binary", "description": "A picture."}


def _form(parts: Json, description: str) -> Json:
    return {
        "type": "object",
        "description": description,
        "properties": {"file": parts},
        "required": ["file"],
        "additionalProperties": False,
    }


#: Schemas that no route names by its types; `install` adds them.
COMPONENTS = {
    model.__name__: model
    for model in (BatchResult, CheckResult, EncodedPicture, PictureJson, PicturesJson, Problem)
} | feedback.COMPONENTS
_FORMS: Json = {
    "PictureForm": _form(_FILE, "A form with one picture."),
    "PicturesForm": _form(
        {"type": "array", "items": _FILE, "minItems": 1, "description": "The pictures."},
        "A form with several pictures.",
    ),
}
#: The order of the routes for a reader, and the modules of a generated client.
_TAGS = (
    {"name": "checks", "description": "Check pictures for generated or manipulated faces."},
    {"name": "detectors", "description": "Read about the detector in use."},
    {"name": "feedback", "description": "Report wrong verdicts."},
    {"name": "health", "description": "Ask whether the service runs and is ready."},
)


def _problems(*statuses: int) -> _Responses:
    """Return the problems that a route may answer with, by status."""
    return {
        status: {
            "description": "; ".join(example["detail"] for example in examples.values()),
            "content": {
                MEDIA_TYPE: {
                    "schema": schema_ref("Problem"),
                    "examples": {code: {"value": value} for code, value in examples.items()},
                }
            },
        }
        for status in statuses
        if (examples := PROBLEM_EXAMPLES[status])
    }


def _examples(model: type[PictureJson | PicturesJson]) -> Json:
    """Return the examples of a JSON body, each named by the fields that it has."""
    config: Any = model.model_config.get("json_schema_extra")
    return {" and ".join(example): {"value": example} for example in config["examples"]}


def _body(form: str, model: type[PictureJson | PicturesJson], **others: Json) -> Json:
    content = {
        "multipart/form-data": {"schema": schema_ref(form)},
        "application/json": {
            "schema": schema_ref(model.__name__),
            "examples": _examples(model),
        },
        **others,
    }
    return {"requestBody": {"required": True, "content": content}}


def _answer(name: str, examples: Mapping[str, Json], description: str) -> Json:
    shown = {title: {"value": value} for title, value in examples.items()}
    content = {"application/json": {"schema": schema_ref(name), "examples": shown}}
    return {"description": description, "content": content}


_REFUSED = (400, 408, 413, 415, 422, 429, 500, 503)

CHECK_BODY = _body(
    "PictureForm",
    PictureJson,
    **{"image/*": {"schema": _FILE}, "application/octet-stream": {"schema": _FILE}},
)
BATCH_BODY = _body("PicturesForm", PicturesJson)
CHECK_RESPONSES: _Responses = {
    200: _answer("CheckResult", CHECK_EXAMPLES, "The result; `no_face` without a face."),
    **_problems(*_REFUSED, 502, 504),
}
BATCH_RESPONSES: _Responses = {
    200: _answer("BatchResult", BATCH_EXAMPLE, "One result for each picture, in order."),
    **_problems(*_REFUSED),
}
DETECTOR_RESPONSES: _Responses = {
    200: {
        "description": "detector.json",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **_problems(404, 422),
}
CARD_RESPONSES: _Responses = {
    200: {"description": "Markdown", "content": {"text/markdown": {"schema": {"type": "string"}}}},
    **_problems(404, 422),
}
READY_RESPONSES: _Responses = _problems(503)


def install(app: FastAPI, detector: DetectorSpec, settings: ServiceSettings) -> None:
    """Give the app this document, made once: its routes, what they accept, its guard."""

    def document() -> Json:
        if app.openapi_schema is None:
            plain = _build_document(app)
            _fill_in(plain, detector, settings)
            app.openapi_schema = security.describe_security(plain, settings.guard)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _build_document(app: FastAPI) -> Json:
    """Return the OpenAPI document of the app."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        tags=list(_TAGS),
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, model in COMPONENTS.items():
        schema = model.model_json_schema(mode="serialization", ref_template=f"{SCHEMAS}{{model}}")
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    schemas |= deepcopy(_FORMS)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _fill_in(document: Json, detector: DetectorSpec, settings: ServiceSettings) -> None:
    """Add the detector and limits of this service to the document."""
    for path, parameter in _parameters(document):
        if parameter["name"] == "at":
            parameter["schema"] = {"type": "string", "enum": list(detector.operating_points)}
        elif path.startswith("/v1/detectors/"):
            parameter["example"] = detector.name
    schemas = document["components"]["schemas"]
    several = schemas["PicturesJson"]["properties"]
    arrays = [one for name in ("urls", "images") for one in several[name]["anyOf"]]
    for array in (*arrays, schemas["PicturesForm"]["properties"]["file"]):
        if array["type"] == "array":
            array["maxItems"] = settings.max_files
    if settings.feedback.database == feedback.OFF:
        (tag,) = (one for one in document["tags"] if one["name"] == "feedback")
        tag["description"] += " This service stores no feedback: each response is 404."


def _parameters(document: Json) -> list[tuple[str, Json]]:
    """Return the parameters of all operations, each with its path."""
    return [
        (path, parameter)
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
    ]
