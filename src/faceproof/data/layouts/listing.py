"""`ListedFile`, `ListingProblem`, `Note`: what a layout yields for the pictures of a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from faceproof.errors import ManifestError, UsageError
from faceproof.records import Record
from faceproof.sources import (
    PICTURE_SUFFIXES,
    begins_like_picture,
    is_of_other_program,
    is_own_drawing,
    read_head,
    to_printable,
)

#: Suffixes of videos, which are sampled into frames.
_VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"}
)
_MEDIA = PICTURE_SUFFIXES | _VIDEO_SUFFIXES
#: Suffixes of tables, which name pictures.
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"})

#: The generator of a fake without known generator.
UNKNOWN = "unknown"

#: Reserved columns of a manifest; a table's own column of that name becomes `table_NAME`.
RESERVED = frozenset(
    {
        *("path", "label", "generator", "source", "split", "group", "sha256"),
        *("phash", "width", "height", "bytes", "format", "jpeg_quality", "weight"),
    }
)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A picture or video as its data set lists it, unopened.

    ``path`` is POSIX and relative to the source folder (to its folder, if the source is one table).
    If ``data`` has the file's bytes, it is a generated name from table and row. ``group`` is unique
    only within one source.
    """

    path: str
    label: str
    generator: str
    group: str
    split: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    video: bool = False


@dataclass(frozen=True, slots=True)
class ListingProblem:
    """An entry that is not listed: its place, a stable code, the reason and the fix."""

    path: str
    code: str
    reason: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Information for the screen, such as which folder counts as real; nothing was excluded."""

    message: str


class ListingOptions(Record):
    """The user's options for a source besides its layout."""

    #: Names of folders, or values of a label column, that are real or fake.
    real: tuple[str, ...] = ()
    fake: tuple[str, ...] = ()
    #: The generator of all fakes without another source of it; `none`: all pictures are real.
    generator: str = ""
    #: Our column -> theirs; `#2` is the second column of a table without a header.
    columns: dict[str, str] = Field(default_factory=dict)
    #: Names of the folder levels below the class folder, from the top.
    levels: tuple[str, ...] = ()


Entry = ListedFile | ListingProblem | Note
Layout = Callable[[Path, ListingOptions], Iterator[Entry]]


def refuse_unused(options: ListingOptions, layout: str, *, used: tuple[str, ...] = ()) -> None:
    """Reject options that this layout does not support.

    Raises:
        UsageError: naming the option, and the supported ones.

    >>> refuse_unused(ListingOptions(levels=("age",)), "utkface")
    Traceback (most recent call last):
    ...
    faceproof.errors.UsageError: the layout utkface takes no --levels; it takes no such option
    """
    given = [name for name in ListingOptions.model_fields if getattr(options, name)]
    if wrong := [name for name in given if name not in used]:
        takes = " and ".join(f"--{name}" for name in used) or "no such option"
        raise UsageError(f"the layout {layout} takes no --{wrong[0]}; it takes {takes}")


def suffix_of(path: str) -> str:
    """Return the suffix of a file's name in lower case, with its dot (faster than pathlib).

    >>> suffix_of("a.b/x.JPG"), suffix_of("a.b/x"), suffix_of(".hidden")
    ('.jpg', '', '')
    """
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def is_video(path: str) -> bool:
    """Return whether the name is a video's.

    >>> is_video("part_0/AAA.MP4"), is_video("a.jpg")
    (True, False)
    """
    return suffix_of(path) in _VIDEO_SUFFIXES


def is_medium(name: str) -> bool:
    """Return whether the name is that of a picture or a video; False for macOS ``._`` files.

    >>> is_medium("a.JPG"), is_medium("._a.jpg"), is_medium("a.txt")
    (True, False, False)
    """
    return suffix_of(name) in _MEDIA and not name.startswith("._")


def strip_suffix(name: str) -> str:
    """Return the name without the suffix of a picture or video; any other dot is kept.

    >>> strip_suffix("a/x.JPG"), strip_suffix("v1.5"), strip_suffix("y.mp4")
    ('a/x', 'v1.5', 'y')
    """
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix in _MEDIA else name


# os.path returns where pathlib raises: broken links, names that are not UTF-8.
# ruff: noqa: PTH112, PTH116, PTH118, PTH120


_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})


@dataclass(frozen=True)
class Tree:
    """The content of a folder, as sorted POSIX paths relative to it."""

    root: Path
    media: tuple[str, ...]
    tables: tuple[str, ...]
    problems: tuple[ListingProblem, ...]


