"""How sure any metric is: the bootstrap over groups, with no loop over resamples.

Faces of one group (one person, one video, one original) are not independent, so groups are drawn
and not faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """Return the percentile interval of each metric called ``names``, over resampled groups.

    Where all resamples agree (no error at all, or one group a class) the bootstrap knows nothing:
    for metrics in [0, 1], Wilson's interval over what the rarer class is worth at the given
    ``correlation`` within a group (`faceproof.evaluation.intervals.intraclass`) stands in.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; clusters after
    Field and Welsh 2007, JRSS B 69:369.
    """
    metrics = {name: choose(METRICS, name, what="metric") for name in names}
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    if not metrics:
        return {}
    for weights in resamples(labels, groups, number=number, seed=seed):
        counts = tally(labels, scores, weights)
        for name, metric in metrics.items():
            values[name].append(metric.formula(counts, at))
    kinds = (np.asarray(labels, dtype=bool), ~np.asarray(labels, dtype=bool))
    worth = min(clustered_size(np.asarray(groups)[one], correlation) for one in kinds if one.any())
    return {name: _percentiles(np.concatenate(v), worth) for name, v in values.items()}


def _percentiles(values: Floats, worth: float) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if high - low > 1e-12 or not 0 <= low <= 1:
        return Interval(float(low), float(high))
    return wilson(min(1.0, float(low)) * worth, worth)
