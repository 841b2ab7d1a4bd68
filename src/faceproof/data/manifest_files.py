"""`read_manifest`: manifests in CSV and Parquet, their data folders, and merging."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from faceproof.data.manifest import CONTRACT, Manifest
from faceproof.errors import ManifestError
from faceproof.outputs import atomic_write
from faceproof.sources import refuse_utf16, to_printable

#: Parquet stores the data folder, relative to itself; a CSV lies in the data folder.
_ROOT = "faceproof.root"


def read_manifest(path: Path, *, root: Path | None = None) -> Manifest:
    """Return the validated manifest of a Parquet or CSV file.

    Its pictures are in ``root``; if that is None, in the folder that the file names, or else in the
    file's own folder.

    Raises:
        ManifestError: the file cannot be read, a column is missing, a row breaks the contract.
        LeakError: a picture or a group occurs in two splits.
    """
    table, own = read_table(path)
    return Manifest(table, root=root or own)


def read_table(path: Path) -> tuple[pl.DataFrame, Path]:
    """Return the raw columns of a manifest, not validated, and its data folder.

    Raises:
        ManifestError: the file cannot be read, or a column of the contract is missing.
    """
    table, root = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    missing = [name for name in CONTRACT if name not in table.columns]
    if missing:
        raise ManifestError(
            f"{to_printable(str(path))} lacks the columns {', '.join(missing)}; "
            "convert any table with `faceproof data import --layout columns`"
        )
    return table, root


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write Parquet, or CSV by the suffix, atomically.

    Raises:
        ManifestError: the file system refused, or a CSV would not be above its pictures.
    """
    is_csv = path.suffix.lower() == ".csv"
    table = _relocate_below(manifest, path) if is_csv else manifest.table
    try:
        with atomic_write(path) as file:  # polars cannot open names that are not UTF-8
            if is_csv:
                table.write_csv(file, line_terminator="\n")
            else:
                table.write_parquet(file, metadata=_read_data_folder(manifest, path))
    except OSError as error:
        reason = error.strerror or error
        raise ManifestError(f"{to_printable(str(path))} cannot be written: {reason}") from error


def merge(manifests: Sequence[Manifest]) -> Manifest:
    """Return several manifests merged into one, over the common folder of theirs.

    A row in two of them (the same file, equal in the contract's columns) is taken once.

    Raises:
        ManifestError: a row breaks the contract.
        LeakError: a picture or group has different splits in two of them.
    """
    if len(manifests) == 1:
        return manifests[0]
    root = _common_folder([manifest.root for manifest in manifests])
    tables = [_relocate_paths(manifest, root) if root else manifest.table for manifest in manifests]
    whole = pl.concat(tables, how="diagonal")
    return Manifest(whole.unique(CONTRACT, keep="first", maintain_order=True), root=root)


def _relocate_paths(manifest: Manifest, root: Path) -> pl.DataFrame:
    """Return the manifest's table with its paths relative to another folder.

    Raises:
        ManifestError: the pictures are not below it.
    """
    inner = PurePosixPath(
        Path(os.path.relpath(_absolute_path(manifest.root), _absolute_path(root)))
    )
    if inner == PurePosixPath():
        return manifest.table
    table = manifest.table.with_columns(
        pl.concat_str(pl.lit(f"{inner}/"), pl.col("path")).alias("path")
    )
    if ".." not in inner.parts:
        return table
    raise ManifestError(
        f"the pictures in {manifest.root} are not below {root}: write the manifest into a "
        "folder above them, or as .parquet, which stores the data folder"
    )


def _relocate_below(manifest: Manifest, path: Path) -> pl.DataFrame:
    """Return the table with its paths relative to the folder of ``path``."""
    return manifest.table if manifest.root is None else _relocate_paths(manifest, path.parent)


def _read_data_folder(manifest: Manifest, path: Path) -> dict[str, str]:
    """Return the data folder stored in a Parquet file."""
    if manifest.root is None:
        return {}
    inner = os.path.relpath(_absolute_path(manifest.root), _absolute_path(path.parent))
    return {_ROOT: Path(inner).as_posix()}


def _common_folder(roots: Sequence[Path | None]) -> Path | None:
    """Return the common folder of all data folders, or None if none is known."""
    known = [root for root in roots if root is not None]
    if not known:
        return None
    if len(known) < len(roots):
        raise ManifestError("some of the manifests lack their data folder: set it with --root")
    return Path(os.path.commonpath([_absolute_path(root) for root in known]))


def _absolute_path(path: Path | None) -> str:
    """Return the absolute path, without following links."""
    return os.path.abspath(path or "")  # noqa: PTH100 (`resolve` follows links)


def _read_csv(path: Path) -> tuple[pl.DataFrame, Path]:
    """Return the table of a CSV file, also of a spreadsheet's, with all columns as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open("rb") as file:
            refuse_utf16(file.read(64), to_printable(str(path)))
        header = _read_header(path)
        columns = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
        # Values may contain line ends, and errors name the number of the row: one thread.
        table = arrow_csv.read_csv(
            io.BytesIO(path.read_bytes()),  # arrow cannot open names that are not UTF-8
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=columns,
        )
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ManifestError(f"{to_printable(str(path))} cannot be read as CSV: {error}") from error
    return pl.DataFrame(pl.from_arrow(table)), path.parent


def _read_header(path: Path) -> list[str]:
    """Return the names of a CSV file's columns, which must be unique."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, strict=True), [])
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise csv.Error(f"it has the column {doubled[0]!r} twice: rename or drop one")
    return header


def _read_parquet(path: Path) -> tuple[pl.DataFrame, Path]:
    """Return the table of a Parquet file, and the data folder that it names."""
    try:
        with path.open("rb") as file:
            table = pl.read_parquet(file, glob=False)
            inner = pl.read_parquet_metadata(file).get(_ROOT, ".")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ManifestError(
            f"{to_printable(str(path))} cannot be read as Parquet: {error}"
        ) from error
    return table, Path(os.path.normpath(path.parent / inner))
