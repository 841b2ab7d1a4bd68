"""faceproof data import: from a folder of pictures to a manifest."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED, interrupt_code
from faceproof.cli.options import QUIET, complete_from, complete_words
from faceproof.cli.progress import is_terminal, print_next, progress_bar
from faceproof.cli.streams import print_json, set_up_output
from faceproof.errors import ManifestError, UsageError
from faceproof.messages import align_rows, count_noun, escape_unprintable
from faceproof.outputs import atomic_write, refuse_overwriting
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.data.importing.import_data import (
        ImportResult,
        ImportSpec,
        ImportSummary,
        NumberRange,
    )
    from faceproof.data.layouts.listing import ListingProblem


_COLUMNS = ("path", "row", "code", "reason")
_SUFFIXES = (".parquet", ".csv")
#: A file that nobody took for a picture is listed, and fails no run.
_HARMLESS = frozenset({"not_a_picture"})


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder to import.")],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Manifest to write, .parquet or .csv."),
    ],
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            "-l",
            metavar="NAME",
            autocompletion=complete_from("faceproof.data.layouts:LAYOUTS"),
            help="Folder layout; default: guessed if only one fits. A wrong name lists them all.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the source; default: the folder's name."),
    ] = None,
    real: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Folder or label of real pictures; repeatable."),
    ] = None,
    fake: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Folder or label of fakes; repeatable."),
    ] = None,
    generator: Annotated[
        str, typer.Option(metavar="NAME", help="Generator of the fakes, if the layout names none.")
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="Column of a table to use as OURS; repeatable."),
    ] = None,
    levels: Annotated[
        str,
        typer.Option(metavar="NAME,NAME", help="Meaning of the folders below the class folders."),
    ] = "",
    frames: Annotated[
        int, typer.Option(min=1, metavar="N", help="Frames to extract per video.")
    ] = 10,
    extract: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for extracted pictures; default: MANIFEST_pictures.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Threads; default: one per core.")
    ] = None,
    problems: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="List of rejected files; default: MANIFEST.problems.csv."
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="table|json",
            autocompletion=complete_words("table|json"),
            help="Output format of the summary.",
        ),
    ] = "table",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Import a folder of pictures or videos into a manifest; every file is read and measured.

    What cannot be read is listed with its reason, never dropped in silence.

    Exit codes: 0 all was read, 1 something could not be, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    from faceproof.tables import require

    require("polars", "av", "scipy", extra="data")
    write = choose(FORMATS, format_, what="format")
    left_out = problems or output.with_name(f"{output.stem}.problems.csv")
    _check_output(output)
    _refuse_source(source, output, left_out, extract)
    from faceproof.data.importing.import_data import DEFAULT_WORKERS, ImportSpec, summarise
    from faceproof.data.layouts.listing import ListingOptions

    layout = layout or _guess_layout(source, classes_named=bool(real or fake))
    spec = ImportSpec(
        layout=layout,
        name=name or _default_name(source),
        extract=extract or output.with_name(f"{output.stem}_pictures"),
        options=ListingOptions(
            real=tuple(real or ()),
            fake=tuple(fake or ()),
            generator=generator,
            columns=_parse_columns(columns or ()),
            levels=tuple(filter(None, map(str.strip, levels.split(",")))),
        ),
        frames=frames,
        below=output.parent if output.suffix.lower() == ".csv" else None,
        outputs=(output, left_out),
        workers=DEFAULT_WORKERS if workers is None else workers,
    )
    imported = _import(source, spec, quiet=quiet)
    _write_problems(imported.problems, left_out)
    _write_manifest(imported, output, left_out)
    write(summarise(imported, manifest=output, source=spec.name, layout=layout))
    _print_progress(_closing_line(imported, output, left_out))
    if not quiet:
        print_next("faceproof", "data", "inspect", output)
    raise typer.Exit(_exit_code(imported.problems))


def _check_output(output: Path) -> None:
    """Refuse a manifest that could not be written after all the work.

    Raises:
        UsageError: its name or its folder will not do.
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{output}: a manifest must be named NAME.parquet or NAME.csv")
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name the file to write")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: the folder {output.parent} does not exist; make it first")


