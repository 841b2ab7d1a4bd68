"""`table_items`: the pictures in a Parquet file, as bytes or as paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from faceproof.errors import UnsupportedSourceError, UsageError
from faceproof.scanning.archives import Container
from faceproof.scanning.items import Item
from faceproof.sources import to_printable
from faceproof.tables import did_you_mean

#: Rows that are read at a time, which bounds the memory of embedded pictures.
_BATCH = 16
#: Names of a column of paths, in the order of preference.
_PATH_COLUMNS = (
    *("path", "file", "file_path", "filepath", "file_name", "filename"),
    *("image", "image_path", "uri", "url", "source", "name"),
)


def table_items(
    container: Container,
    *,
    column: str | None,
    max_bytes: int,
    is_done: Callable[[Item], bool],
    expand: Callable[[str], Iterator[Item]],
) -> Iterator[Item]:
    """Yield the pictures of a Parquet file; names in a column of paths are given to ``expand``.

    A file that cannot be read, or has no such column, yields an error.

    The ``column`` is one of bytes, of {bytes, path} as Hugging Face stores pictures, or of paths.
    None: the only one of bytes, else the one with the name of a path. A picture carries at most
    ``max_bytes`` and one more. A row group of which every picture ``is_done`` is not read;
    its pictures carry nothing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    end, reached = 0, 0
    try:
        with container.open() as file, pq.ParquetFile(file, pre_buffer=False) as table:
            chosen = _choose_column(container.path, table.schema_arrow, column)
            for group in range(table.num_row_groups):
                first, end = end, end + table.metadata.row_group(group).num_rows
                numbers = range(first, end)
                items = (_row_item(container, row) for row in numbers)
                if all(is_done(_row_item(container, row)) for row in numbers):
                    yield from items
                    continue
                cells = _cells(table, group, chosen)
                for reached, (item, cell) in enumerate(zip(items, cells, strict=True), first):  # noqa: B007
                    yield from _cell_items(item, cell, max_bytes, container, expand)
    except UsageError as error:
        yield Item.from_error(container.path, UnsupportedSourceError(str(error)))
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).partition("\n")[0]
        yield container.make_error(f"cannot be read as Parquet from row {reached}: {reason}")


def read_row(container: Container, column: str | None, row: int) -> bytes | None:
    """Return the bytes of the picture in a row, counted from 0; None if there are none."""
    import pyarrow.parquet as pq

    with container.open() as file, pq.ParquetFile(file, pre_buffer=False) as table:
        chosen = _choose_column(container.path, table.schema_arrow, column)
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if row < rows:
                cell = next(c for at, c in enumerate(_cells(table, group, chosen)) if at == row)
                return _split(cell)[0]
            row -= rows
    return None


def _row_item(container: Container, row: int) -> Item:
    return container.make_item(str(row), size=container.size)


def _cells(table: Any, group: int, column: str) -> Iterator[Any]:
    """Yield the cells of a column in one row group."""
    for batch in table.iter_batches(_BATCH, row_groups=[group], columns=[column]):
        yield from batch.column(0).to_pylist()


def _cell_items(
    item: Item,
    cell: Any,
    max_bytes: int,
    container: Container,
    expand: Callable[[str], Iterator[Item]],
) -> Iterator[Item]:
    """Yield the picture of a cell: its bytes, what its path names, or an empty picture."""
    data, path = _split(cell)
    if data is None and path:
        yield from expand(path)
    else:
        data = (data or b"")[: max_bytes + 1]
        yield container.make_item(item.source.rpartition("::")[2], size=item.size, data=data)


def _split(cell: Any) -> tuple[bytes | None, str | None]:
    """Return the bytes and the path of a cell, whichever it has.

    >>> _split(b"abc"), _split("a.jpg"), _split({"bytes": None, "path": "a.jpg"}), _split(None)
    ((b'abc', None), (None, 'a.jpg'), (None, 'a.jpg'), (None, None))
    """
    if isinstance(cell, dict):
        return cell.get("bytes"), cell.get("path")
    return (cell, None) if isinstance(cell, bytes) else (None, cell)


def _choose_column(path: str, schema: Any, wanted: str | None) -> str:
    """Return the column with the pictures.

    Raises:
        UsageError: the column is missing, or it is not clear which one is meant.
    """
    shown = to_printable(path)
    kinds: dict[str, str | None] = {field.name: _kind(field.type) for field in schema}
    if wanted is not None:
        if kinds.get(wanted):
            return wanted
        why = "has neither bytes nor text" if wanted in kinds else "is not there"
        known = [name for name, kind in kinds.items() if kind]
        raise UsageError(
            f"{shown}: column {wanted!r} {why}{did_you_mean(wanted, known)}; columns with "
            f"pictures or paths: {', '.join(known) or 'none'}"
        )
    embedded = [name for name, kind in kinds.items() if kind == "bytes"]
    named = [name for name in _PATH_COLUMNS if kinds.get(name) == "path"]
    if len(embedded) == 1 or (not embedded and named):
        return next(iter([*embedded, *named]))
    found = ", ".join(embedded) or "none of bytes, and no text column called path, file or url"
    raise UsageError(f"{shown}: name the column of the pictures with --column; found: {found}")


def _kind(type_: Any) -> str | None:
    """Return whether a column has bytes or paths; None for neither."""
    import pyarrow as pa

    if pa.types.is_struct(type_):
        named = [type_.field(place) for place in range(type_.num_fields)]
        return next((_kind(field.type) for field in named if field.name == "bytes"), None)
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return "bytes"
    return "path" if pa.types.is_string(type_) or pa.types.is_large_string(type_) else None
