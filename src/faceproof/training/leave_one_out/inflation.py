"""`measure_inflation`: what choosing on the test set adds to the figures of left-out fakes.

The honest protocol chooses the checkpoint on validation and the threshold on calibration, of seen
generators and sources only. Papers often report the best checkpoint on the test set, and the best
threshold there. Both are computed from the scores of all checkpoints for the same faces. The
difference is the inflation.

Intervals are a bootstrap over groups that repeats the choice on the test set in every resample.
Left-out generators share the real faces of test, so one resample is drawn for all of them; that
gives the interval of their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceproof.evaluation.formulas import (
    Floats,
    ScoreCounts,
    Thresholds,
    balanced_accuracy,
    count_scores,
    roc_auc,
)
from faceproof.evaluation.intervals import (
    RESAMPLES,
    clustered_size,
    interval_from_draws,
    resamples,
)
from faceproof.evaluation.predictions import Faces
from faceproof.statistics import CONFIDENCE, Interval, wilson

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class CheckpointScores:
    """The N test faces of one left-out training, as each of its K checkpoints scores them."""

    faces: Faces
    """The judged faces, with the logits of the checkpoint that was kept."""
    paths: Texts
    """str [N]: what identifies a face in other trainings."""
    logits: Floats
    """float64 [K, N]"""
    kept: int
    """The checkpoint that was chosen on validation."""
    threshold: float
    """The logit from which a face is fake, chosen on calibration for balanced accuracy."""
    by_source: bool = False
    """Whether resamples draw each source apart, for trainings without a source."""

    def __post_init__(self) -> None:
        """Refuse scores that do not fit.

        Raises:
            ValueError: the shapes differ, or the kept checkpoint's logits are others.
        """
        if self.logits.shape[1] != len(self.faces) or self.paths.shape != self.faces.fake.shape:
            raise ValueError(f"logits {self.logits.shape} for {len(self.faces)} faces")
        if not np.array_equal(self.logits[self.kept], self.faces.logits):
            raise ValueError("the logits of the kept checkpoint are not those of the faces")

    @property
    def cells(self) -> Texts:
        """The stratum of each face, str [N]: the generator of a fake, and its source if apart."""
        if not self.by_source:
            return self.faces.generators
        return np.char.add(np.char.add(self.faces.generators, "\x1f"), self.faces.sources)


class Estimate(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """One choice that the test set could have made: the figure without it, and with it."""

    name: str
    metric: str
    seen: str
    """The figure of `_figures` that was chosen on seen sources."""
    test: str


CHOICES = (
    Choice("checkpoint", "roc_auc", "auc", "auc_best"),
    Choice("threshold", "balanced_accuracy", "balanced", "balanced_threshold"),
    Choice("checkpoint and threshold", "balanced_accuracy", "balanced", "balanced_both"),
)
"""What is chosen, and the metric that it inflates."""


class Inflation(NamedTuple):
    """A metric as chosen on seen sources and on the test set, and their difference."""

    choice: Choice
    seen: float
    test: float
    difference: Estimate


def choose_threshold(counts: ScoreCounts) -> float:
    """Return the score from which a face is called fake for the best balanced accuracy.

    It is midway between two scores; of equal ones the highest, with the fewest false alarms.

    >>> choose_threshold(count_scores([False, True, False, True], [0.0, 1.0, 2.0, 4.0]))
    3.0
    """
    place = int(np.argmax(_balanced_accuracies(counts)[0]))
    scores = counts.scores[::-1]
    if place == 0:
        return float(np.nextafter(scores[0], np.inf))
    if place == len(scores):
        return float(scores[-1])
    return float((scores[place - 1] + scores[place]) / 2)


def _balanced_accuracies(counts: ScoreCounts) -> Floats:
    """Return the balanced accuracy where the k highest scores are fake, [B, U + 1]."""
    recall = counts.fake_above / counts.fakes[:, None]
    alarms = counts.real_above / counts.reals[:, None]
    return np.asarray((recall + 1 - alarms) / 2)


def measure_inflation(
    parts: Sequence[CheckpointScores], *, number: int = RESAMPLES, seed: int = 0
) -> tuple[list[list[Inflation]], list[Inflation]]:
    """Return the inflation of each of `CHOICES` for each part, and that of their mean."""
    drawn = draw_jointly(parts, _figures, number=number, seed=seed)
    exact = [{name: one[0] for name, one in _figures(part, None).items()} for part in parts]
    worth = [_effective_size(part.faces) for part in parts]
    each = [
        [_compare(choice, exact[at], drawn[at], worth[at]) for choice in CHOICES]
        for at in range(len(parts))
    ]
    means = {name: float(np.mean([one[name] for one in exact])) for name in exact[0]}
    mean_draws = {name: np.mean([one[name] for one in drawn], axis=0) for name in drawn[0]}
    return each, [_compare(choice, means, mean_draws, min(worth)) for choice in CHOICES]


def mean_auc(
    parts: Sequence[CheckpointScores], *, number: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return the mean ROC-AUC of the kept checkpoints over the parts."""

    def measure(part: CheckpointScores, weights: Floats | None) -> dict[str, Floats]:
        return {"auc": roc_auc(count_scores(part.faces.fake, part.faces.logits, weights))}

    drawn = draw_jointly(parts, measure, number=number, seed=seed)
    value = float(np.mean([measure(part, None)["auc"][0] for part in parts]))
    worth = min(_effective_size(part.faces) for part in parts)
    draws = np.mean([one["auc"] for one in drawn], axis=0)
    return _estimate(value, interval_from_draws(value, draws, worth))


