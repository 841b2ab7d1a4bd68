"""`import_data`: list a folder by a layout, read and measure its pictures, build a manifest."""

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
from faceproof.data.importing.measure import (
    OFFICIAL,
    ImportTask,
    Reader,
    RowCollector,
    settle_splits,
)
from faceproof.data.layouts import LAYOUTS
from faceproof.data.layouts.listing import (
    TABLE_SUFFIXES,
    Entry,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
    strip_suffix,
)
from faceproof.data.manifest import LABELS, Manifest
from faceproof.errors import ManifestError, SourceNotFoundError, UsageError
from faceproof.pipeline import map_in_order
from faceproof.records import Document, Record
from faceproof.sources import is_address, to_printable
from faceproof.tables import choose

DEFAULT_WORKERS = min(16, os.cpu_count() or 1)
_AHEAD = 8


class ImportSpec(Record):
    """Options of an import.

    ``extract`` is the folder for frames and embedded pictures. ``below`` is the folder that must
    contain all pictures, or None for no restriction. ``outputs`` are files and folders of
    faceproof, which are skipped if they are in the source.
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
class ImportResult:
    """A manifest, the problems of entries that are not in it, and notes."""

    manifest: Manifest
    problems: tuple[ListingProblem, ...]
    notes: tuple[str, ...]


def _ignore_message(_: object) -> None:
    """Ignore the message."""


def import_data(
    source: Path,
    spec: ImportSpec,
    *,
    tell: Callable[[str], None] = _ignore_message,
    advance: Callable[[object], None] = _ignore_message,
) -> ImportResult:
    """Return the manifest of a source; every picture is read once.

    ``tell`` is called with each note immediately, mostly before the first picture is read.
    ``advance`` is called after each entry of the source.

    Raises:
        UsageError: there is no such source or layout, or the layout does not support an option.
        SourceNotFoundError: the layout finds no picture.
    """
    listing = _ImportListing(source, spec, tell)
    rows, problems = RowCollector(spec.name), []
    extract = _absolute_path(spec.extract)
    reader = Reader(listing.folder, extract, spec.frames)
    ahead = _AHEAD * max(spec.workers, 1)
    with closing(map_in_order(reader.read, listing, workers=spec.workers, ahead=ahead)) as results:
        for found in results:
            for one in found:
                if isinstance(one, ListingProblem):
                    problems.append(one)
                else:
                    rows.add(one)
            advance(found)
    table, root = rows.table(listing.folder, extract)
    if table.is_empty() and not problems:
        raise SourceNotFoundError(
            f"{to_printable(str(source))}: the layout {spec.layout} finds no picture there; check"
            " the folder, or try another layout"
        )
    table, notes = settle_splits(table)
    for note in notes:
        listing.note(note)
    return ImportResult(Manifest(table, root=root), tuple(problems), tuple(listing.notes))


def count_entries(source: Path, spec: ImportSpec) -> Iterator[Entry]:
    """Yield the entries to read, for counting."""
    return choose(LAYOUTS, spec.layout, what="layout")(_require_source(source), spec.options)


def _require_source(source: Path) -> Path:
    """Return a source that can be listed: a folder, or a table of pictures next to it.

    Raises:
        UsageError: it is missing, a URL, or a file of another kind.
    """
    shown = to_printable(str(source))
    if is_address(source.as_posix().replace(":/", "://", 1)):  # a path has no empty parts
        raise UsageError(f"{shown}: import does not fetch from URLs; download it first")
    if not source.exists():
        raise UsageError(f"{shown}: no such folder; give the folder of the pictures")
    if source.is_file() and source.suffix.lower() not in TABLE_SUFFIXES:
        raise UsageError(
            f"{shown} is a file; give the folder that contains it or its content, or a table: "
            f"{', '.join(sorted(TABLE_SUFFIXES))} (JSON: .jsonl, with one object a line)"
        )
    return source


class _ImportListing:
    """The tasks of a source; ``notes`` grows during the iteration."""

    def __init__(self, source: Path, spec: ImportSpec, tell: Callable[[str], None]) -> None:
        self._source = _require_source(source)
        self._layout = choose(LAYOUTS, spec.layout, what="layout")
        self._spec, self._tell = spec, tell
        self._claimed: set[str] = set()
        self._generators: set[str] = set()
        self.folder = _absolute_path(source.parent if source.is_file() else source)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[ImportTask | ListingProblem]:
        """Yield the entries to read, and the problems of listing."""
        own = _OutputPaths(self.folder, (*self._spec.outputs, self._spec.extract))
        for entry in self._layout(self._source, self._spec.options):
            if isinstance(entry, Note):
                self.note(entry.message)
            elif not own.contains(entry.path):
                yield entry if isinstance(entry, ListingProblem) else self._make_task(entry)

    def note(self, message: str) -> None:
        """Report a note once."""
        if message not in self.notes:
            self.notes.append(message)
            self._tell(message)

    def _make_task(self, item: ListedFile) -> ImportTask | ListingProblem:
        """Return the task of one listed picture, or its problem."""
        if refused := _find_problem(item):
            return refused
        self._warn_if_unknown(item.generator)
        extracted = item.video or item.data is not None
        self._check_place(self._spec.extract if extracted else self.folder)
        return ImportTask(item, self._claim_name(item) if extracted else "")

    def _warn_if_unknown(self, generator: str) -> None:
        """Warn about a new generator that is not in the table."""
        if generator not in self._generators:
            self._generators.add(generator)
            if warning := unknown_generator_warning(generator):
                self.note(warning)

    def _check_place(self, place: Path) -> None:
        """Reject a place of pictures that the manifest cannot refer to."""
        below = self._spec.below
        if below is not None and not _absolute_path(place).is_relative_to(_absolute_path(below)):
            raise UsageError(
                f"a CSV manifest must be above its pictures, but {to_printable(str(place))} is not"
                f" in {below}: write .parquet, which stores the data folder, or name another file"
            )

    def _claim_name(self, item: ListedFile) -> str:
        """Return a unique name for an extracted file."""
        stem = item.path if item.video else strip_suffix(item.path)
        suffix, free, number = item.path.removeprefix(stem), stem, 1
        while free.lower() in self._claimed:  # file systems may be case-insensitive
            number += 1
            free = f"{stem}-{number}"
        self._claimed.add(free.lower())
        return free + suffix


def _absolute_path(path: Path) -> Path:
    """Return the absolute path without any "..", links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (`resolve` follows links)


