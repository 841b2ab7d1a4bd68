"""How sure any metric is: the bootstrap over groups, with no loop over resamples.

Faces of one group (one person, one video, one original) are not independent, so groups are drawn
and not faces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.detector.calibration import sigmoid
from faceproof.evaluation.intervals import CONFIDENCE, Interval, clustered_size, wilson
from faceproof.evaluation.metrics import METRICS
from faceproof.evaluation.tally import HALF, Floats, Thresholds, tally
from faceproof.tables import choose

RESAMPLES = 1000
_BLOCK = 2_000_000


def resamples(
    labels: ArrayLike, groups: ArrayLike, *, number: int = RESAMPLES, seed: int = 0
) -> Iterator[Floats]:
    """Yield weights float64 [b, N], ``number`` rows in all: how often each face was drawn.

    Groups are drawn with replacement within three strata (real only, fake only, both), so that
    no resample lacks a class that is there.
    """
    fake = np.asarray(labels, dtype=bool)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    held = [np.bincount(index, weights=kind, minlength=len(names)) > 0 for kind in (~fake, fake)]
    strata = [np.flatnonzero(held[0] + 2 * held[1] == kind) for kind in (1, 2, 3)]
    rng, block = np.random.default_rng(seed), max(1, _BLOCK // len(fake))
    for start in range(0, number, block):
        counts = np.zeros((min(block, number - start), len(names)))
        for members in strata:
            counts[:, members] = _draws(len(members), len(counts), rng)
        yield counts[:, index]


def _draws(members: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return int64 [rows, members]: how often each of ``members`` comes up in as many draws."""
    drawn = rng.integers(0, max(members, 1), (rows, members))
    cells = (drawn + members * np.arange(rows)[:, None]).ravel()
    return np.bincount(cells, minlength=rows * members).reshape(rows, members).astype(np.int64)


def bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    at: Thresholds = HALF,
    *,
    names: Iterable[str],
    correlation: float = 1.0,
    number: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the interval of each metric called ``names``, over resampled groups.

    A value in (0, 1) gets a normal interval on the logit scale with the bootstrap's standard
    error, which keeps its coverage near 1 where percentiles lose it; any other value percentiles.
    Where all resamples agree (no error at all, or one group a class) the bootstrap knows nothing:
    Wilson's interval over what the rarer class is worth at the given ``correlation`` within a
    group (`faceproof.evaluation.intervals.intraclass`) stands in.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap; logit scale after Qin and
    Hotilovac 2008, Statistical Methods in Medical Research 17:207; clusters after Field and Welsh
    2007, JRSS B 69:369.
    """
    metrics = {name: choose(METRICS, name, what="metric") for name in names}
    if not metrics:
        return {}
    drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
    for weights in resamples(labels, groups, number=number, seed=seed):
        counts = tally(labels, scores, weights)
        for name, metric in metrics.items():
            drawn[name].append(metric.formula(counts, at))
    kinds = (np.asarray(labels, dtype=bool), ~np.asarray(labels, dtype=bool))
    worth = min(clustered_size(np.asarray(groups)[one], correlation) for one in kinds if one.any())
    counts = tally(labels, scores)
    return {
        name: _interval(float(metric.formula(counts, at)[0]), np.concatenate(drawn[name]), worth)
        for name, metric in metrics.items()
    }


def _interval(value: float, drawn: Floats, worth: float) -> Interval:
    """Return the interval of a metric from its value and its ``drawn`` values [B]."""
    error, share = float(drawn.std(ddof=1)), 0 <= value <= 1
    if error < 1e-12 and share:
        return wilson(value * worth, worth)
    if not 0 < value < 1:
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Interval(float(low), float(high))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error / (value * (1 - value))
    middle = math.log(value / (1 - value))
    low, high = sigmoid([middle - half, middle + half])
    return Interval(float(low), float(high))
