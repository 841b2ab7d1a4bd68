"""`delong`: the covariance of ROC-AUCs on the same faces, a test of their difference, and `holm`.

Faces of one group (one person, one video) are not independent. The covariance therefore sums the
structural components of a group before it multiplies them; with one face a group it is DeLong's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import Bools, Floats


@dataclass(frozen=True)
class AucCovariance:
    """The ROC-AUCs of D detectors on the same faces, and their covariance."""

    aucs: Floats
    """float64 [D] in [0, 1]."""
    covariance: Floats
    """float64 [D, D]."""

    def p_value(self, first: int, second: int) -> float | None:
        """Return the two-sided p-value of "both ROC-AUCs are equal", by the normal distribution.

        1 if neither the ROC-AUCs nor the order of the faces differ. None if the ROC-AUCs differ
        without any variance, as when one detector is always right and the other always wrong.
        """
        change = float(self.aucs[second] - self.aucs[first])
        parts = self.covariance
        variance = float(parts[first, first] + parts[second, second] - 2 * parts[first, second])
        if variance <= 1e-15:
            return 1.0 if abs(change) < 1e-12 else None
        return 2 * NormalDist().cdf(-abs(change) / math.sqrt(variance))


def delong(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> AucCovariance:
    """Return the ROC-AUCs of detectors and their covariance: labels bool [N], scores [D, N].

    ``groups`` [N] are drawn together; by default each face is a group of its own.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837; components by mid-ranks after
        Sun and Xu 2014, IEEE Signal Processing Letters 21:1389; groups after Obuchowski 1997,
        Biometrics 53:567.

    Raises:
        UsageError: shapes differ, a score is not finite, or a class has fewer than two groups.

    >>> found = delong([0, 0, 1, 1], [[0.1, 0.6, 0.4, 0.9]])
    >>> found.aucs.tolist(), found.covariance.tolist()
    ([0.75], [[0.125]])
    """
    fake, score = np.asarray(labels, dtype=bool), np.atleast_2d(np.asarray(scores, np.float64))
    group = np.arange(len(fake)) if groups is None else np.asarray(groups)
    _check(fake, score, group)
    of_fakes, of_reals = _components(fake, score)
    aucs = of_fakes.mean(axis=1)
    _, index = np.unique(group, return_inverse=True)
    sums = [
        _sum_groups(values - aucs[:, None], index[kind], index.max() + 1)
        for values, kind in ((of_fakes, fake), (of_reals, ~fake))
    ]
    held = [len(np.unique(index[kind])) for kind in (fake, ~fake)]
    fakes, reals = sum(fake), sum(~fake)
    covariance = sum(
        _scale(count) * one @ one.T / size**2
        for one, count, size in zip(sums, held, (fakes, reals), strict=True)
    )
    both = _scale(int(index.max()) + 1) * sums[0] @ sums[1].T / (fakes * reals)
    return AucCovariance(aucs, np.asarray(covariance + both + both.T))


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values [K] adjusted for K comparisons, float64 [K] in [0, 1].

    The chance that any true hypothesis has an adjusted p-value of at most a is at most a.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.

    Raises:
        UsageError: a value is outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise UsageError("a p-value is outside [0, 1]")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _check(fake: Bools, score: Floats, group: NDArray[np.generic]) -> None:
    if score.ndim != 2 or score.shape[1:] != fake.shape or group.shape != fake.shape:
        raise UsageError(
            f"labels [N], scores [D, N] and groups [N] must agree, got shapes {fake.shape}, "
            f"{score.shape} and {group.shape}"
        )
    if not np.isfinite(score).all():
        raise UsageError("a score is not a finite number: exclude faces that were not judged")
    if min(len(np.unique(group[kind])) for kind in (fake, ~fake)) < 2:
        raise UsageError("a test of ROC-AUCs needs at least two groups of real and of fake faces")


def _components(fake: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Return the structural components: of the fakes [D, M] and of the reals [D, N].

    That of a fake is the share of reals below it, that of a real the share of fakes above it, ties
    half.
    """
    from scipy.stats import rankdata

    together = rankdata(score, axis=1)
    fakes, reals = (rankdata(score[:, kind], axis=1) for kind in (fake, ~fake))
    return (
        (together[:, fake] - fakes) / reals.shape[1],
        1 - (together[:, ~fake] - reals) / fakes.shape[1],
    )


def _sum_groups(values: Floats, index: NDArray[np.intp], number: int) -> Floats:
    """Return the sums of values [D, K] in each group, [D, number]."""
    return np.stack([np.bincount(index, weights=row, minlength=number) for row in values])


def _scale(groups: int) -> float:
    return groups / (groups - 1)
