"""Formulas that data sets, detectors and evaluations share: sigmoid, ROC-AUC, intervals."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """The ends of an interval, both included."""

    low: float
    high: float


def sigmoid(logits: ArrayLike) -> Floats:
    """Return 1 / (1 + exp(-x)), float64 in [0, 1], without overflow for any x.

    >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def normal_errors(confidence: float = CONFIDENCE) -> float:
    """Return the number of standard errors on each side of a two-sided normal interval.

    >>> round(normal_errors(), 2)
    1.96
    """
    return NormalDist().inv_cdf((1 + confidence) / 2)


def logit_interval(share: float, error: float, *, errors: float) -> Interval:
    """Return an interval of a share in (0, 1) that is symmetric on the logit scale.

    ``error`` is the standard error of the share, ``errors`` how many of them lie on each side.

    >>> [round(end, 4) for end in logit_interval(0.9, 0.03, errors=2)]
    [0.8221, 0.946]
    """
    middle, half = math.log(share / (1 - share)), errors * error / (share * (1 - share))
    low, high = sigmoid([middle - half, middle + half])
    return Interval(float(low), float(high))


def mann_whitney(real: Floats, fake: Floats) -> Floats:
    """Return the chance that a fake scores above a real, ties half; float64 [B] in [0, 1].

    ``real`` and ``fake`` [B, U] are the weights at each distinct score, ascending.

    Source: Hanley and McNeil 1982, Radiology 143:29 (the Mann-Whitney form).
    """
    below = np.cumsum(real, axis=1) - real / 2
    return np.asarray((fake * below).sum(axis=1) / (real.sum(axis=1) * fake.sum(axis=1)))


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: labels bool [N] (true is fake), scores [N].

    >>> roc_auc([False, True, True], [0.1, 0.1, 0.9])
    0.75
    """
    fake = np.asarray(labels, dtype=bool)
    distinct, place = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    real_counts, fake_counts = (
        np.bincount(place[kind], minlength=len(distinct)).astype(np.float64)[None]
        for kind in (~fake, fake)
    )
    return float(mann_whitney(real_counts, fake_counts)[0])


def wilson(count: float, n: float, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the score interval of a rate; ``n`` may be an effective number and need not be whole.

    It keeps close to its promised coverage and never shrinks to a point, not even at 0 of n.

    Source: Wilson 1927, JASA 22:209; recommended by Brown, Cai and DasGupta 2001, Statistical
    Science 16:101.

    >>> [round(end, 4) for end in wilson(0, 100)]
    [0.0, 0.037]
    """
    z = normal_errors(confidence)
    p, spread = count / n, 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / spread
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / spread
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))
