"""`report_page` and `report_markdown`: a report as one HTML page, and as Markdown.

The page opens from disk without a server or a network. Its plots are drawings (SVG) that need no
script; with scripts, they become charts with values on hover as they come into view.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from faceproof.reports.markup import escape_markdown, listing, make_environment, section, table
from faceproof.reports.report import (
    Cell,
    Figure,
    Report,
    ReportPlot,
    ReportTable,
    Section,
    Statement,
    cell_words,
)
from faceproof.reports.vega import DARK, LIGHT, chart_script, chart_spec
from faceproof.reports.words import keep_percent_together
from faceproof.reports.worst_errors import SmallPicture, caption_words

INTERVALS_NOTE = (
    "In brackets: 95 % intervals, the range in which the true figure lies but for 1 sample in 20."
)
NO_PICTURES = "Pictures were left out of this report."


def report_page(
    report: Report,
    drawings: dict[str, str],
    *,
    pictures: Sequence[SmallPicture] = (),
    pictures_note: str = NO_PICTURES,
) -> str:
    """Return the HTML of a report.

    ``drawings`` are the SVGs of its plots by name, from `faceproof.reports.vega.draw_svg`.
    ``pictures`` are those of its worst errors; ``pictures_note`` states why there are none.
    """
    from markupsafe import Markup

    specs = {plot.name: chart_spec(plot) for plot in report.plots}
    shown = pictures or [SmallPicture()] * len(report.worst_errors)
    page: str = (
        make_environment(
            filters={
                "words": breakable_words,
                "plain": cell_words,
                "together": keep_percent_together,
                "filename": lambda name: re.split(r"[/\\]", name)[-1],
            },
            names={"is_number": _is_number, "caption_words": caption_words, "figure": _as_figure},
        )
        .get_template("report.html")
        .render(
            page=report,
            intervals_note=INTERVALS_NOTE,
            palettes={"light": LIGHT, "dark": DARK},
            drawings={name: Markup(svg) for name, svg in drawings.items()},  # noqa: S704
            specs=Markup(_script_json(specs)),  # noqa: S704
            script=Markup(chart_script()) if specs else "",  # noqa: S704
            pictures=list(zip(report.worst_errors, shown, strict=True)),
            pictures_note="" if pictures else pictures_note,
        )
    )
    return page


def breakable_words(cell: Cell) -> str:
    """Return a cell's words, with a line break allowed only between value and interval."""
    words = cell_words(cell)
    if not isinstance(cell, Figure):
        return words
    hard = "\N{NO-BREAK SPACE}"
    return words.replace(" ", hard).replace(f"{hard}[", " [")


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str)


def _as_figure(cell: Cell) -> Figure | None:
    return cell if isinstance(cell, Figure) else None


def _script_json(value: Any) -> str:
    r"""Return JSON that cannot end a script element.

    >>> print(_script_json("</script>"))
    "\u003c/script\u003e"
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def report_markdown(report: Report) -> str:
    """Return a report as Markdown, with links to the drawings in ``plots/``."""
    detector, data = report.detector, report.data
    point = report.operating_point
    about = [
        f"Detector: {escape_markdown(detector.name)} {escape_markdown(detector.version)}, SHA-256 "
        f"`{detector.sha256}`",
        f"Operating point: {escape_markdown(point.name)}, real below {point.real_below:.4g}, fake "
        f"from {point.fake_from:.4g}: {escape_markdown(point.promise)}",
        f"Data: {escape_markdown(data.name)}, {data.rows:,} rows of "
        f"{escape_markdown(data.split) or 'a manifest without splits'}, SHA-256 `{data.sha256}`",
        f"Faces: {escape_markdown(report.faces)}. Intervals: {escape_markdown(report.intervals)}.",
        f"Made by `{report.command}`, faceproof {escape_markdown(report.faceproof)}.",
    ]
    parts = [
        f"# Report: {escape_markdown(detector.name)} on {escape_markdown(data.name)}",
        headline_markdown(report),
        section("Before you read", listing(map(escape_markdown, report.cautions)) or "None."),
        *(section_markdown(one) for one in report.sections),
        _errors_markdown(report),
        section("About", listing(about)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline_markdown(report: Report) -> str:
    """Return the first screen: the answers with their cautions, and what was not tested."""
    answers = listing(map(_statement_markdown, report.statements))
    untested = listing(map(escape_markdown, report.not_tested))
    return f"{answers}\n\n{INTERVALS_NOTE}\n\n**Not tested on:**\n\n{untested}"


def _statement_markdown(one: Statement) -> str:
    caution = f" **Caution:** {escape_markdown(one.caution)}" if one.caution else ""
    return f"**{escape_markdown(one.title)}:** {escape_markdown(one.text)}{caution}"


def section_markdown(one: Section, *, most_rows: int | None = None, level: int = 2) -> str:
    """Return a section; ``most_rows`` leaves out longer tables, and all plots."""
    tables = [
        table_markdown(part)
        for part in one.tables
        if most_rows is None or len(part.rows) <= most_rows
    ]
    plots = [_plot_markdown(plot) for plot in one.plots] if most_rows is None else []
    return section(
        escape_markdown(one.title),
        escape_markdown(one.text),
        listing(map(escape_markdown, one.details)),
        listing(f"**Caution:** {escape_markdown(caution)}" for caution in one.cautions),
        *tables,
        *plots,
        level=level,
    )


def table_markdown(part: ReportTable) -> str:
    """Return a table under its caption, with the cautions of its figures as notes."""
    notes = part.cautions
    rows = [[_cell_markdown(cell, notes) for cell in row] for row in part.rows]
    lines = [
        f"{escape_markdown(part.caption)}:",
        table([escape_markdown(name) for name in part.columns], rows),
        "\n".join(_notes_markdown(notes)),
    ]
    return "\n\n".join(line for line in lines if line)


def _cell_markdown(cell: Cell, notes: dict[str, int]) -> str:
    words = cell_words(cell)
    if isinstance(cell, str):
        return escape_markdown(words)
    marked = isinstance(cell, Figure) and cell.caution
    return f"{words} \N{WARNING SIGN}{notes[marked]}" if marked else words


def _notes_markdown(notes: dict[str, int]) -> Iterator[str]:
    for caution, number in notes.items():
        yield f"\N{WARNING SIGN}{number} {escape_markdown(caution)}."


def _plot_markdown(plot: ReportPlot) -> str:
    words = escape_markdown(plot.description)
    return (
        f"![{escape_markdown(plot.title)}: {words}](plots/{plot.name}.svg)\n\n"
        f"{escape_markdown(plot.title)}: {words} {escape_markdown(plot.caption)}".rstrip()
    )


def _errors_markdown(report: Report) -> str:
    if not report.worst_errors:
        return section("Worst errors", "No judged face had the wrong verdict.")
    head = ["face", "called", "fake probability", "generator", "source", "condition", "path"]
    rows = [
        [
            one.label,
            "real" if one.label == "fake" else "fake",
            cell_words(one.fake_probability),
            *map(escape_markdown, (one.generator, one.source, one.condition, one.path)),
        ]
        for one in report.worst_errors
    ]
    return section("Worst errors", table(head, rows))
