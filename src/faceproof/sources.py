"""Sources: the files and addresses behind paths, folders, patterns and lists of names."""
# os.path answers False where pathlib raises: names that are too long, folders without permission.
# ruff: noqa: PTH110, PTH112, PTH113, PTH116, PTH119, PTH122, PTH123, PTH207

from __future__ import annotations

import binascii
import glob
import os
import re
import stat
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, Protocol
from urllib.parse import unquote_to_bytes

from faceproof.errors import (
    SourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedSourceError,
    UsageError,
)

#: A file found in a folder is selected by its suffix; a file given by name is always opened.
#: The same as `imaging.formats.SUFFIXES`, whose import would also import Pillow.
PICTURE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjp", ".pjpeg", ".mpo", ".png", ".apng", ".webp"),
        *(".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif"),
    }
)

#: Folders that programs make for their own copies of pictures; entered only where named.
OTHER_PROGRAMS = frozenset(
    {
        *(".thumbnails", ".thumb", ".@__thumb", "@eadir", "__macosx", "#recycle", "@recycle"),
        *("$recycle.bin", ".trash", ".trashes", ".spotlight-v100", ".fseventsd", "lost+found"),
    }
)

#: The text chunk with the face's name in a PNG of ours, and the number of bytes that contain it.
HEATMAP_MARK = "faceproof heat map"
ANNOTATED_MARK = "faceproof annotated"
"""The keys of the text in PNG files of ours: heat maps, and pictures with marked faces."""
_OWN_CHUNKS = tuple(b"tEXt" + mark.encode() + b"\0" for mark in (HEATMAP_MARK, ANNOTATED_MARK))
HEAD_BYTES = 512

