"""`make_environment` and `table`: HTML templates and Markdown tables with escaped content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from faceproof.detector.spec import Finding


def make_environment(*, filters: dict[str, Any], names: dict[str, Any]) -> Any:
    """Return the jinja2 environment of ``templates``, in which undefined names are errors.

    ``filters`` and ``names`` are a template's additions to `_code_to_html` and ``count``.
    """
    import jinja2

    folder = resources.files("faceproof.reports") / "templates"
    found = {one.name: one.read_text(encoding="utf-8") for one in folder.iterdir() if one.is_file()}
    made = jinja2.Environment(
        loader=jinja2.DictLoader(found),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": "{:,.0f}".format, "marked": _code_to_html} | filters
    made.globals |= names
    return made


def _code_to_html(sentence: str) -> Any:
    """Return a sentence as HTML, with text between backticks as code.

    >>> str(_code_to_html("use `a < b`"))
    'use <code>a &lt; b</code>'
    """
    from markupsafe import Markup, escape

    parts = [escape(part) for part in sentence.split("`")]
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if place % 2 else part for place, part in enumerate(parts)
    )


_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")

NUMBERS = frozenset(
    {"roc_auc", "partial_auc_5", "average_precision", "ece", "brier", "log_loss", "f1"}
)
"""The metrics shown as numbers; all others are shares, shown as percentages."""


def escape_markdown(text: str) -> str:
    r"""Return text on one line with Markdown characters escaped.

    >>> escape_markdown("a|b\n*c*")
    'a\\|b \\*c\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of Markdown cells; an empty string without rows.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return "None."
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def figure(finding: Finding) -> str:
    """Return a value with its interval and its n, a share as a percentage.

    >>> told = {"n": 1200, "data_sha256": "0" * 64}
    >>> figure(Finding(metric="bpcer@1-in-100", value=0.01, low=0.005, high=0.0175, **told))
    '1.00 % [0.50, 1.75], n 1,200'
    >>> figure(Finding(metric="roc_auc", value=0.991, low=0.98, high=1, **told))
    '0.9910 [0.9800, 1.0000], n 1,200'
    """
    numbers = (finding.value, finding.low, finding.high)
    if finding.metric.partition("@")[0] in NUMBERS:
        value, low, high = (f"{number:.4f}" for number in numbers)
        return f"{value} [{low}, {high}], n {finding.n:,}"
    value, low, high = (f"{100 * number:.2f}" for number in numbers)
    return f"{value} % [{low}, {high}], n {finding.n:,}"


def section(title: str, *paragraphs: str, level: int = 2) -> str:
    """Return a section with its heading, without empty paragraphs."""
    return "\n\n".join([f"{'#' * level} {title}", *(text for text in paragraphs if text)])


def listing(items: Iterable[str]) -> str:
    """Return a bullet list of Markdown items."""
    return "\n".join(f"- {item}" for item in items)
