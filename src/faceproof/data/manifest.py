"""Manifest: the table of a data set, validated on construction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from faceproof.errors import LeakError, ManifestError, SplitUseError

_ABSOLUTE = r"^([/\\]|[A-Za-z]:[/\\])"
_UPWARDS = r"(^|[/\\])\.\.([/\\]|$)"


def _find_broken_row(
    table: pl.DataFrame, *, labels: tuple[str, ...], splits: tuple[str, ...]
) -> str | None:
    """Return the error of the first row that breaks the contract, or None."""
    found = [
        (number, message.format(**table.row(number, named=True)))
        for rule, message in contract_rules(labels, splits)
        if (number := _first_violation(table, rule)) is not None
    ]
    if not found:
        return None
    number, message = min(found, key=lambda item: item[0])
    return f"row {number + 1} ({table['path'][number]}): {message}"


def _find_leaking_value(table: pl.DataFrame, key: str) -> str | None:
    """Return the value of ``key`` that occurs in two splits, or None; "" is not a split."""
    standing = table.lazy().filter(pl.col("split") != "").group_by(key)
    twice = standing.agg(pl.col("split").unique()).filter(pl.col("split").list.len() > 1)
    found = twice.collect().sort(key).head(1)
    if found.is_empty():
        return None
    where = " and ".join(sorted(found["split"][0]))
    return f"{key} {found[key][0]} occurs in {where}; keep it in one"


def contract_rules(
    labels: tuple[str, ...], splits: tuple[str, ...]
) -> Iterable[tuple[pl.Expr, str]]:
    """Yield the forbidden conditions and their messages; earlier rules take precedence."""
    label, split, path = pl.col("label"), pl.col("split"), pl.col("path")
    unfilled = pl.any_horizontal(pl.col("group", "source") == "")
    is_hash = pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")
    yield ~label.is_in(labels), f"label is {{label!r}}, must be one of {', '.join(labels)}"
    yield (
        (label == "real") != (pl.col("generator") == "none"),
        "a row is real exactly if its generator is 'none'; it is {generator!r}",
    )
    yield pl.col("generator") == "", "generator must not be empty"
    yield (
        ~split.is_in(("", *splits)),
        f"split is {{split!r}}, must be one of {', '.join(splits)}",
    )
    yield unfilled | ~is_hash, "sha256 (64 hex digits), group and source must not be empty"
    yield (
        (path == "") | path.str.contains(_ABSOLUTE) | path.str.contains(_UPWARDS),
        "the path must stay inside the data folder; write it relative to that, without '..'",
    )


def _first_violation(table: pl.DataFrame, rule: pl.Expr) -> int | None:
    """Return the number of the first row that violates a rule."""
    number: int | None = table.select(rule.arg_true().first().alias("n"))["n"][0]
    return number


SPLITS = ("train", "validation", "calibration", "test")
LABELS = ("real", "fake")

#: The splits that each purpose may read. Nothing is chosen on test data.
_ALLOWED = {
    "fit": {"train"},
    "choose": {"validation"},
    "calibrate": {"calibration"},
    "final-report": {"test"},
}

#: Columns that are not text: facts of a file from `import`, and the weight from `prepare`.
FACTS: dict[str, type[pl.DataType]] = {
    "phash": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "bytes": pl.Int64,
    "format": pl.String,
    "jpeg_quality": pl.Int16,
    "weight": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One picture: its path below the data folder, label, generator, group, source and split."""

    path: str
    label: str
    generator: str
    source: str
    group: str
    sha256: str
    split: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_fake(self) -> bool:
        """Whether the label is fake, the positive class."""
        return self.label == "fake"


#: The columns of every manifest; a column neither here nor in `FACTS` is an attribute.
CONTRACT = tuple(f.name for f in fields(Row) if f.name != "attributes")


