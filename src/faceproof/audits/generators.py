"""The audit *generators*: how the fakes of each generator are judged, seen in training or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from faceproof.messages import count_noun
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
    details = (left_out.answer, *left_out.details) if left_out else (NOT_RETRAINED,)
    judged = [one for one in parts if one.missed.value is not None]
    if not judged:
        answer = "Not measured: no fake was judged."
        return AuditOutcome(answer, tables, plots, cautions, measured=False, details=details)
    details = (*_details(judged, pooled), *details)
    plots = (_plot(judged), *plots)
    answer = _answer(judged, pooled)
    return AuditOutcome(answer, tables, plots, cautions, tuple(found), details=details)


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
    """Return the worst generator, and seen against unseen ones, in a sentence."""
    worst = max(judged, key=lambda one: (one.missed.value or 0.0, -(one.detected.value or 0.0)))
    first = (
        f"Of {len(judged)} generators, {worst.name} is missed most: {worst.missed.words} of its"
        if len(judged) > 1
        else f"Of the only generator, {worst.name}, {worst.missed.words} of the"
    )
    if len(judged) == 1:
        never = "" if worst.seen == "seen" else "not "
        return f"{first} fakes were called real; it was {never}seen in training."
    rates = [f"{part.missed.words} over {_number(judged, part)}" for part in pooled]
    return f"{first} fakes were called real, against {' and '.join(rates)}."


def _number(judged: Sequence[_Fakes], part: _Fakes) -> str:
    """Return how many generators are pooled, and whether they were seen in training."""
    number = len([one for one in judged if one.seen == part.seen])
    seen = "seen in training" if part.seen == "seen" else "not seen in training"
    return f"{count_noun(number, 'generator')} {seen}"


def _details(judged: Sequence[_Fakes], pooled: Sequence[_Fakes]) -> Iterator[str]:
    """Yield which fakes are called fake least, and how often those seen and unseen are."""
    least = min(judged, key=lambda one: one.detected.value or 0.0)
    yield (
        f"{least.name} is called fake least: {least.detected.words} of its fakes are called fake, "
        f"and {least.unsure.words} are unsure."
    )
    rates = [f"{part.detected.words} over {_number(judged, part)}" for part in pooled]
    yield f"Fakes called fake: {', and '.join(rates)}."


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
