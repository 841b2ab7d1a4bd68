"""`rate_interval` and `bootstrap`: intervals for grouped faces.

Intervals are two-sided at 95 % unless documented otherwise.

Faces of one group (one person, one video, one original) are not independent. Rates therefore
use an effective number of faces, and the bootstrap draws groups instead of faces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import HALF, Floats, Thresholds, count_scores
from faceproof.evaluation.metrics import METRICS
from faceproof.statistics import CONFIDENCE, Interval, logit_interval, normal_errors, wilson
from faceproof.tables import choose

FEWEST_GROUPS = 10
"""With fewer groups for the rarer outcome, the clustering of a rate cannot be estimated."""


def clopper_pearson_upper(count: int, n: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided exact upper bound of a rate, used to check error budgets.

    Wilson's interval can undercover for the smallest rates; this bound never does.

    Source: Clopper and Pearson 1934, Biometrika 26:404.

    >>> round(clopper_pearson_upper(0, 299), 4)
    0.01
    """
    from scipy.special import betaincinv

    return 1.0 if count >= n else float(betaincinv(count + 1, n - count, confidence))


def faces_needed(budget: float, *, confidence: float = CONFIDENCE) -> int:
    """Return the number of faces without error needed to show a rate below ``budget``.

    >>> [faces_needed(budget) for budget in (0.05, 0.01, 0.005, 0.001)]
    [59, 299, 598, 2995]
    """
    if not 0 < budget < 1:
        raise UsageError(f"error budget {budget} is out of range: use a value between 0 and 1")
    return math.ceil(math.log(1 - confidence) / math.log1p(-budget))


def intraclass_correlation(scores: ArrayLike, groups: ArrayLike, strata: ArrayLike) -> float:
    """Return the correlation in [0, 1] of ``scores`` [N] within groups, after centring strata.

    Ranks are transformed to normal first. A binary outcome of such scores is less correlated than
    the scores, so this bounds the clustering of any error rate. 1 if it cannot be estimated.

    Source: one-way analysis of variance, Donner 1986, International Statistical Review 54:67.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    normal = _centre(_normal_ranks(np.asarray(scores, dtype=np.float64)), strata)
    sizes = np.bincount(group)
    n, count = len(normal), len(sizes)
    if count < 2 or count == n:
        return float(count < 2)
    means = np.bincount(group, weights=normal) / sizes
    between = (sizes * means**2).sum() / (count - 1)
    within = ((normal - means[group]) ** 2).sum() / (n - count)
    size = (n - (sizes**2).sum() / n) / (count - 1)
    spread = between + (size - 1) * within
    return float(np.clip((between - within) / spread, 0, 1)) if spread > 0 else 1.0


def _normal_ranks(scores: Floats) -> Floats:
    """Return the normal quantile of each score's mid-rank, float64 [N]."""
    _, place, repeats = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(repeats) - repeats / 2) / len(scores)
    quantile = NormalDist().inv_cdf
    return np.asarray(np.array([quantile(rank) for rank in ranks])[place].reshape(scores.shape))


def _centre(values: Floats, strata: ArrayLike) -> Floats:
    _, stratum = np.unique(np.asarray(strata), return_inverse=True)
    return values - (np.bincount(stratum, weights=values) / np.bincount(stratum))[stratum]


def clustered_size(groups: ArrayLike, correlation: float) -> float:
    """Return the effective number of independent faces in ``groups`` [N].

    Source: Kish 1965, Survey Sampling: N / (1 + (mean size over faces - 1) * correlation).

    >>> clustered_size(["a", "a", "b", "b"], 1.0), clustered_size(["a", "a", "b", "b"], 0.0)
    (2.0, 4.0)
    """
    sizes = np.unique(np.asarray(groups), return_counts=True)[1]
    n = float(sizes.sum())
    return n / (1 + (float((sizes**2).sum()) / n - 1) * correlation)


def effective_size(hits: ArrayLike, groups: ArrayLike, *, correlation: float = 1.0) -> float:
    """Return the effective number of faces for ``hits`` bool [N] in ``groups`` [N].

    It is the number of faces over the design effect of the rate's variance between groups. If
    fewer than `FEWEST_GROUPS` groups have the rarer outcome: `clustered_size` at ``correlation``.

    Source: Korn and Graubard 1998, Survey Methodology 24:193.
    """
    hit = np.asarray(hits, dtype=bool)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    n, count = len(hit), len(names)
    rarer = min(len(np.unique(index[hit])), len(np.unique(index[~hit])))
    if count == n or rarer < FEWEST_GROUPS:
        return clustered_size(index, correlation)
    rate = float(hit.mean())
    sums = np.bincount(index, weights=hit - rate)
    effect = (sums**2).sum() * count / (count - 1) / (n * rate * (1 - rate))
    return n / max(1.0, float(effect))


