"""The curves behind the figures: pure functions of labels and scores; fake is the positive class.

Each curve has one point for each distinct score, so that equal scores never get an order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import ECE_BINS
from faceproof.evaluation.tally import Floats, Tally, tally


@dataclass(frozen=True)
class Roc:
    """False and true positive rate, float64 [U + 1] each, from "nothing is fake" on."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats
    """float64 [U + 1]: infinite first, then the distinct scores from the highest down."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall, float64 [U] each, from the highest threshold down."""

    precision: Floats
    recall: Floats
    thresholds: Floats
    """float64 [U]: the distinct scores from the highest down."""


@dataclass(frozen=True)
class Reliability:
    """Bins of faces by their probability; a bin that holds no face is left out."""

    mean_probability: Floats
    """float64 [K]: what the detector said on average."""
    share_fake: Floats
    """float64 [K]: how many of them were fake."""
    counts: NDArray[np.int64]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Roc:
    """Return the ROC curve of faces: ``labels`` bool [N] (true is fake), ``scores`` float [N].

    Raises:
        UsageError: when there is but one class.

    >>> roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).true_positive_rate.tolist()
    [0.0, 0.5, 0.5, 1.0, 1.0]
    """
    counts = _of_both_classes(labels, scores)
    real, fake = _from_above(counts)
    return Roc(
        np.append(0.0, real / real[-1]),
        np.append(0.0, fake / fake[-1]),
        np.append(np.inf, counts.scores[::-1]),
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecall:
    """Return precision against recall of faces: labels bool [N] (true is fake), scores [N].

    Raises:
        UsageError: when there is but one class.

    >>> precision_recall_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).recall.tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    counts = _of_both_classes(labels, scores)
    real, fake = _from_above(counts)
    return PrecisionRecall(fake / (real + fake), fake / fake[-1], counts.scores[::-1])


def reliability(labels: ArrayLike, scores: ArrayLike, *, bins: int = ECE_BINS) -> Reliability:
    """Return what was said against what came true, in ``bins`` bins of equal mass.

    The bins are those of `faceproof.evaluation.formulas.ece`: equal scores stay together.

    >>> reliability([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], bins=2).share_fake.tolist()
    [0.5, 0.5]
    """
    counts = tally(labels, scores)
    fake, mass = counts.fake[0], counts.real[0] + counts.fake[0]
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    index = np.minimum((middle * bins).astype(np.intp), bins - 1)
    held, said, fakes = (
        np.bincount(index, weights=weight, minlength=bins)
        for weight in (mass, mass * counts.scores, fake)
    )
    there = held > 0
    return Reliability(
        said[there] / held[there], fakes[there] / held[there], held[there].astype(np.int64)
    )


def _of_both_classes(labels: ArrayLike, scores: ArrayLike) -> Tally:
    counts = tally(labels, scores)
    if not (counts.reals[0] and counts.fakes[0]):
        raise UsageError("a curve needs real and fake faces, and here is but one class")
    return counts


def _from_above(counts: Tally) -> tuple[Floats, Floats]:
    """Return how many real and fake faces lie at each score or above, [U] from the highest."""
    return np.cumsum(counts.real[0, ::-1]), np.cumsum(counts.fake[0, ::-1])
