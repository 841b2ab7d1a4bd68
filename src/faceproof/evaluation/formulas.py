"""Metric formulas: functions of a `ScoreCounts` of B weightings and two thresholds to B values.

Fake is the positive class; scores are fake probabilities in [0, 1]. A rate is a share in [0, 1],
never a percentage. The error rates follow ISO/IEC 30107-3 in spirit: BPCER for real faces called
fake, APCER for fake faces called real, reported per generator with the worst one named. A face
between the two thresholds is *unsure* and counts as neither error.

A tally holds B weightings of the same faces at once, so that the bootstrap of
`faceproof.evaluation.intervals` needs no loop over resamples.

Each curve has one point for each distinct score, so that ties have no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.statistics import mann_whitney

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Thresholds(NamedTuple):
    """Two thresholds on the fake probability: real below the first, fake from the second on."""

    real_below: float = 0.5
    fake_from: float = 0.5


HALF = Thresholds()


class GeneratorCounts(NamedTuple):
    """Weights of the fakes of one generator, one column a face; scores may repeat."""

    scores: Floats
    """float64 [F], ascending."""
    fake: Floats
    """float64 [B, F]."""


@dataclass(frozen=True)
class ScoreCounts:
    """Weights of real and fake faces at each distinct score, for B weightings of the same faces."""

    scores: Floats
    """float64 [U], strictly ascending."""
    real: Floats
    """float64 [B, U]: weight of the real faces with that score."""
    fake: Floats
    """float64 [B, U]: weight of the fake faces with that score."""
    by_generator: tuple[GeneratorCounts, ...] = ()
    """The fakes of each generator; empty if the generators are not known."""

    @cached_property
    def real_above(self) -> Floats:
        """Weight of the real faces in the k highest scores, k = 0 to U; float64 [B, U + 1]."""
        return _cumulate_from_above(self.real)

    @cached_property
    def fake_above(self) -> Floats:
        """Weight of the fake faces in the k highest scores, k = 0 to U; float64 [B, U + 1]."""
        return _cumulate_from_above(self.fake)

    @property
    def reals(self) -> Floats:
        """Return the weight of all real faces, float64 [B]."""
        return np.asarray(self.real_above[:, -1])

    @property
    def fakes(self) -> Floats:
        """Return the weight of all fake faces, float64 [B]."""
        return np.asarray(self.fake_above[:, -1])

    def from_score(self, threshold: float) -> tuple[Floats, Floats]:
        """Return the weight of real and of fake faces scored `threshold` or more, [B] each."""
        count = len(self.scores) - np.searchsorted(self.scores, threshold, side="left")
        return self.real_above[:, count], self.fake_above[:, count]


def _cumulate_from_above(weight: Floats) -> Floats:
    above = np.zeros((weight.shape[0], weight.shape[1] + 1))
    np.cumsum(weight[:, ::-1], axis=1, out=above[:, 1:])
    return above


def count_scores(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    generators: ArrayLike | None = None,
) -> ScoreCounts:
    """Return the tally of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

    ``weights`` [N] or [B, N], not negative, count a face more than once; default 1.
    ``generators`` str [N] keep the fakes of each generator apart for the rates that report the
    worst of them; by default all fakes are of one.

    Raises:
        UsageError: the lengths differ, there are no faces, or a score is not finite.

    >>> count_scores([False, True, True], [0.1, 0.9, 0.9]).fake.tolist()
    [[0.0, 2.0]]
    """
    fake, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    weight = np.atleast_2d(np.ones(score.shape) if weights is None else np.asarray(weights, float))
    _check(fake, score, weight)
    order = np.argsort(score, kind="stable")
    distinct, starts = np.unique(score[order], return_index=True)
    weight, fake, score = weight[:, order], fake[order], score[order]
    sums = [np.where(kind, weight, 0.0) for kind in (~fake, fake)]
    if len(distinct) < len(score):
        sums = [np.add.reduceat(one, starts, axis=1) for one in sums]
    parts = () if generators is None else _split(fake, score, weight, np.asarray(generators)[order])
    return ScoreCounts(scores=distinct, real=sums[0], fake=sums[1], by_generator=parts)


def _split(
    fake: Bools, score: Floats, weight: Floats, generator: NDArray[Any]
) -> tuple[GeneratorCounts, ...]:
    """Return the fakes of each generator; the scores ascend."""
    places = (np.flatnonzero(fake & (generator == one)) for one in np.unique(generator[fake]))
    return tuple(GeneratorCounts(score[at], weight[:, at]) for at in places)


def _check(fake: Bools, score: Floats, weight: Floats) -> None:
    if score.ndim != 1 or fake.shape != score.shape or weight.shape[1:] != score.shape:
        raise UsageError(
            f"labels, scores and weights must have one length, got shapes {fake.shape}, "
            f"{score.shape} and {weight.shape}"
        )
    if not score.size:
        raise UsageError("no judged face to measure: check the split, the slice and the statuses")
    if not np.isfinite(score).all():
        raise UsageError("a score is not a finite number: exclude faces that were not judged")


_ROUNDING = 1e-12

ECE_BINS = 15
"""Bins of the expected calibration error, each with the same share of the faces."""


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, float64 [B]; 0 if the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _roc(counts: ScoreCounts) -> tuple[Floats, Floats]:
    """Return false and true positive rate at each threshold from the highest down, [B, U + 1]."""
    return counts.real_above / counts.reals[:, None], counts.fake_above / counts.fakes[:, None]


def roc_auc(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the probability that a fake scores above a real, ties half; float64 [B] in [0, 1].

    Source: `faceproof.statistics.mann_whitney`.
    """
    return mann_whitney(counts.real, counts.fake)


