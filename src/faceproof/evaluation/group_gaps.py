"""`rate_gap` and `metric_gap`: how far a figure differs between groups of people, and by chance.

A *gap* is the difference and the ratio between the groups with the highest and the lowest value,
as in fairlearn's ``MetricFrame``. It is never below 0, and the largest of many values is large by
chance too. So a gap has, beside its interval, the gap of groups into which people are sorted at
random, and a p-value.

Here a *member* is the group of people that a face belongs to; ``groups`` are the faces that must
be drawn together, as elsewhere: those of one person, one video, one original.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.evaluation.formulas import HALF, Bools, Floats, count_scores
from faceproof.evaluation.intervals import FEWEST_GROUPS, RESAMPLES, rate_interval, resamples
from faceproof.evaluation.metrics import METRICS
from faceproof.statistics import CONFIDENCE, Interval
from faceproof.tables import choose

Codes = NDArray[np.int64]
Statistic = Callable[[Codes, Floats], Floats]
"""From the member int64 [N] and the weight [N] of each face to the value of each member [K]."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Gap:
    """The gap of a figure between groups of people.

    ``ratio`` is the lowest value over the highest; None if all are 0, or if errors are too rare
    for an interval. ``chance`` is the gap that is exceeded in 5 % of random sortings of people into
    groups of these sizes, ``p`` how often one is at least as large as the one that was found.
    """

    highest: str
    lowest: str
    difference: float
    difference_interval: Interval
    ratio: float | None
    ratio_interval: Interval | None
    chance: float
    p: float


def rate_gap(
    hits: ArrayLike,
    members: ArrayLike,
    groups: ArrayLike,
    *,
    number: int = RESAMPLES,
    seed: int = 0,
) -> Gap:
    """Return the gap of the share of ``hits`` bool [N] between ``members`` str [N], two or more.

    The interval has the percentiles of a bootstrap over groups. Where fewer than `FEWEST_GROUPS`
    groups of a member have the rarer outcome, a bootstrap is too narrow, up to no width for no
    hit at all: the difference then has Newcombe's interval at the effective size, its upper end
    the highest of all pairs of members, and the ratio is not measured.

    Source: Newcombe 1998, Statistics in Medicine 17:873 (method 10).

    >>> found = rate_gap([1, 0, 0, 0], ["a", "a", "b", "b"], [0, 1, 2, 3], number=100)
    >>> found.highest, found.lowest, found.difference, found.ratio
    ('a', 'b', 0.5, None)
    """
    hit = np.asarray(hits, dtype=bool)
    names, codes = np.unique(np.asarray(members), return_inverse=True)

    def shares(of: Codes, weights: Floats) -> Floats:
        held = np.bincount(of, weights=weights, minlength=len(names))
        found = np.bincount(of, weights=weights * hit, minlength=len(names))
        rates: Floats = np.divide(found, held, out=np.full(len(names), np.nan), where=held > 0)
        return rates

    found = _find_gap(shares, names, codes, np.asarray(groups), number=number, seed=seed)
    if not _is_rare(hit, codes, np.asarray(groups)):
        return found
    parts = [(hit[codes == at], np.asarray(groups)[codes == at]) for at in range(len(names))]
    return _replace_difference(found, names.tolist(), parts)


def metric_gap(
    name: str,
    labels: ArrayLike,
    scores: ArrayLike,
    members: ArrayLike,
    groups: ArrayLike,
    *,
    number: int = RESAMPLES,
    seed: int = 0,
) -> Gap:
    """Return the gap of a metric free of thresholds: ``labels`` bool [N], ``scores`` float [N].

    Each of the ``members`` str [N] needs faces of both classes.

    Raises:
        UnknownChoiceError: ``name`` is not in `METRICS`.
    """
    metric = choose(METRICS, name, what="metric")
    fake, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    names, codes = np.unique(np.asarray(members), return_inverse=True)

    def values(of: Codes, weights: Floats) -> Floats:
        each = np.where(of[None] == np.arange(len(names))[:, None], weights, 0.0)
        held = np.array([each[:, kind].sum(axis=1) for kind in (fake, ~fake)]).min(axis=0) > 0
        found = np.full(len(names), np.nan)
        if held.any():
            found[held] = metric.formula(count_scores(fake, score, each[held]), HALF)
        return found

    return _find_gap(values, names, codes, np.asarray(groups), fake, number=number, seed=seed)


