"""What a client sends and is told: the result it was given, and what is true instead."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field

from faceproof.data.generators import canonical
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


class _Part(Record):
    """A part of a CheckResult, of which fields that are not kept are not read either."""

    model_config = ConfigDict(extra="ignore")


class GivenImage(_Part):
    """The ``image`` of a CheckResult."""

    sha256: Sha256
    width: Side | None = None
    height: Side | None = None
    format: Label | None = None


class GivenQuality(_Part):
    """The ``quality`` of a face."""

    side_px: int = Field(ge=0, le=2**31 - 1)
    cautions: tuple[Label, ...] = Field(default=(), max_length=50)


class GivenFace(_Part):
    """One of the ``faces`` of a CheckResult."""

    box: Box
    quality: GivenQuality
    verdict: Verdict
    fake_probability: Probability


class GivenDetector(_Part):
    """The ``detector`` of a CheckResult."""

    name: Label
    version: Label
    sha256: Sha256


class GivenResult(_Part):
    """A CheckResult, whole or what of it is named here; the rest is not read."""

    image: GivenImage
    verdict: Verdict | None = None
    fake_probability: Probability | None = None
    faces: tuple[GivenFace, ...] = Field(default=(), max_length=MOST_FACES)
    detector: GivenDetector
    operating_point: Label


class GivenFeedback(Record):
    """Feedback as it is sent."""

    result: GivenResult
    truth: Truth = Field(description="What the picture, or the face, is in truth.")
    face: Index | None = Field(
        default=None,
        description="Which of the result's faces is meant, from 0; empty: the picture.",
    )
    generator: Label | None = Field(
        default=None, description="What made the fake, where that is known."
    )
    note: Note | None = Field(
        default=None, description="Free text; kept only where the service is set to keep it."
    )


class Receipt(Record):
    """What the client is told: the name that the feedback is kept under."""

    id: str
    is_new: bool = Field(description="False where the same was sent before; it is kept once.")
    note_kept: bool


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


def feedback_of(given: GivenFeedback, *, keep_note: bool) -> Feedback:
    """Return what is kept of feedback, received now, under a new name that nobody can guess.

    Raises:
        FeedbackError: it says nothing was wrong, or names a face or generator that cannot be.
    """
    result = given.result
    verdict, probability = _judged(given)
    if verdict == given.truth:
        raise FeedbackError(
            f"the verdict was {verdict!r}, and that is what you say is true: nothing was wrong"
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


def _judged(given: GivenFeedback) -> tuple[Verdict | None, float | None]:
    """Return verdict and probability of the face that is meant, or of the picture."""
    if given.face is None:
        return given.result.verdict, given.result.fake_probability
    if given.face >= len(given.result.faces):
        raise FeedbackError(
            f"face {given.face} is not among the {len(given.result.faces)} faces of the result: "
            "count from 0, or leave it out where the whole picture is meant"
        )
    face = given.result.faces[given.face]
    return face.verdict, face.fake_probability


def _generator(given: GivenFeedback) -> str | None:
    """Return our name of the generator."""
    if given.generator is None:
        return None
    name = canonical(given.generator)
    if given.truth == "real" or not name or name == "none" or len(name) > _MOST_GENERATOR:
        raise FeedbackError("generator: name what made a fake, and leave it out for a real picture")
    return name


def _face(given: GivenFace) -> JudgedFace:
    quality = FaceQuality(**dict(given.quality))
    return JudgedFace(**{**dict(given), "quality": quality})
