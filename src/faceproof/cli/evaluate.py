"""faceproof evaluate: the accuracy of a detector on a data set, with intervals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.cli.output import visible
from faceproof.cli.progress import Bar, progress_bar
from faceproof.errors import UsageError
from faceproof.sources import printable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.detector import Detector, OperatingPoint
    from faceproof.evaluation.evaluate import Evaluation, Selection
    from faceproof.evaluation.predict import Find


#: A pyarrow table; what checks a picture names no library of an extra.
Table = Any
PREDICTIONS, RECORD, PAGE = "predictions.parquet", "evaluation.json", "evaluation.html"


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
    """Measure a detector on labelled pictures, by source, generator and condition.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong usage. No face is an answer too.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "jinja2", extra="data")
    write = choose(FORMATS, format_, what="format")
    conditions = _conditions(condition)
    find = choose(_FACES, faces, what="choice of faces")()
    _check_output(output)
    judge = _detector(detector)
    point = judge.operating_point(at)
    selection = _selection(data, root, split)
    predictions = _predict(judge, selection, conditions, find)
    result = _evaluated(
        predictions, judge, selection, point, faces=faces, number=resamples, seed=seed
    )
    _write(result, predictions, output)
    write(result)
    read = all(one.error == 0 for one in result.answered)
    raise typer.Exit(ALL_CHECKED if read else NOT_ALL_CHECKED)


def _largest() -> Find:
    from faceproof.evaluation.predict import largest
    from faceproof.imaging.faces import YuNet

    return partial(largest, YuNet())


def _whole() -> Find:
    from faceproof.evaluation.predict import whole

    return whole


_FACES: dict[str, Callable[[], Find]] = {"largest": _largest, "whole": _whole}


def _conditions(named: list[str] | None) -> list[str]:
    """Return the named conditions, each once; an unknown one is rejected."""
    from faceproof.imaging.degradations import DEGRADATIONS

    conditions = list(dict.fromkeys(named or ["clean"]))
    for name in conditions:
        choose(DEGRADATIONS, name, what="condition")
    return conditions


def _check_output(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier evaluation.

    Raises:
        UsageError: it does, or is not a folder.
    """
    shown = printable(str(folder))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown} is not a folder; name one that is new or empty")
    if not folder.exists() or _is_ours(folder):
        return
    if any(folder.iterdir()):
        raise UsageError(
            f"{shown} is not empty and holds no earlier evaluation; name a new or empty folder"
        )


def _is_ours(folder: Path) -> bool:
    """Return whether the folder holds an earlier evaluation."""
    from faceproof.evaluation.evaluate import Evaluation

    try:
        Evaluation.read(folder / RECORD)
    except (OSError, ValueError):
        return False
    return True


def _detector(name: str) -> Detector:
    from faceproof.detector import Detector
    from faceproof.detector.scorers import usable_cores

    return Detector.load(name, threads=usable_cores())


def _selection(data: Path, root: Path | None, split: str | None) -> Selection:
    """Return the rows to judge."""
    from faceproof.data.manifest_files import read_manifest
    from faceproof.evaluation.evaluate import select

    if not data.is_file():
        raise UsageError(
            f"--data {printable(str(data))} does not exist; name a .parquet or .csv manifest"
        )
    return select(read_manifest(data, root=root), split, name=printable(str(data)))


def _predict(detector: Detector, selection: Selection, conditions: list[str], find: Find) -> Table:
    """Return the predictions of the rows, with a bar on a terminal."""
    from faceproof.detector.scorers import usable_cores
    from faceproof.evaluation.predict import predict_rows
    from faceproof.evaluation.predictions import Origin

    origin = Origin(
        detector_sha256=detector.sha256, data_sha256=selection.sha256, purpose=selection.purpose
    )
    with progress_bar(range(len(selection.rows) * len(conditions)), what="judged") as bar:
        return predict_rows(
            detector,
            selection.rows,
            origin,
            conditions,
            root=selection.root,
            find=find,
            workers=usable_cores(),
            progress=_counting(bar),
        )


def _counting(bar: Bar) -> Callable[[int], None]:
    """Return a function that moves a bar to a number of answers."""
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        for _ in range(count - told):
            bar.advance()
        told = count

    return tell


def _evaluated(
    predictions: Table,
    detector: Detector,
    selection: Selection,
    point: OperatingPoint,
    *,
    faces: str,
    number: int,
    seed: int,
) -> Evaluation:
    """Return the record of the predictions."""
    from faceproof.evaluation.evaluate import Judged, cautions, evaluation

    spec = detector.spec
    typer.echo("figures and intervals", err=True)
    return evaluation(
        predictions,
        Judged(name=spec.name, version=spec.version, sha256=detector.sha256),
        selection.on,
        point,
        chosen_faces=faces,
        cautions=cautions(selection, spec, predictions),
        number=number,
        seed=seed,
    )


def _write(result: Evaluation, predictions: Table, folder: Path) -> None:
    """Write table, record and page.

    Raises:
        UsageError: the folder cannot be written to.
    """
    from faceproof.evaluation import predictions as tables
    from faceproof.reports.evaluation_page import evaluation_page

    page = evaluation_page(result, predictions)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tables.write(predictions, folder / PREDICTIONS)
        (folder / PAGE).write_text(page, encoding="utf-8")
        result.write(folder / RECORD)
    except OSError as error:
        shown = printable(str(folder))
        raise UsageError(f"{shown} cannot be written to: {error.strerror or error}") from error
    typer.echo(f"report: {printable(str(folder / PAGE))}", err=True)


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
    """Return how many more figures are left out, and where they are listed."""
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
