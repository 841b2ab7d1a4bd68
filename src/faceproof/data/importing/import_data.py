"""From a folder of pictures to a manifest: listed by a layout, read side by side, measured."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl
from pydantic import Field

from faceproof.data.generators import unknown_generator_warning
from faceproof.data.importing.measure import OFFICIAL, Reader, Rows, Task, settle_splits
from faceproof.data.layouts import LAYOUTS
from faceproof.data.layouts.listing import (
    Entry,
    Listed,
    ListingOptions,
    Note,
    Problem,
    without_suffix,
)
from faceproof.data.manifest import LABELS, Manifest
from faceproof.errors import ManifestError, SourceNotFoundError, UsageError
from faceproof.pipeline import in_order
from faceproof.records import Document, Record
from faceproof.sources import is_address, printable
from faceproof.tables import choose

#: A source may be one table rather than a folder.
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})

DEFAULT_WORKERS = min(16, os.cpu_count() or 1)
_AHEAD = 8


class ImportSpec(Record):
    """How a source is imported.

    ``extract`` is where frames and embedded pictures go; ``below`` is the folder that all pictures
    must lie in, or None where they may lie anywhere. ``outputs`` are files and folders of ours,
    which are passed over where they lie in the source.
    """

    layout: str
    name: str = Field(min_length=1)
    extract: Path
    options: ListingOptions = ListingOptions()
    frames: int = Field(default=10, ge=1)
    below: Path | None = None
    outputs: tuple[Path, ...] = ()
    workers: int = Field(default=DEFAULT_WORKERS, ge=0)


@dataclass(frozen=True)
class Imported:
    """A manifest, what is not in it and why, and what there is to tell."""

    manifest: Manifest
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def _nothing(_: object) -> None:
    """Tell nobody."""


def import_data(
    source: Path,
    spec: ImportSpec,
    *,
    tell: Callable[[str], None] = _nothing,
    advance: Callable[[object], None] = _nothing,
) -> Imported:
    """Return the manifest of a source, every picture of it read once.

    ``tell`` is given each note as soon as it is known, most of them before the first picture is
    read; ``advance`` is called after each entry of the source.

    Raises:
        UsageError: there is no such source or layout, or an option does not fit it.
        SourceNotFoundError: the layout finds nothing there.
    """
    listing = Listing(source, spec, tell)
    rows, problems = Rows(spec.name), []
    extract = absolute(spec.extract)
    reader = Reader(listing.folder, extract, spec.frames)
    ahead = _AHEAD * max(spec.workers, 1)
    with closing(in_order(reader.read, listing, workers=spec.workers, ahead=ahead)) as results:
        for found in results:
            for one in found:
                if isinstance(one, Problem):
                    problems.append(one)
                else:
                    rows.add(one)
            advance(found)
    table, root = rows.table(listing.folder, extract)
    if table.is_empty() and not problems:
        raise SourceNotFoundError(
            f"{printable(str(source))}: the layout {spec.layout} finds no picture there; look at"
            " the folder, or try another layout"
        )
    table, told = settle_splits(table)
    for note in told:
        listing.note(note)
    return Imported(Manifest(table, root=root), tuple(problems), tuple(listing.notes))


def count_entries(source: Path, spec: ImportSpec) -> Iterator[Entry]:
    """Yield what there is to read, for counting."""
    return choose(LAYOUTS, spec.layout, what="layout")(checked_source(source), spec.options)


def checked_source(source: Path) -> Path:
    """Return a source that can be listed: a folder, or a table that names pictures beside it.

    Raises:
        UsageError: it is missing, an address, or a file of another kind.
    """
    said = printable(str(source))
    if is_address(source.as_posix().replace(":/", "://", 1)):  # a path has no empty parts
        raise UsageError(f"{said}: import does not fetch from the net; fetch it first")
    if not source.exists():
        raise UsageError(f"{said}: no such folder; name the one that holds the pictures")
    if source.is_file() and source.suffix.lower() not in TABLE_SUFFIXES:
        raise UsageError(f"{said} is a file; name the folder that it lies in, or is unpacked in")
    return source


class Listing:
    """The tasks that a source comes to; ``notes`` grows while it is gone through."""

    def __init__(self, source: Path, spec: ImportSpec, tell: Callable[[str], None]) -> None:
        self._source = checked_source(source)
        self._layout = choose(LAYOUTS, spec.layout, what="layout")
        self._spec, self._tell = spec, tell
        self._claimed: set[str] = set()
        self._generators: set[str] = set()
        self.folder = absolute(source.parent if source.is_file() else source)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Task | Problem]:
        """Yield what is to be read, and the problems of listing."""
        own = _Own(self.folder, (*self._spec.outputs, self._spec.extract))
        for entry in self._layout(self._source, self._spec.options):
            if isinstance(entry, Note):
                self.note(entry.message)
            elif not own.holds(entry.path):
                yield entry if isinstance(entry, Problem) else self._task(entry)

    def note(self, message: str) -> None:
        """Tell something once."""
        if message not in self.notes:
            self.notes.append(message)
            self._tell(message)

    def _task(self, item: Listed) -> Task | Problem:
        """Return what is to be done for one listed picture, or why nothing can be."""
        if refused := _refused(item):
            return refused
        self._know(item.generator)
        extracted = item.video or item.data is not None
        self._check_place(self._spec.extract if extracted else self.folder)
        return Task(item, self._claim(item) if extracted else "")

    def _know(self, generator: str) -> None:
        """Warn of a generator that is seen for the first time and not in the table."""
        if generator not in self._generators:
            self._generators.add(generator)
            if warning := unknown_generator_warning(generator):
                self.note(warning)

    def _check_place(self, place: Path) -> None:
        """Refuse pictures where the manifest could not name them."""
        below = self._spec.below
        if below is not None and not absolute(place).is_relative_to(absolute(below)):
            raise UsageError(
                f"a manifest in CSV lies above its pictures, and {printable(str(place))} does not"
                f" lie in {below}: write .parquet, which says where they lie, or name another file"
            )

    def _claim(self, item: Listed) -> str:
        """Return a name to extract under that nothing else is extracted under."""
        stem = item.path if item.video else without_suffix(item.path)
        suffix, free, number = item.path.removeprefix(stem), stem, 1
        while free.lower() in self._claimed:  # file systems may not tell a from A
            number += 1
            free = f"{stem}-{number}"
        self._claimed.add(free.lower())
        return free + suffix


def absolute(path: Path) -> Path:
    """Return the absolute path without any "..", links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (`resolve` follows links)


