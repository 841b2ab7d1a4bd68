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

    from faceproof.loading import Source

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

    def _summarise(self) -> str:
        size = f"{len(self.values)} x {len(self.values[0]) if self.values else 0}"
        return f"{self.method}, {size}, {'' if self.reliable else 'not '}reliable"


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

    def _summarise(self) -> str:
        x, y, width, height = self.box
        cautions = "".join(f", {one}" for one in self.quality.cautions)
        place = f"{width:.0f} x {height:.0f} px at {x:.0f},{y:.0f}"
        return f"{self.verdict} {self.fake_probability:.2f}, {place}{cautions}"

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


class CheckedBy(Record):
    """The detector that gave the verdict; ``sha256`` is that of its detector.json."""

    name: str
    version: str
    sha256: Sha256


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

    A notebook shows it with its picture, where that is the unchanged file called ``source``.

    >>> from faceproof import check
    >>> result = check("samples/real-astronaut.jpg")
    >>> result.verdict, len(result.faces), result.image.format
    ('real', 1, 'JPEG')
    >>> result.annotate().size
    (640, 640)

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

    def _summarise(self) -> str:
        source = shorten_text(self.source)
        if self.fake_probability is None:
            return f"{source}: {f'error {self.error.code}' if self.error else 'no face'}"
        faces = count_noun(len(self.faces), "face")
        return f"{source}: {self.verdict} {self.fake_probability:.2f}, {faces}"

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