def _find_gap(
    statistic: Statistic,
    names: NDArray[np.str_],
    codes: Codes,
    groups: NDArray[np.str_],
    labels: Bools | None = None,
    *,
    number: int,
    seed: int,
) -> Gap:
    """Return the gap with bootstrap percentiles, and that of people sorted at random."""
    values = statistic(codes, np.ones(len(codes)))
    kinds = np.zeros(len(codes), dtype=bool) if labels is None else labels
    drawn = np.array(
        [
            statistic(codes, weights)
            for block in resamples(kinds, groups, number=number, seed=seed)
            for weights in block
        ]
    )
    difference, ratio = _compare(values[None])
    differences, ratios = _compare(drawn)
    shuffled = _shuffle_members(codes, groups, kinds, number=number, seed=seed)
    chance = _compare(np.array([statistic(one, np.ones(len(codes))) for one in shuffled]))[0]
    as_large = int((chance >= difference[0] - _ROUNDING).sum())
    known = bool(np.isfinite(ratio[0]))
    return Gap(
        highest=str(names[int(np.argmax(values))]),
        lowest=str(names[int(np.argmin(values))]),
        difference=float(difference[0]),
        difference_interval=_percentiles(differences, float(difference[0])),
        ratio=float(ratio[0]) if known else None,
        ratio_interval=_percentiles(ratios, float(ratio[0])) if known else None,
        chance=float(np.nanquantile(chance, CONFIDENCE)),
        p=(1 + as_large) / (1 + number),
    )


def _compare(values: Floats) -> tuple[Floats, Floats]:
    """Return highest minus lowest, and lowest over highest, of values [B, K]; float64 [B] each."""
    highest, lowest = np.nanmax(values, axis=1), np.nanmin(values, axis=1)
    ratio = np.divide(lowest, highest, out=np.full(len(values), np.nan), where=highest > 0)
    return np.asarray(highest - lowest), ratio


def _percentiles(drawn: Floats, value: float) -> Interval:
    """Return the central interval of drawn values [B], widened to the value."""
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(min(float(low), value), max(float(high), value))


def _shuffle_members(
    codes: Codes, groups: NDArray[np.str_], kinds: Bools, *, number: int, seed: int
) -> list[Codes]:
    """Return ``number`` times the members, each group having that of another of its class."""
    _, first, index = np.unique(groups, return_index=True, return_inverse=True)
    own, kind = codes[first], kinds[first]
    rng, made = np.random.default_rng(seed), []
    for _ in range(number):
        dealt = own.copy()
        for one in (False, True):
            places = np.flatnonzero(kind == one)
            dealt[places] = own[rng.permutation(places)]
        made.append(dealt[index])
    return made


def _is_rare(hit: Bools, codes: Codes, groups: NDArray[np.str_]) -> bool:
    """Return whether a member has few groups with a hit, or few without."""
    return any(
        len(np.unique(groups[(codes == code) & (hit == kind)])) < FEWEST_GROUPS
        for code in np.unique(codes)
        for kind in (False, True)
    )


def _replace_difference(
    found: Gap, names: list[str], parts: list[tuple[Bools, NDArray[np.str_]]]
) -> Gap:
    """Return a gap with Newcombe's interval of the difference, and without a ratio."""
    rates = [float(hits.mean()) for hits, _ in parts]
    ends = [rate_interval(hits, groups) for hits, groups in parts]

    def reach(one: int, other: int) -> Interval:
        difference = rates[one] - rates[other]
        down = math.hypot(rates[one] - ends[one].low, ends[other].high - rates[other])
        up = math.hypot(ends[one].high - rates[one], rates[other] - ends[other].low)
        return Interval(difference - down, min(1.0, difference + up))

    low = reach(names.index(found.highest), names.index(found.lowest)).low
    every = range(len(names))
    high = max(reach(one, other).high for one in every for other in every if one != other)
    interval = Interval(max(0.0, low), max(high, found.difference))
    return replace(found, difference_interval=interval, ratio=None, ratio_interval=None)
