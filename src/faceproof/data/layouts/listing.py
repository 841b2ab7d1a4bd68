"""What a layout yields: pictures as their data set lists them, and what it could not list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from faceproof.errors import UsageError
from faceproof.records import Record
from faceproof.sources import PICTURE_SUFFIXES

#: What is sampled into frames; told by the name, as pictures are.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"}
)
_MEDIA = PICTURE_SUFFIXES | VIDEO_SUFFIXES

#: The generator of a fake of which nothing more is known.
UNKNOWN = "unknown"

#: Columns that a manifest keeps for itself; a table's own column of that name is `table_NAME`.
RESERVED = frozenset(
    {
        *("path", "label", "generator", "source", "split", "group", "sha256"),
        *("phash", "width", "height", "bytes", "format", "jpeg_quality", "weight"),
    }
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture or video as its data set lists it, unopened.

    ``path`` is POSIX and relative to the source folder (to its folder, where the source is one
    table); where ``data`` holds the file's bytes it is a name made up from table and row.
    ``group`` is unique within one source only.
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
class Problem:
    """Something that is not listed: where it is, a stable code, what is wrong and what to do."""

    path: str
    code: str
    reason: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell on screen that left nothing out, such as which folder counts as real."""

    message: str


class ListingOptions(Record):
    """What a user says about a source beyond its layout."""

    #: Names of folders, or values of a label column, that are real or fake.
    real: tuple[str, ...] = ()
    fake: tuple[str, ...] = ()
    #: The generator of all fakes that nothing else names; `none`: all are real.
    generator: str = ""
    #: Our column -> theirs; `#2` is the second column of a table without a header.
    columns: dict[str, str] = Field(default_factory=dict)
    #: Names of the folder levels below the class folder, from above.
    levels: tuple[str, ...] = ()


Entry = Listed | Problem | Note
Layout = Callable[[Path, ListingOptions], Iterator[Entry]]


def refuse_unused(options: ListingOptions, layout: str, *, used: tuple[str, ...] = ()) -> None:
    """Refuse options that this layout would ignore.

    Raises:
        UsageError: naming the option, and what the layout takes instead.

    >>> refuse_unused(ListingOptions(levels=("age",)), "utkface")
    Traceback (most recent call last):
    ...
    faceproof.errors.usage.UsageError: the layout utkface takes no --levels; it takes no such option
    """
    given = [name for name in ListingOptions.model_fields if getattr(options, name)]
    if wrong := [name for name in given if name not in used]:
        takes = " and ".join(f"--{name}" for name in used) or "no such option"
        raise UsageError(f"the layout {layout} takes no --{wrong[0]}; it takes {takes}")


def suffix_of(path: str) -> str:
    """Return the ending of a file's name in lower case, with its dot (far faster than pathlib).

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
    return suffix_of(path) in VIDEO_SUFFIXES


def is_medium(name: str) -> bool:
    """Return whether the name is that of a picture or a video; ``._`` files of macOS are not.

    >>> is_medium("a.JPG"), is_medium("._a.jpg"), is_medium("a.txt")
    (True, False, False)
    """
    return suffix_of(name) in _MEDIA and not name.startswith("._")


def without_suffix(name: str) -> str:
    """Return the name without the ending of a picture or video; any other dot stays.

    >>> without_suffix("a/x.JPG"), without_suffix("v1.5"), without_suffix("y.mp4")
    ('a/x', 'v1.5', 'y')
    """
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix in _MEDIA else name
