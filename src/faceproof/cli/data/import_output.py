"""The summary of an import: as a table that lays the classes side by side, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

import typer

from faceproof.cli.table import visible

if TYPE_CHECKING:
    from faceproof.data.importing.summary import ImportSummary, Spread

Row = tuple[str, str, str, str, str]

#: Counts by name: the field of `ClassSummary`, and what the table calls it.
_COUNTED = {
    "generators": "generator",
    "official_splits": "official split",
    "formats": "format",
    "jpeg_qualities": "JPEG quality",
}
_SPREAD = ("width", "height", "bytes")
_MOST_ROWS = 12


def write_table(summary: ImportSummary) -> None:
    """Write the table, aligned; what differs between the classes stands side by side."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    rows = [tuple(map(visible, row)) for row in table_rows(summary)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        left = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        right = [
            " " * (width - cell_len(cell)) + cell for cell, width in zip(row, widths, strict=True)
        ]
        line = "  ".join([*left[:2], *right[2:]]).rstrip()
        console.print(Text(line, style="bold" if number == 0 else ""))


def write_json(summary: ImportSummary) -> None:
    """Write one JSON object."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    typer.echo(summary.model_dump_json(indent=2))


FORMATS: dict[str, Callable[[ImportSummary], None]] = {"table": write_table, "json": write_json}


def table_rows(summary: ImportSummary) -> Iterator[Row]:
    """Yield the rows of the table, the header first."""
    classes = (summary.real, summary.fake, summary.all)
    yield "", "", "real", "fake", "all"
    yield "pictures", "", *_three(str(one.pictures) for one in classes)
    for field, title in _COUNTED.items():
        yield from _counted(title, [getattr(one, field) for one in classes])
    for field in _SPREAD:
        title = "" if field != _SPREAD[0] else "least / median / greatest"
        yield field, title, *_three(_spread(getattr(one, field)) for one in classes)
    yield from _doubled(summary)
    for code, count in summary.problems.items():
        yield "problem", code, "", "", str(count)


def _counted(title: str, counts: list[dict[str, int]]) -> Iterator[Row]:
    """Yield a row for each of the most frequent names, and one for the others together."""
    names = list(counts[-1])
    for name in names[:_MOST_ROWS]:
        yield title, name, *_three(_count(one.get(name, 0)) for one in counts)
        title = ""
    if others := names[_MOST_ROWS:]:
        sums = (sum(one.get(name, 0) for name in others) for one in counts)
        yield title, f"{len(others)} others", *_three(_count(one) for one in sums)


def _doubled(summary: ImportSummary) -> Iterator[Row]:
    """Yield rows on what stands in the manifest twice, where anything does."""
    doubles = summary.doubles
    named = {
        "the same file again": doubles.files,
        "the same path again": doubles.paths,
        "one file in both classes": doubles.in_both_classes,
    }
    for name, count in named.items():
        if count:
            yield "twice", name, "", "", str(count)


def _three(cells: Iterator[str]) -> tuple[str, str, str]:
    """Return the cells of real, fake and all."""
    real, fake, both = cells
    return real, fake, both


def _count(count: int) -> str:
    return str(count) if count else ""


def _spread(spread: Spread | None) -> str:
    """Return the numbers, or the one that they all are.

    >>> from faceproof.data.importing.summary import Spread
    >>> _spread(Spread(least=1, median=2.5, greatest=9)), _spread(None)
    ('1 / 2.5 / 9', '')
    >>> _spread(Spread(least=256, median=256, greatest=256))
    '256'
    """
    if spread is None:
        return ""
    if spread.least == spread.greatest:
        return str(spread.least)
    return f"{spread.least} / {spread.median:.10g} / {spread.greatest}"
