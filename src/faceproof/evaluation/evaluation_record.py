"""`Evaluation`: the record of all figures of one detector on one data set, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from faceproof.detector.spec import Finding, OperatingPoint, Sha256, Text
from faceproof.messages import count_noun
from faceproof.records import Document, Record
from faceproof.tables import choose, import_pandas

if TYPE_CHECKING:
    import polars as pl


class DetectorRef(Record):
    """The evaluated detector."""

    name: Text = Field(description="Name of the detector.")
    version: Text = Field(description="Version of the detector.")
    sha256: Sha256 = Field(description="SHA-256 of its detector.json.")


class DatasetRef(Record):
    """The evaluated rows: their manifest, and its split ("" without splits)."""

    name: str = Field(description="Name of the manifest.")
    sha256: Sha256 = Field(description="SHA-256 of the manifest.")
    split: str = Field(description="Split of the rows; empty without splits.")
    rows: int = Field(ge=1, description="Number of rows.")


class Confusion(Record):
    """Confusion counts: faces of each class called real, unsure and fake."""

    condition: Text = Field(description="Degradation of the pictures.")
    real: tuple[int, int, int] = Field(description="Real faces called real, unsure and fake.")
    fake: tuple[int, int, int] = Field(description="Fake faces called real, unsure and fake.")


class StatusCounts(Record):
    """Number of pictures of a condition that were judged, had no face, or were unreadable."""

    condition: Text = Field(description="Degradation of the pictures.")
    ok: int = Field(ge=0, description="Pictures with a judged face.")
    no_face: int = Field(ge=0, description="Pictures without a face.")
    error: int = Field(ge=0, description="Pictures that could not be read.")


class Coverage(Record):
    """How many labelled faces of a slice were judged, and why the others were not.

    A slice ``generator=NAME`` counts only the fakes. ``reasons`` are codes, the most frequent
    first.
    """

    slice: Text = Field(description="Counted subset: all, source=dfdc ...")
    condition: Text = Field(description="Degradation of the pictures.")
    judged: int = Field(ge=0, description="Faces that were judged.")
    not_judged: int = Field(ge=0, description="Faces that were not judged.")
    reasons: tuple[tuple[Text, int], ...] = Field(
        default=(), description="Codes of the reasons and their numbers, the most frequent first."
    )

    def describe(self) -> str:
        """Return the number not judged with its reasons, as in "3 (no_face 2, face_lost 1)"."""
        if not self.not_judged:
            return "0"
        return f"{self.not_judged:,} ({describe_reasons(self.reasons)})"


def describe_reasons(reasons: Iterable[tuple[str, int]]) -> str:
    """Return reasons and their numbers as words.

    >>> describe_reasons([("no_face", 1200), ("face_lost", 1)])
    'no_face 1,200, face_lost 1'
    """
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons)


class Evaluation(Document):
    r"""Metrics of one detector on one data set at one operating point, with their provenance.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from faceproof import evaluate_scores
    >>> faces, scores = (Path(tempfile.mkdtemp()) / name for name in ("faces.csv", "lamp.csv"))
    >>> head = "path,label,generator,source,split,group,sha256"
    >>> real, fake = (f"{n}.png,{n},{{}},home,test,{n},{len(n):064}" for n in ("real", "fake"))
    >>> _ = faces.write_text("\n".join([head, real.format("none"), fake.format("lamp")]))
    >>> _ = scores.write_text("path,score\nreal.png,0.2\nfake.png,0.9")
    >>> found = evaluate_scores(scores, faces, resamples=100)
    >>> found.find("roc_auc").value, found.to_polars().height == len(found.findings)
    (1.0, True)
    """

    schema_: Literal["faceproof.evaluation/1"] = Field(
        default="faceproof.evaluation/1",
        alias="schema",
        description="Name and version of this format.",
    )
    detector: DetectorRef = Field(description="The evaluated detector.")
    data: DatasetRef = Field(description="The evaluated rows.")
    operating_point: OperatingPoint = Field(description="Operating point of the verdicts.")
    faces: Text = Field(description="Which faces of a picture were judged.")
    seed: int = Field(description="Seed of the resamples.")
    resamples: int = Field(description="Number of resamples behind the intervals.")
    cautions: tuple[str, ...] = Field(
        default=(), description="Warnings to read before any figure, most serious first."
    )
    left_out: tuple[str, ...] = Field(
        default=(), description="Metrics that cannot be computed from these faces, with the reason."
    )
    answered: tuple[StatusCounts, ...] = Field(
        description="Pictures of each condition by what became of them."
    )
    confusion: tuple[Confusion, ...] = Field(description="Verdicts on faces of each class.")
    coverage: tuple[Coverage, ...] = Field(
        default=(), description="Labelled faces that were judged, and why the others were not."
    )
    findings: tuple[Finding, ...] = Field(description="Measured values, each with its interval.")

    def _summarise(self) -> str:
        condition = next(iter(self.conditions), "clean")
        judged = count_noun(sum(self.count_judged("all", condition)), "face")
        auc = self.find("roc_auc", condition=condition)
        figure = f", ROC-AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]" if auc else ""
        tool = f"{self.detector.name} {self.detector.version} at {self.operating_point.name}"
        return f"{tool}: {judged} judged ({condition}){figure}"

    def find(self, metric: str, slice_: str = "all", condition: str = "clean") -> Finding | None:
        """Return the finding of a metric (at the operating point if it needs one), or None."""
        named = {metric, f"{metric}@{self.operating_point.name}"}
        at = (slice_, condition)
        return next(
            (f for f in self.findings if f.metric in named and (f.slice, f.condition) == at), None
        )

    def count_judged(self, slice_: str, condition: str) -> tuple[int, int]:
        """Return the numbers of real and fake faces judged in a slice."""
        both, fakes = (self.find(metric, slice_, condition) for metric in ("accuracy", "apcer"))
        fake = fakes.n if fakes else 0
        return (both.n if both else 0) - fake, fake

    def find_coverage(self, slice_: str, condition: str) -> Coverage | None:
        """Return how many faces of a slice were judged; None in a record of an earlier version."""
        at = (slice_, condition)
        return next((one for one in self.coverage if (one.slice, one.condition) == at), None)

    def find_cautions(self, slice_: str, condition: str) -> tuple[str, ...]:
        """Return the warnings to read with the figures of a slice, each once."""
        at = (slice_, condition)
        found = (one.caution for one in self.findings if (one.slice, one.condition) == at)
        return tuple(dict.fromkeys(one for one in found if one))

    @property
    def slices(self) -> tuple[str, ...]:
        """The names of the slices, in order."""
        return tuple(dict.fromkeys(one.slice for one in self.findings))

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions, in order."""
        return tuple(one.condition for one in self.answered)

    def to_polars(self, table: str = "findings") -> pl.DataFrame:
        """Return one of the `TABLES` as a polars frame.

        Raises:
            UnknownChoiceError: the table is unknown.
        """
        import polars as pl

        rows, columns = choose(TABLES, table, what="table")(self)
        return pl.DataFrame(rows, schema=list(columns), orient="row")

    def to_pandas(self, table: str = "findings") -> Any:
        """Return one of the `TABLES` as a pandas frame.

        Raises:
            UnknownChoiceError: the table is unknown.
            UsageError: pandas is not installed.
        """
        rows, columns = choose(TABLES, table, what="table")(self)
        return import_pandas().DataFrame(rows, columns=list(columns))


_Rows = tuple[list[tuple[object, ...]], tuple[str, ...]]


def _findings_table(evaluation: Evaluation) -> _Rows:
    columns = ("metric", "slice", "condition", "value", "low", "high", "n", "data_sha256")
    return [tuple(getattr(one, name) for name in columns) for one in evaluation.findings], columns


def _coverage_table(evaluation: Evaluation) -> _Rows:
    rows: list[tuple[object, ...]] = [
        (one.slice, one.condition, one.judged, one.not_judged, describe_reasons(one.reasons))
        for one in evaluation.coverage
    ]
    return rows, ("slice", "condition", "judged", "not_judged", "reasons")


def _confusion_table(evaluation: Evaluation) -> _Rows:
    rows: list[tuple[object, ...]] = [
        (one.condition, label, *counts)
        for one in evaluation.confusion
        for label, counts in (("real", one.real), ("fake", one.fake))
    ]
    return rows, ("condition", "label", "called_real", "called_unsure", "called_fake")


TABLES: dict[str, Callable[[Evaluation], _Rows]] = {
    "findings": _findings_table,
    "coverage": _coverage_table,
    "confusion": _confusion_table,
}
"""The tables of an `Evaluation` for polars and pandas."""
