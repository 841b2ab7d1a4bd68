"""Tally: how much weight the real and the fake faces have at each score.

Every metric is a function of a tally. A tally holds B weightings of the same faces at once, so
that the bootstrap of `faceproof.evaluation.intervals` needs no loop over resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Thresholds(NamedTuple):
    """Two thresholds on the fake probability: real below the first, fake from the second on."""

    real_below: float = 0.5
    fake_from: float = 0.5


HALF = Thresholds()


@dataclass(frozen=True)
class Tally:
    """Weights of real and fake faces at each distinct score, for B weightings of the same faces."""

    scores: Floats
    """float64 [U], strictly ascending."""
    real: Floats
    """float64 [B, U]: weight of the real faces with that score."""
    fake: Floats
    """float64 [B, U]: weight of the fake faces with that score."""

    @property
    def reals(self) -> Floats:
        """Return the weight of all real faces, float64 [B]."""
        return np.asarray(self.real.sum(axis=1))

    @property
    def fakes(self) -> Floats:
        """Return the weight of all fake faces, float64 [B]."""
        return np.asarray(self.fake.sum(axis=1))

    def from_score(self, threshold: float) -> tuple[Floats, Floats]:
        """Return the weight of real and of fake faces scored `threshold` or more, [B] each."""
        cut = np.searchsorted(self.scores, threshold, side="left")
        return self.real[:, cut:].sum(axis=1), self.fake[:, cut:].sum(axis=1)


def tally(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Tally:
    """Return the tally of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

    ``weights`` [N] or [B, N], not negative, counts a face more than once; one each when left out.

    Raises:
        UsageError: when lengths differ, nothing is there, or a score is not a number.

    >>> tally([False, True, True], [0.1, 0.9, 0.9]).fake.tolist()
    [[0.0, 2.0]]
    """
    fake, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    weight = np.atleast_2d(np.ones(score.shape) if weights is None else np.asarray(weights, float))
    _check(fake, score, weight)
    order = np.argsort(score, kind="stable")
    distinct, starts = np.unique(score[order], return_index=True)
    weight, fake = weight[:, order], fake[order]
    sums = [np.where(kind, weight, 0.0) for kind in (~fake, fake)]
    if len(distinct) < len(score):
        sums = [np.add.reduceat(one, starts, axis=1) for one in sums]
    return Tally(scores=distinct, real=sums[0], fake=sums[1])


def _check(fake: Bools, score: Floats, weight: Floats) -> None:
    if score.ndim != 1 or fake.shape != score.shape or weight.shape[1:] != score.shape:
        raise UsageError(
            f"labels, scores and weights must have one length, got {fake.shape}, {score.shape} "
            f"and {weight.shape}"
        )
    if not score.size:
        raise UsageError("no judged face to measure: check the split, the slice and the statuses")
    if not np.isfinite(score).all():
        raise UsageError("a score is not a finite number: leave faces that were not judged out")