class _Own:
    """What earlier imports wrote into a folder, by name."""

    def __init__(self, folder: Path, written: Iterable[Path]) -> None:
        inside = [path for path in map(absolute, written) if path.is_relative_to(folder)]
        names = {path.relative_to(folder).as_posix() for path in inside} - {"."}
        self._files = frozenset(names)
        self._folders = tuple(f"{name}/" for name in names)

    def holds(self, path: str) -> bool:
        """Return whether a path, relative to the folder, is one of those or below it."""
        return path in self._files or path.startswith(self._folders)


def _refused(item: Listed) -> Problem | None:
    """Return why something listed can be no row of a manifest, or None where it can."""
    path, name = PurePosixPath(item.path), printable(item.path)
    if name != item.path:
        said = "its name is not UTF-8, which a manifest cannot hold; rename it"
        return Problem(name, "name_not_utf8", said)
    if path.is_absolute() or ".." in path.parts:
        said = "it lies outside of the source; copy it there, or name the folder above both"
        return Problem(name, "path_escapes", said)
    if item.label not in LABELS or (item.label == "real") != (item.generator == "none"):
        said = f"label {item.label!r} with generator {item.generator!r}; real goes with none alone"
        return Problem(name, ManifestError.code, said)
    return None


class Spread(Record):
    """The least, the middle and the greatest of some numbers."""

    least: int
    median: float
    greatest: int


class ClassSummary(Record):
    """The pictures of one class; counts by name, the most frequent first."""

    pictures: int
    generators: dict[str, int]
    official_splits: dict[str, int]
    formats: dict[str, int]
    jpeg_qualities: dict[str, int]
    width: Spread | None
    height: Spread | None
    bytes: Spread | None


class Doubles(Record):
    """Pictures that stand in the manifest more than once; they are kept, `inspect` names them.

    ``files`` counts rows beyond the first of equal files, ``paths`` those of equal paths, and
    ``in_both_classes`` files that are called real and fake.
    """

    files: int
    paths: int
    in_both_classes: int


class ImportSummary(Document):
    """What `faceproof data import --format json` prints."""

    schema_: Literal["faceproof.import/1"] = Field(default="faceproof.import/1", alias="schema")
    manifest: str
    sha256: str
    root: str
    source: str
    layout: str
    all: ClassSummary
    real: ClassSummary
    fake: ClassSummary
    doubles: Doubles
    problems: dict[str, int]
    notes: tuple[str, ...]


def summarise(imported: Imported, *, manifest: Path, source: str, layout: str) -> ImportSummary:
    """Return the summary of an import whose manifest stands at ``manifest``."""
    table = imported.manifest.table
    codes = Counter(problem.code for problem in imported.problems)
    return ImportSummary(
        manifest=str(manifest),
        sha256=imported.manifest.sha256,
        root=str(imported.manifest.root),
        source=source,
        layout=layout,
        all=_of_class(table),
        real=_of_class(table.filter(pl.col("label") == "real")),
        fake=_of_class(table.filter(pl.col("label") == "fake")),
        doubles=_doubles(table),
        problems=dict(codes.most_common()),
        notes=imported.notes,
    )


def _of_class(table: pl.DataFrame) -> ClassSummary:
    return ClassSummary(
        pictures=table.height,
        generators=_counts(table["generator"]),
        official_splits=_counts(table[OFFICIAL if OFFICIAL in table.columns else "split"]),
        formats=_counts(table["format"]),
        jpeg_qualities=_counts(table["jpeg_quality"]),
        width=_spread(table["width"]),
        height=_spread(table["height"]),
        bytes=_spread(table["bytes"]),
    )


def _counts(column: pl.Series) -> dict[str, int]:
    """Return how often each value stands there, the most frequent first; the empty one left out."""
    named = column.cast(pl.String).drop_nulls()
    counts = named.filter(named != "").alias("value").value_counts(name="n")
    return dict(counts.sort(["n", "value"], descending=[True, False]).iter_rows())


def _spread(column: pl.Series) -> Spread | None:
    if column.is_empty():
        return None
    numbers = column.cast(pl.Int64)
    least, middle, greatest = numbers.min(), numbers.median(), numbers.max()
    return Spread.model_validate({"least": least, "median": middle, "greatest": greatest})


def _doubles(table: pl.DataFrame) -> Doubles:
    labels = table.group_by("sha256").agg(pl.col("label").n_unique())
    return Doubles(
        files=table.height - labels.height,
        paths=table.height - table["path"].n_unique(),
        in_both_classes=labels.filter(pl.col("label") > 1).height,
    )
