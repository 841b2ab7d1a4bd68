"""`METRICS`: the table of metrics, pure functions of labels, scores and thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation import formulas
from faceproof.evaluation.formulas import HALF, Bools, Floats, ScoreCounts, Thresholds, count_scores
from faceproof.tables import choose

Outcome = Callable[[Bools, Floats, Thresholds], Bools]


@dataclass(frozen=True)
class Metric:
    """A metric: its formula, required classes and counted faces."""

    formula: Callable[[ScoreCounts, Thresholds], Floats]
    needs: tuple[str, ...] = ("real", "fake")
    """The required classes; a rate counts only these, or all faces if empty."""
    outcome: Outcome | None = None
    """For a share of faces: function from labels and scores [N] to the hits, bool [N]."""
    at_thresholds: bool = True
    higher_is_better: bool | None = True
    """None if neither direction is better."""

    def __call__(self, labels: ArrayLike, scores: ArrayLike, at: Thresholds = HALF) -> float:
        """Return the metric of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

        Raises:
            UsageError: a required class is missing.
        """
        if missing := self.missing_class(labels):
            name = self.formula.__name__
            raise UsageError(f"{name} needs {missing} faces, but there are none")
        return float(self.formula(count_scores(labels, scores), at)[0])

    def missing_class(self, labels: ArrayLike) -> str | None:
        """Return the required class ("real" or "fake") that is missing in the labels, or None."""
        fake = np.asarray(labels, dtype=bool)
        present = {"real": bool((~fake).any()), "fake": bool(fake.any())}
        return next((kind for kind in self.needs if not present[kind]), None)


def _is_called_fake(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores >= at.fake_from)


def _is_called_real(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores < at.real_below)


def _is_not_called_fake(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores < at.fake_from)


def _is_not_called_real(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(scores >= at.real_below)


def _is_unsure(_: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray((scores >= at.real_below) & (scores < at.fake_from))


def _is_right(labels: Bools, scores: Floats, at: Thresholds) -> Bools:
    return np.asarray(labels == (scores >= at.fake_from))


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(formulas.roc_auc, at_thresholds=False),
    "average_precision": Metric(formulas.average_precision, at_thresholds=False),
    "accuracy": Metric(formulas.accuracy, needs=(), outcome=_is_right),
    "balanced_accuracy": Metric(formulas.balanced_accuracy),
    "precision": Metric(formulas.precision),
    "recall": Metric(formulas.recall, needs=("fake",), outcome=_is_called_fake),
    "f1": Metric(formulas.f1),
    "bpcer": Metric(
        formulas.bpcer, needs=("real",), outcome=_is_called_fake, higher_is_better=False
    ),
    "apcer": Metric(
        formulas.apcer, needs=("fake",), outcome=_is_called_real, higher_is_better=False
    ),
    "unsure_rate": Metric(
        formulas.unsure_rate, needs=(), outcome=_is_unsure, higher_is_better=None
    ),
    "real_unsure_rate": Metric(
        formulas.real_unsure_rate, needs=("real",), outcome=_is_unsure, higher_is_better=None
    ),
    "fake_unsure_rate": Metric(
        formulas.fake_unsure_rate, needs=("fake",), outcome=_is_unsure, higher_is_better=None
    ),
    "real_coverage": Metric(formulas.real_coverage, needs=("real",), outcome=_is_not_called_fake),
    "fake_coverage": Metric(formulas.fake_coverage, needs=("fake",), outcome=_is_not_called_real),
    "eer": Metric(formulas.eer, at_thresholds=False, higher_is_better=False),
    "tpr_at_fpr_1": Metric(formulas.tpr_at_fpr_1, at_thresholds=False),
    "brier": Metric(formulas.brier, at_thresholds=False, higher_is_better=False),
    "log_loss": Metric(formulas.log_loss, at_thresholds=False, higher_is_better=False),
    "ece": Metric(formulas.ece, at_thresholds=False, higher_is_better=False),
}

roc_auc = METRICS["roc_auc"]
"""The area under the ROC curve, in [0, 1], watched in training; scores need only be ordered."""


def measure(
    labels: ArrayLike,
    scores: ArrayLike,
    at: Thresholds = HALF,
    *,
    names: Iterable[str] = tuple(METRICS),
) -> dict[str, float]:
    """Return the metrics called ``names`` of faces: labels bool [N] (true is fake), scores [N].

    Raises:
        UsageError: a metric's required class is missing.
        UnknownChoiceError: a name is not in `METRICS`.

    >>> measure([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], names=["roc_auc", "bpcer"])
    {'roc_auc': 0.75, 'bpcer': 0.5}
    """
    return {name: choose(METRICS, name, what="metric")(labels, scores, at) for name in names}


def count_verdicts(
    labels: ArrayLike, scores: ArrayLike, at: Thresholds = HALF
) -> NDArray[np.int64]:
    """Return counts int64 [2, 3]: rows real and fake, columns called real, unsure, fake.

    >>> count_verdicts([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], Thresholds(0.3, 0.7)).tolist()
    [[1, 1, 0], [0, 1, 1]]
    """
    fake, score = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    called = (score >= at.real_below).astype(np.int64) + (score >= at.fake_from)
    return np.bincount(fake * 3 + called, minlength=6).reshape(2, 3).astype(np.int64)
