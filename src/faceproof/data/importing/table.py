"""From measured pictures to the table of a manifest: rows, data folder, official splits."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from faceproof.data.importing.reading import Measured
from faceproof.data.layouts.listing import RESERVED
from faceproof.data.manifest import CONTRACT, FACTS, SPLITS
from faceproof.errors import UsageError

#: What sources call the splits; any other name is kept as it is, and is no split of ours.
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("training", "tr"), "train"),
    **dict.fromkeys(("valid", "val", "validate", "dev", "development"), "validation"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("calib", "cal"), "calibration"),
}
OFFICIAL = "official_split"

_MEASURED = ("phash", "width", "height", "bytes", "format", "jpeg_quality")
_CHUNK_ROWS = 8192
_EXTRACTED = "_extracted"


class Rows:
    """Takes measured pictures one at a time, and keeps them as columns."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._chunks: list[pl.DataFrame] = []
        self._open: list[Measured] = []

    def add(self, measured: Measured) -> None:
        """Take one picture."""
        self._open.append(measured)
        if len(self._open) >= _CHUNK_ROWS:
            self._close()

    def table(self, folder: Path, extract: Path) -> tuple[pl.DataFrame, Path]:
        """Return the table so far, and the folder that its paths are relative to.

        That is ``folder`` or ``extract``, or the one above both where pictures lie in both.
        """
        self._close()
        table = pl.concat(self._chunks, how="diagonal")
        kinds = set(table[_EXTRACTED].unique())
        root = _root(folder, extract, kinds)
        prefixes = {True: _prefix(extract, root), False: _prefix(folder, root)}
        prefix = pl.col(_EXTRACTED).replace_strict(prefixes, return_dtype=pl.String)
        return table.with_columns(path=prefix + pl.col("path")).drop(_EXTRACTED), root

    def _close(self) -> None:
        """Turn the rows that are open into columns."""
        names = dict.fromkeys(name for row in self._open for name in _attributes(row))
        found = [_attributes(row) for row in self._open]
        rows = [_contract(row, self._source) for row in self._open]
        facts = {name: [getattr(row.facts, name) for row in self._open] for name in _MEASURED}
        columns = {name: [row[place] for row in rows] for place, name in enumerate(CONTRACT)}
        self._chunks.append(
            pl.DataFrame(
                {
                    **columns,
                    **facts,
                    **{name: [row.get(name, "") for row in found] for name in names},
                    _EXTRACTED: [row.extracted for row in self._open],
                },
                schema={
                    **dict.fromkeys(CONTRACT, pl.String),
                    **{name: FACTS[name] for name in _MEASURED},
                    **dict.fromkeys(names, pl.String),
                    _EXTRACTED: pl.Boolean,
                },
            )
        )
        self._open = []


def settle_splits(table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the table with official splits in our words, and what to tell about them.

    Where they cannot be ours, because the same picture or group stands in two of them or a name is
    none of ours, ``split`` is emptied and they stay in the column ``official_split``.
    """
    renamed = table.with_columns(split=pl.col("split").str.to_lowercase().replace(SPLIT_NAMES))
    told = [*_strange(renamed), *_leaks(renamed)]
    if not told:
        return renamed, []
    kept = table.with_columns(pl.lit("").alias("split"), pl.col("split").alias(OFFICIAL))
    note = (
        f"{'; '.join(told)}: the official split is kept in the column {OFFICIAL}, and split is "
        "left empty, for `faceproof data split` to fill"
    )
    return kept, [note]


def _strange(table: pl.DataFrame) -> list[str]:
    """Return a line on official splits that have a name of their own."""
    names = sorted(set(table["split"].unique()) - {"", *SPLITS})
    return [f"no split of ours is called {' or '.join(map(repr, names))}"] if names else []


def _leaks(table: pl.DataFrame) -> list[str]:
    """Return a line on pictures and one on groups that stand in two official splits."""
    standing = table.filter(pl.col("split") != "")
    said = []
    for key, what in (("sha256", "file"), ("group", "group")):
        splits = standing.group_by(key).agg(pl.col("split").n_unique())
        twice = splits.filter(pl.col("split") > 1).height
        if twice:
            stand = f"{what}s stand" if twice > 1 else f"{what} stands"
            said.append(f"{twice} {stand} in more than one official split")
    return said


def _contract(row: Measured, source: str) -> tuple[str, ...]:
    """Return the values of `CONTRACT`, in its order."""
    item = row.item
    known = {
        "path": row.path,
        "label": item.label,
        "generator": item.generator,
        "source": source,
        "group": f"{source}/{item.group or item.path}",
        "sha256": row.facts.sha256,
        "split": item.split,
    }
    return tuple(known[name] for name in CONTRACT)


def _attributes(row: Measured) -> dict[str, str]:
    """Return what the layout says of a picture, and what was found on the way to it."""
    both = {**row.item.attributes, **row.attributes}
    taken = RESERVED | {OFFICIAL, _EXTRACTED}
    return {f"table_{name}" if name in taken else name: said for name, said in both.items()}


def _root(folder: Path, extract: Path, kinds: set[bool]) -> Path:
    """Return the data folder: where the pictures lie, or above both of the places."""
    if kinds <= {False}:
        return folder
    if kinds == {True}:
        return extract
    try:
        return Path(os.path.commonpath([folder.absolute(), extract.absolute()]))
    except ValueError as error:  # two drives of Windows
        raise UsageError(
            f"{folder} and {extract} lie on two drives: name a folder on the first with --extract"
        ) from error


def _prefix(place: Path, root: Path) -> str:
    """Return what a path below ``place`` begins with, seen from ``root``."""
    if place == root:
        return ""
    try:
        inner = place.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:  # no picture lies there
        return ""
    return "" if inner == "." else f"{inner}/"
