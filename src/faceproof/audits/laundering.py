"""Laundering: fakes that are no longer called fake after their picture was degraded.

Whoever launders a picture wants a fake to pass; real faces stay as they are. The predictions are
those of the degraded pictures, whose faces are found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.audits.context import Grid
from faceproof.audits.rates import Rate, measure_auc, measure_rate, small_cell_words
from faceproof.detector.spec import OperatingPoint
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.formulas import Bools
from faceproof.messages import count_noun
from faceproof.reports.words import condition_words

KINDS = {
    "resaving": ("jpeg-", "webp-", "avif-"),
    "blurring": ("blur-",),
    "smoothing": ("median-",),
    "reducing": ("resize-0",),
    "noise": ("noise-",),
    "chains": ("screenshot", "messenger", "social-media", "repost"),
}
"""How a picture is laundered, and how the names of the conditions begin."""

ANY = "any"
"""The row of fakes that pass in at least one way."""

_COLUMNS = (
    *("kind", "condition", "words", "detected_fakes", "groups"),
    *("evaded", "evaded_low", "evaded_high", "called_real", "called_real_low", "called_real_high"),
    *("lost", "roc_auc", "roc_auc_low", "roc_auc_high", "caution"),
)
_CAPTION = (
    "Fakes that are called fake unchanged. evaded: no longer called fake; called_real: called "
    "real; lost: the face was not found, which counts as neither; roc_auc: all fakes after "
    "laundering against unchanged real faces; any: in at least one of these ways. Intervals are "
    "95 %, by group."
)


@dataclass(frozen=True)
class Laundered:
    """What became of detected fakes in one way of laundering, or in any of them."""

    kind: str
    condition: str
    evaded: Rate
    called_real: Rate
    lost: Rate
    auc: Rate | None

    @property
    def words(self) -> str:
        """What was done to the picture, as it follows the noun."""
        if self.condition == ANY:
            return "laundered in at least one of these ways"
        return condition_words(self.condition)

    @property
    def row(self) -> tuple[Cell, ...]:
        """The cells of its row."""
        return (
            *(self.kind, self.condition, self.words, self.lost.n, self.lost.groups),
            *(*self.evaded.cells, *self.called_real.cells, self.lost.value),
            *(self.auc.cells if self.auc else (None, None, None)),
            small_cell_words(self.evaded.groups),
        )


def kind_of(condition: str) -> str:
    """Return the kind of laundering of a condition, "" if it is none.

    >>> kind_of("resize-0.5+jpeg-60"), kind_of("resize-1.5"), kind_of("dark")
    ('reducing', '', '')
    """
    return next((kind for kind, starts in KINDS.items() if condition.startswith(starts)), "")


def measure_laundering(grid: Grid, point: OperatingPoint) -> list[Laundered]:
    """Return each condition of `KINDS` in the grid, then `ANY`; empty without a detected fake."""
    called, clean = grid.verdicts(point), grid.at("clean")
    detected = grid.fake & (called[:, clean] == 2)
    ways = [name for name in grid.conditions if kind_of(name)]
    if not detected.any() or not ways:
        return []
    groups, unchanged = grid.groups[detected], grid.probabilities[:, clean]
    made = []
    for name in ways:
        at = grid.at(name)
        scores = np.where(grid.fake, grid.probabilities[:, at], unchanged)
        auc = measure_auc(grid.fake, scores, grid.groups)
        made.append(_measure(kind_of(name), name, called[detected, at][:, None], groups, auc))
    every = called[detected][:, [grid.at(name) for name in ways]]
    return [*made, _measure(ANY, ANY, every, groups, None)]


def _measure(
    kind: str,
    condition: str,
    called: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    groups: np.ndarray[tuple[int], np.dtype[np.str_]],
    auc: Rate | None,
) -> Laundered:
    """Return the rates of verdicts [N, W] of detected fakes; -1 is a face that was not judged."""
    judged: Bools = np.asarray((called >= 0).any(axis=1))
    passed: Bools = np.asarray(((called >= 0) & (called < 2)).any(axis=1))
    real: Bools = np.asarray((called == 0).any(axis=1))
    return Laundered(
        kind,
        condition,
        measure_rate(passed[judged], groups[judged]),
        measure_rate(real[judged], groups[judged]),
        measure_rate(~judged, groups),
        auc,
    )


def laundering_table(laundered: Sequence[Laundered]) -> AuditTable:
    """Return the table of all ways."""
    return AuditTable(
        name="laundering",
        caption=_CAPTION,
        columns=_COLUMNS,
        rows=tuple(one.row for one in laundered),
    )


def laundering_plot(laundered: Sequence[Laundered]) -> AuditPlot:
    """Return the share of detected fakes that evade detection, by way."""
    ways = [one for one in laundered if one.condition != ANY]
    return AuditPlot(
        name="laundering",
        kind="bar",
        title="Detected fakes that are no longer called fake when laundered",
        x="laundering",
        y="share of detected fakes",
        series=(
            Series(
                name="no longer called fake",
                x=tuple(one.condition for one in ways),
                y=tuple(one.evaded.value for one in ways),
                low=tuple(one.evaded.low for one in ways),
                high=tuple(one.evaded.high for one in ways),
            ),
        ),
    )


def laundering_words(laundered: Sequence[Laundered]) -> str:
    """Return the worst way, and any way, in a sentence."""
    *ways, anyway = laundered
    worst = max(ways, key=lambda one: one.evaded.value or 0.0)
    return (
        f"Laundering: at worst {worst.evaded.words} of "
        f"{count_noun(worst.evaded.n, 'detected fake')} are no longer called fake, when "
        f"{worst.words}, and {anyway.evaded.words} in at least one of "
        f"{count_noun(len(ways), 'way')}."
    )