def draw_jointly(
    parts: Sequence[CheckpointScores],
    measure: Callable[[CheckpointScores, Floats], dict[str, Floats]],
    *,
    number: int,
    seed: int,
) -> list[dict[str, Floats]]:
    """Return for each part the figures of ``measure`` in ``number`` resamples, float64 [number].

    A resample draws groups of the faces of all parts, within strata of groups with the same cells:
    a face that several parts share counts equally often in each, and each has both classes.
    """
    paths, first = np.unique(np.concatenate([one.paths for one in parts]), return_index=True)
    cells, groups = (
        np.concatenate([getattr(one, name) for one in holders])[first]
        for name, holders in (("cells", parts), ("groups", [one.faces for one in parts]))
    )
    places = [np.searchsorted(paths, one.paths) for one in parts]
    blocks: list[list[dict[str, Floats]]] = [[] for _ in parts]
    for weights in resamples(cells, groups, number=number, seed=seed):
        for block, part, place in zip(blocks, parts, places, strict=True):
            block.append(measure(part, weights[:, place]))
    return [
        {name: np.concatenate([one[name] for one in block]) for name in block[0]}
        for block in blocks
    ]


def _figures(part: CheckpointScores, weights: Floats | None) -> dict[str, Floats]:
    """Return the figures of every choice, float64 [B] each; ties go to the kept checkpoint."""
    order = [part.kept, *(at for at in range(len(part.logits)) if at != part.kept)]
    counts = [count_scores(part.faces.fake, part.logits[at], weights) for at in order]
    aucs = np.stack([roc_auc(one) for one in counts])
    balanced = np.stack([_balanced_accuracies(one).max(axis=1) for one in counts])
    best = np.argmax(aucs, axis=0)
    at = Thresholds(part.threshold, part.threshold)
    return {
        "auc": aucs[0],
        "auc_best": aucs.max(axis=0),
        "balanced": balanced_accuracy(counts[0], at),
        "balanced_threshold": balanced[0],
        "balanced_both": balanced[best, np.arange(balanced.shape[1])],
    }


def best_checkpoint(part: CheckpointScores) -> int:
    """Return the checkpoint with the highest ROC-AUC on the test faces; ties go to the kept one."""
    aucs = [float(roc_auc(count_scores(part.faces.fake, one))[0]) for one in part.logits]
    return part.kept if aucs[part.kept] == max(aucs) else int(np.argmax(aucs))


def _compare(
    choice: Choice, exact: dict[str, float], drawn: dict[str, Floats], worth: float
) -> Inflation:
    """Return a figure as chosen both ways, and the difference with its interval."""
    seen, test = exact[choice.seen], exact[choice.test]
    return Inflation(
        choice,
        seen,
        test,
        _estimate(
            test - seen,
            _difference_interval(test - seen, drawn[choice.test] - drawn[choice.seen], worth),
        ),
    )


def _difference_interval(value: float, drawn: Floats, worth: float) -> Interval:
    """Return the percentiles of drawn differences [B].

    If all agree, as when no resample chooses otherwise, the fallback reaches as far as Wilson's
    interval of no error at the effective size.
    """
    if float(drawn.std()) < 1e-12:
        reach = wilson(0, worth).high
        return Interval(value if value == 0 else value - reach, value + reach)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _estimate(value: float, ends: Interval) -> Estimate:
    return Estimate(value, min(ends.low, value), max(ends.high, value))


def _effective_size(faces: Faces) -> float:
    """Return the number of groups of the rarer class, as effective size of faces alike in them."""
    return min(clustered_size(faces.groups[of], 1.0) for of in (faces.fake, ~faces.fake))
