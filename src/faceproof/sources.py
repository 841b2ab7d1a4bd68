"""Sources: the files and addresses behind paths, folders, patterns and lists of names."""
# os.path answers False where pathlib raises: names that are too long, folders without permission.
# ruff: noqa: PTH110, PTH112, PTH113, PTH116, PTH119, PTH122, PTH207

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from faceproof.errors import (
    SourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedSourceError,
)

#: A file found in a folder is selected by its suffix; a file given by name is always opened.
#: The same as `imaging.formats.SUFFIXES`, whose import would also import Pillow.
PICTURE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif"),
    }
)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SURROGATE = re.compile("[\ud800-\udfff]")
_READ_BYTES = 1 << 16


class _ByteStream(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most ``size`` bytes as soon as there are some; no bytes at the end."""


@dataclass(frozen=True)
class RefusedSource:
    """A source rejected before it was opened, and the error."""

    source: str
    error: SourceError


@dataclass
class Sources:
    """The sources behind names, found while iterating, one folder listing at a time.

    A file yields itself, a folder the pictures below it in sorted order, a pattern its matches.
    ``skipped`` counts the files in folders without the suffix of a picture.
    """

    names: Iterable[str]
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[str | RefusedSource]:
        """Yield paths, and a `RefusedSource` for what cannot be opened."""
        for name in self.names:
            matches = _matches(name)
            if not matches:
                yield RefusedSource(
                    name, SourceNotFoundError(f"{to_printable(name)}: nothing matches")
                )
            for path in matches:
                yield from self._pictures_below(path) if os.path.isdir(path) else [path]

    def _pictures_below(self, folder: str) -> Iterator[str | RefusedSource]:
        """Yield what `_walk` finds, or a `RefusedSource` if it finds nothing."""
        before, found = self.skipped, 0
        for found, path in enumerate(self._walk(folder), start=1):  # noqa: B007
            yield path
        if not found:
            others = f", only {self.skipped - before} other files" if self.skipped > before else ""
            message = f"{to_printable(folder)}: no picture in this folder{others}"
            yield RefusedSource(folder, SourceNotFoundError(message))

    def _walk(self, folder: str) -> Iterator[str | RefusedSource]:
        """Yield the pictures below a folder, sorted; no folder is entered twice through links."""
        entered: set[tuple[int, int]] = set()
        waiting = [folder]
        while waiting:
            path = waiting.pop()
            if not os.path.isdir(path):
                yield path
                continue
            try:
                waiting.extend(reversed(self._listing(path, entered)))
            except OSError as error:
                yield RefusedSource(path, read_error(path, error))

    def _listing(self, folder: str, entered: set[tuple[int, int]]) -> list[str]:
        """Return the folders and pictures in a folder, sorted; none if it was entered before."""
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            return []
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        wanted = [entry.path for entry in listed if os.path.isdir(entry) or _is_picture(entry)]
        self.skipped += len(listed) - len(wanted)
        return wanted


def _is_picture(path: os.PathLike[str]) -> bool:
    """Return whether a file in a folder has the name of a picture.

    True for a broken link, so that it is reported; False for a pipe or a macOS ``._`` file.
    """
    name = os.path.basename(path)
    if os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES or name.startswith("._"):
        return False
    return os.path.isfile(path) or not os.path.exists(path)


def is_address(name: str) -> bool:
    """Return whether ``name`` is a URL rather than a path.

    >>> is_address("https://example.org/a.jpg"), is_address("C:/pictures/a.jpg")
    (True, False)
    """
    return _ADDRESS.match(name) is not None


def refuse_address(name: str) -> NoReturn:
    """Refuse a URL where fetching is disabled.

    Raises:
        UnsupportedSourceError: always.
    """
    raise UnsupportedSourceError(
        f"{to_printable(name)}: fetching from URLs is disabled here; "
        "save the picture first and give the path of its file"
    )


def read_error(name: str, error: OSError) -> SourceUnreadableError:
    """Return the error for a source that the file system refused."""
    return SourceUnreadableError(f"{to_printable(name)}: {error.strerror or error}")


def to_printable(name: str) -> str:
    r"""Return the name as valid Unicode: bytes that are not UTF-8 become ``\xNN``.

    >>> to_printable("caf\udce9.jpg"), to_printable("café.jpg")
    ('caf\\xe9.jpg', 'café.jpg')
    """
    return _SURROGATE.sub(lambda found: _escape(ord(found[0])), name)


def read_names(stream: _ByteStream, *, separator: bytes = b"\n") -> Iterator[list[str]]:
    r"""Yield lists of names as they arrive, so that a slow writer gets results at once.

    ``stream`` is unbuffered; empty names and the carriage return of a Windows line are dropped.

    >>> import io
    >>> list(read_names(io.BytesIO(b"a.jpg\r\n\nb c.jpg")))
    [['a.jpg'], ['b c.jpg']]
    """
    rest = b""
    while data := stream.read(_READ_BYTES):
        *whole, rest = (rest + data).split(separator)
        yield from _non_empty_list(whole)
    yield from _non_empty_list([rest])


def _non_empty_list(raw: list[bytes]) -> Iterator[list[str]]:
    """Yield one list of the non-empty names, or nothing."""
    names = [os.fsdecode(name.removesuffix(b"\r")) for name in raw]
    if any(names):
        yield [name for name in names if name]


def _matches(name: str) -> list[str]:
    """Return the paths that a name matches: itself, unless it is a pattern and not a file."""
    if is_address(name) or os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    return sorted(glob.glob(name, recursive=True))


def _escape(code: int) -> str:
    """Return the escaped byte behind a surrogate of Python's file names, or the code point."""
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
