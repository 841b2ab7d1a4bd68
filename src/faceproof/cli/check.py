"""faceproof check: a verdict for every face in every source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from io import TextIOWrapper
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from faceproof.cli.case import CaseReport
from faceproof.cli.exits import INTERRUPTED
from faceproof.cli.heatmaps import HeatMapFolder
from faceproof.cli.output import FAIL_ON, FORMATS, OutcomeCounts
from faceproof.cli.progress import progress_bar
from faceproof.cli.stability import StabilityCheck
from faceproof.errors import UsageError
from faceproof.sources import Sources, read_names
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.checker import Checker, Source
    from faceproof.results import CheckResult


_STDIN = "-"


class _SourceNames:
    """The sources in groups; each is checked completely before the next is read.

    Names from standard input make a group as often as some arrive, so that a slow writer
    sees the results of what it wrote. ``skipped`` counts as in `Sources`.
    """

    def __init__(self, names: Sequence[str], *, separator: bytes = b"\n") -> None:
        """Raise UsageError where standard input is named twice."""
        if names.count(_STDIN) > 1:
            raise UsageError("- (names on standard input) can be given only once")
        self._names = names
        self._separator = separator
        self.skipped = 0

    def __iter__(self) -> Iterator[Sources]:
        """Yield the groups of sources."""
        for names in self._name_lists():
            group = Sources(names)
            try:
                yield group
            finally:
                self.skipped += group.skipped

    def countable_sources(self) -> Sources | None:
        """Return the sources for counting, or None where the number is unknown."""
        return None if _STDIN in self._names else Sources(self._names)

    def _name_lists(self) -> Iterator[list[str]]:
        for on_stdin, names in groupby(self._names, key=_STDIN.__eq__):
            if on_stdin:
                yield from _read_names_as_they_arrive(self._separator)
            else:
                yield list(names)


def _read_names_as_they_arrive(separator: bytes) -> Iterator[list[str]]:
    """Yield lists of names as they arrive on standard input."""
    if sys.stdin.isatty():
        typer.echo("Reading names from the terminal, one a line; Ctrl-D ends.", err=True)
    stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return read_names(stream, separator=separator)


def check(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES",
            help="Files, folders (recursive), patterns, URLs, or - to read names "
            "from standard input.",
            show_default=False,
        ),
    ],
    *,
    detector: Annotated[
        str,
        typer.Option(
            "--detector", "-d", metavar="NAME|FOLDER", help="Detector: a name, or a folder."
        ),
    ] = "default",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Operating point (thresholds); default: the detector's own."
        ),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(
            metavar="all|largest|whole",
            help="Faces to check; whole: the picture is already a face crop.",
        ),
    ] = "all",
    format_: Annotated[
        str,
        typer.Option("--format", "-f", metavar="table|json|jsonl|csv", help="Output format."),
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Output file; default: standard output."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|FILE.pdf",
            help="Case report to write (.html or .pdf): results, reliability, how to verify them.",
        ),
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for a heat map (PNG) of each face."),
    ] = None,
    stability: Annotated[
        bool,
        typer.Option(
            "--stability", help="Check 24 copies of each picture, saved again; much slower."
        ),
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="fake|unsure", help="Exit code 3 on this verdict; unsure: also on fake."
        ),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Names on standard input are separated by NUL.")
    ] = False,
) -> None:
    """Give a verdict on every face in every source.

    Exit codes: 0 all checked, 1 some not checked, 2 wrong usage, 3 see --fail-on.
    """
    make_writer = choose(FORMATS, format_, what="format")
    failing = choose(FAIL_ON, fail_on, what="--fail-on") if fail_on else frozenset[str]()
    listing = _SourceNames(sources, separator=b"\0" if null else b"\n")
    from faceproof.checker import make_checker

    checker = make_checker(detector, faces=faces, at=at, heatmaps=heatmaps is not None)
    case = CaseReport(report, checker, detector=detector, faces=faces) if report else None
    maps = HeatMapFolder(heatmaps, checker) if heatmaps else None
    copies = StabilityCheck(checker) if stability else None
    seeing = [one for one in (case, maps) if one]
    tally = OutcomeCounts()
    with (
        _open_output(output, for_people=format_ == "table") as stream,
        progress_bar(listing.countable_sources()) as bar,
        closing(make_writer(stream, bar.hide)) as writer,
        closing(_check_groups(checker, listing, seeing, copies)) as results,
    ):
        shown = [one.take for one in seeing]
        interrupted = _take(results, (tally.add, writer.write, *shown, bar.advance))
    if case:
        case.close()
    typer.echo(tally.summarise(checker, skipped=listing.skipped), err=True)
    raise typer.Exit(INTERRUPTED if interrupted else tally.exit_code(failing))


def _check_groups(
    checker: Checker,
    listing: _SourceNames,
    seeing: Sequence[CaseReport | HeatMapFolder],
    copies: StabilityCheck | None,
) -> Generator[CheckResult, None, None]:
    """Yield the results, group after group; ``seeing`` note the sources on their way."""
    for group in listing:
        sources: Iterable[Source] = group
        for one in (*seeing, *([copies] if copies else [])):
            sources = one.record_sources(sources)
        results = checker.check_many(sources)
        yield from map(copies.add, results) if copies else results


def _take(results: Iterable[CheckResult], takers: Sequence[Callable[[CheckResult], None]]) -> bool:
    """Hand each result to all takers; return whether Ctrl-C came before the end."""
    try:
        for result in results:
            for take in takers:
                take(result)
    except KeyboardInterrupt:
        return True
    return False


@contextmanager
def _open_output(output: Path | None, *, for_people: bool) -> Iterator[TextIO]:
    """Open the file, or standard output; what machines read is UTF-8 with bare newlines.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        yield _standard_output(for_people=for_people)
        return
    try:
        stream = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    with stream:
        yield stream


def _standard_output(*, for_people: bool) -> TextIO:
    """Return standard output, so set that no file name can break it."""
    if isinstance(sys.stdout, TextIOWrapper):
        if for_people:
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    return sys.stdout
