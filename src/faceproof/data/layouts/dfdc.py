"""Layout of DFDC, the Deepfake Detection Challenge: videos, or crops with a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceproof.data.layouts.listing import (
    RESERVED,
    Entry,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
    Tree,
    is_video,
    read_tree,
    refuse_unused,
    strip_suffix,
)
from faceproof.data.layouts.table_files import open_table
from faceproof.data.layouts.table_rows import MediaIndex, as_text, parse_label, relative_path
from faceproof.data.layouts.words import parse_split, unexpected_layout_error
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import to_printable

_TABLES = frozenset({"metadata.json", "metadata.csv", "labels.csv"})
_EXPECTED = "videos next to metadata.json, or pictures named after videos and a metadata.csv"
#: Names of the video's column in the tables.
_VIDEO = ("videoname", "filename", "video", "name")
_OURS = frozenset({*_VIDEO, "label", "split"})


@dataclass(frozen=True, slots=True)
class _Row:
    """One video as listed in its table."""

    table: str
    number: int
    name: str
    label: str
    split: str
    original: str
    attributes: dict[str, str]


def dfdc(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield DFDC: the videos of metadata.json, or crops and frames that are named after them.

    Each part has a metadata.json with entries {"x.mp4": {"label": "FAKE", "split": "train",
    "original": "y.mp4"}}; a metadata.csv has these as columns, and more. A fake is in the group of
    the video it was made from. A split that is the same for all rows is ignored.

    Source: Dolhansky et al., The DeepFake Detection Challenge Dataset, 2020, arXiv:2006.07397.
    """
    refuse_unused(options, "dfdc", used=("real", "fake"))
    tree = read_tree(source, tables=_TABLES.__contains__)
    if not tree.tables or not tree.media:
        raise unexpected_layout_error(source, "dfdc", _EXPECTED, tree)
    read = [entry for table in tree.tables for entry in _read(tree, table, options)]
    _refuse_unclear(source, read)
    rows = [entry for entry in read if isinstance(entry, _Row)]
    files = MediaIndex(tree.media).files_by_name(strip_suffix(row.name) for row in rows)
    if not files:
        raise unexpected_layout_error(source, "dfdc", _EXPECTED, tree)
    yield from (entry for entry in read if isinstance(entry, ListingProblem))
    yield from _list_entries(rows, files)
    yield from _leftover_notes(tree, {path for paths in files.values() for path in paths})
    yield from tree.problems


def _list_entries(rows: list[_Row], files: dict[str, list[str]]) -> Iterator[Entry]:
    """Yield the files of every row, or a Problem for a row without files."""
    useful = len({row.split for row in rows}) > 1
    if not useful and rows and rows[0].split:
        yield Note(f"every row has the same split {rows[0].split!r}: ignored")
    seen: set[str] = set()
    for row in rows:
        name = strip_suffix(row.name)
        paths = [] if name in seen else files.get(name, [])
        yield from (_list_file(path, row, row.split if useful else "") for path in paths)
        yield from [] if paths else [_missing_file_problem(row, seen=seen)]
        seen.add(name)


def _read(tree: Tree, place: str, options: ListingOptions) -> Iterator[_Row | ListingProblem]:
    """Yield the rows of one table."""
    if place.endswith(".json"):
        yield from _read_json(tree, place, options)
        return
    table = open_table(tree.root / place)
    video = next((name for name in _VIDEO if name in table.columns), "")
    if not video or "label" not in table.columns:
        expected = f"the columns label and one of {', '.join(_VIDEO)}"
        raise ManifestError(f"{place}: expected {expected}; it has {', '.join(table.columns)}")
    for found in table.rows:
        if isinstance(found, ListingProblem):
            yield found
        else:
            yield _parse_row(place, found[0], str(found[1][video]), found[1], options)


def _read_json(tree: Tree, place: str, options: ListingOptions) -> Iterator[_Row | ListingProblem]:
    """Yield the entries of one metadata.json.

    Raises:
        ManifestError: it is not such a file.
    """
    try:
        entries = json.loads((tree.root / place).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{place}: invalid JSON ({error}): fetch the file again") from error
    if not isinstance(entries, dict) or not all(isinstance(v, dict) for v in entries.values()):
        expected = '{"x.mp4": {"label": "FAKE", "original": "y.mp4"}}'
        raise ManifestError(f"{place}: expected entries such as {expected}: fetch the file again")
    for number, (name, about) in enumerate(entries.items(), start=1):
        yield _parse_row(place, number, name, about, options)


def _parse_row(
    place: str, number: int, name: str, about: Mapping[str, Any], options: ListingOptions
) -> _Row | ListingProblem:
    """Return one row, or its Problem."""
    texts = {key: as_text(value) for key, value in about.items()}
    value = texts.get("label", "")
    if relative_path(name) is None:
        reason = f"{name!r} is outside the source folder: correct the row"
        return ListingProblem(name, "path_escapes", reason, number)
    if not (label := parse_label(value, options)):
        reason = f"label {value!r} is neither REAL nor FAKE: correct it, or use --real {value} "
        return ListingProblem(name, "unknown_label", f"{reason}or --fake {value}", number)
    kept = {key: text for key, text in texts.items() if key not in _OURS and text}
    attributes = {f"table_{key}" if key in RESERVED else key: text for key, text in kept.items()}
    split = parse_split(texts.get("split", ""))
    return _Row(place, number, name, label, split, texts.get("original", ""), attributes)


def _list_file(path: str, row: _Row, split: str) -> ListedFile:
    """Return a video, or a picture of it, as a row."""
    return ListedFile(
        path,
        row.label,
        generator="none" if row.label == "real" else "dfdc-swap",
        group=strip_suffix(row.original or row.name),
        split=split,
        attributes={"video": row.name} | row.attributes,
        video=is_video(path),
    )


def _missing_file_problem(row: _Row, *, seen: set[str]) -> ListingProblem:
    """Return the Problem of a row without a file, or with the file of an earlier row."""
    if strip_suffix(row.name) in seen:
        reason = f"a second row for {row.name!r} in {row.table}: remove one"
        return ListingProblem(row.name, "duplicate_row", reason, row.number)
    reason = f"neither {row.name!r} nor a picture named after it exists: add it or drop the row"
    return ListingProblem(row.name, "missing_file", reason, row.number)


def _leftover_notes(tree: Tree, listed: set[str]) -> Iterator[Note]:
    """Yield a note about the files that no table names."""
    if left := [path for path in tree.media if path not in listed]:
        shown = ", ".join(left[:3])
        yield Note(f"{len(left)} pictures or videos are in no row and not listed: {shown}")


def _refuse_unclear(source: Path, read: list[_Row | ListingProblem]) -> None:
    """Reject tables without a valid label.

    Raises:
        UsageError: naming the first.
    """
    problems = [one for one in read if isinstance(one, ListingProblem)]
    if len(problems) == len(read) and {one.code for one in problems} == {"unknown_label"}:
        first = problems[0]
        raise UsageError(f"{to_printable(str(source))}: row {first.row}: {first.reason}")
