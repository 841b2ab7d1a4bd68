"""The examples that OpenAPI shows; tests hold them against the types."""

from __future__ import annotations

from typing import Any

from faceproof.frontends.api.problems import problem

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


def _problem(status: int, code: str, detail: str) -> Json:
    return problem(status, code, detail).model_dump(mode="json")


def _by_status(*problems: Json) -> dict[int, dict[str, Json]]:
    found: dict[int, dict[str, Json]] = {}
    for one in problems:
        found.setdefault(one["status"], {})[one["code"]] = one
    return found


PROBLEM_EXAMPLES = _by_status(
    _problem(400, "bad_request", "the multipart body ends too early"),
    _problem(404, "not_found", "no such detector; /v1/detectors names those that there are"),
    _problem(408, "slow_request", "the body did not arrive in 30 seconds"),
    _problem(413, "file_too_large", "the body has more than the 67108864 bytes that it may have"),
    _problem(413, "picture_too_large", "a.png: 90000 x 90000 pixels, more than the limit"),
    _problem(415, "unsupported_media_type", "Content-Type is 'text/plain'"),
    _problem(422, "usage", "query.heatmap: Extra inputs are not permitted"),
    _problem(422, "unknown_choice", "unknown operating point '1-in-2'"),
    _problem(422, "truncated_picture", "half.jpg: the end of the picture is missing"),
    _problem(422, "unsupported_format", "not one of the picture formats"),
    _problem(422, "address_refused", "127.0.0.1: not a public address"),
    _problem(429, "busy", "128 pictures are waiting, and 128 may; ask again later"),
    _problem(500, "internal", "the service failed; its log says where"),
    _problem(502, "fetch_failed", "example.org: the server gave no picture"),
    _problem(503, "deadline", "no answer within 30 seconds: ask again later"),
    _problem(503, "stopping", "the service is shutting down"),
    _problem(503, "not_ready", "built-in.jpg is real, and the verdict was fake"),
    _problem(504, "fetch_timeout", "example.org: no picture within 20 seconds"),
)
