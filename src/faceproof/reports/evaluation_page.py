"""An evaluation as one page: nothing is fetched, nothing is run, plots lie inside as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceproof.detector.findings import Finding
from faceproof.evaluation.evaluate import REPORTED, Confusion, Evaluation
from faceproof.evaluation.predictions import judged
from faceproof.reports.card import TITLES
from faceproof.reports.markdown import NUMBERS
from faceproof.reports.pages import environment
from faceproof.reports.plots import FOOT, LEFT, SIDE, Plot, plots

if TYPE_CHECKING:
    import pyarrow as pa

MAIN = ("roc_auc", "accuracy", "bpcer", "apcer", "unsure_rate")
"""The figures that are compared between slices, in the page's and the terminal's tables."""

SHORT = {
    "roc_auc": "ROC-AUC",
    "accuracy": "accuracy",
    "bpcer": "BPCER",
    "apcer": "APCER",
    "unsure_rate": "unsure",
}


@dataclass(frozen=True)
class Cell:
    """A class, a verdict, how many faces of the class got it, and their share of it."""

    label: str
    verdict: str
    count: int
    share: float


def evaluation_page(evaluation: Evaluation, predictions: pa.Table) -> str:
    """Return the HTML of an evaluation; plots are drawn from its predictions table."""
    page: str = (
        environment(
            filters={"shown": _breakable},
            names={"titles": TITLES, "short": SHORT, "side": SIDE, "left": LEFT, "foot": FOOT},
        )
        .get_template("evaluation.html")
        .render(
            page=evaluation,
            verdict=verdict(evaluation),
            metrics=[name for name in REPORTED if _measured(evaluation, name)],
            main=[name for name in MAIN if _measured(evaluation, name)],
            plots=plots_by_condition(predictions),
            matrices={one.condition: cells(one) for one in evaluation.confusion},
        )
    )
    return page


def plots_by_condition(predictions: pa.Table) -> dict[str, tuple[Plot, ...]]:
    """Return the plots of each condition that holds a judged face."""
    faces = judged(predictions)
    return {
        condition: plots(faces.where(faces.conditions == condition))
        for condition in dict.fromkeys(faces.conditions.tolist())
    }


def verdict(evaluation: Evaluation) -> str:
    """Return the figures that matter most, in a sentence."""
    condition = evaluation.conditions[0]
    said = [
        f"{_value(found)} {words}"
        for metric, words in (
            ("bpcer", "of real faces called fake"),
            ("apcer", "of fakes called real"),
            ("unsure_rate", "unsure"),
        )
        if (found := evaluation.find(metric, "all", condition))
    ]
    return f"{', '.join(said)}." if said else "No face was judged."


def cells(found: Confusion) -> list[list[Cell]]:
    """Return the confusion matrix, rows real and fake, with shares of each class."""
    return [
        [
            Cell(label, called, count, count / max(sum(counts), 1))
            for called, count in zip(("real", "unsure", "fake"), counts, strict=True)
        ]
        for label, counts in (("real", found.real), ("fake", found.fake))
    ]


def shown(found: Finding | None) -> str:
    """Return a value with its interval, a share as a percentage; "-" for none.

    >>> shown(Finding(metric="bpcer@x", value=.01, low=0, high=.02, n=9, data_sha256="0" * 64))
    '1.0 % [0.0, 2.0]'
    """
    if found is None:
        return "-"
    if found.metric.partition("@")[0] in NUMBERS:
        return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _value(found: Finding) -> str:
    return shown(found).partition(" [")[0].replace(" ", "\N{NO-BREAK SPACE}")


def _breakable(found: Finding | None) -> str:
    """Return the value and its interval, each of which stays on one line."""
    hard = "\N{NO-BREAK SPACE}"
    return shown(found).replace(" ", hard).replace(f"{hard}[", " [")


def _measured(evaluation: Evaluation, metric: str) -> bool:
    return any(one.metric.partition("@")[0] == metric for one in evaluation.findings)
