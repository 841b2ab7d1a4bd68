"""CheckResult: the answer for one source, the same object from every front end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from faceproof.detector.spec import OperatingPoint, Probability, Sha256, Verdict, decide
from faceproof.imaging.faces import SMALLEST_FACE_PX
from faceproof.imaging.quality import Quality
from faceproof.messages import count_noun, shorten_text
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding
from faceproof.records import Document, Record, VersionedRecord

if TYPE_CHECKING:
    import polars as pl
    from PIL.Image import Image

    from faceproof.detector import Detector
    from faceproof.loading import Source

Status = Literal["ok", "no_face", "error"]
Point = tuple[float, float]
Pixels = Annotated[int, Field(ge=1)]


class CheckError(Record):
    """Why a source could not be checked: a stable code of `faceproof.errors`, and a message."""

    code: str = Field(description="Stable code of the error; the page on errors lists them.")
    message: str = Field(description="What failed, the limit and the fix, for people.")


class CheckedImage(Record):
    """The picture that was checked, upright, and what of it was not checked."""

    sha256: Sha256 = Field(description="SHA-256 of the file's bytes, in hexadecimal.")
    width: Pixels = Field(description="Width in pixels, after EXIF orientation is applied.")
    height: Pixels = Field(description="Height in pixels, after EXIF orientation is applied.")
    format: str = Field(description="Format by content, not by name: JPEG, PNG, WEBP ...")
    pictures: Annotated[int, Field(ge=1)] = Field(
        default=1,
        description="Pictures in the file (frames, pages, exposures); the one that viewers show "
        "first was checked.",
    )
    damaged: Probability = Field(
        default=0.0,
        description="Share of the picture that is missing or was made up by the decoder.",
    )
    smallest_face_px: Pixels = Field(
        default=SMALLEST_FACE_PX,
        description="Faces with a shorter side than this, in pixels, were not looked for.",
    )


class HeatMap(Record):
    """Heat map of a face: contributions to the logit on a grid over the face's crop."""

    method: Literal["grad-cam"] = Field(
        default="grad-cam", description="How contributions were computed."
    )
    values: tuple[tuple[float, ...], ...] = Field(
        description="Contributions to the logit, in rows from the top; positive means evidence "
        "for fake."
    )
    corners: tuple[Point, Point, Point, Point] = Field(
        description="Corners (x, y) of the face's crop in pixels of the upright picture, "
        "clockwise from its upper left."
    )
    reliable: bool = Field(
        description="Whether deleting the hottest fifth of the crop lowers the logit more than "
        "deleting each of four regions elsewhere."
    )
    hottest_deleted: float = Field(
        description="Change of the logit when the hottest fifth of the crop is deleted."
    )
    random_deleted: float = Field(
        description="Mean change of the logit when one of four regions of the same shape elsewhere "
        "is deleted."
    )

    def _summarise(self) -> str:
        size = f"{len(self.values)} x {len(self.values[0]) if self.values else 0}"
        return f"{self.method}, {size}, {'' if self.reliable else 'not '}reliable"


def _format_share(share: float) -> str:
    """Return a probability with three decimals; what is not certain is never 0 or 1.

    >>> _format_share(0.9712), _format_share(0.99991), _format_share(1.0)
    ('0.971', '>0.999', '1.000')
    """
    if 0 < share < 0.0005:
        return "<0.001"
    return ">0.999" if 0.9995 <= share < 1 else f"{share:.3f}"


