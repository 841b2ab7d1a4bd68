"""faceproof data inspect: what is wrong with a data set, before a detector learns it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.exits import ALL_CHECKED, FOUND, NOT_ALL_CHECKED
from faceproof.cli.options import QUIET, format_option
from faceproof.cli.progress import is_terminal, print_next, progress_bar
from faceproof.cli.streams import print_json, set_up_output
from faceproof.errors import UsageError
from faceproof.messages import count_noun, escape_unprintable
from faceproof.outputs import refuse_overwriting, write_error, write_text
from faceproof.tables import choose

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from faceproof.data.inspection.inspect import InspectSpec
    from faceproof.data.inspection.record import DataFault, Example, Inspection, RowRef
    from faceproof.data.inspection.rows import InputManifest


_DEFAULT_SAMPLE = 4000
_DEFAULT_NEAR_BITS = 31
#: Faults of unreadable files.
_NOT_READ = frozenset({"missing", "unreadable"})


def inspect(
    manifests: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="Manifests to inspect, as one data set."),
    ],
    *,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Report to write, with pictures.")
    ] = None,
    format_: Annotated[str, format_option("table|json")] = "table",
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Manifest to compare for leaks; repeatable."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,...",
            help="Exit code 3 on such a fault: its kind, or error, warning or any.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Data folder, if a manifest names none."),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Number of pictures to open; 0: all."),
    ] = _DEFAULT_SAMPLE,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Only read the manifests.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Random seed of the sample.")] = 0,
    near_bits: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            metavar="N",
            help="Largest hash distance of near-duplicates, in bits of 256.",
        ),
    ] = _DEFAULT_NEAR_BITS,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Report faults of a data set: balance, repeats, leaks, shortcuts, broken pictures.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong usage, 3 see --fail-on.
    """
    from faceproof.tables import require

    require("polars", "sklearn", "jinja2", extra="data")
    write = choose(FORMATS, format_, what="format")
    from faceproof.data.inspection.inspect import InspectSpec
    from faceproof.data.inspection.record import parse_failing_kinds
    from faceproof.data.inspection.rows import read_input_manifest

    failing = parse_failing_kinds(fail_on or "")
    _check_report(report)
    refuse_overwriting({"--report": report}, [*manifests, *(against or ())])
    spec = InspectSpec(sample=None if no_pictures else sample, seed=seed, near_bits=near_bits)
    given = [read_input_manifest(path, root) for path in manifests]
    others = [read_input_manifest(path) for path in against or ()]
    inspection = _inspect(given, others, spec, quiet=quiet)
    write(inspection)
    if report:
        _write_report(inspection, [*given, *others], report)
    if not quiet:
        _print_next_step(manifests, given)
    raise typer.Exit(_exit_code(inspection, failing))


def _print_next_step(manifests: Sequence[Path], given: Sequence[InputManifest]) -> None:
    """Print the split of what was inspected, or its preparation if every row has a split."""
    first = manifests[0]
    if all("split" in one.table.columns and (one.table["split"] != "").all() for one in given):
        print_next("faceproof", "data", "prepare", *manifests, "-o", first.with_name("prepared"))
        return
    name = "split" if first.stem != "split" else "split-2"
    output = first.with_name(f"{name}{first.suffix}")
    print_next("faceproof", "data", "split", *manifests, "-o", output)


def _check_report(report: Path | None) -> None:
    """Refuse a report that could not be written after all the work.

    Raises:
        UsageError: it is a folder, or lies in none.
    """
    if report and report.is_dir():
        raise UsageError(f"{report} is a folder; name the file to write")
    if report and not report.parent.is_dir():
        raise UsageError(f"{report}: the folder {report.parent} does not exist; make it first")


def _inspect(
    given: Sequence[InputManifest],
    others: Sequence[InputManifest],
    spec: InspectSpec,
    *,
    quiet: bool,
) -> Inspection:
    """Return what was found, with a bar on a terminal."""
    from faceproof.data.inspection.inspect import inspect as run

    rows = sum(one.table.height for one in given)
    opened = 0 if spec.sample is None else min(spec.sample or rows, rows)
    with progress_bar(range(opened), what="inspected", quiet=quiet) as bar:
        return run(given, spec, against=others, done=bar.advance)


