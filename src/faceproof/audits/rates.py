"""`Rate`: a share with its interval by group; and when a cell is too small for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from faceproof.data.shortcuts.intervals import auc_interval
from faceproof.data.shortcuts.probe import number_groups
from faceproof.evaluation.intervals import rate_interval
from faceproof.messages import count_noun

FEWEST_GROUPS = 300
"""A cell with fewer groups is flagged: at 300 without an error, up to 1 % may still err."""


@dataclass(frozen=True)
class Rate:
    """A share of ``n`` faces in ``groups`` groups, with its 95 % interval; no faces, no share."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    groups: int

    @property
    def cells(self) -> tuple[float | None, float | None, float | None]:
        """The share and its interval, as three cells of a table."""
        return self.value, self.low, self.high

    @property
    def words(self) -> str:
        """The share and its interval in words.

        >>> Rate(0.125, 0.1, 0.154, 300, 300).words
        '12.5 % (10.0 to 15.4)'
        """
        if self.value is None or self.low is None or self.high is None:
            return "not measured"
        return f"{_percent(self.value)} % ({_percent(self.low)} to {_percent(self.high)})"


def _percent(share: float) -> str:
    """Return a share in percent, with a decimal more below 1 %.

    >>> _percent(0.125), _percent(0.0012), _percent(0.0)
    ('12.5', '0.12', '0.0')
    """
    return f"{100 * share:.{2 if 0 < share < 0.01 else 1}f}"


def measure_rate(hits: ArrayLike, groups: ArrayLike) -> Rate:
    """Return the share of ``hits`` bool [N] in ``groups`` [N].

    Faces of one group count as one where too few groups differ to measure how alike they are.

    >>> measure_rate([True, False, False, False], ["a", "b", "c", "d"]).value
    0.25
    >>> measure_rate([], []).words
    'not measured'
    """
    hit, names = np.asarray(hits, dtype=bool), np.asarray(groups)
    if not len(hit):
        return Rate(None, None, None, 0, 0)
    value, ends = float(hit.mean()), rate_interval(hit, names)
    low, high = min(ends.low, value), max(ends.high, value)
    return Rate(value, low, high, len(hit), len(np.unique(names)))


def measure_auc(fake: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> Rate:
    """Return the ROC-AUC of ``scores`` [N], where NaN is left out; none without both classes.

    >>> measure_auc([False, True], [0.1, 0.9], ["a", "b"]).value
    1.0
    >>> measure_auc([True, True], [0.1, 0.9], ["a", "b"]).value
    """
    every = np.asarray(scores, dtype=np.float64)
    judged = ~np.isnan(every)
    labels, names = np.asarray(fake, dtype=bool)[judged], np.asarray(groups)[judged]
    number = len(np.unique(names))
    if not labels.any() or labels.all():
        return Rate(None, None, None, len(labels), number)
    value, low, high = auc_interval(labels, every[judged], number_groups(names))
    return Rate(value, min(low, value), max(high, value), len(labels), number)


def small_cell_words(groups: int) -> str:
    """Return the flag of a cell with too few groups, empty for one with enough.

    >>> small_cell_words(12), small_cell_words(300)
    ('only 12 groups', '')
    """
    if groups >= FEWEST_GROUPS:
        return ""
    return f"only {count_noun(groups, 'group')}" if groups else "no faces"


def small_cells_caution(cells: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Return a caution that names the cells (name, groups) with too few groups, if any."""
    small = [f"{name} ({groups})" for name, groups in cells if groups < FEWEST_GROUPS]
    if not small:
        return ()
    return (
        f"Fewer than {FEWEST_GROUPS} groups (people, videos, originals) in "
        f"{count_noun(len(small), 'cell')}: {join_some(small, most=3)}. Read their intervals, "
        "not their values.",
    )


def join_some(names: Sequence[str], *, most: int = 6) -> str:
    """Return names in a list, the first ``most`` of them.

    >>> join_some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return f"{', '.join(names[:most])} and {more} more" if more > 0 else ", ".join(names)
