"""TableFile: columns and rows of a CSV, JSON-lines, Parquet or Arrow file; their meaning."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceproof.data.layouts.listing import RESERVED, ListingOptions, ListingProblem, Note
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import refuse_utf16, to_printable
from faceproof.tables import did_you_mean

#: Number of rows with embedded pictures in memory at once.
_BATCH = 64
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class TableFile:
    """A table: its columns, its rows (counted from 1, the first below a header) and classes.

    ``classes`` are the class names of columns with class numbers, ``pictures`` the columns with
    whole files, and ``nested`` those with lists and other nested values.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Iterable[tuple[int, Mapping[str, Any]] | ListingProblem]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()


def open_table(path: Path, *, header: bool = True) -> TableFile:
    """Return the table in a CSV, TSV, JSON-lines, Parquet or Arrow file, read while iterating.

    Without a header the columns are called #1, #2 and so on.

    Raises:
        ManifestError: it cannot be read.
    """
    match path.suffix.lower():
        case ".parquet":
            return _open_parquet(path)
        case ".arrow":
            return _open_arrow(path)
        case ".jsonl" | ".ndjson":
            return _open_json_lines(path)
        case _:
            return _open_csv(path, header=header)


def _open_csv(path: Path, *, header: bool) -> TableFile:
    """Return a CSV file, also a spreadsheet's: with byte-order mark, semicolons or tabs."""
    lines = _read_csv_lines(path)
    first = next(lines, None)
    if not first:
        raise ManifestError(f"{to_printable(str(path))} is empty: expected a table")
    columns = tuple(first) if header else tuple(f"#{n}" for n in range(1, len(first) + 1))
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise ManifestError(
            f"{to_printable(str(path))}: two columns are called {twice!r}: rename one"
        )
    return TableFile(path, columns, _read_csv_rows(path, columns, skip=int(header)))


def _read_csv_rows(
    path: Path, columns: tuple[str, ...], *, skip: int
) -> Iterator[tuple[int, Mapping[str, Any]] | ListingProblem]:
    """Yield the rows of a CSV file, and a Problem for one of another length."""
    for row, values in enumerate(_read_csv_lines(path), start=1 - skip):
        if row < 1 or not values:
            continue
        if len(values) == len(columns):
            yield row, dict(zip(columns, values, strict=True))
        else:
            reason = f"{len(values)} values for {len(columns)} columns: correct the row"
            yield ListingProblem(to_printable(path.name), "bad_row", reason, row)


def _read_csv_lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a CSV file as lists of values, the header first."""
    try:
        _refuse_utf16(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=head.count)
            yield from csv.reader(file, delimiter=delimiter, strict=True)
    except UnicodeDecodeError as error:
        name = to_printable(str(path))
        raise ManifestError(f"{name} is not UTF-8 ({error}): save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise ManifestError(f"{to_printable(str(path))} cannot be read as CSV: {error}") from error


def _refuse_utf16(path: Path) -> None:
    with path.open("rb") as file:
        refuse_utf16(file.read(64), to_printable(str(path)))


def _open_json_lines(path: Path) -> TableFile:
    """Return a file with a JSON object a line; its columns are all keys, in order."""
    columns: dict[str, None] = {}
    nested: dict[str, None] = {}
    for _, values in _read_objects(path):
        if isinstance(values, dict):
            columns |= dict.fromkeys(values)
            nested |= {name: None for name, one in values.items() if isinstance(one, list | dict)}
    if not columns:
        raise ManifestError(
            f"{to_printable(str(path))} has no JSON object: expected one a line, such as "
            '{"path": "a.jpg", "label": "real"}'
        )
    return TableFile(path, tuple(columns), _read_json_rows(path, columns), nested=tuple(nested))


def _read_json_rows(
    path: Path, columns: Iterable[str]
) -> Iterator[tuple[int, Mapping[str, Any]] | ListingProblem]:
    """Yield the objects of a JSON-lines file, and a Problem for a line that is not one."""
    empty = dict.fromkeys(columns)
    for row, values in _read_objects(path):
        if isinstance(values, dict):
            yield row, empty | values
        else:
            reason = f"{values}: write one JSON object a line"
            yield ListingProblem(to_printable(path.name), "bad_row", reason, row)


def _read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the number of each line that is not empty, and its object or what is wrong with it."""
    try:
        _refuse_utf16(path)
        with path.open(encoding="utf-8-sig") as file:
            for row, line in enumerate(file, start=1):
                if line.strip():
                    yield row, _parse_object(line)
    except UnicodeDecodeError as error:
        name = to_printable(str(path))
        raise ManifestError(f"{name} is not UTF-8 ({error}): save it as UTF-8") from error
    except OSError as error:
        raise ManifestError(f"{to_printable(str(path))} cannot be read: {error}") from error


