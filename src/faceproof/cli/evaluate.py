"""faceproof evaluate: the accuracy of a detector on a data set, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from faceproof.cli.detector_options import OptionalDevice, OptionalScorer, load_detector
from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.cli.options import (
    AT,
    BATCH,
    BATCH_SIZE,
    CONDITION,
    LABELLED_FACES,
    MANIFEST,
    PICTURES,
    QUIET,
    ROOT,
    SPLIT,
    detector_option,
    format_option,
)
from faceproof.cli.progress import show_counts
from faceproof.cli.streams import print_json, set_up_output
from faceproof.errors import UsageError
from faceproof.messages import align_rows, escape_unprintable
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.evaluation.evaluation_record import Evaluation


def evaluate(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Output folder.")],
    data: Annotated[Path | None, MANIFEST] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Predictions table to evaluate again, instead of --data."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Scores of another tool, columns path and score; with --data."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the tool of --scores; default: the file's.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", help="Score from which --scores means fake; default: 0.5."),
    ] = None,
    detector: Annotated[
        str | None, detector_option("Detector: a name, or a folder; default: default.")
    ] = None,
    split: Annotated[str | None, SPLIT] = None,
    root: Annotated[Path | None, ROOT] = None,
    condition: Annotated[list[str] | None, CONDITION] = None,
    at: Annotated[str | None, AT] = None,
    faces: Annotated[str | None, LABELLED_FACES] = None,
    scorer: OptionalScorer = None,
    device: OptionalDevice = None,
    batch_size: Annotated[int | None, BATCH_SIZE] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Random seed of the bootstrap.")
    ] = 0,
    pictures: Annotated[bool, PICTURES] = True,
    resamples: Annotated[
        int, typer.Option(min=100, metavar="N", help="Bootstrap resamples per interval.")
    ] = 1000,
    format_: Annotated[str, format_option("table|json")] = "table",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Evaluate a detector on labelled pictures, by source, generator and condition.

    The same command after an interruption resumes. With --predictions, the report is computed
    again from the table, without pictures. With --scores, another tool is evaluated.

    Exit codes: 0 done, 1 a picture could not be read, 2 wrong usage. Pictures without a face
    are counted and are not errors.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "jinja2", "vl_convert", extra="data")
    write = choose(FORMATS, format_, what="format")
    if (data is None) == (predictions is None):
        raise UsageError("--data or --predictions is needed, and not both")
    common = ("detector", "at", "scorer", "device")
    named = {key for key in common if _is_in_environment(context, key)}
    scored = scores or predictions
    given: _Given = {
        "--data": data,
        "--scores": scores,
        "--name": name,
        "--threshold": threshold,
        "--detector": None if scores and "detector" in named else detector,
        "--split": split,
        "--root": root,
        "--condition": condition,
        "--at": None if scores and "at" in named else at,
        "--faces": faces,
        "--scorer": None if scored and "scorer" in named else scorer,
        "--device": None if scored and "device" in named else device,
        "--batch-size": batch_size,
    }
    figures: _Figures = {"output": output, "resamples": resamples, "seed": seed}
    if predictions is not None:
        result = _evaluate_again(predictions, given, figures)
    elif scores is not None:
        result = _evaluate_scores(scores, given, figures)
    else:
        result = _evaluate_pictures(given, figures, quiet=quiet)
    _write_report(result, output, given, pictures=pictures, quiet=quiet)
    write(result)
    read = all(one.error == 0 for one in result.answered)
    raise typer.Exit(ALL_CHECKED if read else NOT_ALL_CHECKED)


def _is_in_environment(context: typer.Context, parameter: str) -> bool:
    """Return whether an option comes from its environment variable, which may suit other verbs."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "ENVIRONMENT"


_Given = dict[str, Any]


class _Figures(TypedDict):
    """The options of the figures and of where they are written."""

    output: Path
    resamples: int
    seed: int


def _refuse_unused(given: _Given, used: tuple[str, ...], what: str) -> None:
    """Reject an option that has no effect.

    Raises:
        UsageError: naming the first.
    """
    unused = [name for name, value in given.items() if name not in used and value]
    if unused:
        raise UsageError(f"{unused[0]} has no effect on {what}; remove it")


def _evaluate_again(predictions: Path, given: _Given, figures: _Figures) -> Evaluation:
    """Return the evaluation of a predictions table."""
    from faceproof.evaluation.evaluate import evaluate_predictions

    used = ("--detector", "--at", "--root")
    _refuse_unused(given, used, "--predictions, which has the scores")
    return evaluate_predictions(
        predictions, detector=given["--detector"], at=given["--at"], **figures
    )


