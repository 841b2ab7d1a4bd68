"""How an inspection is written to standard output: a table of faults, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

import typer

from faceproof.cli.table import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from faceproof.data.inspection.record import Example, Fault, Inspection, RowRef

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
EXAMPLES = 2


def write_json(inspection: Inspection) -> None:
    """Write the whole record."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    typer.echo(inspection.model_dump_json(indent=2))


def write_table(inspection: Inspection) -> None:
    """Write each fault with two examples, then what was looked at."""
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(highlight=False, soft_wrap=True)
    wide = max((len(fault.kind) for fault in inspection.faults), default=0)
    for fault in inspection.faults:
        _print_fault(console, fault, inspection, wide)
    typer.echo(_closing(inspection), err=True)


FORMATS: dict[str, Callable[[Inspection], None]] = {"table": write_table, "json": write_json}


def _print_fault(console: Console, fault: Fault, inspection: Inspection, wide: int) -> None:
    """Print one fault: severity, kind, count and message, then examples and what to do."""
    console.print(_headline(fault, wide))
    for example in fault.examples[:EXAMPLES]:
        console.print(f"    {_shown(example, inspection)}", markup=False)
    console.print(f"    -> {fault.remedy}", style="dim", markup=False)


def _headline(fault: Fault, wide: int) -> Text:
    """Return the first line of a fault."""
    from rich.text import Text

    line = Text()
    line.append(f"{fault.severity:<8}", STYLES[fault.severity])
    line.append(f"{fault.kind:<{wide}}  ", "bold")
    line.append(f"{fault.count:>7,}  {visible(fault.message)}")
    return line


def _shown(example: Example, inspection: Inspection) -> str:
    """Return an example in one line."""
    rows = " and ".join(_row(ref, inspection) for ref in example.rows)
    detail = visible(example.detail)
    return f"{rows}: {detail}" if detail else rows


def _row(ref: RowRef, inspection: Inspection) -> str:
    """Return a row in words: its number, its manifest where there are several, its path."""
    named = inspection.manifests[ref.manifest].name if len(inspection.manifests) > 1 else ""
    where = f" of {visible(named)}" if named else ""
    return f"row {ref.row}{where} ({visible(ref.path)})"


def _closing(inspection: Inspection) -> str:
    """Return the last line: what was looked at, and how much is wrong."""
    return "; ".join(_parts(inspection))


def _parts(inspection: Inspection) -> Iterator[str]:
    """Yield what the last line says."""
    opened = (
        f"{inspection.sample.n:,} pictures opened" if inspection.sample else "no picture opened"
    )
    yield f"{inspection.rows:,} rows, {opened}"
    found = inspection.shortcut
    if found:
        yield f"shortcuts: ROC-AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}]"
    counts = [(inspection.count(name), name) for name in STYLES]
    yield ", ".join(f"{n} {name}{'' if n == 1 else 's'}" for n, name in counts)
