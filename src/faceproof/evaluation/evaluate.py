"""`Evaluation`: metrics of a detector on a data set as one record.

Slices are ``all``, ``source=NAME`` and ``generator=NAME``; the last compares the fakes of one
generator with *all* real faces of the condition. Everything is a pure function of the
predictions table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.detector import DetectorSpec
from faceproof.detector.spec import Finding, OperatingPoint, Sha256, Text
from faceproof.errors import UsageError
from faceproof.evaluation.findings import slice_findings, slices
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.metrics import METRICS, confusion
from faceproof.evaluation.predictions import STATUSES, Faces, faces
from faceproof.records import Document, Record
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


REPORTED = (
    "roc_auc",
    "average_precision",
    "eer",
    "tpr_at_fpr_1",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "bpcer",
    "apcer",
    "unsure_rate",
    "real_unsure_rate",
    "fake_unsure_rate",
    "real_coverage",
    "fake_coverage",
)
"""The metrics of an evaluation, in display order."""

_OF_REALS = ("bpcer", "real_unsure_rate", "real_coverage")


class Judged(Record):
    """The evaluated detector."""

    name: Text
    version: Text
    sha256: Sha256


class On(Record):
    """The evaluated rows: their manifest, and its split ("" without splits)."""

    name: str
    sha256: Sha256
    split: str
    rows: int = Field(ge=1)


class Confusion(Record):
    """Confusion counts: faces of each class called real, unsure and fake."""

    condition: Text
    real: tuple[int, int, int]
    fake: tuple[int, int, int]


class Answered(Record):
    """Number of pictures of a condition that were judged, had no face, or were unreadable."""

    condition: Text
    ok: int = Field(ge=0)
    no_face: int = Field(ge=0)
    error: int = Field(ge=0)


class Evaluation(Document):
    """Metrics of one detector on one data set at one operating point, with their provenance."""

    schema_: Literal["faceproof.evaluation/1"] = Field(
        default="faceproof.evaluation/1", alias="schema"
    )
    detector: Judged
    data: On
    operating_point: OperatingPoint
    faces: Text
    seed: int
    resamples: int
    cautions: tuple[str, ...] = ()
    """Warnings to read before any figure, most serious first."""
    left_out: tuple[str, ...] = ()
    """Metrics that cannot be computed from these faces, with the reason."""
    answered: tuple[Answered, ...]
    confusion: tuple[Confusion, ...]
    findings: tuple[Finding, ...]

    def find(self, metric: str, slice_: str = "all", condition: str = "clean") -> Finding | None:
        """Return the finding of a metric (at the operating point if it needs one), or None."""
        named = {metric, f"{metric}@{self.operating_point.name}"}
        at = (slice_, condition)
        return next(
            (f for f in self.findings if f.metric in named and (f.slice, f.condition) == at), None
        )

    def judged(self, slice_: str, condition: str) -> tuple[int, int]:
        """Return the numbers of real and fake faces judged in a slice."""
        both, fakes = (self.find(metric, slice_, condition) for metric in ("accuracy", "apcer"))
        fake = fakes.n if fakes else 0
        return (both.n if both else 0) - fake, fake

    @property
    def slices(self) -> tuple[str, ...]:
        """The names of the slices, in order."""
        return tuple(dict.fromkeys(one.slice for one in self.findings))

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions, in order."""
        return tuple(one.condition for one in self.answered)


