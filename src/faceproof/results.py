"""CheckResult: what is said about one source, the same object from every front end."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from faceproof.detector.findings import Sha256
from faceproof.detector.verdict import Probability, Verdict
from faceproof.imaging.quality import Quality
from faceproof.records import Document, Record

Status = Literal["ok", "no_face", "error"]
Point = tuple[float, float]
Pixels = Annotated[int, Field(ge=1)]


class CheckError(Record):
    """Why a source could not be checked: a stable code of `faceproof.errors`, and words."""

    code: str
    message: str


class CheckedImage(Record):
    """The picture that was checked, upright; ``sha256`` is that of the file's bytes."""

    sha256: Sha256
    width: Pixels
    height: Pixels
    format: str


class CheckedFace(Record):
    """One face and its verdict; box (x, y, width, height) and landmarks in pixels.

    ``landmarks`` and ``detection_score`` are None where the picture was taken as a face whole.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[Point, Point, Point, Point, Point] | None
    detection_score: Probability | None
    quality: Quality
    verdict: Verdict
    fake_probability: Probability


class Provenance(Record):
    """What the file says about its origin; it never changes the verdict on the pixels."""

    content_credentials: dict[str, JsonValue] | None = None
    findings: tuple[JsonValue, ...] = ()


class CheckedBy(Record):
    """The detector that judged; ``sha256`` is that of its detector.json."""

    name: str
    version: str
    sha256: Sha256


class CheckResult(Document):
    """The answer for one source; ``verdict`` and ``fake_probability`` are its most fake face's.

    ``elapsed_ms`` is the time spent on this source: opening it, finding its faces and its
    share of the networks' batch. Time spent waiting for other sources is not in it.
    """

    schema_: Literal["faceproof.check/1"] = Field(default="faceproof.check/1", alias="schema")
    source: str
    status: Status
    error: CheckError | None = None
    image: CheckedImage | None = None
    verdict: Verdict | None = None
    fake_probability: Probability | None = None
    faces: tuple[CheckedFace, ...] = ()
    provenance: Provenance = Provenance()
    detector: CheckedBy
    operating_point: str
    elapsed_ms: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _status_agrees(self) -> Self:
        found = "error" if self.error else "ok" if self.faces else "no_face"
        if self.status != found:
            raise ValueError(f"status is {self.status!r}, but the fields say {found!r}")
        if (self.verdict is None) != (self.fake_probability is None):
            raise ValueError("verdict and fake_probability are given together or not at all")
        if (self.verdict is None) != (self.status != "ok"):
            raise ValueError(f"status {self.status!r} does not go with verdict {self.verdict!r}")
        return self