def _guess_layout(source: Path, *, classes_named: bool) -> str:
    """Return the layout that the source evidently has, and print it.

    Raises:
        UsageError: the source does not exist, or its layout is in doubt.
    """
    from faceproof.data.layouts.words import guess_layout

    if not source.exists():
        raise UsageError(f"{to_printable(str(source))} does not exist; name a folder or a table")
    layout = guess_layout(source, classes_named=classes_named)
    _print_progress(f"layout: {layout} (guessed; --layout NAME sets another)")
    return layout


def _refuse_source(source: Path, output: Path, left_out: Path, extract: Path | None) -> None:
    """Refuse to write over what is imported, or over a list that another program made.

    Raises:
        UsageError: naming the file.
    """
    refuse_overwriting({"--output": output, "--problems": left_out}, [source])
    if left_out.exists() and not _is_list_of_problems(left_out):
        raise UsageError(
            f"{left_out} is not a list of problems, and is not overwritten: name another file with "
            "--problems"
        )
    folder = (source.parent if source.is_file() else source).resolve()
    if extract and folder.is_relative_to(extract.resolve()):
        raise UsageError(
            f"--extract {extract} would write among the pictures of {folder}: name a folder of "
            "its own"
        )


def _is_list_of_problems(path: Path) -> bool:
    """Return whether a file is empty or begins as `_write_problems` writes it."""
    head = (",".join(_COLUMNS) + "\n").encode()
    try:
        with path.open("rb") as file:
            return file.read(len(head)) in (b"", head)
    except OSError:
        return False


def _default_name(source: Path) -> str:
    """Return the default name of a source: that of its folder or table."""
    whole = source.resolve()
    return to_printable(whole.stem if whole.is_file() else whole.name) or "source"


def _parse_columns(columns: Iterable[str]) -> dict[str, str]:
    """Return our column -> theirs.

    Raises:
        UsageError: one is not written OURS=THEIRS, or is given twice.
    """
    pairs: dict[str, str] = {}
    for pair in columns:
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs):
            raise UsageError(f"--columns {pair!r}: write OURS=THEIRS, such as label=target")
        if ours in pairs:
            raise UsageError(f"--columns {pair!r}: {ours} is already {pairs[ours]}")
        pairs[ours] = theirs
    return pairs


def _import(source: Path, spec: ImportSpec, *, quiet: bool) -> ImportResult:
    """Return what was imported, with a bar and the notes on standard error."""
    from faceproof.data.importing.import_data import count_entries, import_data

    done = 0
    try:
        with progress_bar(count_entries(source, spec), what="imported", quiet=quiet) as bar:

            def advance(found: object) -> None:
                nonlocal done
                done += 1
                bar.advance(found)

            return import_data(source, spec, tell=_print_progress, advance=advance)
    except KeyboardInterrupt as stop:
        _print_progress(
            f"stopped after {count_noun(done, 'file', separator='')}; no manifest was written, and "
            "frames that were extracted are not made again next time"
        )
        raise typer.Exit(interrupt_code(stop)) from None


def _write_problems(problems: Iterable[ListingProblem], path: Path) -> None:
    """Write the list of what was left out; where that is nothing, an older list goes."""
    rows = [(one.path, one.row or "", one.code, one.reason) for one in problems]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *rows])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _write_manifest(imported: ImportResult, output: Path, left_out: Path) -> None:
    """Write the manifest.

    Raises:
        ManifestError: not one picture could be read, or the folder refuses it.
    """
    from faceproof.data.manifest_files import write_manifest

    if not len(imported.manifest):
        first = imported.problems[0]
        raise ManifestError(
            f"{output} is not written: no picture could be read, see {left_out}; the first is"
            f" {first.path}: {first.reason}"
        )
    write_manifest(imported.manifest, output)