def _parse_object(line: str) -> dict[str, Any] | str:
    try:
        values = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error})"
    return values if isinstance(values, dict) else f"a JSON {type(values).__name__}, not an object"


def _open_parquet(path: Path) -> TableFile:
    """Return a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(
            f"{to_printable(str(path))} cannot be read as Parquet: {error}"
        ) from error
    return _make_table_file(path, schema, _number_rows(path, file.iter_batches(batch_size=_BATCH)))


def _open_arrow(path: Path) -> TableFile:
    """Return a file of Arrow's stream format, as `datasets` saves it, or of its file format."""
    import pyarrow as pa

    try:
        data = pa.memory_map(str(path))
        try:
            reader = pa.ipc.open_stream(data)
            batches = iter(reader)
        except pa.ArrowInvalid:
            reader = pa.ipc.open_file(data)
            batches = map(reader.get_batch, range(reader.num_record_batches))
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(
            f"{to_printable(str(path))} cannot be read as Arrow: {error}"
        ) from error
    return _make_table_file(path, reader.schema, _number_rows(path, batches))


def _number_rows(
    path: Path, batches: Iterator[Any]
) -> Iterator[tuple[int, Mapping[str, Any]] | ListingProblem]:
    """Yield the rows of record batches; a corrupt one ends the file with a Problem."""
    import pyarrow as pa

    row = 0
    try:
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH):
                for values in batch.slice(start, _BATCH).to_pylist():
                    row += 1
                    yield row, values
    except (OSError, pa.ArrowException) as error:
        reason = f"corrupt after row {row} ({error}), nothing more is listed: fetch the file again"
        yield ListingProblem(to_printable(path.name), "bad_table", reason, row + 1)


def _make_table_file(path: Path, schema: Any, rows: Iterable[Any]) -> TableFile:
    """Return a table with the classes and pictures from its schema."""
    import pyarrow as pa

    features = _hub_features(path, schema)
    kinds = {name: about.get("_type") for name, about in features.items()}
    classes = {
        name: tuple(str(label) for label in features[name].get("names", ()))
        for name, kind in kinds.items()
        if kind == "ClassLabel"
    }
    pictures = [name for name in schema.names if _holds_files(schema.field(name).type)]
    nested = [name for name in schema.names if pa.types.is_nested(schema.field(name).type)]
    lists = tuple(name for name in nested if name not in pictures)
    return TableFile(path, tuple(schema.names), rows, classes, tuple(pictures), lists)


