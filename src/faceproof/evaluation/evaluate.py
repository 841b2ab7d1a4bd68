"""An evaluation: what a detector's answers about a data set come to, as one record.

Slices are ``all``, ``source=NAME`` and ``generator=NAME``; the last holds the fakes of one
generator against *all* real faces of the condition. Everything is a pure function of the
predictions table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from faceproof.detector.findings import Finding, Sha256, Text
from faceproof.detector.verdict import OperatingPoint
from faceproof.evaluation.bootstrap import RESAMPLES
from faceproof.evaluation.findings import slice_findings, slices
from faceproof.evaluation.metrics import METRICS, confusion
from faceproof.evaluation.predictions import STATUSES, Faces, faces
from faceproof.evaluation.tally import Thresholds
from faceproof.records import Document, Record

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
"""The metrics of an evaluation, in their order."""

_OF_REALS = ("bpcer", "real_unsure_rate", "real_coverage")


class Judged(Record):
    """The detector that answered."""

    name: Text
    version: Text
    sha256: Sha256


class On(Record):
    """The rows that it answered about: of which manifest, and which split of it ("" is none)."""

    name: str
    sha256: Sha256
    split: str
    rows: int = Field(ge=1)


class Confusion(Record):
    """Faces of each class by verdict: counts called real, unsure and fake."""

    condition: Text
    real: tuple[int, int, int]
    fake: tuple[int, int, int]


class Answered(Record):
    """How many pictures under a condition were judged, had no face, or could not be read."""

    condition: Text
    ok: int = Field(ge=0)
    no_face: int = Field(ge=0)
    error: int = Field(ge=0)


class Evaluation(Document):
    """Figures of one detector on one data set at one operating point, with all they rest on."""

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
    """What a reader must know before any figure: the gravest first."""
    left_out: tuple[str, ...] = ()
    """Figures that these faces do not allow, and why."""
    answered: tuple[Answered, ...]
    confusion: tuple[Confusion, ...]
    findings: tuple[Finding, ...]

    def find(self, metric: str, slice_: str = "all", condition: str = "clean") -> Finding | None:
        """Return the finding of a metric, at the operating point where it needs one, or None."""
        named = {metric, f"{metric}@{self.operating_point.name}"}
        at = (slice_, condition)
        return next(
            (f for f in self.findings if f.metric in named and (f.slice, f.condition) == at), None
        )

    def judged(self, slice_: str, condition: str) -> tuple[int, int]:
        """Return how many real and fake faces of a slice were judged."""
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
    """Return the record of these predictions, in the order of their conditions."""
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
    """Yield each slice of one condition: its name, its faces, and what is measured on them."""
    for name, part in slices(worn):
        if not name.startswith("generator="):
            yield name, part, REPORTED
            continue
        generator = name.removeprefix("generator=")
        against = worn.where(~worn.fake | (worn.generators == generator))
        yield name, against, tuple(metric for metric in REPORTED if metric not in _OF_REALS)


def _counted(name: str, part: Faces) -> Faces:
    """Return the pictures of a slice itself: of a generator its fakes, without the reals."""
    return part.where(part.fake) if name.startswith("generator=") else part


def _left_out(every: Faces) -> Iterator[str]:
    """Yield in words which figures of which slice the faces do not allow, the same once."""
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
                    f"{name}, {condition}: no {' and no '.join(missing)} face was judged, so "
                    f"that there is no {', '.join(gone)}"
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