#: How pictures begin: a short form of `imaging.formats.FORMATS`, for the same reason.
_BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBPVP8|BM.{12}[\x0c(48@lp|]\0\0\0"
    rb"|(?:II|MM)(?:[*+]\0|\0[*+])"
    rb"|\0\0..ftyp.{0,48}?(?:avi[fs]|hei[cxms]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Four characters of ASCII in UTF-16 without a mark.
_UTF16 = re.compile(rb"(?:[\t\n\r -~]\0){4}|(?:\0[\t\n\r -~]){4}")
_READ_BYTES = 1 << 16

#: Base64 characters decoded at once, so that other threads run in between; a multiple of 4.
_PIECE = 1024 * 1024
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _ByteStream(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most ``size`` bytes as soon as there are some; no bytes at the end."""


class StreamSource:
    """A picture that can be read once: a pipe, standard input, a ``data:`` address.

    ``source`` is its name. The bytes are kept for whoever opens the source a second time.
    """

    def __init__(self, source: str, read: Callable[[int], bytes]) -> None:
        """Take what reads at most a number of bytes; it raises SourceError or OSError."""
        self.source = source
        self._read = read
        self._data: bytes | None = None

    def read(self, limit: int) -> bytes:
        """Return all bytes, or ``limit`` and one more where there are more.

        Raises:
            SourceError: it cannot be read.
        """
        if self._data is None:
            try:
                self._data = self._read(limit + 1)
            except OSError as error:
                raise read_error(self.source, error) from error
        return self._data


@dataclass(frozen=True)
class RefusedSource:
    """A source rejected before it was opened, and the error."""

    source: str
    error: SourceError


@dataclass
class Sources:
    """The sources behind names, found while iterating, one folder listing at a time.

    A file yields itself, a folder the pictures below it in sorted order, a pattern its matches; a
    pipe or a ``data:`` address yields a `StreamSource`. ``skipped`` counts the files in folders
    that are not pictures by their suffix (or, without one, by their first bytes), heat maps and
    annotated pictures of ours, and the files in folders of other programs, such as thumbnails. Not
    ``ordered``: files come as the system lists them, so that a folder of any size takes no memory.

    >>> from faceproof import Sources
    >>> sources = Sources(["samples/", "samples/real-h*.jpg"])
    >>> found = [os.path.basename(path) for path in sources]
    >>> found[-1], sources.skipped
    ('real-hopper.jpg', 1)
    """

    names: Iterable[str]
    skipped: int = field(default=0, init=False)
    ordered: bool = field(default=True, kw_only=True)

    def __iter__(self) -> Iterator[str | StreamSource | RefusedSource]:
        """Yield paths and streams, and a `RefusedSource` for what cannot be opened."""
        for name in self.names:
            matches = path_matches(name)
            if not matches:
                yield RefusedSource(
                    name, SourceNotFoundError(f"{to_printable(name)}: nothing matches")
                )
            for path in matches:
                if os.path.isdir(path):
                    yield from self._pictures_below(path)
                else:
                    yield as_stream(path) or path

    def _pictures_below(self, folder: str) -> Iterator[str | RefusedSource]:
        """Yield what `_walk` finds, or a `RefusedSource` if it finds nothing."""
        before, found = self.skipped, 0
        walk = self._walk if self.ordered else self._walk_unordered
        for found, path in enumerate(walk(folder), start=1):  # noqa: B007
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

    def _walk_unordered(self, folder: str) -> Iterator[str | RefusedSource]:
        """Yield what `_walk` does in the system's order; folders wait until one is read."""
        entered: set[tuple[int, int]] = set()
        waiting = [folder]
        while waiting:
            path = waiting.pop()
            try:
                if not _is_first_visit(path, entered):
                    continue
                with os.scandir(path) as entries:
                    for entry in filter(self._is_wanted, entries):
                        if os.path.isdir(entry):
                            waiting.append(entry.path)
                        else:
                            yield entry.path
            except OSError as error:
                yield RefusedSource(path, read_error(path, error))

    def _listing(self, folder: str, entered: set[tuple[int, int]]) -> list[str]:
        """Return the folders and pictures in a folder, sorted; none if it was entered before."""
        if not _is_first_visit(folder, entered):
            return []
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        return [entry.path for entry in listed if self._is_wanted(entry)]

    def _is_wanted(self, entry: os.DirEntry[str]) -> bool:
        """Return whether an entry of a folder is a picture or a folder to enter; count others."""
        if not os.path.isdir(entry):
            wanted = _is_picture(entry)
            self.skipped += not wanted
            return wanted
        if not is_of_other_program(entry.name):
            return True
        self.skipped += sum(len(files) for _, _, files in os.walk(entry.path))
        return False


def _is_first_visit(folder: str, entered: set[tuple[int, int]]) -> bool:
    """Return whether a folder, which is added, was not entered before through another name."""
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    is_first = identity not in entered
    entered.add(identity)
    return is_first


def _is_picture(path: os.PathLike[str]) -> bool:
    """Return whether a file in a folder has the name of a picture.

    Without a suffix the first bytes decide. True for a broken link, so that it is reported; False
    for a pipe, a macOS ``._`` file, or a heat map or annotated picture of ours.
    """
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("._") or (suffix and suffix not in PICTURE_SUFFIXES):
        return False
    if not os.path.isfile(path):
        return bool(suffix) and not os.path.exists(path)
    if not suffix:
        return begins_like_picture(read_head(path))
    return suffix != ".png" or not is_own_drawing(read_head(path))


def read_head(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a file; none where it cannot be read, which opening it reports."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def is_own_drawing(head: bytes) -> bool:
    r"""Return whether a file's first `HEAD_BYTES` are those of our heat map or annotated picture.

    >>> is_own_drawing(b"\x89PNG\r\n\x1a\n" + bytes(25) + b"\0\0\0\x20tEXtfaceproof heat map\0")
    True
    """
    return any(chunk in head for chunk in _OWN_CHUNKS)


def is_of_other_program(folder: str) -> bool:
    """Return whether a folder has the name of one with another program's copies of pictures.

    >>> is_of_other_program("@eaDir"), is_of_other_program(".Trash-1000"), is_of_other_program("a")
    (True, True, False)
    """
    name = folder.lower()
    return name in OTHER_PROGRAMS or name.startswith(".trash-")


def begins_like_picture(head: bytes) -> bool:
    r"""Return whether the first bytes of a file, 64 or more, are those of a picture.

    >>> begins_like_picture(b"\xff\xd8\xff\xe0" + bytes(60)), begins_like_picture(b"a.jpg\n")
    (True, False)
    """
    return _BEGINNINGS.match(head) is not None


def is_address(name: str) -> bool:
    """Return whether ``name`` is a URL rather than a path.

    >>> is_address("https://example.org/a.jpg"), is_address("C:/pictures/a.jpg")
    (True, False)
    """
    return _ADDRESS.match(name) is not None


def as_stream(name: str) -> StreamSource | None:
    """Return the source of a pipe or a ``data:`` address; None for any other name."""
    if name[:5].lower() == "data:" and not os.path.lexists(name):
        return StreamSource(_shorten_data(name), lambda _: _read_data(name))
    if not is_address(name) and _is_pipe(name):
        return StreamSource(name, lambda limit: _read_pipe(name, limit))
    return None


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _read_pipe(path: str, limit: int) -> bytes:
    with open(path, "rb") as pipe:
        return pipe.read(limit)


def _shorten_data(address: str) -> str:
    """Return a ``data:`` address without its data.

    >>> _shorten_data("data:image/gif;base64,R0lGODlhAQAB")
    'data:image/gif;base64,... (12 characters)'
    """
    head, _, body = address.partition(",")
    return f"{to_printable(head[:80])},... ({len(body)} characters)"


def _read_data(address: str) -> bytes:
    """Return the bytes in a ``data:`` address.

    Raises:
        UnsupportedSourceError: it is malformed.

    Source: RFC 2397.
    """
    head, comma, body = address.partition(",")
    if not comma:
        raise UnsupportedSourceError(f"{_shorten_data(address)}: no comma before the data")
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64_bytes(data.decode("ascii"))
    except ValueError as error:
        raise UnsupportedSourceError(
            f"{_shorten_data(address)}: not base64 ({error}); copy the whole address"
        ) from error


def base64_bytes(text: str) -> bytes:
    r"""Return the bytes of base64 text.

    Either alphabet, line breaks and missing padding are accepted, as encoders differ in them.

    Raises:
        ValueError: it is not base64.

    Source: RFC 4648 (2006), sections 4 and 5.

    >>> base64_bytes("aGk="), base64_bytes("a G\nk")
    (b'hi', b'hi')
    """
    text = text.rstrip("= \t\r\n")
    if "=" in text:
        raise ValueError("padding in the middle")
    decoded, rest = bytearray(), b""
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE].encode("ascii")
        rest += piece.translate(_URL_SAFE, delete=b" \t\r\n")
        whole = len(rest) // 4 * 4
        decoded += binascii.a2b_base64(rest[:whole], strict_mode=True)
        rest = rest[whole:]
    padding = b"=" * (-len(rest) % 4)
    return bytes(decoded + binascii.a2b_base64(rest + padding, strict_mode=True))


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

    ``stream`` is unbuffered; empty names, the carriage return of a Windows line and a byte-order
    mark at the beginning are dropped.

    Raises:
        UsageError: the list is UTF-16, or its names end in NUL and the separator is another.

    >>> import io
    >>> list(read_names(io.BytesIO(b"a.jpg\r\n\nb c.jpg")))
    [['a.jpg'], ['b c.jpg']]
    """
    rest, first = b"", True
    while data := stream.read(_READ_BYTES):
        rest += data
        if first and len(rest) < len(BOM_UTF8) and BOM_UTF8.startswith(rest):
            continue
        if first:
            rest, first = rest.removeprefix(BOM_UTF8), False
            refuse_utf16(rest, "the list of names")
        if b"\0" in rest and separator != b"\0":
            raise UsageError("the names in the list end in NUL: add --null")
        *whole, rest = rest.split(separator)
        yield from _non_empty_list(whole)
    yield from _non_empty_list([rest])


def refuse_utf16(head: bytes, what: str) -> None:
    """Return if text does not begin as UTF-16.

    Raises:
        UsageError: it does; Windows PowerShell 5 writes it.

    >>> refuse_utf16("a.jpg".encode("utf-16"), "the list")
    Traceback (most recent call last):
    ...
    faceproof.errors.UsageError: the list is UTF-16, and must be UTF-8: save it as UTF-8
    """
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or _UTF16.match(head):
        raise UsageError(f"{what} is UTF-16, and must be UTF-8: save it as UTF-8")


def decode_text(data: bytes, what: str) -> str:
    r"""Return UTF-8 text without its byte-order mark.

    Raises:
        UsageError: it is not UTF-8; UTF-16 is named.

    >>> decode_text(b"\xef\xbb\xbfpath,score", "scores.csv")
    'path,score'
    """
    refuse_utf16(data, what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 ({error}): save it as UTF-8") from error


def _non_empty_list(raw: list[bytes]) -> Iterator[list[str]]:
    """Yield one list of the non-empty names, or nothing."""
    names = [os.fsdecode(name.removesuffix(b"\r")) for name in raw]
    if any(names):
        yield [name for name in names if name]


def path_matches(name: str) -> list[str]:
    """Return the paths that a name matches: itself, unless it is a pattern and not a file."""
    return sorted(iterate_matches(name))


def iterate_matches(name: str) -> Iterator[str]:
    """Yield the paths of `path_matches` in the system's order, which takes no memory."""
    address = is_address(name) or name[:5].lower() == "data:"
    if address or os.path.lexists(name) or not glob.has_magic(name):
        yield name
    else:
        yield from glob.iglob(name, recursive=True)


def _escape(code: int) -> str:
    """Return the escaped byte behind a surrogate of Python's file names, or the code point."""
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
