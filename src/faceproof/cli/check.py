"""faceproof check: a verdict for every face in every source."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.case import CaseReport
from faceproof.cli.detector_options import Device, Scorer, load_detector
from faceproof.cli.exits import interrupt_code
from faceproof.cli.formats import choose_format
from faceproof.cli.heatmaps import HeatMapFolder
from faceproof.cli.options import (
    AT,
    DETECTOR,
    FACES_TO_CHECK,
    QUIET_SUMMARY,
    batch_size_option,
    complete_from,
)
from faceproof.cli.output import FAIL_ON, OutcomeCounts, TableWriter, Writer
from faceproof.cli.picture_folders import AnnotatedFolder, PictureFolder
from faceproof.cli.progress import progress_bar
from faceproof.cli.source_names import SourceNames
from faceproof.cli.stability import StabilityCheck
from faceproof.errors import OutputError
from faceproof.outputs import is_regular, refuse_overwriting
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.checker import Checker
    from faceproof.loading import Source
    from faceproof.results import CheckResult

_STDOUT = Path("/dev/stdout")


def check(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES",
            help="Files, folders (recursive), patterns, URLs, or - to read names, or a "
            "picture, from standard input.",
            show_default=False,
        ),
    ],
    *,
    detector: Annotated[str, DETECTOR] = "default",
    at: Annotated[str | None, AT] = None,
    faces: Annotated[str, FACES_TO_CHECK] = "all",
    scorer: Scorer = "auto",
    device: Device = "cpu",
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="table|json|jsonl|csv|parquet|xlsx",
            autocompletion=complete_from(
                "faceproof.cli.output:FORMATS", "faceproof.cli.formats:TABLE_FILES"
            ),
            help="Output format; default: by the ending of the output file, else table.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Output file (.txt, .json, .jsonl, .csv, .parquet, .xlsx); default: standard "
            "output.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|FILE.pdf",
            help="Case report to write (.html or .pdf): results, reliability, how to verify them.",
        ),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for each picture (PNG) with its faces marked."),
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
            metavar="fake|unsure",
            autocompletion=complete_from("faceproof.cli.output:FAIL_ON"),
            help="Exit code 3 on this verdict; unsure: also on fake.",
        ),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Names on standard input are separated by NUL.")
    ] = False,
    quiet: Annotated[bool, QUIET_SUMMARY] = False,
    batch_size: Annotated[int | None, batch_size_option("2, which suits a CPU")] = None,
) -> None:
    """Give a verdict on every face in every source.

    Exit codes: 0 all checked, 1 some not checked or not written, 2 wrong usage, 3 see --fail-on,
    129, 130 and 143 stopped by a signal (the results so far are written).
    """
    listing = SourceNames(sources, separator=b"\0" if null else b"\n")
    _refuse_overwriting(listing, output, report)
    written = choose_format(output, format_)
    failing = choose(FAIL_ON, fail_on, what="--fail-on") if fail_on else frozenset[str]()
    try:
        from faceproof.checker import make_checker

        loaded = load_detector(detector, scorer=scorer, device=device)
        checker = make_checker(loaded, faces=faces, at=at, heatmaps=heatmaps is not None)
        case = CaseReport(report, checker, detector=detector, faces=faces) if report else None
        maps = HeatMapFolder(heatmaps, checker) if heatmaps else None
        marked = AnnotatedFolder(annotate, checker) if annotate else None
    except KeyboardInterrupt as stop:
        with written.open(output, nullcontext) as writer:
            writer.close()
        raise typer.Exit(interrupt_code(stop)) from None
    copies = StabilityCheck(checker) if stability else None
    seeing = [one for one in (case, maps, marked) if one]
    tally = OutcomeCounts()
    with (
        progress_bar(listing.countable_sources(), quiet=quiet) as bar,
        written.open(output, bar.hide) as writer,
        closing(_check_groups(checker, listing, seeing, copies, batch_size)) as results,
    ):
        if isinstance(writer, TableWriter):
            writer.expect(listing.first_names())
        shown = [one.take for one in seeing]
        stopped = _take(results, (tally.add, writer.write, *shown, bar.advance), writer)
    if case:
        case.close()
    if not quiet:
        typer.echo(tally.summarise(checker, skipped=listing.skipped), err=True)
    raise typer.Exit(interrupt_code(stopped) if stopped else tally.exit_code(failing))


def _refuse_overwriting(listing: SourceNames, output: Path | None, report: Path | None) -> None:
    """Refuse outputs that are inputs, pictures, or the list on standard input.

    Raises:
        UsageError: naming the output.
    """
    outputs = {"--output": output, "--report": report}
    if output is None and is_regular(_STDOUT):
        outputs["standard output"] = _STDOUT
    refuse_overwriting(outputs, listing.existing_paths(), descriptors={0: "standard input"})


def _check_groups(
    checker: Checker,
    listing: SourceNames,
    seeing: Sequence[CaseReport | PictureFolder],
    copies: StabilityCheck | None,
    batch_size: int | None,
) -> Generator[CheckResult, None, None]:
    """Yield the results, group after group; ``seeing`` note the sources on their way."""
    for group in listing:
        sources: Iterable[Source] = group
        for one in (*seeing, *([copies] if copies else [])):
            sources = one.record_sources(sources)
        results = checker.check_many(sources, batch_size=batch_size)
        yield from map(copies.add, results) if copies else results


def _take(
    results: Iterable[CheckResult], takers: Sequence[Callable[[CheckResult], None]], writer: Writer
) -> KeyboardInterrupt | None:
    """Hand each result to all takers, then close the writer; return the signal that came before.

    After an error the results so far are written, as far as that is possible.
    """
    taken, stopped = False, None
    try:
        for result in results:
            for take in takers:
                take(result)
                taken = True
    except KeyboardInterrupt as stop:
        stopped = stop
    except BaseException:
        if taken:
            with suppress(OutputError, OSError):
                writer.close()
        raise
    writer.close()
    return stopped
