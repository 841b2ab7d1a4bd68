"""The interval of a ROC-AUC when pictures come in groups, without resampling.

Pictures of one group (one person, one video) are not independent: the interval accounts for their
correlation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faceproof.statistics import CONFIDENCE, logit_interval, roc_auc, wilson

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class _Auc(NamedTuple):
    """A ROC-AUC and the ends of its 95 % interval."""

    auc: float
    low: float
    high: float


def auc_interval(fake: Flags, scores: Floats, groups: Integers, *, mutual: float = 0.0) -> _Auc:
    """Return the AUC of ``scores`` [N] with its interval; ``groups`` [N] count from 0 without gaps.

    The variance is that between groups, which may contain one class or both. The interval uses
    Student's t on the logit scale, so that few groups make it wide. If the variance is zero (all
    fakes score above all reals), Wilson's interval over the groups of the rarer class is used.

    ``mutual`` is 1 if pictures are scored by models trained on each other, as in cross-validation.
    Two pictures that happen to agree then count twice, and near an AUC of 0.5 the variance is up to
    doubled. The increase is proportional to 4 AUC (1 - AUC), which simulations confirm.

    Source: Obuchowski 1997, Biometrics 53:567 (DeLong's variance for clustered data).
    """
    above = _shares_below(scores[fake], scores[~fake])
    below = 1 - _shares_below(scores[~fake], scores[fake])
    auc = roc_auc(fake, scores)
    number = int(groups.max()) + 1
    fakes = np.bincount(groups[fake], weights=above - auc, minlength=number) / fake.sum()
    reals = np.bincount(groups[~fake], weights=below - auc, minlength=number) / (~fake).sum()
    counts = [np.unique(groups[kind]).size for kind in (fake, ~fake)]
    variance = _variance(fakes, reals, counts) if min(counts) > 1 else 0.0
    error = math.sqrt(max(variance, 0.0) * (1 + mutual * 4 * auc * (1 - auc)))
    if error < 1e-9 or not 0 < auc < 1:
        return _Auc(auc, *wilson(auc * min(counts), min(counts)))
    return _Auc(auc, *logit_interval(auc, error, errors=student_t_factor(min(counts) - 1)))


def stratified_auc(fake: Flags, scores: Floats, groups: Integers, strata: Integers) -> _Auc | None:
    """Return the AUC over pairs of a fake and a real of the same stratum, None without a pair.

    ``strata`` int64 [N] number the pictures that are compared with one another. The variance is
    that of `auc_interval`, of the sum over strata, each with the weight of its pairs.
    """
    parts = [strata == one for one in np.unique(strata)]
    pairs = np.array([float((part & fake).sum() * (part & ~fake).sum()) for part in parts])
    if not pairs.any():
        return None
    moved, auc = np.zeros(len(fake)), 0.0
    for part, share in zip(parts, pairs / pairs.sum(), strict=True):
        if not share:
            continue
        of_fakes, of_reals = part & fake, part & ~fake
        above = _shares_below(scores[of_fakes], scores[of_reals])
        below = 1 - _shares_below(scores[of_reals], scores[of_fakes])
        auc += share * above.mean()
        moved[of_fakes] = share * (above - above.mean()) / len(above)
        moved[of_reals] = share * (below - below.mean()) / len(below)
    sums = np.bincount(groups, weights=moved)
    counts = [np.unique(groups[kind]).size for kind in (fake, ~fake)]
    error = math.sqrt(len(sums) / max(len(sums) - 1, 1) * float((sums**2).sum()))
    if error < 1e-9 or not 0 < auc < 1 or min(counts) < 2:
        return _Auc(auc, *wilson(auc * min(counts), min(counts)))
    return _Auc(auc, *logit_interval(auc, error, errors=student_t_factor(min(counts) - 1)))


def _shares_below(of: Floats, among: Floats) -> Floats:
    """Return for each value the share of ``among`` below it, ties counted half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, of, side="left")
    return np.asarray((below + np.searchsorted(ordered, of, side="right")) / (2 * len(ordered)))


def _variance(fakes: Floats, reals: Floats, counts: list[int]) -> float:
    """Return the variance of the AUC from the contributions of each group's fakes and reals."""
    of_fakes, of_reals, of_both = (count / (count - 1) for count in (*counts, len(fakes)))
    both = 2 * of_both * (fakes * reals).sum()
    return float(of_fakes * (fakes**2).sum() + of_reals * (reals**2).sum() + both)


def student_t_factor(freedom: int) -> float:
    """Return the number of standard errors of a two-sided 95 % interval of Student's t.

    >>> round(student_t_factor(10), 4)
    2.2281
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
