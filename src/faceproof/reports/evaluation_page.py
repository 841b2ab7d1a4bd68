"""`evaluation_page`: an evaluation as one HTML page with SVG plots, without scripts.

A plot fills a square of `SIDE` units with its lower left corner at (`LEFT`, `FOOT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faceproof.detector.spec import Finding
from faceproof.evaluation.evaluation_record import Confusion, Evaluation
from faceproof.evaluation.findings import REPORTED
from faceproof.evaluation.formulas import Floats, precision_recall_curve, reliability, roc_curve
from faceproof.evaluation.predictions import Faces, judged_faces
from faceproof.reports.card import TITLES
from faceproof.reports.markup import NUMBERS, make_environment

if TYPE_CHECKING:
    import pyarrow as pa


SIDE, LEFT, FOOT = 240, 44, 252
_MOST_POINTS = 400


@dataclass(frozen=True)
class _Plot:
    """A line, or dots, in the unit square, with alternative text.

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
    """Shorter text below the plot if the description is long."""


def plots(faces: Faces) -> tuple[_Plot, ...]:
    """Return those plots of ROC, precision-recall and reliability that the faces allow."""
    if not len(faces):
        return ()
    calibration = _reliability_plot(faces)
    if faces.fake.all() or not faces.fake.any():
        return (calibration,)
    return (_roc_plot(faces), _precision_recall_plot(faces), calibration)


