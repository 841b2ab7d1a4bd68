"""The audit *stability*: how often and how far the answer on one picture moves when resaved.

It reads the ways of `faceproof.audits.resaving.CONDITIONS` from the degraded predictions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceproof.audits.context import Audit, AuditContext, AuditOutcome, Grid
from faceproof.audits.rates import measure_rate, small_cell_words, small_cells_caution
from faceproof.audits.resaving import CONDITIONS
from faceproof.detector.spec import OperatingPoint
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.messages import count_noun
from faceproof.reports.words import condition_words

_BY_CLASS = (
    *("class", "pictures", "groups", "flipped_once", "flipped_once_low", "flipped_once_high"),
    *("reversed_once", "reversed_once_low", "reversed_once_high"),
    *("flips", "flips_low", "flips_high", "lost_once", "largest_move_median", "largest_move_95"),
    "caution",
)
_BY_WAY = (
    *("way", "words", "judged", "flips", "flips_low", "flips_high", "move_median", "move_95"),
)
_CAPTION = (
    "flipped_once: pictures whose verdict differs in at least one way; reversed_once: between real "
    "and fake; flips: share of all judged copies; lost_once: no face found in at least one copy; "
    "largest_move: of the fake probability, over the ways. Intervals are 95 %, by group."
)


@dataclass(frozen=True)
class _Copies:
    """What became of P pictures, judged unchanged, in W ways."""

    fake: Bools
    groups: NDArray[np.str_]
    flipped: Bools
    """bool [P, W]"""
    reversed: Bools
    lost: Bools
    moved: Floats
    """float64 [P, W]: how far the probability moved; NaN where the copy was not judged."""

    def where(self, mask: Bools) -> _Copies:
        """Return the pictures for which ``mask`` bool [P] is true."""
        return _Copies(
            *(self.fake[mask], self.groups[mask], self.flipped[mask], self.reversed[mask]),
            *(self.lost[mask], self.moved[mask]),
        )

    @property
    def largest(self) -> Floats:
        """The largest move of each picture with a judged copy, float64."""
        judged = ~self.lost.all(axis=1)
        return np.asarray(np.nanmax(self.moved[judged], axis=1))


def run(context: AuditContext) -> AuditOutcome:
    """Return how often verdicts flip over the ways of resaving, and how far probabilities move."""
    grid = context.grid("degraded")
    ways = tuple(name for name in CONDITIONS if name in grid.conditions)
    copies = _copies(grid, ways, context.point)
    parts = {"all": copies, "real": copies.where(~copies.fake), "fake": copies.where(copies.fake)}
    tables = (
        AuditTable(
            name="pictures",
            caption=_CAPTION,
            columns=_BY_CLASS,
            rows=tuple(_class_row(name, part) for name, part in parts.items()),
        ),
        AuditTable(
            name="ways",
            caption="flips: share of the faces judged both unchanged and saved in this way.",
            columns=_BY_WAY,
            rows=tuple(_way_row(copies, at, way) for at, way in enumerate(ways)),
        ),
    )
    cells = [(name, len(np.unique(part.groups))) for name, part in parts.items()]
    missing = tuple(
        f"No {name} face was judged: this holds for one class only."
        for name, groups in cells[1:]
        if not groups
    )
    cautions = (*missing, *small_cells_caution(cells[1:]))
    if not len(copies.largest):
        answer = "Not measured: no face was judged both as it is and saved again."
        return AuditOutcome(answer, tables, cautions=cautions, measured=False)
    return AuditOutcome(
        _answer(copies, ways), tables, (_plot(parts),), cautions, details=(_reversed_words(copies),)
    )


def _copies(grid: Grid, ways: tuple[str, ...], point: OperatingPoint) -> _Copies:
    """Return the copies of the pictures whose face was judged unchanged."""
    called, clean = grid.verdicts(point), grid.at("clean")
    judged = called[:, clean] >= 0
    at = [grid.at(way) for way in ways]
    before, after = called[judged][:, [clean]], called[judged][:, at]
    lost = after < 0
    probabilities = grid.probabilities[judged]
    return _Copies(
        fake=grid.fake[judged],
        groups=grid.groups[judged],
        flipped=(before != after) & ~lost,
        reversed=(np.abs(before - after) == 2) & ~lost,
        lost=lost,
        moved=np.abs(probabilities[:, at] - probabilities[:, [clean]]),
    )


def _class_row(name: str, part: _Copies) -> tuple[Cell, ...]:
    groups = len(np.unique(part.groups))
    judged = ~part.lost
    of_copies = np.repeat(part.groups[:, None], part.lost.shape[1], axis=1)
    flipped, reversed_ = (
        measure_rate(hits.any(axis=1), part.groups) for hits in (part.flipped, part.reversed)
    )
    flips = measure_rate(part.flipped[judged], of_copies[judged])
    lost = measure_rate(part.lost.any(axis=1), part.groups)
    return (
        *(name, len(part.groups), groups, *flipped.cells, *reversed_.cells, *flips.cells),
        *(lost.value, *_quantiles(part.largest), small_cell_words(groups)),
    )


def _way_row(copies: _Copies, at: int, way: str) -> tuple[Cell, ...]:
    judged = ~copies.lost[:, at]
    flips = measure_rate(copies.flipped[judged, at], copies.groups[judged])
    return (
        *(way, condition_words(way), int(judged.sum()), *flips.cells),
        *_quantiles(copies.moved[judged, at]),
    )


def _quantiles(moves: Floats) -> tuple[float | None, float | None]:
    """Return the median and the 95th percentile, None without a value."""
    if not len(moves):
        return None, None
    return float(np.median(moves)), float(np.quantile(moves, 0.95))


def _answer(copies: _Copies, ways: tuple[str, ...]) -> str:
    once = measure_rate(copies.flipped.any(axis=1), copies.groups)
    median, high = _quantiles(copies.largest)
    return (
        f"Of {count_noun(once.n, 'picture')} saved again in {count_noun(len(ways), 'way')}, "
        f"{once.words} got another verdict at least once; the fake probability moved by at most "
        f"{median:.3f} in half of the pictures and {high:.3f} in 95 % of them."
    )


def _reversed_words(copies: _Copies) -> str:
    rate = measure_rate(copies.reversed.any(axis=1), copies.groups)
    return f"Changed between real and fake at least once: {rate.words}."


def _plot(parts: dict[str, _Copies]) -> AuditPlot:
    """Return the share of pictures against the number of ways in which their verdict flips."""
    return AuditPlot(
        name="flips",
        kind="line",
        title="Pictures whose verdict changes in at least so many ways",
        x="ways",
        y="share of pictures",
        series=tuple(_share_series(parts)),
    )


def _share_series(parts: dict[str, _Copies]) -> Iterator[Series]:
    for name, part in parts.items():
        if not len(part.groups):
            continue
        numbers = part.flipped.sum(axis=1)
        ways = range(1, part.flipped.shape[1] + 1)
        rates = [measure_rate(numbers >= way, part.groups) for way in ways]
        yield Series(
            name=name,
            x=tuple(float(way) for way in ways),
            y=tuple(one.value for one in rates),
            low=tuple(one.low for one in rates),
            high=tuple(one.high for one in rates),
        )


STABILITY = Audit(
    "For one picture saved again in 24 ways: how often does the verdict change, and how far does "
    "the probability move?",
    ("degraded",),
    run,
)