class CheckedFace(Record):
    """One face and its verdict.

    >>> from faceproof import check
    >>> (face,) = check("samples/real-astronaut.jpg").faces
    >>> face.verdict, face.quality.side_px, face.quality.cautions
    ('real', 90, ())
    """

    box: tuple[float, float, float, float] = Field(
        description="Box (x, y, width, height) in pixels of the upright picture."
    )
    landmarks: tuple[Point, Point, Point, Point, Point] | None = Field(
        description="Two eyes, nose tip and two mouth corners (x, y) in pixels; null if the "
        "whole picture was taken as the face."
    )
    detection_score: Probability | None = Field(
        description="Score of the face detector; null if the whole picture was taken as the face."
    )
    quality: Quality = Field(description="Size of the face, and what makes it hard to judge.")
    verdict: Verdict = Field(description="Verdict on this face.")
    fake_probability: Probability = Field(
        description="Calibrated probability that this face is fake."
    )
    heatmap: HeatMap | None = Field(
        default=None,
        description="Heat map of the evidence; null if it was not requested or the detector has "
        "none.",
    )

    def _summarise(self) -> str:
        x, y, width, height = self.box
        cautions = "".join(f", {one}" for one in self.quality.cautions)
        place = f"{width:.0f} x {height:.0f} px at {x:.0f},{y:.0f}"
        return f"{self.verdict} {_format_share(self.fake_probability)}, {place}{cautions}"

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

    content_credentials: ContentCredentials | None = Field(
        default=None,
        description="Signed statement (C2PA) in the file; null without a file, or if there is one "
        "and the extra provenance is missing.",
    )
    findings: tuple[ProvenanceFinding, ...] = Field(
        default=(),
        description="Statements of the file about its origin, and signs of how it was saved.",
    )


class CheckedBy(VersionedRecord):
    """The detector that gave the verdict, and what ran its networks."""

    ADDED_FIELDS = frozenset({"scorer", "device"})
    name: str = Field(description="Name of the detector.")
    version: str = Field(description="Version of the detector.")
    sha256: Sha256 = Field(
        description="SHA-256 of its detector.json, which names its other files by theirs."
    )
    scorer: str | None = Field(default=None, description="Library that ran its networks.")
    device: str | None = Field(default=None, description="Device that the networks ran on.")

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
    """The answer for the same picture after a degradation: saved again, made smaller."""

    condition: str = Field(
        description="What was done to the picture, such as jpeg-60 or resize-0.5."
    )
    status: Status = Field(description="ok, no_face, or error.")
    verdict: Verdict | None = Field(
        default=None, description="Verdict on the copy; null without a face."
    )
    fake_probability: Probability | None = Field(
        default=None,
        description="Highest probability of the faces in the copy; null without a face.",
    )
    faces: Annotated[int, Field(ge=0)] = Field(description="Faces found in the copy.")
    withheld: bool = Field(
        default=False,
        description="Whether a caution on the picture itself withholds verdicts, so that they "
        "are unsure.",
    )

    def at(self, point: OperatingPoint) -> ResavedResult:
        """Return the result with its verdict at another operating point of the same detector."""
        if self.fake_probability is None:
            return self
        verdict = "unsure" if self.withheld else decide(self.fake_probability, point)
        return self.model_copy(update={"verdict": verdict})


