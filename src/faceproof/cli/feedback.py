"""faceproof feedback: list, export and delete reports of wrong verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.errors import UsageError
from faceproof.messages import align_rows, escape_unprintable
from faceproof.outputs import atomic_write, refuse_overwriting, write_error

if TYPE_CHECKING:
    from faceproof.evaluation.feedback import Feedback
    from faceproof.frontends.api.feedback.store import FeedbackStore


_JSON_LINES = ".jsonl"


def read(name: str) -> tuple[Feedback, ...]:
    """Return the feedback of a .jsonl file, or of a database.

    Raises:
        DataError: the file cannot be read, or a line is not feedback.
        FeedbackStoreError: the database cannot be read.
    """
    if name.endswith(_JSON_LINES):
        from faceproof.evaluation.feedback import read_feedback

        return read_feedback(Path(name))
    with closing(_open_store(name)) as store:
        return tuple(store)


def _open_store(database: str) -> FeedbackStore:
    """Return the store in a database, which must be there.

    Raises:
        MissingExtraError: the service is not installed.
        FeedbackStoreError: there is none, or it cannot be opened.
    """
    from faceproof.tables import require

    require("sqlalchemy", "fastapi", "pydantic_settings", extra="serve")
    from faceproof.frontends.api.feedback.store import FeedbackStore

    return FeedbackStore.open(database, create=False)


def display_name(database: str) -> str:
    """Return how a source of feedback is named in a report, without a password."""
    if "://" not in database:
        return database
    from faceproof.frontends.api.feedback.database import parse_address

    return str(parse_address(database))


app = typer.Typer(help="List, export and delete reports of wrong verdicts.", no_args_is_help=True)

_Database = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="FILE|URL",
        envvar="FACEPROOF_SERVE_FEEDBACK__DATABASE",
        help="Database of the service: an SQLite file, postgresql://..., or default.",
    ),
]

HEAD = ("id", "received", "truth", "verdict", "probability", "generator", "picture", "detector")


@app.command("list")
def list_(*, database: _Database = "default") -> None:
    """List the feedback, the oldest first."""
    with closing(_open_store(database)) as store:
        rows = [HEAD, *map(_cells, store)]
    for line in align_rows(rows):
        typer.echo(line)
    typer.echo(f"{len(rows) - 1:,} in {escape_unprintable(display_name(database))}", err=True)


@app.command()
def export(
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .jsonl, or a manifest (.csv, .parquet).",
        ),
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the pictures, for a manifest."),
    ] = None,
    database: _Database = "default",
) -> None:
    """Write the feedback to a file that `update --feedback` reads, or a manifest of its pictures.

    A manifest has a row for each picture in FOLDER; feedback without a picture is counted.
    """
    refuse_overwriting({"--output": output}, [database])
    feedback = read(database)
    if output.suffix.lower() == _JSON_LINES:
        _write_lines(feedback, output)
        typer.echo(f"{len(feedback):,} written to {output}", err=True)
        return
    if output.suffix.lower() not in {".csv", ".parquet"}:
        raise UsageError(f"--output {output}: name a .jsonl, or a .csv or .parquet for a manifest")
    if pictures is None:
        raise UsageError(
            "a manifest needs the pictures, which the database does not keep: add --pictures FOLDER"
        )
    typer.echo(_write_manifest(feedback, pictures, output, display_name(database)), err=True)


@app.command()
def prune(
    *,
    days: Annotated[
        int,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=0,
            help="Delete feedback older than this number of days.",
        ),
    ],
    database: _Database = "default",
) -> None:
    """Delete feedback older than a number of days."""
    with closing(_open_store(database)) as store:
        from faceproof.frontends.api.feedback.store import prune as run

        typer.echo(f"{run(store, days):,} deleted", err=True)


@app.command()
def erase(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID|SHA256", help="Id of a feedback entry, or SHA-256 of a picture."
        ),
    ],
    *,
    database: _Database = "default",
) -> None:
    """Delete one feedback entry, or all entries on the picture with this SHA-256."""
    with closing(_open_store(database)) as store:
        typer.echo(f"{store.erase(name):,} deleted", err=True)


def _cells(one: Feedback) -> tuple[str, ...]:
    from faceproof.reports.words import OUTCOMES, percent_words

    probability = "" if one.fake_probability is None else percent_words(one.fake_probability)
    face = "" if one.face is None else f" face {one.face}"
    return (
        one.id,
        f"{one.received:%Y-%m-%d %H:%M}",
        one.truth,
        OUTCOMES[one.verdict or "no_face"].word,
        probability,
        one.generator or "",
        f"{one.image.sha256[:12]}{face}",
        escape_unprintable(f"{one.detector.name} {one.detector.version}"),
    )


def _write_lines(feedback: Iterable[Feedback], path: Path) -> None:
    """Write JSON Lines, readable only by the user: feedback is private."""
    from faceproof.evaluation.feedback import to_json_lines

    try:
        with atomic_write(path, private=True) as file:
            file.writelines(line.encode() for line in to_json_lines(feedback))
    except OSError as error:
        raise write_error(path, error) from error


def _write_manifest(feedback: tuple[Feedback, ...], pictures: Path, path: Path, name: str) -> str:
    """Write a row for each picture that is there, and return what was left out in words."""
    from faceproof.tables import require

    require("polars", "pyarrow", extra="data")
    from faceproof.data.manifest_files import write_manifest
    from faceproof.evaluation.feedback_set import cases_to_manifest, collect_cases, describe_counts

    found = collect_cases(feedback, pictures, name=name)
    manifest, several = cases_to_manifest(found)
    write_manifest(manifest, path)
    message = describe_counts(found.counts, len(found.cases))
    more = f"; {several:,} with several faces, of which a manifest names none" if several else ""
    return f"{len(manifest):,} rows written to {path} ({message}{more})"
