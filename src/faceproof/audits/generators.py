"""The audit *generators*: how the fakes of each generator are judged, seen in training or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceproof.audits.context import Audit, AuditContext, AuditOutcome
from faceproof.audits.rates import Rate, measure_rate, small_cell_words, small_cells_caution
from faceproof.detector.spec import OperatingPoint
from faceproof.errors import UsageError
from faceproof.evaluation.audit_result import (
    LEAVE_ONE_OUT,
    AuditPlot,
    AuditResult,
    AuditTable,
    Cell,
    Series,
)
from faceproof.evaluation.findings import findings
from faceproof.evaluation.predictions import FAKE, REAL, UNSURE, Faces
from faceproof.sources import to_printable

_COLUMNS = (
    *("generator", "seen", "pictures", "judged", "groups", "no_verdict"),
    *("apcer", "apcer_low", "apcer_high", "recall", "recall_low", "recall_high"),
    *("unsure", "unsure_low", "unsure_high", "roc_auc", "roc_auc_low", "roc_auc_high", "caution"),
)
_CAPTION = (
    "apcer: fakes called real; recall: fakes called fake; roc_auc: against all real faces of the "
    "sample; seen: the detector's record names the generator among those of its training. "
    "Intervals are 95 %, by group."
)
NOT_RETRAINED = (
    "No detector was trained without a generator (leave-one-out), so this does not measure what a "
    "generator costs for being new."
)


@dataclass(frozen=True)
class _Fakes:
    """The fakes of one or several generators."""

    name: str
    seen: str
    pictures: int
    missed: Rate
    detected: Rate
    unsure: Rate


def run(context: AuditContext) -> AuditOutcome:
    """Return misses, detections and ROC-AUC of each generator, and of those seen and unseen."""
    faces = context.faces("clean")
    seen = set(context.detector.spec.generators_seen)
    fakes = faces.where(faces.fake)
    names = np.unique(fakes.generators).tolist()
    parts = [_measure(context.point, fakes, [name], name, seen) for name in names]
    pooled = [
        _measure(context.point, fakes, kind, f"all {words}", seen)
        for words, kind in (
            ("seen", [name for name in names if name in seen]),
            ("unseen", [name for name in names if name not in seen]),
        )
        if kind
    ]
    found = [
        one
        for one in findings(
            faces,
            [context.point],
            data_sha256=context.selection.sha256,
            metrics=("roc_auc", "apcer", "recall"),
            against_reals=True,
            seed=context.settings.seed,
        )
        if one.slice.startswith("generator=")
    ]
    aucs = {one.slice.removeprefix("generator="): one for one in found if one.metric == "roc_auc"}
    table = AuditTable(
        name="generators",
        caption=_CAPTION,
        columns=_COLUMNS,
        rows=tuple(
            _row(one, (auc.value, auc.low, auc.high) if (auc := aucs.get(one.name)) else _NONE)
            for one in (*parts, *pooled)
        ),
    )
    cautions = (
        *_class_cautions(faces),
        *small_cells_caution((one.name, one.missed.groups) for one in parts),
        *_leave_one_out_cautions(context),
    )
    left_out = context.leave_one_out
    tables, plots = (table, *_figures_of(left_out)), left_out.plots if left_out else ()
    new = left_out.answer if left_out else NOT_RETRAINED
    judged = [one for one in parts if one.missed.value is not None]
    if not judged:
        answer = f"Not measured: no fake was judged. {new}"
        return AuditOutcome(answer, tables, plots, cautions, measured=False)
    answer, plots = f"{_answer(judged, pooled)} {new}", (_plot(judged), *plots)
    return AuditOutcome(answer, tables, plots, cautions, tuple(found))


def _figures_of(left_out: AuditResult | None) -> tuple[AuditTable, ...]:
    return (left_out.table(LEAVE_ONE_OUT), left_out.table("inflation")) if left_out else ()


def _leave_one_out_cautions(context: AuditContext) -> tuple[str, ...]:
    """Return the cautions of the leave-one-out, and where it is not of this detector or data."""
    if (left_out := context.leave_one_out) is None:
        return ()
    theirs, ours = left_out.settings, context.settings
    found = []
    if theirs.data_sha256 != ours.data_sha256:
        found.append(f"The leave-one-out is of other data ({theirs.data}) than this audit.")
    if (theirs.detector, theirs.detector_version) != (ours.detector, ours.detector_version):
        found.append(
            f"The leave-one-out is of the recipe of {theirs.detector} {theirs.detector_version}, "
            "not of this detector."
        )
    return (*found, *(f"Leave-one-out: {one}" for one in left_out.cautions))


def find_leave_one_out(path: str | Path | None, folder: Path | None) -> AuditResult | None:
    """Return the result of a leave-one-out: at ``path``, a file or its folder, or in ``folder``.

    Raises:
        UsageError: ``path`` has none, or the file is something else.
    """
    place = folder if path is None else Path(path)
    if place is None:
        return None
    file = place / f"{LEAVE_ONE_OUT}.json" if path is None or place.is_dir() else place
    if path is None and not file.is_file():
        return None
    shown = to_printable(str(file))
    try:
        found = AuditResult.read(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{shown} cannot be read as a leave-one-out: name the file or the output folder of "
            "`faceproof train leave-one-out`"
        ) from error
    if found.name != LEAVE_ONE_OUT:
        raise UsageError(f"{shown} is the result of the audit {found.name}, not a leave-one-out")
    return found


_NONE = (None, None, None)


def _measure(
    point: OperatingPoint, fakes: Faces, generators: Sequence[str], name: str, seen: set[str]
) -> _Fakes:
    """Return the rates of the fakes of these generators."""
    part = fakes.where(np.isin(fakes.generators, generators))
    judged = part.where(part.statuses == "ok")
    called = judged.verdicts(point)
    return _Fakes(
        name=name,
        seen="seen" if set(generators) <= seen else "unseen",
        pictures=len(part),
        missed=measure_rate(called == REAL, judged.groups),
        detected=measure_rate(called == FAKE, judged.groups),
        unsure=measure_rate(called == UNSURE, judged.groups),
    )


def _row(one: _Fakes, auc: tuple[Cell, Cell, Cell]) -> tuple[Cell, ...]:
    return (
        *(one.name, one.seen, one.pictures, one.missed.n, one.missed.groups),
        *(one.pictures - one.missed.n, *one.missed.cells, *one.detected.cells, *one.unsure.cells),
        *(*auc, small_cell_words(one.missed.groups)),
    )


def _class_cautions(faces: Faces) -> tuple[str, ...]:
    judged = faces.where(faces.statuses == "ok")
    if judged.fake.all():
        return ("No real face was judged: ROC-AUC is not measured.",)
    return ()


def _answer(judged: Sequence[_Fakes], pooled: Sequence[_Fakes]) -> str:
    """Return the worst generator, and seen against unseen."""
    worst = max(judged, key=lambda one: (one.missed.value or 0.0, -(one.detected.value or 0.0)))
    least = min(judged, key=lambda one: one.detected.value or 0.0)
    rates = [
        f"{len([one for one in judged if one.seen == part.seen])} {part.seen} in training "
        f"({part.missed.words} called real, {part.detected.words} called fake)"
        for part in pooled
    ]
    only = "" if len(pooled) > 1 else f", and none {_OTHER[pooled[0].seen]}"
    same = worst is least
    return (
        f"Of {len(judged)} generators, {worst.name} is missed most: {worst.missed.words} of its "
        f"fakes were called real; {'it is also' if same else f'{least.name} is'} called fake "
        f"least: {least.detected.words}. "
        f"There are {' and '.join(rates)}{only}."
    )


_OTHER = {"seen": "unseen", "unseen": "seen"}


def _plot(judged: Sequence[_Fakes]) -> AuditPlot:
    return AuditPlot(
        name="generators",
        kind="bar",
        title="Fakes called real and called fake, by generator",
        x="generator",
        y="share of fakes",
        series=(
            _series("called real", judged, [one.missed for one in judged]),
            _series("called fake", judged, [one.detected for one in judged]),
        ),
    )


def _series(name: str, judged: Sequence[_Fakes], rates: Sequence[Rate]) -> Series:
    return Series(
        name=name,
        x=tuple(one.name for one in judged),
        y=tuple(rate.value for rate in rates),
        low=tuple(rate.low for rate in rates),
        high=tuple(rate.high for rate in rates),
    )


GENERATORS = Audit(
    "How are the fakes of each generator judged, those seen in training and the others?",
    ("clean",),
    run,
)