class CheckResult(Document, VersionedRecord):
    """The answer for one source, with the highest ``fake_probability`` of its faces.

    A notebook shows it with its picture, where that is the unchanged file called ``source``.

    >>> from faceproof import check
    >>> result = check("samples/real-astronaut.jpg")
    >>> result.verdict, len(result.faces), result.image.format
    ('real', 1, 'JPEG')
    >>> result.annotate().size
    (640, 640)
    """

    ADDED_FIELDS = frozenset({"resaved"})
    schema_: Literal["faceproof.check/1"] = Field(
        default="faceproof.check/1",
        alias="schema",
        description="Name and version of this format; fields are only added within a version.",
    )
    source: str = Field(
        description="What was checked, as the caller named it: path, URL or name of the upload."
    )
    status: Status = Field(
        description="ok: at least one face was judged; no_face: none was found; error: the "
        "source could not be checked."
    )
    error: CheckError | None = Field(
        default=None, description="Why the source could not be checked; null otherwise."
    )
    image: CheckedImage | None = Field(
        default=None, description="The picture that was checked; null if it could not be decoded."
    )
    verdict: Verdict | None = Field(
        default=None,
        description="Verdict on the picture, that of its worst face; null without a face.",
    )
    fake_probability: Probability | None = Field(
        default=None,
        description="Calibrated probability that the most fake face is fake; null without a face.",
    )
    faces: tuple[CheckedFace, ...] = Field(
        default=(), description="Faces of the picture, the largest first."
    )
    provenance: Provenance = Field(
        default=Provenance(),
        description="Evidence of origin in the file; it never changes the verdict.",
    )
    detector: CheckedBy = Field(description="Detector that gave the verdict.")
    operating_point: str = Field(description="Operating point whose thresholds gave the verdict.")
    elapsed_ms: Annotated[float, Field(ge=0)] = Field(
        description="Milliseconds spent on this source: opening it, finding its faces, its "
        "share of the networks' batch; without copies and waiting for others."
    )
    resaved: tuple[ResavedResult, ...] = Field(
        default=(),
        description="Answers on copies of the picture, where they were asked for; omitted when "
        "empty.",
    )

    def _summarise(self) -> str:
        source = shorten_text(self.source)
        if self.fake_probability is None:
            return f"{source}: {f'error {self.error.code}' if self.error else 'no face'}"
        faces = count_noun(len(self.faces), "face")
        return f"{source}: {self.verdict} {_format_share(self.fake_probability)}, {faces}"

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

    def annotate(self, picture: Source | None = None, *, longest: int = 1600) -> Image:
        """Return the picture with a frame, a number and the verdict at each face, in sRGB.

        ``picture`` is what was checked: a path, address, bytes, Pillow image or array. None is the
        file called ``source``. The longer side is at most ``longest`` px, and at least 640.

        Raises:
            UsageError: the picture is not at hand, or is not the one that was checked.
            SourceError: it cannot be read.
        """
        from faceproof.reports.annotated import annotate

        return annotate(self, picture, longest=longest)

    def show(self, picture: Source | None = None) -> None:
        """Show the picture of `annotate` in the viewer of this system, or in the notebook.

        Raises:
            UsageError, SourceError: as `annotate` does.
        """
        self.annotate(picture).show()

    def save(self, path: str | PathLike[str], picture: Source | None = None) -> None:
        """Write the picture of `annotate` as a PNG file.

        A file that exists is only overwritten if it is an annotated picture of the same source.

        Raises:
            UsageError: another ending, or another file is there; and as `annotate` does.
            SourceError: as `annotate` does.
            OutputError: the disk is full.
        """
        from faceproof.reports.annotated import save_annotated

        save_annotated(self, Path(path), picture)

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each face, in the columns of ``faceproof check --format csv``.

        Raises:
            MissingExtraError: polars is not installed.
        """
        return CheckResults([self]).to_polars()

    def to_pandas(self) -> Any:
        """Return a row for each face, as `to_polars` does.

        Raises:
            UsageError: pandas is not installed.
        """
        return CheckResults([self]).to_pandas()

    def _repr_html_(self) -> str:
        """Return the verdict, the faces and, if it is at hand, the picture for a notebook."""
        from faceproof.reports.annotated import notebook_html

        return notebook_html(self)

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


class CheckResults(Iterator[CheckResult]):
    """Results in the order of their sources, each computed when it is read; it is read once.

    `Checker.check_many` returns it. Results that you have kept make another one.

    >>> from faceproof import CheckResults, check
    >>> kept = [check(name) for name in ("samples/real-astronaut.jpg", "samples/no-face-cat.jpg")]
    >>> CheckResults(kept).to_polars().select("verdict", "faces").rows()
    [('real', 1), (None, 0)]
    """

    def __init__(self, results: Iterable[CheckResult]) -> None:
        self._results = iter(results)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> CheckResult:
        return next(self._results)

    def __repr__(self) -> str:
        return "<CheckResults: an iterator, which can be read once>"

    def close(self) -> None:
        """Stop: sources that were not read are not checked."""
        if isinstance(self._results, Generator):
            self._results.close()

    def to_polars(self) -> pl.DataFrame:
        """Return the results that are left, a row for each face or source without one.

        The columns are those of ``faceproof check --format csv``.

        Raises:
            MissingExtraError: polars is not installed.
        """
        from faceproof.reports.csv_rows import csv_rows, polars_frame
        from faceproof.tables import require

        require("polars", extra="data")  # before anything is checked
        return polars_frame(row for one in self for row in csv_rows(one))

    def to_pandas(self) -> Any:
        """Return the same table as `to_polars`, for pandas.

        Raises:
            UsageError: pandas is not installed.
        """
        from faceproof.reports.csv_rows import csv_rows, pandas_frame
        from faceproof.tables import import_pandas

        import_pandas()  # before anything is checked
        return pandas_frame(row for one in self for row in csv_rows(one))
