"""The manifest: the table that is a data set, checked when it is read and when it is written."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from faceproof.errors import LeakError, ManifestError, MissingExtraError, SplitUseError

SPLITS = ("train", "validation", "calibration", "test")
LABELS = ("real", "fake")

#: What each purpose may read. Nothing is chosen on test data.
_ALLOWED = {
    "fit": {"train"},
    "choose": {"validation"},
    "calibrate": {"calibration"},
    "final-report": {"test"},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One picture: where it lies under the data folder, what it is, and where it belongs."""

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
        """Fake is the positive class."""
        return self.label == "fake"


#: The columns that every manifest has; any other is an attribute.
CONTRACT = tuple(f.name for f in fields(Row) if f.name != "attributes")


@dataclass(frozen=True)
class Manifest:
    """The rows of a data set; making one checks every row and that nothing stands in two splits.

    Raises:
        ManifestError: a row breaks the contract; the message names it.
        LeakError: a picture or a group stands in two splits.
    """

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            _check_row(row, number)
        _refuse_leak(self.rows, "group")
        _refuse_leak(self.rows, "sha256")

    @cached_property
    def sha256(self) -> str:
        """Hash of what the data set says: every picture's hash, label, generator and split."""
        lines = sorted(f"{row.sha256} {row.label} {row.generator} {row.split}" for row in self.rows)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def take(self, split: str, *, purpose: str) -> tuple[Row, ...]:
        """Return the rows of ``split``, which must be one that ``purpose`` may read.

        Raises:
            SplitUseError: for instance `test` for anything but the final report.
        """
        if split not in _ALLOWED.get(purpose, set()):
            raise SplitUseError(
                f"split {split!r} must not be read to {purpose}; it would decide it"
            )
        return tuple(row for row in self.rows if row.split == split)

    def counts(self) -> dict[str, int]:
        """Return the number of rows in each split, in the order of `SPLITS`."""
        return {split: sum(row.split == split for row in self.rows) for split in SPLITS}


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a Parquet or CSV file; every value is text.

    Raises:
        ManifestError: the file cannot be read, a column is missing, a row breaks the contract.
    """
    columns, records = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    missing = [name for name in CONTRACT if name not in columns]
    if missing:
        raise ManifestError(f"{path} lacks the columns {', '.join(missing)}")
    return Manifest(tuple(_row(record) for record in records))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write Parquet, or CSV where the name ends so."""
    attributes = dict.fromkeys(name for row in manifest.rows for name in row.attributes)
    columns = [*CONTRACT, *attributes]
    records = [_flat(row, attributes) for row in manifest.rows]
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
        return
    arrow = _pyarrow()
    from pyarrow import parquet

    schema = arrow.schema([(name, arrow.string()) for name in columns])
    parquet.write_table(arrow.Table.from_pylist(records, schema=schema), path)


def _check_row(row: Row, number: int) -> None:
    """Refuse one row that breaks the contract."""
    where = f"row {number} ({row.path})"
    if row.label not in LABELS:
        raise ManifestError(f"{where}: label is {row.label!r}, must be one of {', '.join(LABELS)}")
    if (row.label == "real") != (row.generator == "none"):
        raise ManifestError(f"{where}: a row is real exactly when its generator is 'none'")
    if row.split not in ("", *SPLITS):
        raise ManifestError(f"{where}: split is {row.split!r}, must be one of {', '.join(SPLITS)}")
    if len(row.sha256) != 64 or not row.group or not row.source:
        raise ManifestError(f"{where}: sha256 (64 hex digits), group and source must be filled")
    if shadowed := sorted(row.attributes.keys() & set(CONTRACT)):
        raise ManifestError(f"{where}: an attribute must not be called {shadowed[0]!r}")
    if Path(row.path).is_absolute() or ".." in Path(row.path).parts:
        raise ManifestError(f"{where}: the path must stay inside of the data folder")


def _refuse_leak(rows: Iterable[Row], key: str) -> None:
    """Refuse a group or picture that stands in two splits."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        seen[getattr(row, key)].add(row.split)
    for value, splits in seen.items():
        if len(splits) > 1:
            raise LeakError(
                f"{key} {value} stands in {' and '.join(sorted(splits))}; keep it in one"
            )


def _row(record: Mapping[str, Any]) -> Row:
    """Return one row; what is no column of the contract is an attribute, where it is filled."""
    known = {name: str(record[name] or "") for name in CONTRACT}
    rest = {k: str(v) for k, v in record.items() if k not in known and v not in (None, "")}
    return Row(**known, attributes=rest)


def _flat(row: Row, attributes: Iterable[str]) -> dict[str, str]:
    """Return the row as one flat dict of strings, empty where it lacks an attribute."""
    filled = {name: row.attributes.get(name, "") for name in attributes}
    return filled | {name: getattr(row, name) for name in CONTRACT}


def _read_csv(path: Path) -> tuple[Sequence[str], list[dict[str, Any]]]:
    """Return the columns and records of a CSV file, as spreadsheets write them too."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            return reader.fieldnames or (), [_full(record, reader.line_num) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read as CSV: {error}") from error


def _full(record: dict[str, Any], line: int) -> dict[str, Any]:
    """Return the record, which must have a value for every column and no more."""
    if None in record or None in record.values():
        raise csv.Error(f"line {line} has more or fewer values than the header has columns")
    return record


def _read_parquet(path: Path) -> tuple[Sequence[str], list[dict[str, Any]]]:
    """Return the columns and records of a Parquet file."""
    arrow = _pyarrow()
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise ManifestError(f"{path} cannot be read as Parquet: {error}") from error
    return table.column_names, table.to_pylist()


def _pyarrow() -> Any:
    """Return pyarrow, or say what to install."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="train") from error
    return pa
