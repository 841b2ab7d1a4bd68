"""Plots of an evaluation as SVG coordinates: pure functions of the judged faces.

A plot is drawn into a square of `SIDE` units whose lower left corner is (`LEFT`, `FOOT`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceproof.evaluation.curves import precision_recall_curve, reliability, roc_curve
from faceproof.evaluation.predictions import Faces
from faceproof.evaluation.tally import Floats

SIDE, LEFT, FOOT = 240, 44, 252
_MOST_POINTS = 400


@dataclass(frozen=True)
class Plot:
    """A line, or dots, in the unit square, with the words that stand for it where it is not seen.

    ``line`` and ``diagonal`` are points of an SVG polyline; ``dots`` are (x, y, radius).
    """

    name: str
    title: str
    description: str
    x: str
    y: str
    line: str
    diagonal: str
    dots: tuple[tuple[float, float, float], ...] = ()
    caption: str = ""
    """Shorter words below the plot, where the description is long."""


def plots(faces: Faces) -> tuple[Plot, ...]:
    """Return ROC, precision-recall and reliability of judged faces; what they allow of these."""
    if not len(faces):
        return ()
    calibration = reliability_plot(faces)
    if faces.fake.all() or not faces.fake.any():
        return (calibration,)
    return (roc_plot(faces), precision_recall_plot(faces), calibration)


def roc_plot(faces: Faces) -> Plot:
    """Return the ROC curve."""
    curve = roc_curve(faces.fake, faces.probabilities)
    caught = [
        float(curve.true_positive_rate[curve.false_positive_rate <= share].max())
        for share in (0.01, 0.1)
    ]
    return Plot(
        "roc",
        "ROC curve",
        f"At 1 % false alarms {_percent(caught[0])} of the fakes are caught, "
        f"at 10 % {_percent(caught[1])}.",
        "real faces called fake",
        "fakes called fake",
        points(curve.false_positive_rate, curve.true_positive_rate),
        points(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
    )


def precision_recall_plot(faces: Faces) -> Plot:
    """Return precision against recall, as steps, with the share of fakes as what chance reaches."""
    curve = precision_recall_curve(faces.fake, faces.probabilities)
    chance = float(faces.fake.mean())
    half = float(curve.precision[np.argmax(curve.recall >= 0.5)])
    return Plot(
        "pr",
        "Precision and recall",
        f"Where half of the fakes are caught, {_percent(half)} of the faces called fake are fake; "
        f"{_percent(chance)} of all judged faces are.",
        "recall",
        "precision",
        points(curve.recall, curve.precision),
        points(np.array([0.0, 1.0]), np.array([chance, chance])),
    )


def reliability_plot(faces: Faces) -> Plot:
    """Return the share of fakes against the mean probability, in bins of equal mass."""
    bins = reliability(faces.fake, faces.probabilities)
    said = ", ".join(
        f"{mean:.2f}: {share:.2f}"
        for mean, share in zip(bins.mean_probability, bins.share_fake, strict=True)
    )
    return Plot(
        "reliability",
        "Reliability",
        f"Mean fake probability and share of fakes in bins of equal mass: {said}.",
        "fake probability",
        "share that is fake",
        points(bins.mean_probability, bins.share_fake),
        points(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        tuple(
            (*place(mean, share), 4.0)
            for mean, share in zip(bins.mean_probability, bins.share_fake, strict=True)
        ),
        f"What was said against what was so, in {len(bins.counts)} bins of equal mass; on the "
        "dashed line the probabilities are honest for this mix of classes.",
    )


def points(x: Floats, y: Floats) -> str:
    """Return the points of an SVG polyline for values in [0, 1]; at most `_MOST_POINTS` of them.

    >>> points(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    '44.0,252.0 284.0,12.0'
    """
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    return " ".join("{:.1f},{:.1f}".format(*place(x[at], y[at])) for at in kept)


def place(x: float, y: float) -> tuple[float, float]:
    """Return where a value in the unit square is drawn.

    >>> place(0.5, 0.5)
    (164.0, 132.0)
    """
    return round(LEFT + SIDE * float(x), 1), round(FOOT - SIDE * float(y), 1)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
