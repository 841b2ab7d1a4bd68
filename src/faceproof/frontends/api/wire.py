"""The Records of requests and answers that are the service's own."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field

from faceproof.checker import FACES
from faceproof.detector import Detector, OperatingPoint
from faceproof.detector.spec import Sha256, Unsupported
from faceproof.records import Document, Record
from faceproof.results import CheckResult


class Wish(Record):
    """What a request may ask for in its query; a misspelt name is refused, not ignored."""

    at: str | None = Field(
        default=None, description="Operating point; the service's own default if not given."
    )
    faces: str = Field(
        default="all",
        description="Which faces are judged; whole: the picture is a face crop already.",
        json_schema_extra={"enum": list(FACES)},
    )
    heatmaps: bool = Field(
        default=False, description="Whether each face says where in it the evidence lies; slower."
    )


class BatchResult(Document):
    """The results of several pictures, in the order of the request."""

    schema_: Literal["faceproof.batch/1"] = Field(default="faceproof.batch/1", alias="schema")
    results: tuple[CheckResult, ...]


class DetectorShown(Record):
    """A detector in short; its card and its whole description have addresses of their own."""

    name: str
    version: str
    sha256: Sha256
    licence: str
    default_operating_point: str
    operating_points: tuple[OperatingPoint, ...]
    unsupported: tuple[Unsupported, ...]
    generators_seen: tuple[str, ...]
    heatmaps: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, detector: Detector, *, at: str) -> Self:
        """Return what a detector says about itself; ``at`` is the service's operating point."""
        spec = detector.spec
        return cls(
            name=spec.name,
            version=spec.version,
            sha256=detector.sha256,
            licence=spec.licence,
            default_operating_point=at,
            operating_points=tuple(spec.operating_points.values()),
            unsupported=spec.unsupported,
            generators_seen=spec.generators_seen,
            heatmaps=all(member.onnx.heatmap for member in spec.members),
            notes=spec.notes,
        )


class Detectors(Document):
    """The detectors that judge here."""

    schema_: Literal["faceproof.detectors/1"] = Field(
        default="faceproof.detectors/1", alias="schema"
    )
    detectors: tuple[DetectorShown, ...]


class Alive(Record):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})
    status: Literal["alive"] = "alive"


class Ready(Record):
    """Pictures may be sent: the detector is loaded and has judged a known picture rightly."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ready"}]})
    status: Literal["ready"] = "ready"
