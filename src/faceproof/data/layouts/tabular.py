"""Layouts of tables of pictures: CSV and Parquet with a column map, Hugging Face folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from faceproof.data.layouts.listing import (
    TABLE_SUFFIXES,
    Entry,
    ListingOptions,
    Note,
    Tree,
    read_tree,
    refuse_unused,
    suffix_of,
)
from faceproof.data.layouts.table_files import TableFile, match_columns, open_table
from faceproof.data.layouts.table_rows import MediaIndex, RowReader, polarity_notes, refuse_both
from faceproof.data.layouts.words import parse_split, unexpected_layout_error
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import to_printable

_USED = ("real", "fake", "generator", "columns")
_HUB_FILES = frozenset({"dataset_dict.json", "dataset_info.json", "state.json"})


def columns(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield the pictures that one table names: CSV, TSV, JSON lines, Parquet, or its folder.

    Paths are relative to the table's folder or to the source folder; a bare name, with or without
    suffix, is searched below it. A column of bytes, or of {bytes, path}, has the pictures
    themselves. Without a label column, the generator determines the label: `none` is real. All
    other columns become attributes; ``split`` and ``generator`` are converted to our names.
    """
    refuse_unused(options, "columns", used=_USED)
    refuse_both(options)
    tree, place = _find_table(source)
    index = MediaIndex(tree.media)
    nameless = any(theirs.startswith("#") for theirs in options.columns.values())
    table = open_table(tree.root / place, header=not nameless)
    found = match_columns(table, options)
    yield from found.notes
    reader = RowReader(table, found, options, index, place)
    yield from reader
    yield from polarity_notes(reader.label_counts)
    yield from _unlisted_notes(tree, reader.used)
    yield from tree.problems


def hf_datasets(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield a folder that Hugging Face's `datasets` saved, or the Parquet files of its hub.

    These are Arrow files with dataset_info.json and state.json, one folder for each split, or files
    such as `train-00000-of-00002.parquet`. The features have the names of classes.

    Source: `Dataset.save_to_disk`, `DatasetDict.save_to_disk` and `Dataset.to_parquet`, as datasets
    5.2 writes them.
    """
    refuse_unused(options, "hf-datasets", used=_USED)
    refuse_both(options)
    tree = read_tree(source, tables=lambda name: name in _HUB_FILES or _is_shard(name))
    shards = [path for path in tree.tables if _is_shard(path)]
    if not shards:
        expected = "the files of Dataset.save_to_disk (*.arrow, dataset_info.json), or *.parquet"
        raise unexpected_layout_error(source, "hf-datasets", expected, tree)
    index = MediaIndex(tree.media)
    used: set[str] = set()
    label_counts: Counter[tuple[str, str]] = Counter()
    notes: set[Note] = set()
    for place in shards:
        table = open_table(tree.root / place)
        found = match_columns(table, _add_label_column(table, options))
        yield from (note for note in found.notes if note not in notes)
        notes |= set(found.notes)
        yield from RowReader(
            table, found, options, index, place, split_of(place), used, label_counts
        )
    yield from polarity_notes(label_counts)
    yield from _unlisted_notes(tree, used)
    yield from tree.problems


def split_of(place: str) -> str:
    """Return the split of a file by its own name or its folder's.

    >>> split_of("train/data-00000-of-00001.arrow"), split_of("data/valid-00000-of-00001.parquet")
    ('train', 'validation')
    >>> split_of("dataset.arrow")
    ''
    """
    *folders, name = PurePosixPath(place).parts
    first = re.split(r"[-_.]", name)[0]
    return next((split for part in (first, *reversed(folders)) if (split := parse_split(part))), "")


def _add_label_column(table: TableFile, options: ListingOptions) -> ListingOptions:
    """Return the options with the only column of classes as label, if no column is called so."""
    if "label" in options.columns or "label" in table.columns or len(table.classes) != 1:
        return options
    found = {"label": next(iter(table.classes))}
    return options.model_copy(update={"columns": options.columns | found})


def _find_table(source: Path) -> tuple[Tree, str]:
    """Return the files below the source's folder and the path of its table.

    Raises:
        ManifestError: there is no table, or more than one.
    """
    if source.is_file():
        if not _is_table(source.name):
            expected = "a CSV, TSV, JSON-lines or Parquet file, or a folder with one"
            raise ManifestError(
                f"{to_printable(str(source))}: the layout columns expects {expected}"
            )
        return read_tree(source.parent, tables=source.name.__eq__), source.name
    tree = read_tree(source, tables=_is_table)
    if not tree.tables:
        raise unexpected_layout_error(
            source, "columns", "a CSV, TSV, JSON-lines or Parquet file", tree
        )
    if len(tree.tables) > 1:
        names = ", ".join(tree.tables[:8])
        raise UsageError(
            f"{to_printable(str(source))} has {len(tree.tables)} tables ({names}): name one of "
            "them "
            "instead of the folder"
        )
    return tree, tree.tables[0]


def _unlisted_notes(tree: Tree, used: set[str]) -> Iterator[Note]:
    """Yield a note about the pictures that no row names."""
    left = [path for path in tree.media if path not in used]
    if left:
        shown = ", ".join(left[:3])
        yield Note(f"{len(left)} pictures or videos are in no row and not listed: {shown}")


def _is_table(name: str) -> bool:
    """Return whether the name is a table's."""
    return suffix_of(name) in TABLE_SUFFIXES


def _is_shard(name: str) -> bool:
    """Return whether the name is that of a file of rows."""
    return suffix_of(name) in {".arrow", ".parquet"}