class _OutputPaths:
    """The files of earlier imports in a folder, by name."""

    def __init__(self, folder: Path, written: Iterable[Path]) -> None:
        inside = [path for path in map(_absolute_path, written) if path.is_relative_to(folder)]
        names = {path.relative_to(folder).as_posix() for path in inside} - {"."}
        self._files = frozenset(names)
        self._folders = tuple(f"{name}/" for name in names)

    def contains(self, path: str) -> bool:
        """Return whether a path, relative to the folder, is one of those or below it."""
        return path in self._files or path.startswith(self._folders)


def _find_problem(item: ListedFile) -> ListingProblem | None:
    """Return why an entry cannot be a row of a manifest, or None if it can."""
    path, name = PurePosixPath(item.path), to_printable(item.path)
    if name != item.path:
        reason = "its name is not UTF-8, which a manifest cannot hold; rename it"
        return ListingProblem(name, "name_not_utf8", reason)
    if path.is_absolute() or ".." in path.parts:
        reason = "it is outside the source; copy it there, or give the folder above both"
        return ListingProblem(name, "path_escapes", reason)
    if item.label not in LABELS or (item.label == "real") != (item.generator == "none"):
        reason = f"label {item.label!r} with generator {item.generator!r}; real requires none"
        return ListingProblem(name, ManifestError.code, reason)
    return None


class NumberRange(Record):
    """Minimum, median and maximum of some numbers."""

    least: int
    median: float
    greatest: int


class _ClassSummary(Record):
    """The pictures of one class; counts by name, the most frequent first."""

    pictures: int
    generators: dict[str, int]
    official_splits: dict[str, int]
    formats: dict[str, int]
    jpeg_qualities: dict[str, int]
    width: NumberRange | None
    height: NumberRange | None
    bytes: NumberRange | None


class _DuplicateCounts(Record):
    """Repeated pictures in the manifest; they are kept, and `inspect` reports them.

    ``files`` counts rows beyond the first of equal files, ``paths`` those of equal paths, and
    ``in_both_classes`` files labelled both real and fake.
    """

    files: int
    paths: int
    in_both_classes: int


class ImportSummary(Document):
    """The output of `faceproof data import --format json`."""

    schema_: Literal["faceproof.import/1"] = Field(default="faceproof.import/1", alias="schema")
    manifest: str
    sha256: str
    root: str
    source: str
    layout: str
    all: _ClassSummary
    real: _ClassSummary
    fake: _ClassSummary
    doubles: _DuplicateCounts
    problems: dict[str, int]
    notes: tuple[str, ...]


def summarise(imported: ImportResult, *, manifest: Path, source: str, layout: str) -> ImportSummary:
    """Return the summary of an import whose manifest is at ``manifest``."""
    table = imported.manifest.table
    codes = Counter(problem.code for problem in imported.problems)
    return ImportSummary(
        manifest=str(manifest),
        sha256=imported.manifest.sha256,
        root=str(imported.manifest.root),
        source=source,
        layout=layout,
        all=_summarise_class(table),
        real=_summarise_class(table.filter(pl.col("label") == "real")),
        fake=_summarise_class(table.filter(pl.col("label") == "fake")),
        doubles=_count_duplicates(table),
        problems=dict(codes.most_common()),
        notes=imported.notes,
    )


def _summarise_class(table: pl.DataFrame) -> _ClassSummary:
    return _ClassSummary(
        pictures=table.height,
        generators=_count_values(table["generator"]),
        official_splits=_count_values(table[OFFICIAL if OFFICIAL in table.columns else "split"]),
        formats=_count_values(table["format"]),
        jpeg_qualities=_count_values(table["jpeg_quality"]),
        width=_summarise_range(table["width"]),
        height=_summarise_range(table["height"]),
        bytes=_summarise_range(table["bytes"]),
    )


def _count_values(column: pl.Series) -> dict[str, int]:
    """Return the count of each non-empty value, the most frequent first."""
    named = column.cast(pl.String).drop_nulls()
    counts = named.filter(named != "").alias("value").value_counts(name="n")
    return dict(counts.sort(["n", "value"], descending=[True, False]).iter_rows())


def _summarise_range(column: pl.Series) -> NumberRange | None:
    if column.is_empty():
        return None
    numbers = column.cast(pl.Int64)
    least, middle, greatest = numbers.min(), numbers.median(), numbers.max()
    return NumberRange.model_validate({"least": least, "median": middle, "greatest": greatest})


def _count_duplicates(table: pl.DataFrame) -> _DuplicateCounts:
    labels = table.group_by("sha256").agg(pl.col("label").n_unique())
    return _DuplicateCounts(
        files=table.height - labels.height,
        paths=table.height - table["path"].n_unique(),
        in_both_classes=labels.filter(pl.col("label") > 1).height,
    )