def _closing_line(imported: ImportResult, output: Path, left_out: Path) -> str:
    """Return the last line: what was written where."""
    written = f"{output}: {count_noun(len(imported.manifest), 'picture', separator='')}"
    if not imported.problems:
        return written
    return f"{written}; {count_noun(len(imported.problems), 'problem', separator='')} in {left_out}"


def _exit_code(problems: Iterable[ListingProblem]) -> int:
    """Return 1 where a picture could not be read; files that are none do not count."""
    failed = any(problem.code not in _HARMLESS for problem in problems)
    return NOT_ALL_CHECKED if failed else ALL_CHECKED


def _print_progress(message: str) -> None:
    """Print a message on standard error."""
    typer.echo(message, err=True)


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
    """Write the table, aligned; differences between the classes are side by side."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    set_up_output(for_people=True)
    console = Console(
        file=sys.stdout, highlight=False, soft_wrap=True, force_terminal=is_terminal(sys.stdout)
    )
    rows = [tuple(map(escape_unprintable, row)) for row in table_rows(summary)]
    for number, line in enumerate(align_rows(rows, left=2, width=cell_len)):
        console.print(Text(line, style="bold" if number == 0 else ""))


def write_json(summary: ImportSummary) -> None:
    """Write one JSON object."""
    print_json(summary)


FORMATS: dict[str, Callable[[ImportSummary], None]] = {"table": write_table, "json": write_json}


def table_rows(summary: ImportSummary) -> Iterator[Row]:
    """Yield the rows of the table, the header first."""
    classes = (summary.real, summary.fake, summary.all)
    yield "", "", "real", "fake", "all"
    yield "pictures", "", *_class_cells(str(one.pictures) for one in classes)
    for field, title in _COUNTED.items():
        yield from _count_rows(title, [getattr(one, field) for one in classes])
    for field in _SPREAD:
        title = "" if field != _SPREAD[0] else "least / median / greatest"
        yield field, title, *_class_cells(_spread(getattr(one, field)) for one in classes)
    yield from _duplicate_rows(summary)
    for code, count in summary.problems.items():
        yield "problem", code, "", "", str(count)


def _count_rows(title: str, counts: list[dict[str, int]]) -> Iterator[Row]:
    """Yield a row for each of the most frequent names, and one for the others together."""
    names = list(counts[-1])
    for name in names[:_MOST_ROWS]:
        yield title, name, *_class_cells(_count(one.get(name, 0)) for one in counts)
        title = ""
    if others := names[_MOST_ROWS:]:
        sums = (sum(one.get(name, 0) for name in others) for one in counts)
        yield title, f"{len(others)} others", *_class_cells(_count(one) for one in sums)


def _duplicate_rows(summary: ImportSummary) -> Iterator[Row]:
    """Yield rows on duplicates in the manifest, where there are any."""
    doubles = summary.doubles
    named = {
        "the same file again": doubles.files,
        "the same path again": doubles.paths,
        "one file in both classes": doubles.in_both_classes,
    }
    for name, count in named.items():
        if count:
            yield "twice", name, "", "", str(count)


def _class_cells(cells: Iterator[str]) -> tuple[str, str, str]:
    """Return the cells of real, fake and all."""
    real, fake, both = cells
    return real, fake, both


def _count(count: int) -> str:
    return str(count) if count else ""


def _spread(spread: NumberRange | None) -> str:
    """Return the numbers, or the one that they all are.

    >>> from faceproof.data.importing.import_data import NumberRange
    >>> _spread(NumberRange(least=1, median=2.5, greatest=9)), _spread(None)
    ('1 / 2.5 / 9', '')
    >>> _spread(NumberRange(least=256, median=256, greatest=256))
    '256'
    """
    if spread is None:
        return ""
    if spread.least == spread.greatest:
        return str(spread.least)
    return f"{spread.least} / {spread.median:.10g} / {spread.greatest}"
