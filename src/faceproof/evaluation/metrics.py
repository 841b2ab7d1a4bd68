"""`METRICS`: the table of metrics, pure functions of labels, scores and thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation import attack_formulas, formulas
from faceproof.evaluation.formulas import HALF, Bools, Floats, ScoreCounts, Thresholds, count_scores
from faceproof.tables import choose

Outcome = Callable[[Bools, Floats, Thresholds], Bools]
Formula = Callable[[ScoreCounts, Thresholds], Floats]


class Tail(NamedTuple):
    """The class whose rarest faces a metric reads, and their share of the class."""

    kind: Literal["real", "fake"]
    """``fake``: the fakes of each generator, apart from the others."""
    share: float

    @property
    def fewest(self) -> int:
        """The number of groups in which the share is one group."""
        return math.ceil(1 / self.share - 1e-9)


@dataclass(frozen=True)
class GroupNumbers:
    """Numbers of groups of real faces, of fakes, and of the fakes of each generator."""

    real: int
    fake: int
    by_generator: Mapping[str, int]


def count_groups(
    labels: ArrayLike, groups: ArrayLike | None = None, generators: ArrayLike | None = None
) -> GroupNumbers:
    """Return how many groups each class has: labels bool [N], groups and generators str [N].

    Without ``groups`` each face is a group of its own; without ``generators`` all fakes are of one,
    named "".

    >>> count_groups([0, 0, 1], ["a", "a", "b"])
    GroupNumbers(real=1, fake=1, by_generator={'': 1})
    """
    fake = np.asarray(labels, dtype=bool)
    group = np.arange(len(fake)) if groups is None else np.asarray(groups)
    generator = np.full(len(fake), "") if generators is None else np.asarray(generators)
    return GroupNumbers(
        real=len(np.unique(group[~fake])),
        fake=len(np.unique(group[fake])),
        by_generator={
            str(name): len(np.unique(group[fake & (generator == name)]))
            for name in np.unique(generator[fake])
        },
    )


@dataclass(frozen=True)
class Metric:
    """A metric: its formula, required classes and counted faces."""

    formula: Formula
    needs: tuple[str, ...] = ("real", "fake")
    """The required classes; a rate counts only these, or all faces if empty."""
    outcome: Outcome | None = None
    """For a share of faces: function from labels and scores [N] to the hits, bool [N]."""
    at_thresholds: bool = True
    higher_is_better: bool | None = True
    """None if neither direction is better."""
    tail: Tail | None = None
    """For a metric of rare faces: which. With too few groups for one of them it is refused."""
    reads: Literal["order", "probability"] = "order"
    """``probability``: scores must be probabilities; ``order``: any finite scores will do."""
    of_worst_generator: bool = False

    def __call__(
        self,
        labels: ArrayLike,
        scores: ArrayLike,
        at: Thresholds = HALF,
        *,
        generators: ArrayLike | None = None,
    ) -> float:
        """Return the metric of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

        Raises:
            UsageError: a required class is missing, or the faces are too few for the metric.
        """
        if reason := self.refusal(count_groups(labels, None, generators)):
            raise UsageError(reason)
        return float(self.formula(count_scores(labels, scores, generators=generators), at)[0])

    @property
    def compares_generators(self) -> bool:
        """Whether it says nothing new about the fakes of a single generator."""
        return self.of_worst_generator and self.needs == ("fake",)

    @property
    def name(self) -> str:
        """The key in `METRICS`."""
        return self.formula.__name__

    def refusal(self, numbers: GroupNumbers) -> str | None:
        """Return why the metric cannot be computed from so many groups, or None.

        >>> METRICS["tpr_at_fpr_0_1"].refusal(count_groups([0] * 200 + [1]))
        'tpr_at_fpr_0_1 needs at least 1,000 groups of real faces, but there are 200'
        """
        for kind in self.needs:
            if not getattr(numbers, kind):
                return f"{self.name} needs {kind} faces, but there are none"
        for kind, count in self.tail_groups(numbers).items():
            if self.tail and count < self.tail.fewest:
                return (
                    f"{self.name} needs at least {self.tail.fewest:,} groups of {kind}, "
                    f"but there are {count:,}"
                )
        return None

    def tail_groups(self, numbers: GroupNumbers) -> dict[str, int]:
        """Return the number of groups of each kind of faces whose tail the metric reads."""
        if self.tail is None:
            return {}
        if self.tail.kind == "real":
            return {"real faces": numbers.real}
        return {
            f"fakes of generator {name}" if name else "fakes": count
            for name, count in numbers.by_generator.items()
        }

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


def _of_rare_reals(formula: Formula, share: float) -> Metric:
    return Metric(formula, at_thresholds=False, tail=Tail("real", share))


def _bpcer_at_apcer(formula: Formula, share: float) -> Metric:
    return Metric(
        formula,
        at_thresholds=False,
        higher_is_better=False,
        tail=Tail("fake", share),
        of_worst_generator=True,
    )


def _of_probabilities(formula: Formula) -> Metric:
    return Metric(formula, at_thresholds=False, higher_is_better=False, reads="probability")


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
    "worst_apcer": Metric(
        attack_formulas.worst_apcer,
        needs=("fake",),
        higher_is_better=False,
        of_worst_generator=True,
    ),
    "acer": Metric(attack_formulas.acer, higher_is_better=False, of_worst_generator=True),
    "bpcer10": _bpcer_at_apcer(attack_formulas.bpcer10, 1 / 10),
    "bpcer20": _bpcer_at_apcer(attack_formulas.bpcer20, 1 / 20),
    "bpcer100": _bpcer_at_apcer(attack_formulas.bpcer100, 1 / 100),
    "eer": Metric(formulas.eer, at_thresholds=False, higher_is_better=False),
    "tpr_at_fpr_5": _of_rare_reals(formulas.tpr_at_fpr_5, 0.05),
    "tpr_at_fpr_1": _of_rare_reals(formulas.tpr_at_fpr_1, 0.01),
    "tpr_at_fpr_0_5": _of_rare_reals(formulas.tpr_at_fpr_0_5, 0.005),
    "tpr_at_fpr_0_1": _of_rare_reals(formulas.tpr_at_fpr_0_1, 0.001),
    "partial_auc_5": _of_rare_reals(formulas.partial_auc_5, 0.05),
    "brier": _of_probabilities(formulas.brier),
    "log_loss": _of_probabilities(formulas.log_loss),
    "ece": _of_probabilities(formulas.ece),
}

roc_auc = METRICS["roc_auc"]
"""The area under the ROC curve, in [0, 1], watched in training; scores need only be ordered."""


def measure(
    labels: ArrayLike,
    scores: ArrayLike,
    at: Thresholds = HALF,
    *,
    names: Iterable[str] = tuple(METRICS),
    generators: ArrayLike | None = None,
) -> dict[str, float]:
    """Return the metrics called ``names`` of faces: labels bool [N] (true is fake), scores [N].

    Raises:
        UsageError: a metric's required class is missing, or the faces are too few for it.
        UnknownChoiceError: a name is not in `METRICS`.

    >>> measure([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], names=["roc_auc", "bpcer"])
    {'roc_auc': 0.75, 'bpcer': 0.5}
    """
    table = {name: choose(METRICS, name, what="metric") for name in names}
    return {
        name: metric(labels, scores, at, generators=generators) for name, metric in table.items()
    }


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