def evaluation(
    predictions: pa.Table,
    detector: Judged,
    data: On,
    point: OperatingPoint,
    *,
    chosen_faces: str,
    cautions: Sequence[str] = (),
    number: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Return the evaluation of these predictions, in the order of their conditions."""
    every = faces(predictions)
    found: list[Finding] = []
    for condition in dict.fromkeys(every.conditions.tolist()):
        for name, part, metrics in _parts(every.where(every.conditions == condition)):
            found += slice_findings(
                name,
                condition,
                part,
                [point],
                counted=_counted(name, part),
                data_sha256=data.sha256,
                metrics=metrics,
                number=number,
                seed=seed,
            )
    return Evaluation(
        detector=detector,
        data=data,
        operating_point=point,
        faces=chosen_faces,
        seed=seed,
        resamples=number,
        cautions=tuple(cautions),
        left_out=tuple(_left_out(every)),
        answered=tuple(_answered(every)),
        confusion=tuple(_confusion(every, point)),
        findings=tuple(found),
    )


def _parts(worn: Faces) -> Iterator[tuple[str, Faces, tuple[str, ...]]]:
    """Yield each slice of one condition: its name, faces and metrics."""
    for name, part in slices(worn):
        if not name.startswith("generator="):
            yield name, part, REPORTED
            continue
        generator = name.removeprefix("generator=")
        against = worn.where(~worn.fake | (worn.generators == generator))
        yield name, against, tuple(metric for metric in REPORTED if metric not in _OF_REALS)


def _counted(name: str, part: Faces) -> Faces:
    """Return a slice's own pictures: for a generator only its fakes."""
    return part.where(part.fake) if name.startswith("generator=") else part


def _left_out(every: Faces) -> Iterator[str]:
    """Yield one message for each slice whose metrics cannot be computed, without repeats."""
    said: dict[str, None] = {}
    for condition in dict.fromkeys(every.conditions.tolist()):
        for name, part, metrics in _parts(every.where(every.conditions == condition)):
            judged = part.where(part.statuses == "ok")
            missing = [
                kind for kind, of in (("real", ~judged.fake), ("fake", judged.fake)) if not of.any()
            ]
            if missing:
                gone = [
                    m for m in metrics if not len(judged) or METRICS[m].missing_class(judged.fake)
                ]
                said[
                    f"{name}, {condition}: no {' and no '.join(missing)} face was judged; "
                    f"not computed: {', '.join(gone)}"
                ] = None
    yield from said


def _answered(every: Faces) -> Iterator[Answered]:
    for condition in dict.fromkeys(every.conditions.tolist()):
        statuses = every.statuses[every.conditions == condition]
        counts = {status: int((statuses == status).sum()) for status in STATUSES}
        yield Answered(condition=condition, **counts)


def _confusion(every: Faces, point: OperatingPoint) -> Iterator[Confusion]:
    at = Thresholds(point.real_below, point.fake_from)
    for condition in dict.fromkeys(every.conditions.tolist()):
        here = every.where((every.conditions == condition) & (every.statuses == "ok"))
        counts = confusion(here.fake, np.asarray(here.probabilities), at).tolist()
        yield Confusion(condition=condition, real=tuple(counts[0]), fake=tuple(counts[1]))


#: Purpose of reading each split; only `test` gives unbiased figures.
_PURPOSES = {
    "train": "fit",
    "validation": "choose",
    "calibration": "calibrate",
    "test": "final-report",
}
_CHOSE = {
    "train": "a detector trained on it has seen these faces",
    "validation": "it may have selected the detector's epochs",
    "calibration": "it may have set the detector's calibration and thresholds",
}


@dataclass(frozen=True)
class Selection:
    """The rows to judge, the folder of their pictures, and their split."""

    rows: tuple[Row, ...]
    root: Path
    sha256: str
    purpose: str
    split: str
    """The split of the rows, "" if the manifest has no splits."""
    name: str

    @property
    def on(self) -> On:
        """The rows as an evaluation records them."""
        return On(name=self.name, sha256=self.sha256, split=self.split, rows=len(self.rows))


def select(manifest: Manifest, split: str | None, *, name: str) -> Selection:
    """Return the rows of ``split``; None selects `test`, or all rows without splits.

    Raises:
        UsageError: the split is unknown or empty.
    """
    if split is not None:
        choose(dict.fromkeys(SPLITS), split, what="split")
    if not len(manifest):
        raise UsageError(f"{name} has no rows")
    counts = manifest.counts()
    if split is None and not any(counts.values()):
        return _selection(manifest, manifest.rows, "final-report", "", name)
    wanted = split or "test"
    rows = manifest.take(wanted, purpose=_PURPOSES[wanted])
    if not rows:
        held = ", ".join(f"{count:,} {key}" for key, count in counts.items() if count)
        raise UsageError(
            f"{name} has no rows in the split {wanted!r}; it has {held or 'no splits'}: "
            f"{'omit --split' if not held else 'choose another with --split'}"
        )
    return _selection(manifest, rows, _PURPOSES[wanted], wanted, name)


def cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> tuple[str, ...]:
    """Return warnings to read before any figure, most serious first."""
    return tuple(_cautions(selection, spec, predictions))


def _selection(
    manifest: Manifest, rows: tuple[Row, ...], purpose: str, split: str, name: str
) -> Selection:
    if manifest.root is None:
        raise UsageError(f"{name}: data folder unknown; set it with --root")
    return Selection(rows, manifest.root, manifest.sha256, purpose, split, name)


def _cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> Iterator[str]:
    if said := _CHOSE.get(selection.split):
        yield (
            f"NOT A TEST: these figures are from the split {selection.split!r}: {said}. "
            "They do not measure the detector on new faces."
        )
    yield _kinship(selection, spec)
    statuses = predictions["status"].to_pylist()
    gone = sum(status != "ok" for status in statuses)
    if gone == len(statuses):
        yield "No picture could be judged: check the data folder (--root)."
    elif gone:
        yield (
            f"{gone:,} of {len(statuses):,} pictures were not judged (no face, or unreadable) "
            "and are excluded from all figures; the predictions table lists them."
        )


def _kinship(selection: Selection, spec: DetectorSpec) -> str:
    """Return a sentence that compares the data with the detector's training data."""
    if selection.sha256 != spec.trained_on.data_sha256:
        return (
            "By its hash, this is not the manifest that the detector was trained on. Check for "
            "shared pictures with `faceproof data inspect --against`, if you have both."
        )
    if selection.split == "test":
        return (
            "By its hash, this is the data set that the detector was trained on. These are its "
            "test rows: other people and originals, but the same generators. New data is harder."
        )
    return (
        "THE DETECTOR'S OWN DATA: by its hash, this is the data set that the detector was "
        "trained on, and these are not its test rows."
    )
