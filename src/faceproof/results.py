"""CheckResult: the answer for one source, the same object from every front end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from faceproof.detector.spec import OperatingPoint, Probability, Sha256, Verdict, decide
from faceproof.imaging.faces import SMALLEST_FACE_PX
from faceproof.imaging.quality import Quality
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding
from faceproof.records import Document, Record, VersionedRecord

if TYPE_CHECKING:
    from faceproof.detector import Detector

Status = Literal["ok", "no_face", "error"]
Point = tuple[float, float]
Pixels = Annotated[int, Field(ge=1)]


class CheckError(Record):
    """Why a source could not be checked: a stable code of `faceproof.errors`, and a message."""

    code: str
    message: str


class CheckedImage(Record):
    """The picture that was checked, upright; ``sha256`` is that of the file's bytes.

    Of a file with several ``pictures`` (frames of an animation, pages, a second exposure) the first
    was checked, which viewers show first. ``damaged`` is the part of the picture that is missing or
    was made up by the decoder. Faces smaller than ``smallest_face_px`` were not looked for.
    """

    sha256: Sha256
    width: Pixels
    height: Pixels
    format: str
    pictures: Annotated[int, Field(ge=1)] = 1
    damaged: Probability = 0.0
    smallest_face_px: Pixels = SMALLEST_FACE_PX


class HeatMap(Record):
    """Heat map of a face: contributions to the logit on a grid over the face's crop.

    ``values`` are rows from the top; positive means evidence for fake. ``corners`` are the crop's,
    in pixels of the upright picture, clockwise from its upper left. ``hottest_deleted`` and
    ``random_deleted`` are the changes of the logit when the hottest fifth of the crop, or a random
    fifth, is deleted. The map is ``reliable`` if the first lowers the logit most.
    """

    method: Literal["grad-cam"] = "grad-cam"
    values: tuple[tuple[float, ...], ...]
    corners: tuple[Point, Point, Point, Point]
    reliable: bool
    hottest_deleted: float
    random_deleted: float


class CheckedFace(Record):
    """One face and its verdict; box (x, y, width, height) and landmarks in pixels.

    ``landmarks`` and ``detection_score`` are None if the whole picture was taken as the face.
    ``heatmap`` is None if it was not requested or the detector has none.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[Point, Point, Point, Point, Point] | None
    detection_score: Probability | None
    quality: Quality
    verdict: Verdict
    fake_probability: Probability
    heatmap: HeatMap | None = None

    def at(self, point: OperatingPoint) -> CheckedFace:
        """Return the face with its verdict at another operating point of the same detector."""
        verdict = face_verdict(self.fake_probability, self.quality, point)
        return self.model_copy(update={"verdict": verdict})


def face_verdict(fake_probability: float, quality: Quality, point: OperatingPoint) -> Verdict:
    """Return the verdict on a face: ``unsure`` where its quality withholds one."""
    return "unsure" if quality.withholds_verdict else decide(fake_probability, point)


_WORST_FIRST: tuple[Verdict, ...] = ("fake", "unsure", "real")


def picture_verdict(faces: Iterable[CheckedFace]) -> Verdict | None:
    """Return the verdict on a picture, that of its worst face; None without a face."""
    found = {face.verdict for face in faces}
    return next((verdict for verdict in _WORST_FIRST if verdict in found), None)


class Provenance(Record):
    """Evidence of origin in the file; it never changes the verdict on the pixels."""

    content_credentials: ContentCredentials | None = None
    findings: tuple[ProvenanceFinding, ...] = ()


class CheckedBy(VersionedRecord):
    """The detector that gave the verdict; ``sha256`` is that of its detector.json.

    ``scorer`` is the library that ran its networks, ``device`` the one they ran on.
    """

    ADDED_FIELDS = frozenset({"scorer", "device"})
    name: str
    version: str
    sha256: Sha256
    scorer: str | None = None
    device: str | None = None

    @classmethod
    def of(cls, detector: Detector) -> CheckedBy:
        """Return the identity of a detector and what runs it."""
        return cls(
            name=detector.spec.name,
            version=detector.spec.version,
            sha256=detector.sha256,
            scorer=detector.scorer,
            device=detector.device,
        )


class ResavedResult(Record):
    """The answer for the same picture after a degradation: saved again, made smaller.

    ``withheld``: a caution on the picture itself withholds verdicts, so they are ``unsure``.
    """

    condition: str
    status: Status
    verdict: Verdict | None = None
    fake_probability: Probability | None = None
    faces: Annotated[int, Field(ge=0)]
    withheld: bool = False

    def at(self, point: OperatingPoint) -> ResavedResult:
        """Return the result with its verdict at another operating point of the same detector."""
        if self.fake_probability is None:
            return self
        verdict = "unsure" if self.withheld else decide(self.fake_probability, point)
        return self.model_copy(update={"verdict": verdict})


class CheckResult(Document, VersionedRecord):
    """The answer for one source, with the highest ``fake_probability`` of its faces.

    ``resaved`` are the answers on copies of the picture, where they were asked for; it is omitted
    when empty. ``elapsed_ms`` is the time spent on this source: opening it, finding its faces and
    its share of the networks' batch. It excludes copies and the time spent waiting for other
    sources.
    """

    ADDED_FIELDS = frozenset({"resaved"})
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
    resaved: tuple[ResavedResult, ...] = ()

    def at(self, point: OperatingPoint) -> CheckResult:
        """Return the result with the verdicts of another operating point of the same detector."""
        faces = tuple(face.at(point) for face in self.faces)
        change = {
            "faces": faces,
            "verdict": picture_verdict(faces),
            "operating_point": point.name,
            "resaved": tuple(one.at(point) for one in self.resaved),
        }
        return self.model_copy(update=change)

    @model_validator(mode="after")
    def _status_agrees(self) -> Self:
        found = "error" if self.error else "ok" if self.faces else "no_face"
        if self.status != found:
            raise ValueError(f"status is {self.status!r}, but the fields imply {found!r}")
        if (self.verdict is None) != (self.fake_probability is None):
            raise ValueError("verdict and fake_probability must be given together or both omitted")
        if (self.verdict is None) != (self.status != "ok"):
            raise ValueError(f"status {self.status!r} contradicts verdict {self.verdict!r}")
        return self
