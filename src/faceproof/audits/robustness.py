"""The audit *robustness*: verdicts on degraded pictures against those on the pictures themselves.

Faces are found again in each degraded picture. A face that was judged in only one of the two is
lost: it has no verdict that could differ, and is counted apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.audits.context import Audit, AuditContext, AuditOutcome, Grid
from faceproof.audits.rates import Rate, measure_rate, small_cell_words, small_cells_caution
from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.predictions import Faces
from faceproof.imaging.degradations import AVIF_WORKS
from faceproof.messages import count_noun
from faceproof.reports.words import condition_words

_METRICS = ("roc_auc", "bpcer", "apcer")
_STRENGTH = re.compile(r"([a-z]+)-(\d+(?:\.\d+)?)")
_UNITS = {
    "quality of the file": ("jpeg", "webp", "avif"),
    "size factor": ("resize", "crop"),
    "tone factor": ("brightness", "contrast", "gamma"),
    "pixels of blur": ("blur", "median"),
    "grey levels of noise": ("noise",),
    "degrees of rotation": ("rotate",),
}
"""What the number in the name of a degradation is, and which degradations have it."""

_COLUMNS = (
    *("condition", "words", "judged", "groups", "flip_rate", "flip_rate_low", "flip_rate_high"),
    *("reversed_rate", "lost_rate", "roc_auc", "roc_auc_low", "roc_auc_high"),
    *("bpcer", "bpcer_low", "bpcer_high", "apcer", "apcer_low", "apcer_high", "caution"),
)


@dataclass(frozen=True)
class _Degraded:
    """One condition: how verdicts changed, and what was measured on its faces."""

    condition: str
    flips: Rate
    """Verdicts that differ, of the faces judged both as they are and degraded."""
    reversals: Rate
    """Those that went from real to fake or from fake to real."""
    lost: Rate
    """Faces judged as they are and not judged when degraded."""
    findings: dict[str, Finding]
    caution: str

    @property
    def row(self) -> tuple[Cell, ...]:
        measured = [cell for name in _METRICS for cell in _finding_cells(self.findings.get(name))]
        return (
            *(self.condition, condition_words(self.condition), self.flips.n, self.flips.groups),
            *(*self.flips.cells, self.reversals.value, self.lost.value, *measured, self.caution),
        )


def _finding_cells(found: Finding | None) -> tuple[Cell, Cell, Cell]:
    return (found.value, found.low, found.high) if found else (None, None, None)


def run(context: AuditContext) -> AuditOutcome:
    """Return flips, AUC, false alarms and misses of each degradation, and the worst ones."""
    grid, faces = context.grid("degraded"), context.faces("degraded")
    measured = [_measure(context, grid, faces, condition) for condition in grid.conditions]
    clean = next(one for one in measured if one.condition == "clean")
    degraded = [one for one in measured if one.condition != "clean"]
    cautions = _cautions(grid, degraded)
    judged = [one for one in degraded if one.flips.value is not None]
    table = AuditTable(
        name="degradations",
        caption=_CAPTION,
        columns=_COLUMNS,
        rows=tuple(one.row for one in (clean, *degraded)),
    )
    if not judged:
        answer = "Not measured: no face was judged both as it is and degraded."
        return AuditOutcome(answer, (table,), cautions=cautions, measured=False)
    return AuditOutcome(
        answer=_answer(judged),
        details=tuple(_details(clean, judged)),
        tables=(table,),
        plots=tuple(_plots(judged)),
        cautions=cautions,
        findings=tuple(found for one in measured for found in one.findings.values()),
    )


_CAPTION = (
    "flip_rate: share of faces whose verdict differs from that on the unchanged picture; "
    "reversed_rate: those that changed between real and fake; lost_rate: faces that were judged "
    "unchanged and not found when degraded. Intervals are 95 %, by group."
)


def _measure(context: AuditContext, grid: Grid, faces: Faces, condition: str) -> _Degraded:
    """Return what happened to the faces under one condition."""
    called = grid.verdicts(context.point)
    before, after = called[:, grid.at("clean")], called[:, grid.at(condition)]
    judged, both = before >= 0, (before >= 0) & (after >= 0)
    found = slice_findings(
        "all",
        condition,
        faces.where(faces.conditions == condition),
        [context.point],
        counted=None,
        data_sha256=context.selection.sha256,
        metrics=_METRICS,
        seed=context.settings.seed,
    )
    groups = [grid.groups[(after >= 0) & kind] for kind in (~grid.fake, grid.fake)]
    return _Degraded(
        condition,
        measure_rate((before != after)[both], grid.groups[both]),
        measure_rate((np.abs(before - after) == 2)[both], grid.groups[both]),
        measure_rate((after < 0)[judged], grid.groups[judged]),
        {one.metric.partition("@")[0]: one for one in found},
        _class_caution(*(len(np.unique(one)) for one in groups)),
    )


def _class_caution(real: int, fake: int) -> str:
    """Return the flag of a cell by its groups of real and of fake faces."""
    parts = (("real", small_cell_words(real)), ("fake", small_cell_words(fake)))
    return "; ".join(f"{kind}: {words}" for kind, words in parts if words)


def _cautions(grid: Grid, degraded: Sequence[_Degraded]) -> tuple[str, ...]:
    """Return what is missing, and which cells are small."""
    missing = [
        f"No {kind} face is in the sample: {words} cannot be measured."
        for kind, of, words in (
            ("real", ~grid.fake, "ROC-AUC and false alarms"),
            ("fake", grid.fake, "ROC-AUC and misses"),
        )
        if not of.any()
    ]
    if not AVIF_WORKS:
        missing.append("AVIF was left out: this build of Pillow cannot write it.")
    return (*missing, *small_cells_caution((one.condition, one.flips.groups) for one in degraded))


def _answer(judged: Sequence[_Degraded]) -> str:
    """Return the mean and the worst flip rate in a sentence."""
    worst = max(judged, key=lambda one: one.flips.value or 0.0)
    mean = float(np.mean([one.flips.value or 0.0 for one in judged]))
    return (
        f"Degrading the picture changed {100 * mean:.1f} % of verdicts on average over "
        f"{count_noun(len(judged), 'degradation')}, and most when "
        f"{condition_words(worst.condition)}: {worst.flips.words} of "
        f"{count_noun(worst.flips.n, 'face')}."
    )


def _details(clean: _Degraded, judged: Sequence[_Degraded]) -> Iterator[str]:
    """Yield the highest error of each kind, and the largest share of faces not found."""
    yield from _error_words(clean, judged, "bpcer", "Real faces called fake")
    yield from _error_words(clean, judged, "apcer", "Fakes called real")
    worst = max(judged, key=lambda one: one.lost.value or 0.0)
    yield (
        f"Faces not found: at worst {worst.lost.words} when {condition_words(worst.condition)}."
        if worst.lost.value
        else "No face was lost."
    )


def _error_words(
    clean: _Degraded, judged: Sequence[_Degraded], metric: str, words: str
) -> Iterator[str]:
    """Yield the highest error of a kind, beside that of unchanged pictures, if it was measured."""
    found = [one.findings[metric] for one in judged if metric in one.findings]
    if not found or metric not in clean.findings:
        return
    worst, first = max(found, key=lambda one: one.value), clean.findings[metric]
    rates = [Rate(one.value, one.low, one.high, one.n, 0).words for one in (first, worst)]
    more = (
        f"at worst {rates[1]} when {condition_words(worst.condition)}"
        if worst.value > first.value
        else "never a larger share of degraded ones"
    )
    yield f"{words}: {rates[0]} of unchanged faces, and {more}."


def _plots(judged: Sequence[_Degraded]) -> list[AuditPlot]:
    """Return bars of all flip rates, and curves of those degradations that have a strength."""
    bars = AuditPlot(
        name="flips",
        kind="bar",
        title="Verdicts that change when the picture is degraded",
        x="degradation",
        y="flip rate",
        series=(_series("flip rate", [(one.condition, one) for one in judged]),),
    )
    curves: dict[str, list[tuple[float, _Degraded]]] = {}
    for one in judged:
        if match := _STRENGTH.fullmatch(one.condition):
            curves.setdefault(match[1], []).append((float(match[2]), one))
    return [bars, *_curves({name: points for name, points in curves.items() if len(points) > 1})]


def _curves(curves: dict[str, list[tuple[float, _Degraded]]]) -> Iterator[AuditPlot]:
    """Yield a plot for each unit of strength."""
    for unit, kinds in _UNITS.items():
        series = tuple(
            _series(name, sorted(curves[name], key=lambda point: point[0]))
            for name in kinds
            if name in curves
        )
        if series:
            yield AuditPlot(
                name=f"strength-{unit.replace(' ', '-')}",
                kind="line",
                title=f"Verdicts that change, by {unit}",
                x=unit,
                y="flip rate",
                series=series,
            )


def _series(name: str, points: Sequence[tuple[float | str, _Degraded]]) -> Series:
    rates = [one.flips for _, one in points]
    return Series(
        name=name,
        x=tuple(x for x, _ in points),
        y=tuple(one.value for one in rates),
        low=tuple(one.low for one in rates),
        high=tuple(one.high for one in rates),
    )


ROBUSTNESS = Audit("Do the verdicts hold when the picture is degraded?", ("degraded",), run)
