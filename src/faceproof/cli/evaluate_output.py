"""How an evaluation is written to standard output: a table of the main figures, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

import typer

from faceproof.cli.table import visible

if TYPE_CHECKING:
    from faceproof.evaluation.evaluate import Evaluation


def write_json(evaluation: Evaluation) -> None:
    """Write the whole record."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    typer.echo(evaluation.model_dump_json(indent=2))


def write_table(evaluation: Evaluation) -> None:
    """Write the main figures of each slice under each condition."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for line in lines(evaluation):
        typer.echo(line)
    for caution in evaluation.cautions:
        typer.echo(f"caution: {visible(caution)}", err=True)
    if evaluation.left_out:
        typer.echo(f"left out: {visible(evaluation.left_out[0])}{_more(evaluation)}", err=True)


FORMATS: dict[str, Callable[[Evaluation], None]] = {"table": write_table, "json": write_json}


def lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield the aligned lines of the table, the head first."""
    from faceproof.reports.evaluation_page import MAIN, SHORT

    table = [
        ("faces", "condition", "real", "fake", *(SHORT[name] for name in MAIN)),
        *_rows(evaluation),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _more(evaluation: Evaluation) -> str:
    """Return how many more figures are left out, and where that stands."""
    more = len(evaluation.left_out) - 1
    return f" (and {more} more like it, on the page)" if more else ""


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """Yield slice, condition, judged faces and the main figures with their intervals."""
    from faceproof.reports.evaluation_page import MAIN, shown

    for condition in evaluation.conditions:
        for name in evaluation.slices:
            found = [evaluation.find(metric, name, condition) for metric in MAIN]
            counts = (f"{n:,}" for n in evaluation.judged(name, condition))
            yield visible(name), visible(condition), *counts, *map(shown, found)