def read_tree(source: Path, *, tables: Callable[[str], bool] = lambda _: False) -> Tree:
    """Return all files below ``source``; ``tables`` selects by name the tables of a layout.

    Raises:
        ManifestError: there is no such folder.
    """
    _require_folder(source)
    media: list[str] = []
    read: list[str] = []
    problems: list[ListingProblem] = []
    for found in _Walk(str(source)):
        if isinstance(found, ListingProblem):
            problems.append(found)
        elif suffix_of(found) == ".png" and is_own_drawing(read_head(source / found)):
            reason = "a heat map or annotated picture of faceproof: remove it"
            problems.append(ListingProblem(found, "not_a_picture", reason))
        elif is_medium(name := found.rpartition("/")[2]) or _is_bare_picture(source, found):
            media.append(found)
        elif tables(name):
            read.append(found)
        else:
            problems.append(_not_a_picture_problem(found))
    return Tree(source, tuple(media), tuple(read), tuple(problems))


def _is_bare_picture(root: Path, path: str) -> bool:
    """Return whether a file without a suffix begins as a picture does."""
    name = path.rpartition("/")[2]
    return "." not in name and begins_like_picture(read_head(root / path))


def _require_folder(source: Path) -> None:
    """Reject a source that is not a folder.

    Raises:
        ManifestError: naming what it is instead.
    """
    name = to_printable(str(source))
    if source.suffix.lower() in _ARCHIVES and source.is_file():
        raise ManifestError(f"{name} is an archive: unpack it and import the folder")
    if not source.exists():
        raise ManifestError(f"{name}: no such folder")
    if not source.is_dir():
        raise ManifestError(f"{name} is a file, but this layout needs a folder")


class _Walk:
    """The files below a folder in sorted order; folders are entered once and never by a link."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._entered: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[str | ListingProblem]:
        """Yield relative paths, and a Problem for each unreadable entry."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                entries = self._list_folder(folder)
            except OSError as error:
                yield _unreadable_problem(folder or ".", error)
                continue
            below: list[str] = []
            for entry in entries:
                yield from self._visit(f"{folder}{entry.name}", entry, below)
            waiting.extend(reversed(below))

    def _list_folder(self, folder: str) -> list[os.DirEntry[str]]:
        """Return the sorted entries of a folder; none if it was entered before."""
        path = os.path.join(self._root, folder)
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in self._entered:
            return []
        self._entered.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def _visit(
        self, path: str, entry: os.DirEntry[str], below: list[str]
    ) -> Iterator[str | ListingProblem]:
        """Yield one file or its Problem; append a folder to ``below``."""
        if to_printable(entry.name) != entry.name:
            yield ListingProblem(
                to_printable(path), "name_not_utf8", "the name is not UTF-8: rename it"
            )
        elif entry.is_symlink():
            yield self._resolve_link(path)
        elif entry.is_dir() and is_of_other_program(entry.name):
            reason = "another program's copies of pictures, such as thumbnails: remove the folder"
            yield ListingProblem(path, "not_a_picture", reason)
        elif entry.is_dir():
            below.append(f"{path}/")
        elif entry.is_file():
            yield path
        else:
            yield ListingProblem(path, "not_a_picture", "neither a file nor a folder: remove it")

    def _resolve_link(self, path: str) -> str | ListingProblem:
        """Return the target file of a link; a folder is read only under its own name."""
        try:
            target = os.path.realpath(os.path.join(self._root, path), strict=True)
        except OSError as error:
            reason = f"the link is broken ({error.strerror}): remove it or restore the file"
            return ListingProblem(path, "missing_file", reason)
        if not _contains(self._real_root, target):
            reason = "the link points outside the source folder: copy the file here, or import "
            return ListingProblem(path, "path_escapes", f"{reason}the folder of its target")
        if not os.path.isdir(target):
            return path
        if _contains(target, os.path.dirname(os.path.join(self._real_root, path))):
            reason = "the link points to a folder above it, which is listed once"
            return ListingProblem(path, "symlink_loop", f"{reason}: remove the link")
        reason = "the link points to another folder of this source, listed only under its own name"
        return ListingProblem(
            path, "linked_folder", f"{reason}: move the folder here instead of the link"
        )


def _contains(folder: str, path: str) -> bool:
    """Return whether the path is the folder or below it; both without links."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _unreadable_problem(folder: str, error: OSError) -> ListingProblem:
    """Return the Problem of a folder that the file system refused."""
    reason = f"the folder cannot be read ({error.strerror or error}): allow it, or remove it"
    return ListingProblem(folder.rstrip("/"), "source_unreadable", reason)


def _not_a_picture_problem(path: str) -> ListingProblem:
    """Return the Problem of a file without the name of a picture or video."""
    if suffix_of(path) in _ARCHIVES:
        return ListingProblem(
            path, "not_a_picture", "an archive: unpack it to import what is inside"
        )
    reason = "not a picture or video by its name: no action needed unless it should be one"
    return ListingProblem(path, "not_a_picture", reason)
