"""`CheckOptions` and the response Records of the service."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field

from faceproof.checker import FACES
from faceproof.detector import Detector, OperatingPoint
from faceproof.detector.spec import Sha256, Unsupported
from faceproof.records import Document, Record
from faceproof.results import CheckResult


class CheckOptions(Record):
    """Query parameters of a check; an unknown parameter is rejected."""

    at: str | None = Field(
        default=None, description="Operating point; the service's default if omitted."
    )
    faces: str = Field(
        default="all",
        description="Faces to judge; whole: the picture is already a face crop.",
        json_schema_extra={"enum": list(FACES)},
    )
    heatmaps: bool = Field(default=False, description="Add a heat map to each face; slower.")


class BatchResult(Document):
    """Results of several pictures, in the order of the request."""

    schema_: Literal["faceproof.batch/1"] = Field(
        default="faceproof.batch/1", alias="schema", description="Name and version of this format."
    )
    results: tuple[CheckResult, ...] = Field(
        description="A result for each picture, in the order of the request."
    )


class DetectorShown(Record):
    """Summary of a detector; its card and full description have their own paths."""

    name: str = Field(description="Name of the detector.")
    version: str = Field(description="Version of the detector.")
    sha256: Sha256 = Field(description="SHA-256 of its detector.json.")
    licence: str = Field(description="Licence of the weights.")
    default_operating_point: str = Field(description="Operating point of this service.")
    operating_points: tuple[OperatingPoint, ...] = Field(
        description="Thresholds and their promises."
    )
    unsupported: tuple[Unsupported, ...] = Field(
        description="Promises that the calibration data could not support."
    )
    generators_seen: tuple[str, ...] = Field(
        description="Generators of the fakes that it was trained on."
    )
    heatmaps: bool = Field(description="Whether it has heat maps.")
    notes: tuple[str, ...] = Field(description="Notes on its card.")

    @classmethod
    def of(cls, detector: Detector, *, at: str) -> Self:
        """Return the summary of a detector; ``at`` is the service's operating point."""
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
    """The detectors of this service."""

    schema_: Literal["faceproof.detectors/1"] = Field(
        default="faceproof.detectors/1",
        alias="schema",
        description="Name and version of this format.",
    )
    detectors: tuple[DetectorShown, ...] = Field(description="The detectors of this service.")


class Alive(Record):
    """The process is alive."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})
    status: Literal["alive"] = Field(default="alive", description="The process answers.")


class Ready(Record):
    """The service is ready: the detector judged a known picture correctly."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ready"}]})
    status: Literal["ready"] = Field(default="ready", description="The service accepts pictures.")