class Manifest:
    """A data set; the constructor validates every row and that splits are disjoint.

    ``table`` has the columns of `CONTRACT` (text), then the known ones of `FACTS`, then attributes
    (text, "" if unknown). ``root`` is the data folder that paths are relative to; None if pictures
    are not needed. An empty split means no split.

    Raises:
        ManifestError: a row breaks the contract; the message names it.
        LeakError: a picture or a group occurs in two splits.
    """

    def __init__(self, rows: Iterable[Row] | pl.DataFrame, *, root: Path | None = None) -> None:
        table = rows if isinstance(rows, pl.DataFrame) else _rows_to_table(rows)
        self.table = _apply_types(table)
        self.root = root
        if message := _find_broken_row(self.table, labels=LABELS, splits=SPLITS):
            raise ManifestError(message)
        for key in ("group", "sha256"):
            if message := _find_leaking_value(self.table, key):
                raise LeakError(message)

    def __len__(self) -> int:
        return self.table.height

    def __eq__(self, other: object) -> bool:
        """Return whether the tables are equal, regardless of their data folders."""
        return isinstance(other, Manifest) and self.table.equals(other.table)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        labels = dict(self.table.group_by("label").len().iter_rows())
        named = ", ".join(f"{labels.get(label, 0):,} {label}" for label in LABELS)
        splits = ", ".join(f"{split} {n:,}" for split, n in self.counts().items() if n)
        return f"<Manifest {len(self):,} rows: {named}; {splits or 'no splits'}>"

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row as an object: for small sets; a large one is read through ``table``."""
        return _table_to_rows(self.table)

    @property
    def attribute_columns(self) -> tuple[str, ...]:
        """The names of the columns besides the contract and the facts."""
        return tuple(n for n in self.table.columns if n not in CONTRACT and n not in FACTS)

    @cached_property
    def sha256(self) -> str:
        """Hash of the data set: of every picture's hash, label, generator and split."""
        line = pl.concat_str("sha256", "label", "generator", "split", separator=" ")
        lines = self.table.select(line.alias("line").sort())["line"]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def take(self, split: str, *, purpose: str) -> tuple[Row, ...]:
        """Return the rows of ``split``, which ``purpose`` must be allowed to read.

        Raises:
            SplitUseError: for instance `test` for anything but the final report.
        """
        if split not in _ALLOWED.get(purpose, set()):
            raise SplitUseError(f"split {split!r} must not be read for the purpose {purpose}")
        return _table_to_rows(self.table.filter(pl.col("split") == split))

    def counts(self) -> dict[str, int]:
        """Return the number of rows in each split, in the order of `SPLITS`."""
        found = dict(self.table.group_by("split").len().iter_rows())
        return {split: found.get(split, 0) for split in SPLITS}

    def at_most(self, counts: Mapping[Any, int]) -> Manifest:
        """Return the manifest with at most so many rows of each source, label and generator.

        ``counts`` has a number for each split that is limited. The rows are those whose pictures
        have the lowest SHA-256: the same ones in every run, whatever else the manifest holds.
        """
        if not counts:
            return self
        place = pl.int_range(pl.len()).over(
            "split", "source", "label", "generator", order_by="sha256"
        )
        most = pl.col("split").replace_strict(dict(counts), default=None, return_dtype=pl.Int64)
        return self.with_table(self.table.filter(most.is_null() | (place < most)))

    def with_table(self, table: pl.DataFrame) -> Manifest:
        """Return a manifest of another table over the same data folder."""
        return Manifest(table, root=self.root)

    def picture_path(self, path: str) -> Path:
        """Return the absolute path of a row's picture.

        Raises:
            ManifestError: this manifest has no data folder.
        """
        if self.root is None:
            raise ManifestError(f"{path}: the data folder is unknown; set it with --root")
        return self.root / path


def _rows_to_table(rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a table of text.

    Raises:
        ManifestError: an attribute has the name of a column of the contract.
    """
    rows = tuple(rows)
    attributes = dict.fromkeys(name for row in rows for name in row.attributes)
    for number, row in enumerate(rows, start=1):
        if shadowed := sorted(row.attributes.keys() & set(CONTRACT)):
            where = f"row {number} ({row.path})"
            raise ManifestError(f"{where}: an attribute must not be called {shadowed[0]!r}")
    columns = {name: [getattr(row, name) for row in rows] for name in CONTRACT}
    more = {name: [row.attributes.get(name) for row in rows] for name in attributes}
    return pl.DataFrame(columns | more, schema=dict.fromkeys([*CONTRACT, *attributes], pl.String))


def _table_to_rows(table: pl.DataFrame) -> tuple[Row, ...]:
    """Return the rows of a manifest's table; known facts are attributes too, as text."""
    rest = table.select(pl.exclude(CONTRACT).cast(pl.String).fill_null(""))
    known = table.select(CONTRACT).iter_rows()
    row: Callable[..., Row] = Row
    if not rest.columns:
        return tuple(row(*values) for values in known)
    return tuple(
        row(*values, {name: value for name, value in zip(rest.columns, more, strict=True) if value})
        for values, more in zip(known, rest.iter_rows(), strict=True)
    )


def _apply_types(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with typed columns in order: contract, facts, attributes.

    Raises:
        ManifestError: a column is missing or not text, or a fact is not a number.
    """
    missing = [name for name in CONTRACT if name not in table.columns]
    if missing:
        raise ManifestError(f"the manifest lacks the columns {', '.join(missing)}")
    facts = [name for name in FACTS if name in table.columns]
    others = [name for name in table.columns if name not in CONTRACT and name not in FACTS]
    return table.select(
        *(_as_text(table[name]) for name in CONTRACT),
        *(_as_fact(table[name]) for name in facts),
        *(_as_text(table[name]) for name in others),
    )


def _as_text(column: pl.Series) -> pl.Series:
    """Return a column as text, "" for null."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise ManifestError(f"column {column.name!r} has type {column.dtype}, not text: drop it")
    return column.cast(pl.String).fill_null("")


def _as_fact(column: pl.Series) -> pl.Series:
    """Return a column of `FACTS` in its type, null for empty values."""
    wanted = FACTS[column.name]
    if column.dtype == wanted:
        return column
    given = column.cast(pl.String).replace("", None)
    made = given.cast(wanted, strict=False)
    wrong = (made.is_null() & given.is_not_null()).arg_true()
    if len(wrong):
        value = given[int(wrong[0])]
        raise ManifestError(f"row {wrong[0] + 1}: {column.name} is {value!r}, must be a number")
    return made
