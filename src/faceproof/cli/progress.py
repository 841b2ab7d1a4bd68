"""A progress bar, messages and a clock on standard error; bar and clock on a terminal only."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

import typer

from faceproof.messages import ignore_message

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress


_TICK_SECONDS = 0.2


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream is open, and a terminal."""
    return stream is not None and stream.isatty()


class ProgressBar:
    """Counts what is finished; does nothing where standard error is not a terminal."""

    def __init__(
        self, progress: Progress | None = None, total: int | None = None, *, what: str = "checked"
    ) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=total) if progress else None

    def advance(self, _: object = None) -> None:
        """Count one more."""
        if self._progress and self._task is not None:
            self._progress.advance(self._task)

    def hide(self) -> AbstractContextManager[None]:
        """Take the bar away while something is written to the same terminal."""
        if self._progress is None or not is_terminal(sys.stdout):
            return nullcontext()
        return _hide_progress(self._progress)


@contextmanager
def progress_bar(
    countable: Iterable[object] | None, *, what: str = "checked", quiet: bool = False
) -> Iterator[ProgressBar]:
    """Show a bar of ``what`` is done; it knows its end where that is counted within a second.

    There is none if ``quiet``, or where standard error is not a terminal.
    """
    if quiet or not is_terminal(sys.stderr):
        yield ProgressBar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        total = None if countable is None else count_within(countable)
        yield ProgressBar(progress, total, what=what)


@contextmanager
def show_counts(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Return a function of a name, a count and its end that shows the count on a bar.

    The count 0 begins a bar, after a line with the name of the pictures, if it has one.
    """
    bar, shown = ProgressBar(), 0
    with ExitStack() as stack:

        def show(name: str, count: int, number: int) -> None:
            nonlocal bar, shown
            if not count:
                shown = 0
                if name and not quiet:
                    typer.echo(f"{name} pictures: {number:,} to judge", err=True)
                bar = stack.enter_context(progress_bar(range(number), what="judged", quiet=quiet))
            for _ in range(count - shown):
                bar.advance()
            shown = count
            if count == number:
                stack.close()

        yield show


def print_next(*words: str | Path) -> None:
    """Print the command that usually follows, as the last line on standard error."""
    typer.echo(f"next: {shlex.join(map(str, words))}", err=True)


class ProgressPrinter:
    """Prints each message on standard error, and shows a clock during silent work."""

    def __call__(self, message: str) -> None:
        """Print a message as a line."""
        typer.echo(message, err=True)

    @contextmanager
    def clock(self, text: str) -> Iterator[None]:
        """Show the text and a running clock, where standard error is a terminal."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with running_clock(text, Console(stderr=True)):
            yield


def print_lines(*, quiet: bool) -> Callable[[str], None]:
    """Return what prints messages on standard error as lines, or nothing if ``quiet``."""
    return ignore_message if quiet else ProgressPrinter()


@contextmanager
def running_clock(text: str, console: Console) -> Iterator[None]:
    """Show the text and the time since the block began on a terminal; nothing stays of it."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    progress = Progress(
        *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False
    )
    ended = Event()

    def tick() -> None:
        while not ended.wait(_TICK_SECONDS):
            progress.refresh()

    thread = Thread(target=tick, daemon=True)
    progress.add_task(text, total=None)
    with progress:
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()  # rich does not wait for its own, which a later fork would copy


def count_within(items: Iterable[object], *, seconds: float = 1.0) -> int | None:
    """Return how many there are, or None when counting takes longer.

    >>> count_within("abc")
    3
    """
    end = time.monotonic() + seconds
    count = 0
    for count, _ in enumerate(items, start=1):  # noqa: B007
        if time.monotonic() > end:
            return None
    return count


@contextmanager
def _hide_progress(progress: Progress) -> Iterator[None]:
    progress.stop()
    try:
        yield
    finally:
        progress.start()
