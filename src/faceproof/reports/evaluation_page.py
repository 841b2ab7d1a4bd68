"""`format_finding` and `verdict`: the figures of an evaluation in a line; `evaluation_page`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceproof.detector.spec import Finding
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.reports.make_report import MAIN, SHORT, evaluation_report
from faceproof.reports.report import Figure, cell_words
from faceproof.reports.report_page import report_page
from faceproof.reports.vega import draw_svg

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAIN", "SHORT", "evaluation_page", "format_finding", "verdict"]


def evaluation_page(evaluation: Evaluation, predictions: pa.Table) -> str:
    """Return the HTML of an evaluation's report; plots are drawn from its predictions table."""
    report = evaluation_report(evaluation, predictions)
    return report_page(report, {plot.name: draw_svg(plot) for plot in report.plots})


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


def format_finding(found: Finding | None) -> str:
    """Return a value with its interval, a share as a percentage; "-" for none.

    >>> format_finding(
    ...     Finding(metric="bpcer@x", value=.01, low=0, high=.02, n=9, data_sha256="0" * 64)
    ... )
    '1.0 % [0.0, 2.0]'
    """
    return cell_words(Figure.of(found) if found else None)


def format_with_mark(found: Finding | None) -> str:
    """Return the value with its interval, and a star where a caution must be read with it.

    >>> few = {"low": 0, "high": 0.02, "n": 9, "data_sha256": "0" * 64, "caution": "few groups"}
    >>> format_with_mark(Finding(metric="bpcer@x", value=0.01, **few))
    '1.0 % [0.0, 2.0] *'
    """
    return f"{format_finding(found)}{' *' if found and found.caution else ''}"


def _format_value(found: Finding) -> str:
    return Figure.of(found).short.replace(" ", "\N{NO-BREAK SPACE}")
