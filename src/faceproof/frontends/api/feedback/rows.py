"""Feedback as a row of the table, and a row as feedback."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from faceproof.evaluation.feedback import (
    Feedback,
    JudgedBy,
    JudgedFace,
    JudgedPicture,
    moment,
    seconds,
)

_FACES = TypeAdapter(tuple[JudgedFace, ...])


def key_of(feedback: Feedback) -> str:
    """Return what two pieces of feedback share that say the same: 64 hexadecimal digits."""
    face = "" if feedback.face is None else str(feedback.face)
    parts = (
        feedback.image.sha256,
        feedback.detector.sha256,
        feedback.operating_point,
        face,
        feedback.truth,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def row_of(feedback: Feedback) -> dict[str, Any]:
    """Return feedback as a row of the table."""
    return {
        "id": feedback.id,
        "key": key_of(feedback),
        "received": seconds(feedback.received),
        "truth": feedback.truth,
        "generator": feedback.generator,
        "note": feedback.note,
        "face": feedback.face,
        "image_sha256": feedback.image.sha256,
        "image_width": feedback.image.width,
        "image_height": feedback.image.height,
        "image_format": feedback.image.format,
        "verdict": feedback.verdict,
        "fake_probability": feedback.fake_probability,
        "faces": _FACES.dump_json(feedback.faces).decode(),
        "detector_name": feedback.detector.name,
        "detector_version": feedback.detector.version,
        "detector_sha256": feedback.detector.sha256,
        "operating_point": feedback.operating_point,
    }


def feedback_of(row: Row[Any]) -> Feedback:
    """Return a row of the table as feedback."""
    return Feedback(
        id=row.id,
        received=moment(row.received),
        truth=row.truth,
        generator=row.generator,
        note=row.note,
        face=row.face,
        image=JudgedPicture(
            sha256=row.image_sha256,
            width=row.image_width,
            height=row.image_height,
            format=row.image_format,
        ),
        verdict=row.verdict,
        fake_probability=row.fake_probability,
        faces=_FACES.validate_json(row.faces),
        detector=JudgedBy(
            name=row.detector_name, version=row.detector_version, sha256=row.detector_sha256
        ),
        operating_point=row.operating_point,
    )