def _evaluate_scores(scores: Path, given: _Given, figures: _Figures) -> Evaluation:
    """Return the evaluation of another tool's scores."""
    from faceproof.evaluation.other_scores import evaluate_scores

    used = ("--data", "--scores", "--name", "--threshold", "--split", "--root")
    _refuse_unused(given, used, "--scores")
    threshold = given["--threshold"]
    return evaluate_scores(
        scores,
        given["--data"],
        name=given["--name"],
        threshold=0.5 if threshold is None else threshold,
        split=given["--split"],
        root=given["--root"],
        **figures,
    )


def _evaluate_pictures(given: _Given, figures: _Figures, *, quiet: bool) -> Evaluation:
    """Return the evaluation of a detector on pictures."""
    from faceproof.evaluation.evaluate import evaluate as run

    for name in ("--name", "--threshold"):
        if given[name] is not None:
            raise UsageError(f"{name} has no effect without --scores; remove it")
    with show_counts(quiet=quiet) as show:

        def progress(count: int, number: int) -> None:
            show("", count, number)
            if count == number and not quiet:
                typer.echo("figures and intervals", err=True)

        return run(
            load_detector(
                given["--detector"] or "default",
                scorer=given["--scorer"] or "auto",
                device=given["--device"] or "cpu",
                all_cores=True,
            ),
            given["--data"],
            split=given["--split"],
            conditions=given["--condition"] or ["clean"],
            root=given["--root"],
            at=given["--at"],
            faces=given["--faces"] or "largest",
            batch_size=given["--batch-size"] or BATCH,
            progress=progress,
            **figures,
        )


def _write_report(
    result: Evaluation, folder: Path, given: _Given, *, pictures: bool, quiet: bool
) -> None:
    """Write the report beside the predictions.

    Raises:
        UsageError, OutputError: the folder cannot be written to, or the disk is full.
    """
    from faceproof.reports.write_report import write_report

    judged = given["--data"] is not None and given["--scores"] is None
    page = write_report(
        result,
        folder,
        detector=given["--detector"] or ("default" if judged else None),
        root=_data_folder(given),
        pictures=pictures,
    )
    if not quiet:
        typer.echo(f"report: {to_printable(str(page))}", err=True)


def _data_folder(given: _Given) -> Path | None:
    """Return the folder of the pictures, None if it is not known."""
    if given["--data"] is None or given["--root"]:
        root: Path | None = given["--root"]
        return root
    from faceproof.data.manifest_files import read_manifest

    return read_manifest(given["--data"]).root


def write_json(evaluation: Evaluation) -> None:
    """Write the whole record."""
    print_json(evaluation)


def write_table(evaluation: Evaluation) -> None:
    """Write the main figures of each slice under each condition."""
    set_up_output(for_people=True)
    for line in table_lines(evaluation):
        typer.echo(line)
    for caution in evaluation.cautions:
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)
    for text in _caution_lines(evaluation):
        typer.echo(f"* {escape_unprintable(text)}", err=True)
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
        ("faces", "condition", "real", "fake", "not judged", *(SHORT[name] for name in MAIN)),
        *_rows(evaluation),
    ]
    return align_rows(table)


def _caution_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield what to read with the marked figures, and for which slices."""
    slices: dict[str, list[str]] = {}
    for condition in evaluation.conditions:
        for name in evaluation.slices:
            where = f"{name}, {condition}"
            for caution in evaluation.find_cautions(name, condition):
                slices.setdefault(caution, []).append(where)
    for caution, named in slices.items():
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        yield f"{'; '.join(named[:3])}{more}: {caution}"


def _omitted_figures_note(evaluation: Evaluation) -> str:
    """Return how many more figures are left out, and where they are listed."""
    more = len(evaluation.left_out) - 1
    return f" (and {more} more like it, in the report)" if more else ""


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """Yield slice, condition, judged faces and the main figures with their intervals."""
    from faceproof.reports.evaluation_page import MAIN, format_with_mark

    for condition in evaluation.conditions:
        for name in evaluation.slices:
            found = [evaluation.find(metric, name, condition) for metric in MAIN]
            counts = (f"{n:,}" for n in evaluation.count_judged(name, condition))
            yield (
                escape_unprintable(name),
                escape_unprintable(condition),
                *counts,
                _count_not_judged(evaluation, name, condition),
                *map(format_with_mark, found),
            )


def _count_not_judged(evaluation: Evaluation, slice_: str, condition: str) -> str:
    """Return how many faces of a slice were not judged, and why; "-" if it is unknown."""
    coverage = evaluation.find_coverage(slice_, condition)
    return "-" if coverage is None else escape_unprintable(coverage.describe())
