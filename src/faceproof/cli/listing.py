"""The sources of a run of `check`: what was named, and what arrives on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import typer

from faceproof.errors import UsageError
from faceproof.sources import Sources, read_names

STDIN = "-"


class Listing:
    """The sources in groups; each is checked to its end before the next is asked for.

    Names from standard input make a group as often as some arrive, so that a slow writer
    sees the results of what it wrote. ``skipped`` counts as in `Sources`.
    """

    def __init__(self, names: Sequence[str], *, separator: bytes = b"\n") -> None:
        """Raise UsageError where standard input is named twice."""
        if names.count(STDIN) > 1:
            raise UsageError("- (names on standard input) can be given once only")
        self._names = names
        self._separator = separator
        self.skipped = 0

    def __iter__(self) -> Iterator[Sources]:
        """Yield the groups of sources."""
        for names in self._lists():
            group = Sources(names)
            try:
                yield group
            finally:
                self.skipped += group.skipped

    def countable(self) -> Sources | None:
        """Return the sources for counting, or None where only time can tell."""
        return None if STDIN in self._names else Sources(self._names)

    def _lists(self) -> Iterator[list[str]]:
        for on_stdin, names in groupby(self._names, key=STDIN.__eq__):
            if on_stdin:
                yield from _arriving(self._separator)
            else:
                yield list(names)


def _arriving(separator: bytes) -> Iterator[list[str]]:
    """Yield lists of names as they arrive on standard input."""
    if sys.stdin.isatty():
        typer.echo("Reading names from the terminal, one a line; Ctrl-D ends.", err=True)
    stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return read_names(stream, separator=separator)
