"""What is measured: one table of pure functions, numpy alone, for one sample or many resamples.

A metric is a function of a `Tally` (B weightings of the same faces) and of two thresholds; it
returns B values. Fake is the positive class; scores are fake probabilities in [0, 1]. A rate is a
share in [0, 1], never a percentage.

The error rates follow ISO/IEC 30107-3 in spirit: BPCER for real faces called fake, APCER for fake
faces called real, reported per generator with the worst one named. A face between the two
thresholds is *unsure* and counts as neither error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation.tally import HALF, Bools, Floats, Tally, Thresholds, tally
from faceproof.tables import choose

ECE_BINS = 15
"""Bins of the expected calibration error, each with the same share of the faces."""


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, float64 [B]; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _roc(counts: Tally) -> tuple[Floats, Floats]:
    """Return false and true positive rate at each threshold from the highest down, [B, U + 1]."""
    rates = []
    for weight, whole in ((counts.real, counts.reals), (counts.fake, counts.fakes)):
        above = np.zeros((weight.shape[0], weight.shape[1] + 1))
        np.cumsum(weight[:, ::-1], axis=1, out=above[:, 1:])
        rates.append(above / whole[:, None])
    return rates[0], rates[1]


def roc_auc(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the chance that a fake scores above a real, ties half; float64 [B] in [0, 1].

    Source: Hanley and McNeil 1982, Radiology 143:29 (the Mann-Whitney form).
    """
    below = np.cumsum(counts.real, axis=1) - counts.real / 2
    return np.asarray((counts.fake * below).sum(axis=1) / (counts.reals * counts.fakes))


