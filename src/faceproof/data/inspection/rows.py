"""The raw rows of one or more manifests, valid or not, as one table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from faceproof.data.inspection.record import Example, RowRef
from faceproof.data.manifest import CONTRACT, FACTS, LABELS
from faceproof.data.manifest_files import read_table
from faceproof.sources import to_printable

#: Place of the manifest among all that were read, and number of the row in it, from 1.
MANIFEST, _ROW = "#manifest", "#row"
#: Message for values of a type that a manifest cannot have; "" if all are valid.
MISFIT = "#misfit"
_OURS = {*CONTRACT, *FACTS, MANIFEST, _ROW, MISFIT}
#: Name of the part of the data without a split.
NO_SPLIT = "no split"
#: The column in which `import` keeps the official splits of a source.
OFFICIAL = "official_split"

IS_FAKE = pl.col("label") == "fake"
HAS_CLASS = pl.col("label").is_in(LABELS)


@dataclass(frozen=True, eq=False)
class InputManifest:
    """A manifest as read: ``table`` is not validated, ``root`` is its data folder."""

    name: str
    table: pl.DataFrame
    root: Path | None
    sha256: str


def read_input_manifest(path: str | Path, root: str | Path | None = None) -> InputManifest:
    """Return an unchanged manifest file; its pictures are in ``root``, or where it says.

    Raises:
        ManifestError: the file cannot be read, or a column of the contract is missing.
    """
    file = Path(path)
    table, own = read_table(file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return InputManifest(
        to_printable(str(path)), table, own if root is None else Path(root), digest
    )


def concatenate_manifests(given: Sequence[InputManifest], *, first: int = 0) -> pl.DataFrame:
    """Return the concatenated rows of all manifests; ``first`` is the place of the first.

    Columns: `MANIFEST`, `_ROW`, the contract (text, "" if empty), every fact (null if unknown
    or not a number), then attributes (text). Columns that cannot be text are dropped.
    """
    tables = [
        _normalise_columns(one.table, place)
        for place, one in enumerate(given, start=first)
        if one.table.width
    ]
    return pl.concat(tables, how="diagonal").with_columns(
        pl.col(pl.String).exclude("phash", "format").fill_null("")
    )


def attribute_columns(table: pl.DataFrame) -> list[str]:
    """Return the names of the columns that are neither contract nor facts."""
    return [name for name in table.columns if name not in _OURS]


def row_refs(table: pl.DataFrame, rows: Iterable[int]) -> list[RowRef]:
    """Return references to rows, given by their places in the table."""
    chosen = table.select(manifest=MANIFEST, row=_ROW, path="path", label="label", split="split")
    return [RowRef(**row) for row in chosen[list(rows)].iter_rows(named=True)]


def row_examples(
    table: pl.DataFrame, rows: Sequence[int], details: Sequence[str] = ()
) -> list[Example]:
    """Return an example for each row, given by its place in the table."""
    texts = details or [""] * len(rows)
    return [
        Example(rows=(ref,), detail=detail)
        for ref, detail in zip(row_refs(table, rows), texts, strict=True)
    ]


def part_of_rows(table: pl.DataFrame) -> pl.Series:
    """Return for each row its part of the data: split and class.

    Without a split, the official one of its source is used.
    """
    named = [name for name in ("split", OFFICIAL) if name in table.columns]
    given = (pl.when(pl.col(name) != "").then(pl.col(name)) for name in named)
    split = pl.coalesce(*given, pl.lit(NO_SPLIT))
    return table.select(pl.concat_str(split, "label", separator=" / ").alias("part"))["part"]


def _normalise_columns(table: pl.DataFrame, place: int) -> pl.DataFrame:
    """Return one table with known columns of known types."""
    facts = [
        _as_fact(table[name], dtype)
        if name in table.columns
        else pl.Series(name, [None] * table.height, dtype)
        for name, dtype in FACTS.items()
    ]
    others = [
        name for name, dtype in table.schema.items() if name not in _OURS and _is_plain(dtype)
    ]
    columns = [
        *(_as_text(table[name]) for name in CONTRACT),
        *facts,
        *(_as_text(table[name]) for name in others),
        _type_errors(table),
    ]
    return (
        pl.DataFrame(columns)
        .with_row_index(_ROW, offset=1)
        .select(
            pl.lit(place, pl.Int32).alias(MANIFEST), pl.col(_ROW).cast(pl.Int64), pl.exclude(_ROW)
        )
    )


def _type_errors(table: pl.DataFrame) -> pl.Series:
    """Return for each row the message for values of a wrong type, "" if there are none."""
    found = pl.Series(MISFIT, [""] * table.height, pl.String)
    for name, dtype in table.schema.items():
        if not _is_plain(dtype):
            message = f"column {name!r} has type {dtype}, not text: drop it"
            return pl.Series(MISFIT, [message] * table.height, pl.String)
        if name in FACTS and dtype != FACTS[name]:
            given = table[name].cast(pl.String, strict=False).replace("", None)
            wrong = _as_fact(table[name], FACTS[name]).is_null() & given.is_not_null()
            wrong_number = pl.format(f"{name} is '{{}}', must be a number", given)
            found = pl.select(pl.when(wrong).then(wrong_number).otherwise(found).alias(MISFIT))[
                MISFIT
            ]
    return found


def _is_plain(dtype: pl.DataType) -> bool:
    """Return whether values of this type can be converted to text."""
    return not dtype.is_nested() and dtype not in (pl.Binary, pl.Object)


def _as_text(column: pl.Series) -> pl.Series:
    """Return a column as text; "" for null."""
    if not _is_plain(column.dtype):
        return pl.Series(column.name, [""] * len(column), pl.String)
    return column.cast(pl.String, strict=False).fill_null("")


def _as_fact(column: pl.Series, dtype: type[pl.DataType]) -> pl.Series:
    """Return a column in the type of its fact, null for other types."""
    if column.dtype == dtype:
        return column
    if not _is_plain(column.dtype):
        return pl.Series(column.name, [None] * len(column), dtype)
    return column.cast(pl.String, strict=False).replace("", None).cast(dtype, strict=False)
