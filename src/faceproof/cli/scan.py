"""faceproof scan: the verdicts on very many pictures, as Parquet files; resumable."""

from __future__ import annotations

import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.detector_options import Device, Scorer
from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.cli.options import AT, DETECTOR, FACES_TO_CHECK, QUIET_SUMMARY, complete_words
from faceproof.cli.progress import is_terminal
from faceproof.errors import FaceproofError
from faceproof.messages import count_noun, escape_unprintable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from faceproof.scanning.summary import ScanSummary


def scan(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Folders, patterns, lists of names (.txt), tar archives, Parquet files; also "
            "s3://, gs://, hf://.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ],
    detector: Annotated[str, DETECTOR] = "default",
    at: Annotated[str | None, AT] = None,
    faces: Annotated[str, FACES_TO_CHECK] = "all",
    scorer: Scorer = "auto",
    device: Device = "cpu",
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            autocompletion=complete_words("local|ray"),
            help="Engine: this machine's cores, or a Ray cluster.",
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of processes; default: one for each core."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address of a Ray cluster; default: one is started here."
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Timeout of one picture, which then gets an error, after a second try.",
        ),
    ] = 300.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the scan that wrote the folder.")
    ] = False,
    by_content: Annotated[
        bool,
        typer.Option(
            "--by-content", help="Identity of a picture: its bytes, not name, size and time."
        ),
    ] = False,
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of Parquet files with bytes or paths."),
    ] = None,
    quiet: Annotated[bool, QUIET_SUMMARY] = False,
) -> None:
    """Check very many pictures; the results are Parquet files with a summary page.

    After an interruption of any kind, the same command with --resume continues.

    Exit codes: 0 all checked, 1 some not checked, 2 wrong usage, 129, 130 and 143 stopped by a
    signal (the results so far are written).
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "filelock", "jinja2", extra="scan")
    from faceproof.scanning.result_files import RESULTS
    from faceproof.scanning.scan import PAGE, scan

    started = time.perf_counter()
    with _scan_progress(quiet=quiet) as progress:
        try:
            summary = scan(
                inputs,
                output,
                detector=detector,
                at=at,
                faces=faces,
                scorer=scorer,
                device=device,
                engine=engine,
                workers=workers,
                address=address,
                timeout=timeout,
                resume=resume,
                by_content=by_content,
                column=column,
                progress=progress,
            )
        except KeyboardInterrupt:
            if not quiet:
                _print_resume_hint()
            raise
    if not quiet:
        seconds = time.perf_counter() - started
        typer.echo(_describe(summary, progress.checked, seconds), err=True)
        shown = [escape_unprintable(str(output / name)) for name in (RESULTS, PAGE)]
        typer.echo(f"results: {shown[0]}, summary: {shown[1]}", err=True)
    raise typer.Exit(NOT_ALL_CHECKED if summary.verdicts["error"] else ALL_CHECKED)


def _print_resume_hint() -> None:
    """Print the command that continues."""
    words = ["faceproof", *sys.argv[1:], *([] if "--resume" in sys.argv else ["--resume"])]
    typer.echo(f"stopped; next: {escape_unprintable(shlex.join(words))}", err=True)


def _describe(summary: ScanSummary, checked: int, seconds: float) -> str:
    """Return the line that ends a run: the counts of the folder, and the rate of this run."""
    from faceproof.reports.words import count_words

    counts = count_words(summary.verdicts) or "none"
    rate = f"{checked} checked now in {seconds:.1f} s, {checked / seconds:.1f} a second"
    return f"{count_noun(summary.pictures, 'picture', separator='')}: {counts} ({rate})"


class _ScanProgress:
    """Counts the pictures that were checked, and shows them with rate and time left."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self.checked = 0

    def start(self, judged: int, chunks: Iterable[Sized]) -> None:
        """Show the bar; the pictures of all chunks are counted meanwhile, in a thread."""
        if self._progress is not None:
            self._task = self._progress.add_task("checked", total=None, completed=judged)
            threading.Thread(target=self._count, args=(chunks,), daemon=True).start()

    def advance(self, table: Sized) -> None:
        """Count more rows."""
        self.checked += len(table)
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, len(table))

    def _count(self, chunks: Iterable[Sized]) -> None:
        try:
            total = sum(map(len, chunks))
        except FaceproofError:  # the scan itself reports it
            return
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total)


@contextmanager
def _scan_progress(*, quiet: bool) -> Iterator[_ScanProgress]:
    """Show a bar with the rate and the time left, on a terminal."""
    if quiet or not is_terminal(sys.stderr):
        yield _ScanProgress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Pictures a second."""

        def render(self, task: object) -> Text:
            """Return the speed of late."""
            speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
            return Text(f"{speed:.1f}/s" if speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=False
    ) as bar:
        yield _ScanProgress(bar)
