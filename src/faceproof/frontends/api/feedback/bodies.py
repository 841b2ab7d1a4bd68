"""`GivenFeedback` and `Receipt`: the request and response body of feedback."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field

from faceproof.data.generators import canonical_name
from faceproof.detector.spec import Probability, Sha256, Verdict
from faceproof.errors import FeedbackError
from faceproof.evaluation.feedback import (
    MOST_FACES,
    Box,
    FaceQuality,
    Feedback,
    Index,
    JudgedBy,
    JudgedFace,
    JudgedPicture,
    Label,
    Note,
    Side,
    Truth,
)
from faceproof.records import Record

_MOST_GENERATOR = 64


class _FeedbackPart(Record):
    """A part of a CheckResult; fields that are not stored are ignored."""

    model_config = ConfigDict(extra="ignore")


class _GivenImage(_FeedbackPart):
    """The ``image`` of a CheckResult."""

    sha256: Sha256 = Field(description="SHA-256 of the file's bytes.")
    width: Side | None = Field(default=None, description="Width in pixels.")
    height: Side | None = Field(default=None, description="Height in pixels.")
    format: Label | None = Field(default=None, description="Format of the file.")


class _GivenQuality(_FeedbackPart):
    """The ``quality`` of a face."""

    side_px: int = Field(
        ge=0, le=2**31 - 1, description="Shorter side of the face's box in pixels."
    )
    cautions: tuple[Label, ...] = Field(
        default=(), max_length=50, description="What made the face hard to judge."
    )


class _GivenFace(_FeedbackPart):
    """One of the ``faces`` of a CheckResult."""

    box: Box = Field(description="Box (x, y, width, height) in pixels of the upright picture.")
    quality: _GivenQuality = Field(description="Quality of the face.")
    verdict: Verdict = Field(description="Verdict on the face.")
    fake_probability: Probability = Field(
        description="Calibrated probability that the face is fake."
    )


class _GivenDetector(_FeedbackPart):
    """The ``detector`` of a CheckResult."""

    name: Label = Field(description="Name of the detector.")
    version: Label = Field(description="Version of the detector.")
    sha256: Sha256 = Field(description="SHA-256 of its detector.json.")


class _GivenResult(_FeedbackPart):
    """A CheckResult, whole or only these fields; other fields are ignored."""

    image: _GivenImage = Field(description="The checked file.")
    verdict: Verdict | None = Field(
        default=None, description="Verdict on the picture; null without a face."
    )
    fake_probability: Probability | None = Field(
        default=None, description="Probability of the picture; null without a face."
    )
    faces: tuple[_GivenFace, ...] = Field(
        default=(), max_length=MOST_FACES, description="Faces of the picture."
    )
    detector: _GivenDetector = Field(description="Detector of the verdict.")
    operating_point: Label = Field(description="Operating point of the verdict.")


class GivenFeedback(Record):
    """Feedback on a verdict, as a client sends it."""

    result: _GivenResult = Field(
        description="The result that was wrong, whole or only these fields."
    )
    truth: Truth = Field(description="The true class of the picture or the face.")
    face: Index | None = Field(
        default=None,
        description="Index of the face in the result, from 0; empty: the whole picture.",
    )
    generator: Label | None = Field(default=None, description="Generator of the fake, if known.")
    note: Note | None = Field(
        default=None, description="Free text; stored only if the service stores notes."
    )


class Receipt(Record):
    """Confirmation of stored feedback, with its id."""

    id: str = Field(description="Name of the entry, for GET and DELETE.")
    is_new: bool = Field(description="False if equal feedback was stored before.")
    note_kept: bool = Field(description="Whether the note was stored.")


EXAMPLE: dict[str, Any] = {
    "result": {
        "image": {"sha256": "0" * 64, "width": 1024, "height": 768, "format": "JPEG"},
        "verdict": "fake",
        "fake_probability": 0.97,
        "faces": [
            {
                "box": [312.0, 140.5, 180.0, 214.0],
                "quality": {"side_px": 180, "cautions": []},
                "verdict": "fake",
                "fake_probability": 0.97,
            }
        ],
        "detector": {"name": "default", "version": "1.0", "sha256": "0" * 64},
        "operating_point": "1-in-200",
    },
    "truth": "real",
}


def make_feedback(given: GivenFeedback, *, keep_note: bool) -> Feedback:
    """Return the feedback to store, received now, with a new random id.

    Raises:
        FeedbackError: the verdict was right, or the face or generator is invalid.
    """
    result = given.result
    verdict, probability = _judged_verdict(given)
    if verdict == given.truth:
        raise FeedbackError(
            f"the verdict {verdict!r} equals `truth`: feedback is for wrong verdicts only"
        )
    return Feedback(
        id=secrets.token_hex(16),
        received=datetime.now(UTC).replace(microsecond=0),
        truth=given.truth,
        generator=_generator(given),
        note=given.note or None if keep_note else None,
        face=given.face,
        image=JudgedPicture(**dict(result.image)),
        verdict=verdict,
        fake_probability=probability,
        faces=tuple(_face(face) for face in result.faces),
        detector=JudgedBy(**dict(result.detector)),
        operating_point=result.operating_point,
    )


def _judged_verdict(given: GivenFeedback) -> tuple[Verdict | None, float | None]:
    """Return verdict and probability of the selected face, or of the picture."""
    if given.face is None:
        return given.result.verdict, given.result.fake_probability
    if given.face >= len(given.result.faces):
        raise FeedbackError(
            f"face {given.face} is out of range: the result has {len(given.result.faces)} faces;  "
            "count from 0, or omit `face` for the whole picture"
        )
    face = given.result.faces[given.face]
    return face.verdict, face.fake_probability


def _generator(given: GivenFeedback) -> str | None:
    """Return the canonical name of the generator."""
    if given.generator is None:
        return None
    name = canonical_name(given.generator)
    if given.truth == "real" or not name or name == "none" or len(name) > _MOST_GENERATOR:
        raise FeedbackError("generator is valid only for a fake: omit it for a real picture")
    return name


def _face(given: _GivenFace) -> JudgedFace:
    quality = FaceQuality(**dict(given.quality))
    return JudgedFace(**{**dict(given), "quality": quality})