def average_precision(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the mean precision over the steps of recall, not interpolated; float64 [B] in [0, 1].

    Source: scikit-learn's `average_precision_score`. It depends on the share of fakes.
    """
    caught = counts.fake_above[:, 1:]
    called = caught + counts.real_above[:, 1:]
    return np.asarray((_share(caught, called) * counts.fake[:, ::-1]).sum(axis=1) / counts.fakes)


def accuracy(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of correct verdicts, unsure counted as real; float64 [B] in [0, 1]."""
    alarms, caught = counts.from_score(at.fake_from)
    return _share(counts.reals - alarms + caught, counts.reals + counts.fakes)


def balanced_accuracy(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the mean of recall and 1 - BPCER, float64 [B] in [0, 1]: independent of class mix."""
    return np.asarray((recall(counts, at) + 1 - bpcer(counts, at)) / 2)


def precision(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of fakes among faces called fake, float64 [B]; 0 if none was called fake.

    It depends on the share of fakes in the data, which seldom equals the share in use.
    """
    alarms, caught = counts.from_score(at.fake_from)
    return _share(caught, caught + alarms)


def recall(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of fakes called fake, float64 [B] in [0, 1]."""
    return _share(counts.from_score(at.fake_from)[1], counts.fakes)


def f1(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the harmonic mean of precision and recall, float64 [B]; 0 if no fake was caught."""
    alarms, caught = counts.from_score(at.fake_from)
    return _share(2 * caught, caught + alarms + counts.fakes)


def bpcer(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of real faces called fake, float64 [B] in [0, 1].

    Source: ISO/IEC 30107-3 in spirit (bona fide presentation classification error rate).
    """
    return _share(counts.from_score(at.fake_from)[0], counts.reals)


def apcer(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of fake faces called real, float64 [B] in [0, 1].

    Source: ISO/IEC 30107-3 in spirit (attack presentation classification error rate). Report it
    per generator: `faceproof.evaluation.findings` computes it for each.
    """
    return _share(counts.fakes - counts.from_score(at.real_below)[1], counts.fakes)


def unsure_rate(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (sum(counts.from_score(t)) for t in (at.real_below, at.fake_from))
    return _share(np.asarray(lower - upper), counts.reals + counts.fakes)


def real_unsure_rate(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of real faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (counts.from_score(t)[0] for t in (at.real_below, at.fake_from))
    return _share(lower - upper, counts.reals)


def fake_unsure_rate(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of fake faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (counts.from_score(t)[1] for t in (at.real_below, at.fake_from))
    return _share(lower - upper, counts.fakes)


def real_coverage(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of real faces not called fake, float64 [B] in [0, 1]: real or unsure.

    Source: coverage of a prediction set, Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a
    Random World; `unsure` is the set of both classes.
    """
    return np.asarray(1 - bpcer(counts, at))


def fake_coverage(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the share of fake faces not called real, float64 [B] in [0, 1]: fake or unsure."""
    return np.asarray(1 - apcer(counts, at))


def eer(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the equal error rate of false alarms and misses, float64 [B] in [0, 1].

    The ROC curve is interpolated linearly and intersected with the line of equal rates.
    """
    false, true = _roc(counts)
    gap = 1 - true - false
    after = np.argmax(gap <= 0, axis=1)[:, None]
    high, low = (np.take_along_axis(gap, i, axis=1) for i in (after - 1, after))
    part = high / (high - low)
    start, end = (np.take_along_axis(false, i, axis=1) for i in (after - 1, after))
    return np.asarray((start + part * (end - start))[:, 0])


def tpr_at_fpr_5(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the highest recall of a threshold with at most 5 % false alarms, float64 [B]."""
    return _tpr_at_fpr(counts, 0.05)


def tpr_at_fpr_1(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the highest recall of a threshold with at most 1 % false alarms, float64 [B]."""
    return _tpr_at_fpr(counts, 0.01)


def tpr_at_fpr_0_5(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the highest recall of a threshold with at most 0.5 % false alarms, float64 [B]."""
    return _tpr_at_fpr(counts, 0.005)


def tpr_at_fpr_0_1(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the highest recall of a threshold with at most 0.1 % false alarms, float64 [B]."""
    return _tpr_at_fpr(counts, 0.001)


def _tpr_at_fpr(counts: ScoreCounts, limit: float) -> Floats:
    last = (_reach(counts.real_above, limit) - 1)[:, None]
    return np.take_along_axis(counts.fake_above, last, axis=1)[:, 0] / counts.fakes


def _reach(above: Floats, limit: float) -> NDArray[np.intp]:
    """Return how many of the ascending weights [B, K] are at most ``limit`` of the last, [B]."""
    limits = (limit + _ROUNDING) * above[:, -1]
    pairs = zip(above, limits, strict=True)
    return np.array([np.searchsorted(row, one, side="right") for row, one in pairs], np.intp)


def partial_auc_5(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the area under the ROC curve up to 5 % false alarms, standardised; float64 [B].

    McClish's standardisation: 0.5 is chance, 1 is perfect, and a curve below chance is under 0.5.

    Source: McClish 1989, Medical Decision Making 9:190; scikit-learn's `roc_auc_score(max_fpr=)`.
    """
    limit = 0.05
    stop = int(_reach(counts.real_above, limit).max()) + 1
    x = counts.real_above[:, :stop] / counts.reals[:, None]
    y = counts.fake_above[:, :stop] / counts.fakes[:, None]
    run, rise = np.diff(x, axis=1), np.diff(y, axis=1)
    within = np.clip(limit - x[:, :-1], 0, run)
    slope = np.divide(rise, run, out=np.zeros_like(run), where=run > 0)
    area = (within * (y[:, :-1] + slope * within / 2)).sum(axis=1)
    chance = limit**2 / 2
    return np.asarray((1 + (area - chance) / (limit - chance)) / 2)


def brier(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the mean squared error of the probabilities, float64 [B] in [0, 1].

    Source: Brier 1950, Monthly Weather Review 78:1.
    """
    p = counts.scores
    return _share(counts.real @ p**2 + counts.fake @ (1 - p) ** 2, counts.reals + counts.fakes)


def log_loss(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the mean negative log-likelihood in nats, float64 [B]; p is clipped off 0 and 1."""
    p = np.clip(counts.scores, 1e-15, 1 - 1e-15)
    cost = -(counts.real @ np.log1p(-p) + counts.fake @ np.log(p))
    return _share(cost, counts.reals + counts.fakes)


def ece(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the expected calibration error over `ECE_BINS` equal-mass bins, float64 [B] in [0, 1].

    A bin's error is the distance between its mean probability and its share of fakes. Faces with
    the same score stay in one bin. It depends on the share of fakes in the data, and is biased
    upwards: it exceeds 0 on finitely many faces even for calibrated probabilities.

    Source: Naeini et al. 2015, AAAI; equal mass after Roelofs et al. 2022, AISTATS (less biased).
    """
    mass = counts.real + counts.fake
    total = mass.sum(axis=1, keepdims=True)
    middle = (np.cumsum(mass, axis=1) - mass / 2) / total
    bins = np.minimum((middle * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    cells = (bins + ECE_BINS * np.arange(len(mass))[:, None]).ravel()
    gap = (mass * counts.scores - counts.fake).ravel()
    sums = np.bincount(cells, weights=gap, minlength=ECE_BINS * len(mass))
    return np.asarray(np.abs(sums).reshape(len(mass), ECE_BINS).sum(axis=1) / total[:, 0])


@dataclass(frozen=True)
class _Roc:
    """False and true positive rate, float64 [U + 1] each, from "nothing is fake"."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats
    """float64 [U + 1]: infinite first, then the distinct scores from the highest down."""


@dataclass(frozen=True)
class _PrecisionRecall:
    """Precision and recall, float64 [U] each, from the highest threshold down."""

    precision: Floats
    recall: Floats
    thresholds: Floats
    """float64 [U]: the distinct scores from the highest down."""


@dataclass(frozen=True)
class Reliability:
    """Bins of faces by probability, without empty bins."""

    mean_probability: Floats
    """float64 [K]: mean probability of each bin."""
    share_fake: Floats
    """float64 [K]: share of fakes in each bin."""
    counts: NDArray[np.int64]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> _Roc:
    """Return the ROC curve of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

    Raises:
        UsageError: there is only one class.

    >>> roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).true_positive_rate.tolist()
    [0.0, 0.5, 0.5, 1.0, 1.0]
    """
    counts = _count_both_classes(labels, scores)
    real, fake = counts.real_above[0], counts.fake_above[0]
    return _Roc(
        real / real[-1],
        fake / fake[-1],
        np.append(np.inf, counts.scores[::-1]),
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> _PrecisionRecall:
    """Return the precision-recall curve of faces: labels bool [N] (true is fake), scores [N].

    Raises:
        UsageError: there is only one class.

    >>> precision_recall_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).recall.tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    counts = _count_both_classes(labels, scores)
    real, fake = counts.real_above[0, 1:], counts.fake_above[0, 1:]
    return _PrecisionRecall(fake / (real + fake), fake / fake[-1], counts.scores[::-1])


def reliability(labels: ArrayLike, scores: ArrayLike, *, bins: int = ECE_BINS) -> Reliability:
    """Return predicted probability against share of fakes, in ``bins`` bins of equal mass.

    The bins are the same as in `faceproof.evaluation.formulas.ece`: ties share a bin.

    >>> reliability([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], bins=2).share_fake.tolist()
    [0.5, 0.5]
    """
    counts = count_scores(labels, scores)
    fake, mass = counts.fake[0], counts.real[0] + counts.fake[0]
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    index = np.minimum((middle * bins).astype(np.intp), bins - 1)
    held, predicted, fakes = (
        np.bincount(index, weights=weight, minlength=bins)
        for weight in (mass, mass * counts.scores, fake)
    )
    there = held > 0
    return Reliability(
        predicted[there] / held[there], fakes[there] / held[there], held[there].astype(np.int64)
    )


def _count_both_classes(labels: ArrayLike, scores: ArrayLike) -> ScoreCounts:
    counts = count_scores(labels, scores)
    if not (counts.reals[0] and counts.fakes[0]):
        raise UsageError("a curve needs real and fake faces, but there is only one class")
    return counts