def rate_interval(hits: ArrayLike, groups: ArrayLike, *, correlation: float = 1.0) -> Interval:
    """Return Wilson's interval of the share of ``hits`` bool [N], at the effective size.

    Source: Dean and Pagano 2015, Journal of Survey Statistics and Methodology 3:484.
    """
    size = effective_size(hits, groups, correlation=correlation)
    return wilson(float(np.mean(np.asarray(hits, dtype=bool))) * size, size)


RESAMPLES = 1000
_BLOCK = 2_000_000


def resamples(
    labels: ArrayLike, groups: ArrayLike, *, number: int = RESAMPLES, seed: int = 0
) -> Iterator[Floats]:
    """Yield weights float64 [b, N], ``number`` rows in total: how often each face was drawn.

    ``labels`` [N] are classes, or finer cells. Groups are drawn with replacement within strata of
    those that have faces of the same labels (of two: real only, fake only, both), so that every
    resample has all labels.
    """
    label = np.asarray(labels)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    held = [
        np.bincount(index, weights=label == kind, minlength=len(names)) > 0
        for kind in np.unique(label)
    ]
    _, stratum = np.unique(np.stack(held[::-1], axis=1), axis=0, return_inverse=True)
    strata = [np.flatnonzero(stratum.ravel() == kind) for kind in range(stratum.max() + 1)]
    rng, block = np.random.default_rng(seed), max(1, _BLOCK // len(label))
    for start in range(0, number, block):
        counts = np.zeros((min(block, number - start), len(names)))
        for members in strata:
            counts[:, members] = _count_draws(len(members), len(counts), rng)
        yield counts[:, index]


def _count_draws(members: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return int64 [rows, members]: how often each of ``members`` is drawn in as many draws."""
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
    generators: ArrayLike | None = None,
    correlation: float = 1.0,
    number: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the interval of each metric called ``names``, over resampled groups.

    ``generators`` str [N] are needed by metrics of the worst generator.

    A value in (0, 1) gets a normal interval on the logit scale with the bootstrap's standard
    error, which keeps its coverage near 1, unlike percentiles; any other value gets percentiles.
    If all resamples agree (no error at all, or one group per class) the fallback is Wilson's
    interval at the effective size of the rarer class for ``correlation`` within a group
    (`faceproof.evaluation.intervals.intraclass_correlation`).

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap; logit scale after Qin and
    Hotilovac 2008, Statistical Methods in Medical Research 17:207; clusters after Field and Welsh
    2007, JRSS B 69:369.
    """
    metrics = {name: choose(METRICS, name, what="metric") for name in names}
    if not metrics:
        return {}
    drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
    for weights in resamples(labels, groups, number=number, seed=seed):
        counts = count_scores(labels, scores, weights, generators=generators)
        for name, metric in metrics.items():
            drawn[name].append(metric.formula(counts, at))
    worth = _smallest_class(labels, groups, None, correlation)
    worst = _smallest_class(labels, groups, generators, correlation)
    counts = count_scores(labels, scores, generators=generators)
    return {
        name: interval_from_draws(
            float(metric.formula(counts, at)[0]),
            np.concatenate(drawn[name]),
            worst if metric.of_worst_generator else worth,
        )
        for name, metric in metrics.items()
    }


def _smallest_class(
    labels: ArrayLike, groups: ArrayLike, generators: ArrayLike | None, correlation: float
) -> float:
    """Return the effective size of the rarer class, or of the rarest generator if known."""
    fake, group = np.asarray(labels, dtype=bool), np.asarray(groups)
    kind = np.where(fake, "fake", "real")
    if generators is not None:
        kind = np.char.add(kind, np.where(fake, np.asarray(generators, dtype=np.str_), ""))
    return min(clustered_size(group[kind == one], correlation) for one in np.unique(kind))


def interval_from_draws(value: float, drawn: Floats, worth: float) -> Interval:
    """Return the interval of a metric from its value and its ``drawn`` values [B], as `bootstrap`.

    ``worth`` is the effective number of faces, for draws that all agree.
    """
    error, share = float(drawn.std(ddof=1)), 0 <= value <= 1
    if error < 1e-12 and share:
        return wilson(value * worth, worth)
    if not 0 < value < 1:
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Interval(float(low), float(high))
    return logit_interval(value, error, errors=normal_errors())
