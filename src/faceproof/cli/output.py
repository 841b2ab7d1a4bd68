"""The formats of results: JSON, JSON lines and CSV here, the table in `faceproof.cli.table`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TextIO

from faceproof.cli.table import TableWriter
from faceproof.reports.csv_rows import CsvTable, csv_rows

if TYPE_CHECKING:
    from faceproof.results import CheckResult

#: Makes room on the terminal: what shows progress hides while results are written.
Hiding = Callable[[], AbstractContextManager[None]]


class Writer(Protocol):
    """Takes results one at a time; what it was given is on the stream after `close`."""

    def write(self, result: CheckResult) -> None:
        """Take one result."""

    def close(self) -> None:
        """Write what is pending."""


class JsonLines:
    """One JSON object a line, out at once."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding

    def write(self, result: CheckResult) -> None:
        """Write one line."""
        with self._hiding():
            self._stream.write(result.model_dump_json() + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is pending."""


class JsonArray:
    """One JSON array of objects, valid wherever the run stops."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._opened = False

    def write(self, result: CheckResult) -> None:
        """Write one element."""
        with self._hiding():
            self._stream.write((",\n" if self._opened else "[\n") + result.model_dump_json())
            self._opened = True

    def close(self) -> None:
        """End the array."""
        with self._hiding():
            self._stream.write("\n]\n" if self._opened else "[]\n")
            self._stream.flush()


class CsvRows:
    """A header, then one row a face; a source without a face has one row."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._table = CsvTable(stream)

    def write(self, result: CheckResult) -> None:
        """Write the rows of one source."""
        with self._hiding():
            for row in csv_rows(result):
                self._table.write(row)
            self._stream.flush()

    def close(self) -> None:
        """Write the header at the least."""
        self._stream.flush()


FORMATS: dict[str, Callable[[TextIO, Hiding], Writer]] = {
    "table": TableWriter,
    "json": JsonArray,
    "jsonl": JsonLines,
    "csv": CsvRows,
}
