"""A progress bar on standard error, when that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress


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
