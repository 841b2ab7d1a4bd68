"""`ResultFolder`: the results of a scan as Parquet files, each whole or not there."""

from __future__ import annotations

import re
import time
import types
import typing
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from faceproof.errors import OutputError
from faceproof.outputs import atomic_write, write_error
from faceproof.results import CheckResult
from faceproof.scanning.items import Item
from faceproof.sources import to_printable

if TYPE_CHECKING:
    import pyarrow as pa

RESULTS = "results"
"""Name of the folder of Parquet files in the output folder."""
INPUT = "input"
"""The one column beside those of a check result: which file was read, and its identity."""
_PART = re.compile(r"part-(\d{6,})\.parquet")
_SIMPLE = {str: "string", int: "int64", float: "float64", bool: "bool"}


@cache
def result_schema() -> pa.Schema:
    """Return the schema of the results: the fields of `CheckResult`, nested, and ``input``.

    ``input`` has ``path`` (the file or container), ``offset`` and ``size`` in bytes, ``modified``
    (microseconds) and ``identity``.
    """
    import pyarrow as pa

    given = pa.struct(
        [
            ("path", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
            ("modified", pa.timestamp("us", tz="UTC")),
            ("identity", pa.string()),
        ]
    )
    return pa.schema([*_arrow_type(CheckResult), pa.field(INPUT, given)])


def _arrow_type(annotation: Any) -> Any:
    """Return the Arrow type of a field of a Record."""
    import pyarrow as pa

    arguments = [one for one in typing.get_args(annotation) if one not in (type(None), ...)]
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return pa.struct([(one.alias or name, _arrow_type(one.annotation)) for name, one in fields])
    if origin is typing.Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return _arrow_type(arguments[0])
    return pa.type_for_alias(_SIMPLE[annotation])


def make_table(items: Sequence[Item], results: Sequence[CheckResult]) -> pa.Table:
    """Return one row for each item, with its result."""
    import pyarrow as pa

    rows = [
        result.model_dump(mode="json") | {INPUT: _input_row(item)}
        for item, result in zip(items, results, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=result_schema())


def _input_row(item: Item) -> dict[str, object]:
    modified = None if item.modified_ns is None else item.modified_ns // 1000
    return {
        "path": to_printable(item.path),
        "offset": item.offset,
        "size": item.size,
        "modified": modified,
        "identity": item.identity,
    }


def read_result(row: dict[str, Any]) -> CheckResult:
    """Return the check result in a row of the results, as Arrow or polars gives it."""
    fields = {name: value for name, value in row.items() if name != INPUT}
    if fields.get("resaved") is None:
        fields.pop("resaved", None)
    return CheckResult.model_validate(fields)


class ResultFolder:
    """The Parquet files of one scan, ``part-000000.parquet`` and so on; one process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def parts(self) -> list[Path]:
        """Return the files, in the order in which they were written."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _PART.fullmatch(path.name))

    def write(self, table: pa.Table) -> Path:
        """Write one more file; it is there as a whole, or not at all.

        Raises:
            OutputError: the disk is full.
            UsageError: the folder cannot be written.
        """
        import pyarrow.parquet as pq

        parts = self.parts()
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
        path = self.folder / f"part-{number:06}.parquet"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, locked=True) as file:
                pq.write_table(table, file, compression="zstd")
        except OSError as error:
            raise write_error(path, error) from error
        return path


def read_identities(parts: Sequence[Path]) -> Iterator[list[str]]:
    """Yield the identities of the pictures that were judged, in batches.

    Raises:
        OutputError: a file is damaged; its pictures are judged again without it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parts:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=[f"{INPUT}.identity"]):
                    yield batch.column(0).field("identity").to_pylist()
        except (OSError, pa.ArrowException, KeyError) as error:
            raise OutputError(
                f"{to_printable(str(path))} cannot be read: {str(error).partition(chr(10))[0]}; "
                "remove it, and run the command again: its pictures are judged again"
            ) from error


def count_rows(parts: Sequence[Path]) -> int:
    """Return the number of rows in files of results."""
    import pyarrow.parquet as pq

    return sum(int(pq.read_metadata(path).num_rows) for path in parts)


class PartWriter:
    """Collects rows and writes a file when there are enough, or when some time has passed.

    A process that is killed loses what it collected since: those pictures are judged again.
    """

    def __init__(self, results: ResultFolder, *, rows: int, seconds: float) -> None:
        self._results, self._rows, self._seconds = results, rows, seconds
        self._tables: list[pa.Table] = []
        self._since = time.monotonic()
        self.written = 0

    def add(self, table: pa.Table) -> bool:
        """Take rows; return whether a file was written."""
        self._tables.append(table)
        late = time.monotonic() - self._since >= self._seconds
        if late or sum(map(len, self._tables)) >= self._rows:
            self.flush()
            return True
        return False

    def flush(self) -> None:
        """Write what is pending."""
        import pyarrow as pa

        tables, self._tables = self._tables, []
        self._since = time.monotonic()
        if any(map(len, tables)):
            table = pa.concat_tables(tables)
            self._results.write(table)
            self.written += len(table)
