"""SourceNames: the sources named on the command line and on standard input, group by group."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import BinaryIO

import typer

from faceproof.cli.progress import is_terminal
from faceproof.errors import UsageError
from faceproof.sources import (
    Sources,
    StreamSource,
    begins_like_picture,
    path_matches,
    read_names,
)

STDIN = "-"
_HEAD_BYTES = 64
_FIRST = 100
#: Beginnings of pictures and other files that are printable, as names are.
_PRINTABLE = (b"RIFF", b"GIF8", b"BM", b"II", b"MM", b"%PDF", b"%!PS", b"<", b'{"', b"[{")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


class SourceNames:
    """The sources in groups; each is checked completely before the next is read.

    Names from standard input make a group as often as some arrive, so that a slow writer sees the
    results of what it wrote; a picture there is a group of its own. ``skipped`` counts as in
    `Sources`.
    """

    def __init__(self, names: Sequence[str], *, separator: bytes = b"\n") -> None:
        """Raise UsageError where standard input is named twice, or closed."""
        if "" in names:
            raise UsageError("a source is an empty text: name a file, a folder or an address")
        if names.count(STDIN) > 1:
            raise UsageError("- (standard input) can be given only once")
        if STDIN in names and sys.stdin is None:
            raise UsageError("- cannot be read: standard input is closed; name files instead")
        self._names = names
        self._separator = separator
        self.skipped = 0

    def __iter__(self) -> Iterator[Sources | list[StreamSource]]:
        """Yield the groups of sources."""
        for on_stdin, names in groupby(self._names, key=STDIN.__eq__):
            for group in self._groups_on_stdin() if on_stdin else [Sources(list(names))]:
                try:
                    yield group
                finally:
                    self.skipped += group.skipped if isinstance(group, Sources) else 0

    def countable_sources(self) -> Sources | None:
        """Return the sources for counting, or None where the number is unknown."""
        return None if STDIN in self._names else Sources(self._names)

    def first_names(self) -> Iterator[str]:
        """Yield the first paths and addresses; none where standard input has the names."""
        sources = self.countable_sources() or ()
        return (one for one in islice(sources, _FIRST) if isinstance(one, str))

    def existing_paths(self) -> list[str]:
        """Return the files and folders that are named, also by patterns."""
        return [path for name in self._names if name != STDIN for path in path_matches(name)]

    def _groups_on_stdin(self) -> Iterator[Sources | list[StreamSource]]:
        """Yield the picture on standard input, or lists of names as they arrive."""
        stream = _open_stdin()
        head = _read_head(stream)
        if begins_like_picture(head) or _is_other_file(head):
            yield [StreamSource(STDIN, lambda limit: head + stream.read(max(limit - len(head), 0)))]
            return
        rest = _Rest(head, getattr(stream, "raw", stream))
        for names in read_names(rest, separator=self._separator):
            yield Sources(names)


def _open_stdin() -> BinaryIO:
    """Return standard input as bytes."""
    if is_terminal(sys.stdin):
        typer.echo("Reading names from the terminal, one a line; Ctrl-D ends.", err=True)
    return sys.stdin.buffer


class _Rest(io.RawIOBase):
    """What was read already, then the rest of an unbuffered stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1, /) -> bytes:
        """Return the head, then at most ``size`` bytes as soon as there are some."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size)


def _read_head(stream: BinaryIO) -> bytes:
    """Return the first bytes of a stream, as few as tell a picture from a name."""
    raw, head = getattr(stream, "raw", stream), b""
    while len(head) < _HEAD_BYTES and not _is_name(head):
        more = raw.read(_HEAD_BYTES - len(head))
        if not more:
            break
        head += more
    return head


def _is_name(head: bytes) -> bool:
    """Return whether bytes are the beginning of a list of names: more of them change nothing."""
    if any(known.startswith(head[: len(known)]) for known in _PRINTABLE):
        return False  # also without any byte
    return head[0] in b"\r\n" or 0x20 <= head[0] < 0x80 or 0xC2 <= head[0] <= 0xF4


def _is_other_file(head: bytes) -> bool:
    """Return whether bytes are the beginning of a file other than a list, such as a PDF."""
    return bool(_CONTROL.search(head)) or head.lstrip().startswith(_PRINTABLE[5:])
