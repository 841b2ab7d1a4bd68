"""faceproof evaluate: the accuracy of a detector on a data set, with intervals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.cli.output import escape_unprintable
from faceproof.cli.progress import ProgressBar, progress_bar
from faceproof.messages import align_rows
from faceproof.outputs import write_error, write_text
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.evaluation.evaluate import Evaluation


PAGE = "evaluation.html"


def evaluate(
    *,
    data: Annotated[Path, typer.Option(metavar="MANIFEST", help="Manifest of labelled pictures.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Output folder.")],
    detector: Annotated[
        str,
        typer.Option(
            "--detector", "-d", metavar="NAME|FOLDER", help="Detector: a name, or a folder."
        ),
    ] = "default",
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to score; default: test, or all rows of a manifest without splits."
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Data folder, if the manifest names none."),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Degradation to apply before scoring; repeatable."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Operating point; default: the detector's own."),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(
            metavar="largest|whole",
            help="Faces to score; whole: the picture is already a face crop.",
        ),
    ] = "largest",
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Random seed of the bootstrap.")
    ] = 0,
    resamples: Annotated[
        int, typer.Option(min=100, metavar="N", help="Bootstrap resamples per interval.")
    ] = 1000,
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="table|json", help="Output format.")
    ] = "table",
) -> None:
    """Evaluate a detector on labelled pictures, by source, generator and condition.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong usage. Pictures without a face
    are counted and are not errors.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "jinja2", extra="data")
    write = choose(FORMATS, format_, what="format")
    from faceproof.evaluation.evaluate import evaluate as run

    with _show_progress() as progress:
        result = run(
            detector,
            data,
            split=split,
            conditions=condition or ["clean"],
            output=output,
            root=root,
            at=at,
            faces=faces,
            resamples=resamples,
            seed=seed,
            progress=progress,
        )
    _write_page(result, output)
    write(result)
    read = all(one.error == 0 for one in result.answered)
    raise typer.Exit(ALL_CHECKED if read else NOT_ALL_CHECKED)


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """Return what shows answers on a bar, and then a line for what takes its time after them."""
    bar, counted = ProgressBar(), 0
    with ExitStack() as stack:

        def show(count: int, number: int) -> None:
            nonlocal bar, counted
            if not count:
                bar = stack.enter_context(progress_bar(range(number), what="judged"))
            for _ in range(count - counted):
                bar.advance()
            counted = count
            if count == number:
                stack.close()
                typer.echo("figures and intervals", err=True)

        yield show


def _write_page(result: Evaluation, folder: Path) -> None:
    """Write the page beside the predictions.

    Raises:
        UsageError, OutputError: the folder cannot be written to, or the disk is full.
    """
    from faceproof.evaluation import predictions
    from faceproof.evaluation.evaluate import PREDICTIONS
    from faceproof.reports.evaluation_page import evaluation_page

    page = evaluation_page(result, predictions.read_table(folder / PREDICTIONS))
    try:
        write_text(folder / PAGE, page)
    except OSError as error:
        raise write_error(folder / PAGE, error) from error
    typer.echo(f"report: {to_printable(str(folder / PAGE))}", err=True)


def write_json(evaluation: Evaluation) -> None:
    """Write the whole record."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    typer.echo(evaluation.model_dump_json(indent=2))


def write_table(evaluation: Evaluation) -> None:
    """Write the main figures of each slice under each condition."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for line in table_lines(evaluation):
        typer.echo(line)
    for caution in evaluation.cautions:
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)
    if evaluation.left_out:
        typer.echo(
            "left out: "
            f"{escape_unprintable(evaluation.left_out[0])}{_omitted_figures_note(evaluation)}",
            err=True,
        )


FORMATS: dict[str, Callable[[Evaluation], None]] = {"table": write_table, "json": write_json}


def table_lines(evaluation: Evaluation) -> Iterator[str]:
    """Return the aligned lines of the table, the head first."""
    from faceproof.reports.evaluation_page import MAIN, SHORT

    table = [
        ("faces", "condition", "real", "fake", *(SHORT[name] for name in MAIN)),
        *_rows(evaluation),
    ]
    return align_rows(table)


def _omitted_figures_note(evaluation: Evaluation) -> str:
    """Return how many more figures are left out, and where they are listed."""
    more = len(evaluation.left_out) - 1
    return f" (and {more} more like it, on the page)" if more else ""


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """Yield slice, condition, judged faces and the main figures with their intervals."""
    from faceproof.reports.evaluation_page import MAIN, format_finding

    for condition in evaluation.conditions:
        for name in evaluation.slices:
            found = [evaluation.find(metric, name, condition) for metric in MAIN]
            counts = (f"{n:,}" for n in evaluation.count_judged(name, condition))
            yield (
                escape_unprintable(name),
                escape_unprintable(condition),
                *counts,
                *map(format_finding, found),
            )
