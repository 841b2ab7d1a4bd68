"""How an update is written to standard output: a table of what the gate looked at, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from faceproof.cli.table import visible
from faceproof.sources import printable

if TYPE_CHECKING:
    from faceproof.evaluation.update_record import Update


def write_json(update: Update, _: Path) -> None:
    """Write the whole record."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    typer.echo(update.model_dump_json(indent=2))


def write_table(update: Update, folder: Path) -> None:
    """Write what was guarded, what the gate said of it, and last where the detector lies."""
    from faceproof.reports.update_page import verdict

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for line in lines(update):
        typer.echo(line)
    for caution in update.gate.cautions:
        typer.echo(f"caution: {visible(caution)}", err=True)
    said = "accepted" if update.accepted else "REFUSED"
    typer.echo(f"{said}: {visible(verdict(update.gate))}", err=True)
    typer.echo(f"report: {printable(str(folder / 'update.html'))}", err=True)
    typer.echo(folder / ("bundle" if update.accepted else "refused"))


FORMATS: dict[str, Callable[[Update, Path], None]] = {"table": write_table, "json": write_json}


def lines(update: Update) -> Iterator[str]:
    """Yield the aligned lines of the table, the head first: what is guarded, then the rest."""
    from faceproof.reports.update_page import HEAD, cells

    rows = [
        (*HEAD, "gate"),
        *((*cells(one.change), one.outcome) for one in update.gate.guarded),
        *((*cells(change), "-") for change in update.gate.others),
    ]
    table = [tuple(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