def average_precision(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the mean precision over the steps of recall, not interpolated; float64 [B] in [0, 1].

    Source: scikit-learn's `average_precision_score`. It depends on the share of fakes.
    """
    caught = np.cumsum(counts.fake[:, ::-1], axis=1)
    called = caught + np.cumsum(counts.real[:, ::-1], axis=1)
    return np.asarray((_share(caught, called) * counts.fake[:, ::-1]).sum(axis=1) / counts.fakes)


def accuracy(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of faces judged rightly, unsure taken as real; float64 [B] in [0, 1]."""
    alarms, caught = counts.from_score(at.fake_from)
    return _share(counts.reals - alarms + caught, counts.reals + counts.fakes)


def balanced_accuracy(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the mean of recall and 1 - BPCER, float64 [B] in [0, 1]: blind to the class mix."""
    return np.asarray((recall(counts, at) + 1 - bpcer(counts, at)) / 2)


def precision(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of fakes among faces called fake, float64 [B]; 0 where none was called fake.

    It depends on the share of fakes in the data, which is seldom the share in use.
    """
    alarms, caught = counts.from_score(at.fake_from)
    return _share(caught, caught + alarms)


def recall(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of fakes called fake, float64 [B] in [0, 1]."""
    return _share(counts.from_score(at.fake_from)[1], counts.fakes)


def f1(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the harmonic mean of precision and recall, float64 [B]; 0 where no fake was caught."""
    alarms, caught = counts.from_score(at.fake_from)
    return _share(2 * caught, caught + alarms + counts.fakes)


def bpcer(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of real faces called fake, float64 [B] in [0, 1].

    Source: ISO/IEC 30107-3 in spirit (bona fide presentation classification error rate).
    """
    return _share(counts.from_score(at.fake_from)[0], counts.reals)


def apcer(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of fake faces called real, float64 [B] in [0, 1].

    Source: ISO/IEC 30107-3 in spirit (attack presentation classification error rate), to be read
    per generator: `faceproof.evaluation.findings` gives it for each and names the worst.
    """
    return _share(counts.fakes - counts.from_score(at.real_below)[1], counts.fakes)


def unsure_rate(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (sum(counts.from_score(t)) for t in (at.real_below, at.fake_from))
    return _share(np.asarray(lower - upper), counts.reals + counts.fakes)


def real_unsure_rate(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of real faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (counts.from_score(t)[0] for t in (at.real_below, at.fake_from))
    return _share(lower - upper, counts.reals)


def fake_unsure_rate(counts: Tally, at: Thresholds = HALF) -> Floats:
    """Return the share of fake faces between the two thresholds, float64 [B] in [0, 1]."""
    lower, upper = (counts.from_score(t)[1] for t in (at.real_below, at.fake_from))
    return _share(lower - upper, counts.fakes)


def eer(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the rate at which false alarms and misses are equal, float64 [B] in [0, 1].

    The ROC curve is joined by straight lines and cut by the line on which both rates agree.
    """
    false, true = _roc(counts)
    gap = 1 - true - false
    after = np.argmax(gap <= 0, axis=1)[:, None]
    high, low = (np.take_along_axis(gap, i, axis=1) for i in (after - 1, after))
    part = high / (high - low)
    start, end = (np.take_along_axis(false, i, axis=1) for i in (after - 1, after))
    return np.asarray((start + part * (end - start))[:, 0])


def tpr_at_fpr_1(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the most fakes caught by a threshold with at most 1 % false alarms, float64 [B]."""
    false, true = _roc(counts)
    return np.asarray(np.where(false <= 0.01 + 1e-12, true, 0.0).max(axis=1))


def brier(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the mean squared error of the probabilities, float64 [B] in [0, 1].

    Source: Brier 1950, Monthly Weather Review 78:1.
    """
    p = counts.scores
    return _share(counts.real @ p**2 + counts.fake @ (1 - p) ** 2, counts.reals + counts.fakes)


def log_loss(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the mean negative log-likelihood in nats, float64 [B]; p kept off 0 and 1."""
    p = np.clip(counts.scores, 1e-15, 1 - 1e-15)
    cost = -(counts.real @ np.log1p(-p) + counts.fake @ np.log(p))
    return _share(cost, counts.reals + counts.fakes)


def ece(counts: Tally, _: Thresholds = HALF) -> Floats:
    """Return the expected calibration error over `ECE_BINS` equal-mass bins, float64 [B] in [0, 1].

    A bin's error is the distance between its mean probability and its share of fakes. Faces with
    the same score stay in one bin. It depends on the share of fakes in the data.

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


Outcome = Callable[[Bools, Floats, Thresholds], Bools]


class Metric(NamedTuple):
    """A metric and what it needs to know about the faces it is given."""

    compute: Callable[[Tally, Thresholds], Floats]
    needs: tuple[str, ...] = ("real", "fake")
    """The classes that must be present; a rate counts over these alone, or over all where none."""
    outcome: Outcome | None = None
    """For a plain share of faces: which of them count, bool [N] from labels and scores [N]."""
    at_thresholds: bool = True
    higher_is_better: bool | None = True
    """None where neither direction is good in itself."""


def _called_fake(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores >= at.fake_from)


def _called_real(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores < at.real_below)


def _unsure(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray((scores >= at.real_below) & (scores < at.fake_from))


def _right(labels: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(labels == (scores >= at.fake_from))


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(roc_auc, at_thresholds=False),
    "average_precision": Metric(average_precision, at_thresholds=False),
    "accuracy": Metric(accuracy, needs=(), outcome=_right),
    "balanced_accuracy": Metric(balanced_accuracy),
    "precision": Metric(precision),
    "recall": Metric(recall, needs=("fake",), outcome=_called_fake),
    "f1": Metric(f1),
    "bpcer": Metric(bpcer, needs=("real",), outcome=_called_fake, higher_is_better=False),
    "apcer": Metric(apcer, needs=("fake",), outcome=_called_real, higher_is_better=False),
    "unsure_rate": Metric(unsure_rate, needs=(), outcome=_unsure, higher_is_better=None),
    "real_unsure_rate": Metric(
        real_unsure_rate, needs=("real",), outcome=_unsure, higher_is_better=None
    ),
    "fake_unsure_rate": Metric(
        fake_unsure_rate, needs=("fake",), outcome=_unsure, higher_is_better=None
    ),
    "eer": Metric(eer, at_thresholds=False, higher_is_better=False),
    "tpr_at_fpr_1": Metric(tpr_at_fpr_1, at_thresholds=False),
    "brier": Metric(brier, at_thresholds=False, higher_is_better=False),
    "log_loss": Metric(log_loss, at_thresholds=False, higher_is_better=False),
    "ece": Metric(ece, at_thresholds=False, higher_is_better=False),
}


def missing_class(name: str, labels: ArrayLike) -> str | None:
    """Return the class ("real" or "fake") that a metric needs and the labels lack, or None."""
    fake = np.asarray(labels, dtype=bool)
    present = {"real": bool((~fake).any()), "fake": bool(fake.any())}
    needs = choose(METRICS, name, what="metric").needs
    return next((kind for kind in needs if not present[kind]), None)


def measure(
    labels: ArrayLike,
    scores: ArrayLike,
    at: Thresholds = HALF,
    *,
    names: Iterable[str] = tuple(METRICS),
) -> dict[str, float]:
    """Return the metrics called ``names`` of faces: labels bool [N] (true is fake), scores [N].

    Raises:
        UsageError: when a metric needs a class that is not there.
        UnknownChoiceError: when a name is not in `METRICS`.

    >>> measure([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], names=["roc_auc", "bpcer"])
    {'roc_auc': 0.75, 'bpcer': 0.5}
    """
    counts, values = tally(labels, scores), {}
    for name in names:
        if missing := missing_class(name, labels):
            raise UsageError(f"{name} needs {missing} faces, and among these there are none")
        values[name] = float(METRICS[name].compute(counts, at)[0])
    return values


def confusion(labels: ArrayLike, scores: ArrayLike, at: Thresholds = HALF) -> NDArray[np.int64]:
    """Return counts int64 [2, 3]: rows real and fake, columns called real, unsure, fake.

    >>> confusion([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], Thresholds(0.3, 0.7)).tolist()
    [[1, 1, 0], [0, 1, 1]]
    """
    fake, score = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    called = (score >= at.real_below).astype(np.int64) + (score >= at.fake_from)
    return np.bincount(fake * 3 + called, minlength=6).reshape(2, 3).astype(np.int64)