def _roc_plot(faces: Faces) -> _Plot:
    """Return the ROC curve."""
    curve = roc_curve(faces.fake, faces.probabilities)
    caught = [
        float(curve.true_positive_rate[curve.false_positive_rate <= share].max())
        for share in (0.01, 0.1)
    ]
    return _Plot(
        "roc",
        "ROC curve",
        f"At 1 % false alarms {_format_percent(caught[0])} of the fakes are caught, "
        f"at 10 % {_format_percent(caught[1])}.",
        "real faces called fake",
        "fakes called fake",
        _polyline_points(curve.false_positive_rate, curve.true_positive_rate),
        _polyline_points(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
    )


def _precision_recall_plot(faces: Faces) -> _Plot:
    """Return precision against recall, as steps, with the share of fakes as the chance level."""
    curve = precision_recall_curve(faces.fake, faces.probabilities)
    chance = float(faces.fake.mean())
    half = float(curve.precision[np.argmax(curve.recall >= 0.5)])
    return _Plot(
        "pr",
        "Precision and recall",
        f"When half of the fakes are caught, {_format_percent(half)} of the faces called fake "
        "are fake; "
        f"{_format_percent(chance)} of all judged faces are.",
        "recall",
        "precision",
        _polyline_points(curve.recall, curve.precision),
        _polyline_points(np.array([0.0, 1.0]), np.array([chance, chance])),
    )


def _reliability_plot(faces: Faces) -> _Plot:
    """Return the share of fakes against the mean probability, in bins of equal mass."""
    bins = reliability(faces.fake, faces.probabilities)
    description = ", ".join(
        f"{mean:.2f}: {share:.2f}"
        for mean, share in zip(bins.mean_probability, bins.share_fake, strict=True)
    )
    return _Plot(
        "reliability",
        "Reliability",
        f"Mean fake probability and share of fakes in bins of equal mass: {description}.",
        "fake probability",
        "share of fakes",
        _polyline_points(bins.mean_probability, bins.share_fake),
        _polyline_points(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        tuple(
            (*place(mean, share), 4.0)
            for mean, share in zip(bins.mean_probability, bins.share_fake, strict=True)
        ),
        f"Predicted against observed share of fakes, in {len(bins.counts)} bins of equal mass; "
        "on the dashed line the probabilities are calibrated for this mix of classes.",
    )


def _polyline_points(x: Floats, y: Floats) -> str:
    """Return the points of an SVG polyline for values in [0, 1]; at most `_MOST_POINTS` of them.

    >>> _polyline_points(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    '44.0,252.0 284.0,12.0'
    """
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    return " ".join("{:.1f},{:.1f}".format(*place(x[at], y[at])) for at in kept)


def place(x: float, y: float) -> tuple[float, float]:
    """Return the coordinates of a value in the unit square.

    >>> place(0.5, 0.5)
    (164.0, 132.0)
    """
    return round(LEFT + SIDE * float(x), 1), round(FOOT - SIDE * float(y), 1)


def _format_percent(share: float) -> str:
    return f"{100 * share:.1f} %"


MAIN = ("roc_auc", "accuracy", "bpcer", "apcer", "unsure_rate")
"""The metrics compared between slices, in the tables of page and terminal."""

SHORT = {
    "roc_auc": "ROC-AUC",
    "accuracy": "accuracy",
    "bpcer": "BPCER",
    "apcer": "APCER",
    "unsure_rate": "unsure",
}


@dataclass(frozen=True)
class _ConfusionCell:
    """A class, a verdict, and the number and share of the class's faces with it."""

    label: str
    verdict: str
    count: int
    share: float


def evaluation_page(evaluation: Evaluation, predictions: pa.Table) -> str:
    """Return the HTML of an evaluation; plots are drawn from its predictions table."""
    page: str = (
        make_environment(
            filters={"shown": _format_breakable},
            names={"titles": TITLES, "short": SHORT, "side": SIDE, "left": LEFT, "foot": FOOT},
        )
        .get_template("evaluation.html")
        .render(
            page=evaluation,
            verdict=verdict(evaluation),
            metrics=[name for name in REPORTED if _is_measured(evaluation, name)],
            main=[name for name in MAIN if _is_measured(evaluation, name)],
            plots=plots_by_condition(predictions),
            matrices={one.condition: _confusion_cells(one) for one in evaluation.confusion},
        )
    )
    return page


def plots_by_condition(predictions: pa.Table) -> dict[str, tuple[_Plot, ...]]:
    """Return the plots of each condition with judged faces."""
    faces = judged_faces(predictions)
    return {
        condition: plots(faces.where(faces.conditions == condition))
        for condition in dict.fromkeys(faces.conditions.tolist())
    }


def verdict(evaluation: Evaluation) -> str:
    """Return a sentence with the main figures."""
    condition = evaluation.conditions[0]
    parts = [
        f"{_format_value(found)} {words}"
        for metric, words in (
            ("bpcer", "of real faces called fake"),
            ("apcer", "of fakes called real"),
            ("unsure_rate", "unsure"),
        )
        if (found := evaluation.find(metric, "all", condition))
    ]
    return f"{', '.join(parts)}." if parts else "No face was judged."


def _confusion_cells(found: Confusion) -> list[list[_ConfusionCell]]:
    """Return the confusion matrix, rows real and fake, with shares of each class."""
    return [
        [
            _ConfusionCell(label, called, count, count / max(sum(counts), 1))
            for called, count in zip(("real", "unsure", "fake"), counts, strict=True)
        ]
        for label, counts in (("real", found.real), ("fake", found.fake))
    ]


def format_finding(found: Finding | None) -> str:
    """Return a value with its interval, a share as a percentage; "-" for none.

    >>> format_finding(
    ...     Finding(metric="bpcer@x", value=.01, low=0, high=.02, n=9, data_sha256="0" * 64)
    ... )
    '1.0 % [0.0, 2.0]'
    """
    if found is None:
        return "-"
    if found.metric.partition("@")[0] in NUMBERS:
        return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def format_with_mark(found: Finding | None) -> str:
    """Return the value with its interval, and a star where a caution must be read with it.

    >>> few = {"low": 0, "high": 0.02, "n": 9, "data_sha256": "0" * 64, "caution": "few groups"}
    >>> format_with_mark(Finding(metric="bpcer@x", value=0.01, **few))
    '1.0 % [0.0, 2.0] *'
    """
    return f"{format_finding(found)}{' *' if found and found.caution else ''}"


def _format_value(found: Finding) -> str:
    return format_finding(found).partition(" [")[0].replace(" ", "\N{NO-BREAK SPACE}")


def _format_breakable(found: Finding | None) -> str:
    """Return the value and its interval, with a line break allowed only between them."""
    hard = "\N{NO-BREAK SPACE}"
    return format_with_mark(found).replace(" ", hard).replace(f"{hard}[", " [")


def _is_measured(evaluation: Evaluation, metric: str) -> bool:
    return any(one.metric.partition("@")[0] == metric for one in evaluation.findings)
