"""The journal: what is finished, line by line, so that a killed run goes on where it was.

The first line says what is being prepared; each further line is the outcome of the next row, in
the order of the rows. A line is complete when its newline is there: what follows the last one was
cut off, and is forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import Field, ValidationError

from faceproof.data.preparing.outcomes import Done, Dropped, parse_outcome
from faceproof.data.preparing.spec import PicturesSpec
from faceproof.records import Document

_SYNCED_EVERY = 64


class Start(Document):
    """What is being prepared: the journal's first line.

    ``rows_sha256`` names the rows and their order; ``side`` is the common side that was chosen.
    """

    schema_: Literal["faceproof.prepare-journal/1"] = Field(
        default="faceproof.prepare-journal/1", alias="schema"
    )
    spec: PicturesSpec
    rows_sha256: str
    side: int | None


class Journal:
    """Appends outcomes to a file; use it as a context, which writes all of them on leaving."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        self._file = path.open("r+b")
        self._file.truncate(keep_bytes)
        self._file.seek(keep_bytes)
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._sync()
        finally:
            self._file.close()

    def add(self, outcome: Done | Dropped) -> None:
        """Append one outcome: a killed process keeps it, and a power cut all but a few dozen."""
        self._file.write(outcome.model_dump_json().encode() + b"\n")
        self._file.flush()
        self._waiting += 1
        if self._waiting >= _SYNCED_EVERY:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._waiting = 0


def begin(path: Path, start: Start) -> None:
    """Write a new journal with its first line."""
    with path.open("wb") as file:
        file.write(start.model_dump_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_start(path: Path) -> Start | None:
    """Return the first line; None where there is no journal, or none of this version."""
    try:
        with path.open("rb") as file:
            return Start.model_validate_json(file.readline())
    except (OSError, ValidationError):
        return None


def read_outcomes(path: Path) -> Iterator[tuple[Done | Dropped, int]]:
    """Yield the outcomes in the order of the rows, and where each ends, in bytes of the file.

    A line that is cut off or damaged ends them: what follows it is forgotten.
    """
    with path.open("rb") as file:
        end = len(file.readline())
        for line in file:
            end += len(line)
            try:
                outcome = parse_outcome(line if line.endswith(b"\n") else b"")
            except ValidationError:
                return
            yield outcome, end


def first_end(path: Path) -> int:
    """Return where the first line ends, in bytes of the file."""
    with path.open("rb") as file:
        return len(file.readline())
