"""faceproof audit: what breaks a detector, and how far its probabilities hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.detector_options import Device, Scorer, load_detector
from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.cli.options import (
    AT,
    BATCH,
    BATCH_SIZE,
    DETECTOR,
    LABELLED_FACES,
    MANIFEST,
    PICTURES,
    QUIET,
    ROOT,
    SPLIT,
    complete_from,
    format_option,
)
from faceproof.cli.progress import show_counts
from faceproof.cli.streams import print_json, set_up_output
from faceproof.messages import escape_unprintable
from faceproof.sources import to_printable
from faceproof.tables import choose, require

if TYPE_CHECKING:
    from faceproof.evaluation.audit_result import AuditRun


def audit(
    *,
    data: Annotated[Path, MANIFEST],
    detector: Annotated[str, DETECTOR] = "default",
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Output folder; an earlier audit is resumed."
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_from("faceproof.audits.audit:AUDITS"),
            help="Audit to run: robustness, stability, calibration, generators, fairness, "
            "shortcuts or attacks; repeatable. Default: all.",
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Pictures per cell: class, or source and generator."),
    ] = 300,
    full: Annotated[
        bool, typer.Option("--full", help="All pictures, instead of a sample of --most per cell.")
    ] = False,
    split: Annotated[str | None, SPLIT] = None,
    root: Annotated[Path | None, ROOT] = None,
    at: Annotated[str | None, AT] = None,
    faces: Annotated[str | None, LABELLED_FACES] = None,
    scorer: Scorer = "auto",
    device: Device = "cpu",
    batch_size: Annotated[int | None, BATCH_SIZE] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Random seed of sample and bootstrap.")
    ] = 0,
    leave_one_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="Output of `train leave-one-out`, for the audit generators.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN[+COLUMN]",
            help="Attribute column for fairness; repeatable. Default: age, gender, ...; in pairs.",
        ),
    ] = None,
    pictures: Annotated[bool, PICTURES] = True,
    format_: Annotated[str, format_option("text|json")] = "text",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Audit a detector on labelled pictures: a question, an answer and tables for each audit.

    Each result is written to the output folder when it is done, and at the end a report of all.
    The same command resumes after a stop; with all results there, it writes the report again.
    Exit codes: 0 done, 1 an audit could not be measured, 2 wrong usage.
    """
    require("polars", "pyarrow", "jinja2", "vl_convert", extra="data")
    write = choose(FORMATS, format_, what="format")
    from faceproof.audits.audit import audit as run
    from faceproof.data.manifest_files import read_manifest
    from faceproof.reports.write_report import write_report

    judge = load_detector(detector, scorer=scorer, device=device, all_cores=True)
    with show_counts(quiet=quiet) as progress:
        found = run(
            judge,
            data,
            only=only,
            output=output,
            split=split,
            root=root,
            at=at,
            faces=faces or "largest",
            most=None if full else most,
            seed=seed,
            leave_one_out=leave_one_out,
            by=by or (),
            batch_size=batch_size or BATCH,
            progress=progress,
        )
    page = write_report(
        found, output, detector=judge, root=root or read_manifest(data).root, pictures=pictures
    )
    if not quiet:
        typer.echo(f"report: {to_printable(str(page))}", err=True)
    write(found)
    measured = all(one.measured for one in found.results)
    raise typer.Exit(ALL_CHECKED if measured else NOT_ALL_CHECKED)


def write_text(run: AuditRun) -> None:
    """Write each question with its answer and details; cautions go to standard error, each once."""
    set_up_output(for_people=True)
    for one in run.results:
        typer.echo(f"{one.name}: {one.question}")
        for sentence in (one.answer, *one.details):
            typer.echo(f"  {escape_unprintable(sentence)}")
    for caution in dict.fromkeys(text for one in run.results for text in one.cautions):
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)


def write_json(run: AuditRun) -> None:
    """Write the whole record."""
    print_json(run)


FORMATS: dict[str, Callable[[AuditRun], None]] = {"text": write_text, "json": write_json}
