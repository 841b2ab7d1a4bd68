"""Where a broken run goes on: what its journal and its folder hold, and whether that is ours."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from faceproof.data.preparing.folder import JOURNAL
from faceproof.data.preparing.journal import Start, begin, first_end, read_outcomes, read_start
from faceproof.data.preparing.outcomes import Done, Dropped
from faceproof.data.preparing.sizes import common_side, refuse_one_class
from faceproof.data.preparing.spec import PicturesSpec
from faceproof.errors import UsageError
from faceproof.imaging.faces import YuNet

#: So many of the finished pictures are hashed again before a broken run goes on; of the others
#: the size is looked at. A power cut may lose what the disk had not yet written.
_HASHED_AGAIN = 512

_REMEDY = "name another folder with --output, or start this one again with --anew"


def started(table: pl.DataFrame, root: Path, output: Path, spec: PicturesSpec) -> Start:
    """Return what is being prepared in ``output``, from its journal where that goes on.

    Raises:
        UsageError: the journal is of other rows or of another spec.
    """
    rows, journal = rows_sha256(table), output / JOURNAL
    if journal.exists():
        return _same(read_start(journal), spec, rows, output)
    start = Start(spec=spec, rows_sha256=rows, side=_side(table, root, spec))
    begin(journal, start)
    return start


def rows_sha256(table: pl.DataFrame) -> str:
    """Return a hash of what decides the pictures of a table, and of the order of its rows."""
    lines = table.select("path", "sha256", "label", "split").write_csv()
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class Finished:
    """How many rows are finished, and where the last of them ends in the journal."""

    rows: int
    end: int


def finished_rows(output: Path) -> Finished:
    """Return what is finished: the rows, from the first on, that have their picture still."""
    journal = output / JOURNAL
    last: deque[tuple[Finished, Done | Dropped]] = deque(maxlen=_HASHED_AGAIN)
    found = Finished(0, first_end(journal))
    for outcome, end in read_outcomes(journal):
        if isinstance(outcome, Done) and _size(output / outcome.path) != outcome.bytes:
            break
        last.append((found, outcome))
        found = Finished(found.rows + 1, end)
    for before, outcome in last:
        if isinstance(outcome, Done) and _sha256(output / outcome.path) != outcome.sha256:
            return before
    return found


def _side(table: pl.DataFrame, root: Path, spec: PicturesSpec) -> int | None:
    """Return the common side, where there is to be one."""
    if spec.equalise is None:
        return None
    if spec.equalise.side is not None:
        return spec.equalise.side
    refuse_one_class(table)
    return common_side(table, root, spec, YuNet())


def _same(start: Start | None, spec: PicturesSpec, rows: str, output: Path) -> Start:
    """Return the journal's start, which must be of the same pictures, prepared the same way."""
    if start is None:
        raise UsageError(f"{output} was prepared by another version: {_REMEDY}")
    if start.rows_sha256 != rows:
        raise UsageError(f"{output} was prepared from other rows: {_REMEDY}")
    old, new = start.spec.model_dump(), spec.model_dump()
    if changed := [name for name in new if old[name] != new[name]]:
        said = ", ".join(f"{name} was {old[name]}, is {new[name]}" for name in changed)
        raise UsageError(f"{output} was prepared otherwise ({said}): {_REMEDY}")
    return start


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