def _hub_features(path: Path, schema: Any) -> dict[str, dict[str, Any]]:
    """Return the features that Hugging Face `datasets` wrote into or next to the file."""
    inside = (schema.metadata or {}).get(b"huggingface")
    beside = path.parent / "dataset_info.json"
    try:
        about = json.loads(inside)["info"] if inside else {}
        if not about and beside.is_file():
            about = json.loads(beside.read_text(encoding="utf-8-sig"))
        features = about.get("features") or {}
        return {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = to_printable(str(path))
        raise ManifestError(f"{where}: its Hugging Face features are invalid: {error}") from error


def _holds_files(kind: Any) -> bool:
    """Return whether values of this Arrow type are files: bytes, or a struct {bytes, path}."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {kind.field(index).name for index in range(kind.num_fields)} >= {"bytes", "path"}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


#: Our columns that a table may have; every other name is that of an attribute.
OURS = ("path", "image", "label", "generator", "group", "split")
#: Common names of our columns; suggested in messages, never used without an option.
_THEIRS = {
    "path": {"file", "filename", "file_name", "filepath", "file_path", "image", "image_path"}
    | {"img", "img_path", "picture", "videoname", "video", "name", "id"},
    "label": {"labels", "class", "target", "y", "is_fake", "fake", "real", "type", "category"},
}


@dataclass(frozen=True)
class Columns:
    """Their column for each of ours, and for each attribute."""

    ours: Mapping[str, str]
    attributes: Mapping[str, str]
    notes: tuple[Note, ...] = ()


def match_columns(table: TableFile, options: ListingOptions) -> Columns:
    """Return the meaning of the table's columns, from the options or else by our names.

    Raises:
        UsageError: ``options.columns`` names a column that the table lacks.
        ManifestError: no column has the pictures' paths or labels.
    """
    _refuse_unknown(table, options)
    columns = {name: theirs for name, theirs in options.columns.items() if name in OURS}
    taken = set(options.columns.values())
    guessed = {name: name for name in OURS if name in table.columns and name not in taken}
    # A column called image may hold paths; only one with files is used without an option.
    guessed.pop("image", None)
    if not {"path", "image"} & set(columns):
        columns |= _picture_column(table)
    if columns.get("image"):
        guessed.pop("path", None)
    ours = {name: theirs for name, theirs in (guessed | columns).items() if theirs}
    _require(table, ours, options)
    return Columns(ours, *_attributes(table, ours, options))


def _refuse_unknown(table: TableFile, options: ListingOptions) -> None:
    """Reject a column map with a column that the table lacks."""
    for ours, theirs in options.columns.items():
        if theirs and theirs not in table.columns:
            raise UsageError(
                f"--columns {ours}={theirs}: {_display_name(table)} has no column {theirs!r}"
                f"{did_you_mean(theirs, list(table.columns)) or '.'} It has: "
                f"{', '.join(table.columns)}"
            )


def _picture_column(table: TableFile) -> dict[str, str]:
    """Return the column of whole files, if there is exactly one or one called image."""
    if "image" in table.pictures:
        return {"image": "image"}
    if len(table.pictures) > 1:
        names = ", ".join(table.pictures)
        raise ManifestError(
            f"{_display_name(table)}: several columns hold files ({names}): use --columns "
            "image=NAME"
        )
    return {"image": table.pictures[0]} if table.pictures else {}


def _require(table: TableFile, ours: Mapping[str, str], options: ListingOptions) -> None:
    """Reject a table without the pictures' paths or labels."""
    if not {"path", "image"} & set(ours):
        raise _missing_column_error(table, "path", "")
    if not ({"label", "generator"} & set(ours) or options.generator):
        raise _missing_column_error(
            table, "label", ", or --generator NAME if all are fakes of one kind"
        )


def _missing_column_error(table: TableFile, ours: str, otherwise: str) -> ManifestError:
    """Return the error for a required column, with the likeliest one of the table."""
    known = [name for name in table.columns if name.lower() in _THEIRS[ours] | {ours}]
    guess = did_you_mean(ours, list(table.columns)).partition("'")[2].partition("'")[0]
    likely = next(iter(known), guess)
    hint = f", did you mean {likely!r}?" if likely else "."
    return ManifestError(
        f"{_display_name(table)} has no column {ours!r}{hint} It has: {', '.join(table.columns)}. "
        f"Use --columns {ours}={likely or 'THEIRS'}{otherwise}"
    )


def _attributes(
    table: TableFile, ours: Mapping[str, str], options: ListingOptions
) -> tuple[dict[str, str], tuple[Note, ...]]:
    """Return their column for each attribute, and notes about excluded columns."""
    renamed = {
        theirs: name for name, theirs in options.columns.items() if theirs and name not in OURS
    }
    rest = [
        name
        for name in table.columns
        if name not in {*ours.values(), *table.pictures, *table.nested}
    ]
    nameless = [name for name in rest if name.startswith("#") and name not in renamed]
    nameless += [name for name in rest if not name.strip()]
    kept = {_attribute_name(renamed.get(name, name)): name for name in rest if name not in nameless}
    return kept, (*_nameless_column_notes(nameless), *_other_file_notes(table, ours))


def _nameless_column_notes(nameless: list[str]) -> Iterator[Note]:
    """Yield a note about columns without a name."""
    if nameless:
        shown = ", ".join(name or "''" for name in nameless)
        message = f"columns without a name are excluded: {shown}; --columns NAME=THEIRS keeps one"
        yield Note(message)


def _other_file_notes(table: TableFile, ours: Mapping[str, str]) -> Iterator[Note]:
    """Yield a note about columns with further files or lists, which are not attributes."""
    if others := [n for n in (*table.pictures, *table.nested) if n != ours.get("image")]:
        yield Note(f"columns with other files or lists are excluded: {', '.join(others)}")


def _attribute_name(name: str) -> str:
    """Return the name of an attribute, renamed if the manifest has such a column."""
    return f"table_{name}" if name in RESERVED else name


def _display_name(table: TableFile) -> str:
    """Return the table's file name for a message."""
    return to_printable(table.path.name)
