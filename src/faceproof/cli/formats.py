"""The format of `check`: by name or by the ending of the file; Parquet and Excel files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from faceproof.cli.output import FORMATS, Writer
from faceproof.cli.streams import open_output, unwritable_error
from faceproof.errors import OutputError, UsageError
from faceproof.outputs import atomic_write, is_stream
from faceproof.reports.csv_rows import CSV_COLUMNS, csv_rows, polars_frame
from faceproof.sources import to_printable
from faceproof.tables import choose, require

if TYPE_CHECKING:
    import polars as pl

    from faceproof.results import CheckResult

_Hiding = Callable[[], AbstractContextManager[None]]

#: From the ending of a file's name to its format.
ENDINGS: Mapping[str, str] = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}


class OutputFormat(Protocol):
    """A format that can be written to a place."""

    def open(self, output: Path | None, hiding: _Hiding) -> AbstractContextManager[Writer]:
        """Open the output, None for standard output; the caller closes the writer."""


def choose_format(output: Path | None, name: str | None) -> OutputFormat:
    """Return the format called ``name``, or that of the file's ending, or the table.

    Raises:
        UnknownChoiceError: an unknown format.
        UsageError: the ending names no format, or the format needs a file.
        MissingExtraError: what writes the format is not installed.
    """
    if name is None:
        name = "table" if output is None or is_stream(output) else _format_of(output)
    choose({**FORMATS, **TABLE_FILES}, name, what="format")
    if name not in TABLE_FILES:
        return _TextFormat(FORMATS[name], for_people=name == "table")
    if output is None or is_stream(output):
        raise UsageError(f"--format {name} needs a file: add --output FILE.{name}")
    library, writer = TABLE_FILES[name]
    require(library, extra="data")
    return _FileFormat(writer)


def _format_of(output: Path) -> str:
    """Return the format of a file by the ending of its name."""
    found = ENDINGS.get(output.suffix.lower())
    if found is None:
        raise UsageError(
            f"--output {to_printable(str(output))}: its ending names no format; end it in "
            f"{', '.join(ENDINGS)}, or add --format"
        )
    return found


@dataclass(frozen=True)
class _TextFormat:
    """A format of lines, written as the results come."""

    make: Callable[..., Writer]
    for_people: bool

    @contextmanager
    def open(self, output: Path | None, hiding: _Hiding) -> Iterator[Writer]:
        """Yield the writer of a file or of standard output."""
        with open_output(output, for_people=self.for_people) as stream:
            yield self.make(stream, hiding)


@dataclass(frozen=True)
class _FileFormat:
    """A format whose file is written at the end."""

    make: Callable[[Path], Writer]

    @contextmanager
    def open(self, output: Path | None, _: _Hiding) -> Iterator[Writer]:
        """Yield the writer of a file.

        Raises:
            UsageError: its folder does not exist, or it is a folder.
        """
        place = Path(output or "")
        if place.is_dir() or not place.parent.is_dir():
            reason = "it is a folder" if place.is_dir() else "its folder does not exist"
            raise UsageError(f"{to_printable(str(place))} cannot be written: {reason}")
        yield self.make(place)


_ROWS_AT_ONCE = 1000


class ParquetWriter:
    """One row a face, as in CSV, with numbers as numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, object]] = []
        self._parts: list[pl.DataFrame] = []

    def write(self, result: CheckResult) -> None:
        """Keep the rows of one source, as columns from time to time."""
        self._rows.extend(csv_rows(result))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._pack()

    def close(self) -> None:
        """Write the file.

        Raises:
            OutputError: it cannot be written.
        """
        import polars as pl

        self._pack()
        with _converting(self._path), atomic_write(self._path) as file:
            pl.concat(self._parts).write_parquet(file)

    def _pack(self) -> None:
        self._parts.append(polars_frame(self._rows))
        self._rows = []


#: Rows and characters in a cell, as Excel limits them.
_MOST_ROWS, _MOST_CHARACTERS = 1_048_576, 32_767


class ExcelWriter:
    """One row a face, as in CSV; text is never a formula or a link."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[object, ...]] = [CSV_COLUMNS]

    def write(self, result: CheckResult) -> None:
        """Keep the rows of one source.

        Raises:
            OutputError: there are more rows than an Excel sheet has.
        """
        rows = [tuple(row.get(name) for name in CSV_COLUMNS) for row in csv_rows(result)]
        if len(self._rows) + len(rows) > _MOST_ROWS:
            raise OutputError(
                f"{to_printable(str(self._path))}: an .xlsx file has at most {_MOST_ROWS:,} rows; "
                "it has the results so far; name a .parquet or .csv file, or check fewer pictures"
            )
        self._rows.extend(rows)

    def close(self) -> None:
        """Write the file.

        Raises:
            OutputError: it cannot be written.
        """
        import xlsxwriter

        options = dict.fromkeys(("strings_to_formulas", "strings_to_urls"), False)
        with (
            _converting(self._path),
            atomic_write(self._path) as file,
            xlsxwriter.Workbook(file, options | {"constant_memory": True}) as book,
        ):
            sheet = book.add_worksheet("faces")
            sheet.freeze_panes(1, 0)
            for number, row in enumerate(self._rows):
                _write_cells(sheet, number, row)


def _write_cells(sheet: Any, number: int, row: tuple[object, ...]) -> None:
    for column, cell in enumerate(row):
        if isinstance(cell, str):
            sheet.write_string(number, column, cell[:_MOST_CHARACTERS])
        elif cell is not None:
            sheet.write_number(number, column, cell)


@contextmanager
def _converting(path: Path) -> Iterator[None]:
    """Convert the errors of a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise unwritable_error(to_printable(str(path)), error) from error


#: Formats of whole files: the library each needs, and its writer.
TABLE_FILES: Mapping[str, tuple[str, Callable[[Path], Writer]]] = {
    "parquet": ("polars", ParquetWriter),
    "xlsx": ("xlsxwriter", ExcelWriter),
}
