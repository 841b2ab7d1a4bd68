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
    Listed,
    ListingOptions,
    Note,
    Problem,
    Tree,
    is_video,
    read_tree,
    refuse_unused,
    without_suffix,
)
from faceproof.data.layouts.table_files import open_table
from faceproof.data.layouts.table_rows import MediaIndex, as_text, label_called, relative
from faceproof.data.layouts.words import split_called, unexpected
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import printable

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
        raise unexpected(source, "dfdc", _EXPECTED, tree)
    read = [entry for table in tree.tables for entry in _read(tree, table, options)]
    _refuse_unclear(source, read)
    rows = [entry for entry in read if isinstance(entry, _Row)]
    files = MediaIndex(tree.media).named_after(without_suffix(row.name) for row in rows)
    if not files:
        raise unexpected(source, "dfdc", _EXPECTED, tree)
    yield from (entry for entry in read if isinstance(entry, Problem))
    yield from _entries(rows, files)
    yield from _left_over(tree, {path for paths in files.values() for path in paths})
    yield from tree.problems


def _entries(rows: list[_Row], files: dict[str, list[str]]) -> Iterator[Entry]:
    """Yield the files of every row, or a Problem for a row without files."""
    useful = len({row.split for row in rows}) > 1
    if not useful and rows and rows[0].split:
        yield Note(f"every row has the same split {rows[0].split!r}: ignored")
    seen: set[str] = set()
    for row in rows:
        name = without_suffix(row.name)
        paths = [] if name in seen else files.get(name, [])
        yield from (_listed(path, row, row.split if useful else "") for path in paths)
        yield from [] if paths else [_missing(row, seen=seen)]
        seen.add(name)


def _read(tree: Tree, place: str, options: ListingOptions) -> Iterator[_Row | Problem]:
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
        if isinstance(found, Problem):
            yield found
        else:
            yield _row(place, found[0], str(found[1][video]), found[1], options)


def _read_json(tree: Tree, place: str, options: ListingOptions) -> Iterator[_Row | Problem]:
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
        yield _row(place, number, name, about, options)


def _row(
    place: str, number: int, name: str, about: Mapping[str, Any], options: ListingOptions
) -> _Row | Problem:
    """Return one row, or its Problem."""
    texts = {key: as_text(value) for key, value in about.items()}
    value = texts.get("label", "")
    if relative(name) is None:
        reason = f"{name!r} is outside the source folder: correct the row"
        return Problem(name, "path_escapes", reason, number)
    if not (label := label_called(value, options)):
        reason = f"label {value!r} is neither REAL nor FAKE: correct it, or use --real {value} "
        return Problem(name, "unknown_label", f"{reason}or --fake {value}", number)
    kept = {key: text for key, text in texts.items() if key not in _OURS and text}
    attributes = {f"table_{key}" if key in RESERVED else key: text for key, text in kept.items()}
    split = split_called(texts.get("split", ""))
    return _Row(place, number, name, label, split, texts.get("original", ""), attributes)


def _listed(path: str, row: _Row, split: str) -> Listed:
    """Return a video, or a picture of it, as a row."""
    return Listed(
        path,
        row.label,
        generator="none" if row.label == "real" else "dfdc-swap",
        group=without_suffix(row.original or row.name),
        split=split,
        attributes={"video": row.name} | row.attributes,
        video=is_video(path),
    )


def _missing(row: _Row, *, seen: set[str]) -> Problem:
    """Return the Problem of a row without a file, or with the file of an earlier row."""
    if without_suffix(row.name) in seen:
        reason = f"a second row for {row.name!r} in {row.table}: remove one"
        return Problem(row.name, "duplicate_row", reason, row.number)
    reason = f"neither {row.name!r} nor a picture named after it exists: add it or drop the row"
    return Problem(row.name, "missing_file", reason, row.number)


def _left_over(tree: Tree, listed: set[str]) -> Iterator[Note]:
    """Yield a note about the files that no table names."""
    if left := [path for path in tree.media if path not in listed]:
        shown = ", ".join(left[:3])
        yield Note(f"{len(left)} pictures or videos are in no row and not listed: {shown}")


def _refuse_unclear(source: Path, read: list[_Row | Problem]) -> None:
    """Reject tables without a valid label.

    Raises:
        UsageError: naming the first.
    """
    problems = [one for one in read if isinstance(one, Problem)]
    if len(problems) == len(read) and {one.code for one in problems} == {"unknown_label"}:
        first = problems[0]
        raise UsageError(f"{printable(str(source))}: row {first.row}: {first.reason}")