def _write_report(inspection: Inspection, given: Sequence[InputManifest], report: Path) -> None:
    """Write the page.

    Raises:
        UsageError, OutputError: the file cannot be written, or the disk is full.
    """
    from faceproof.data.inspection.sheets import draw
    from faceproof.reports.inspection_page import inspection_page

    page = inspection_page(inspection, draw(inspection.sheets, given))
    try:
        write_text(report, page)
    except OSError as error:
        raise write_error(report, error) from error
    typer.echo(f"report: {report}", err=True)


def _exit_code(inspection: Inspection, failing: frozenset[str]) -> int:
    """Return 3 on a fault named by --fail-on, else 1 where a file could not be read."""
    held = {fault.kind for fault in inspection.faults}
    if held & failing:
        return FOUND
    return NOT_ALL_CHECKED if held & _NOT_READ else ALL_CHECKED


STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
EXAMPLES = 2


def write_json(inspection: Inspection) -> None:
    """Write the whole record."""
    print_json(inspection)


def write_table(inspection: Inspection) -> None:
    """Write each fault with two examples, then what was looked at."""
    from rich.console import Console

    set_up_output(for_people=True)
    console = Console(highlight=False, soft_wrap=True, force_terminal=is_terminal(sys.stdout))
    wide = max((len(fault.kind) for fault in inspection.faults), default=0)
    for fault in inspection.faults:
        _print_fault(console, fault, inspection, wide)
    typer.echo(_closing_line(inspection), err=True)


FORMATS: dict[str, Callable[[Inspection], None]] = {"table": write_table, "json": write_json}


def _print_fault(console: Console, fault: DataFault, inspection: Inspection, wide: int) -> None:
    """Print one fault: severity, kind, count and message, then examples and what to do."""
    console.print(_headline(fault, wide))
    for example in fault.examples[:EXAMPLES]:
        console.print(f"    {_example_line(example, inspection)}", markup=False)
    console.print(f"    -> {fault.remedy}", style="dim", markup=False)


def _headline(fault: DataFault, wide: int) -> Text:
    """Return the first line of a fault."""
    from rich.text import Text

    line = Text()
    line.append(f"{fault.severity:<8}", STYLES[fault.severity])
    line.append(f"{fault.kind:<{wide}}  ", "bold")
    line.append(f"{fault.count:>7,}  {escape_unprintable(fault.message)}")
    return line


def _example_line(example: Example, inspection: Inspection) -> str:
    """Return an example in one line."""
    rows = " and ".join(_describe_row(ref, inspection) for ref in example.rows)
    detail = escape_unprintable(example.detail)
    return f"{rows}: {detail}" if detail else rows


def _describe_row(ref: RowRef, inspection: Inspection) -> str:
    """Return a row in words: its number, its manifest where there are several, its path."""
    named = inspection.manifests[ref.manifest].name if len(inspection.manifests) > 1 else ""
    where = f" of {escape_unprintable(named)}" if named else ""
    return f"row {ref.row}{where} ({escape_unprintable(ref.path)})"


def _closing_line(inspection: Inspection) -> str:
    """Return the last line: what was inspected, and the number of faults."""
    return "; ".join(_closing_parts(inspection))


def _closing_parts(inspection: Inspection) -> Iterator[str]:
    """Yield the parts of the last line."""
    opened = (
        f"{inspection.sample.n:,} pictures opened" if inspection.sample else "no picture opened"
    )
    yield f"{inspection.rows:,} rows, {opened}"
    found = inspection.shortcut
    if found:
        yield f"shortcuts: ROC-AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}]"
    counts = [(inspection.count(name), name) for name in STYLES]
    yield ", ".join(count_noun(n, name, separator="") for n, name in counts)
