"""The prepared folder: its structure, its journal, its tables, and reading it for training.

The journal's first line describes the preparation; each further line is the outcome of the next
row, in the order of the rows. A line is complete with its newline: an incomplete last line is
ignored.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, ValidationError

from faceproof.data.manifest import FACTS, Manifest
from faceproof.data.manifest_files import read_manifest
from faceproof.data.preparing.spec import (
    DroppedPicture,
    PicturesSpec,
    WrittenPicture,
    parse_outcome,
)
from faceproof.errors import DataError, ManifestError, UsageError
from faceproof.outputs import atomic_write, is_disk_full, write_text
from faceproof.records import Document
from faceproof.runs import lock_folder

#: The tables of a prepared folder, and its record: the files that a run writes last.
MANIFEST, FACES, PROBLEMS, RECORD = (
    *("manifest.parquet", "faces.parquet"),
    *("problems.csv", "prepare.json"),
)
JOURNAL, PICTURES, SHARDS = "journal.jsonl", "pictures", "shards"
_LOCK = "prepare.lock"

_OURS = (PICTURES, SHARDS, MANIFEST, FACES, PROBLEMS, RECORD, JOURNAL)


def make_folder(folder: Path) -> None:
    """Create the folder, or check that it is a prepared one.

    Raises:
        UsageError: it is not empty, and has no journal of ours.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: set a folder with --output")
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir()}
    if names - {_LOCK} and not (folder / JOURNAL).is_file():
        raise UsageError(
            f"{folder} is not empty and was not made by `faceproof data prepare`: "
            "set another folder with --output"
        )


@contextmanager
def convert_disk_errors(folder: Path) -> Iterator[None]:
    """Convert the file system's errors in writing a result to DataError.

    Raises:
        DataError: the disk is full, or refuses.
    """
    try:
        yield
    except OSError as error:
        full = is_disk_full(error) and error.errno != errno.EFBIG  # the system words a limit better
        reason = "the disk is full" if full else error.strerror or str(error)
        remedy = "make room" if full else "fix that"
        raise DataError(
            f"{folder} cannot be written: {reason}; {remedy} and run the same command again, "
            "finished pictures are kept"
        ) from error


@contextmanager
def lock_prepared_folder(folder: Path) -> Iterator[None]:
    """Lock the folder against a second run.

    Raises:
        UsageError: another run is writing into it.
    """
    busy = f"another run is writing into {folder}: wait until it ends"
    with lock_folder(folder, name=_LOCK, busy=busy):
        yield


def empty_folder(folder: Path) -> None:
    """Remove only the files that a run writes; the journal, which marks the folder, last."""
    for name in _OURS:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


_SYNCED_EVERY = 64


class PreparationStart(Document):
    """The description of the preparation: the journal's first line.

    ``rows_sha256`` is the hash of the rows and their order; ``side`` is the chosen common side.
    """

    schema_: Literal["faceproof.prepare-journal/1"] = Field(
        default="faceproof.prepare-journal/1", alias="schema"
    )
    spec: PicturesSpec
    rows_sha256: str
    side: int | None


class PreparationJournal:
    """Appends outcomes to a file; a context manager, which flushes them on exit."""

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

    def add(self, outcome: WrittenPicture | DroppedPicture) -> None:
        """Append one outcome: it survives a killed process; a power failure loses a few dozen."""
        self._file.write(outcome.model_dump_json().encode() + b"\n")
        self._file.flush()
        self._waiting += 1
        if self._waiting >= _SYNCED_EVERY:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._waiting = 0


def begin_journal(path: Path, start: PreparationStart) -> None:
    """Write a new journal with its first line."""
    with path.open("wb") as file:
        file.write(start.model_dump_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_start(path: Path) -> PreparationStart | None:
    """Return the first line; None if there is no journal of this version."""
    try:
        with path.open("rb") as file:
            return PreparationStart.model_validate_json(file.readline())
    except (OSError, ValidationError):
        return None


def read_outcomes(path: Path) -> Iterator[tuple[WrittenPicture | DroppedPicture, int]]:
    """Yield the outcomes in the order of the rows, and the offset in bytes of the end of each.

    A truncated or invalid line ends them: everything after it is ignored.
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


def first_line_end(path: Path) -> int:
    """Return the offset in bytes of the end of the first line."""
    with path.open("rb") as file:
        return len(file.readline())


Landmarks = npt.NDArray[np.float32]
Problem = tuple[str, DroppedPicture]

_COLUMNS: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "sha256": pl.String,
    **{name: kind for name, kind in FACTS.items() if name != "weight"},
    "faces": pl.Int32,
    "outside": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class SortedOutcomes:
    """The rows of a prepared set, their landmarks float32 [N, 5, 2], and the problems."""

    table: pl.DataFrame
    landmarks: Landmarks
    problems: list[Problem]


def sort_outcomes(
    table: pl.DataFrame, outcomes: Iterable[WrittenPicture | DroppedPicture]
) -> SortedOutcomes:
    """Return the prepared rows, and the problems in the order of the rows.

    The outcomes, one per row, are read one at a time: a million of them would fill the memory. Two
    files with different bytes may become the same picture when prepared. If such a pair is in two
    splits, the split that comes first in the manifest keeps it.
    """
    problems: dict[int, DroppedPicture] = {}
    numbers, points = array("q"), array("f")
    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, DroppedPicture):
            problems[number] = outcome
            continue
        numbers.append(number)
        for point in outcome.landmarks:
            points.extend(point)
        for name, column in columns.items():
            column.append(getattr(outcome, name))
    made = pl.DataFrame(columns, schema=_COLUMNS)
    prepared = _prepared_rows(table[numbers], made)
    stays = _kept_rows(prepared)
    problems |= {numbers[i]: _leak_problem(prepared, int(i)) for i in np.flatnonzero(~stays)}
    return SortedOutcomes(
        prepared.filter(stays),
        np.array(points, np.float32).reshape(-1, 5, 2)[stays],
        [(table["path"][number], problems[number]) for number in sorted(problems)],
    )


def write_faces(paths: pl.Series, landmarks: Landmarks, path: Path) -> None:
    """Write path and landmarks (10 numbers: x, y of each point) of every prepared picture."""
    points = pl.Series("landmarks", landmarks.reshape(-1, 10)).cast(pl.List(pl.Float32))
    with atomic_write(path) as file:
        pl.DataFrame([paths, points]).write_parquet(file)


def write_problems(problems: Sequence[Problem], path: Path) -> None:
    """Write path, code and reason of every row that has no prepared picture."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("path", "code", "reason"))
    lines.writerows((name, problem.code, problem.reason) for name, problem in problems)
    write_text(path, text.getvalue())


def _prepared_rows(rows: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their new paths, hashes and facts, and their origins."""
    recorded = made.with_columns(
        jpeg_quality=_quality(rows, made),
        faces=pl.col("faces").cast(pl.String),
        outside=pl.col("outside").map_elements("{:.3f}".format, pl.String),
        origin=rows["path"],
        origin_sha256=rows["sha256"],
    )
    return rows.with_columns(recorded.get_columns())


def _quality(rows: pl.DataFrame, made: pl.DataFrame) -> pl.Series:
    """Return the JPEG quality of our own saves, and the known one of unchanged files."""
    if "jpeg_quality" not in rows.columns:
        return made["jpeg_quality"]
    kept = made["sha256"] == rows["sha256"]
    return rows["jpeg_quality"].cast(pl.Int16).zip_with(kept, made["jpeg_quality"])


def _kept_rows(prepared: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows are kept: bool [N], False if the picture is in an earlier split."""
    split = pl.col("split")
    first = split.filter(split != "").first().over("sha256")
    return prepared.select((split == "") | (split == first))["split"].to_numpy()


def _leak_problem(prepared: pl.DataFrame, number: int) -> DroppedPicture:
    """Return the problem of a row whose picture is in an earlier split."""
    same = prepared.filter(
        (pl.col("sha256") == prepared["sha256"][number]) & (pl.col("split") != "")
    )
    return DroppedPicture(
        code="leak",
        reason=f"once prepared it is the same picture as {same['origin'][0]} in "
        f"{same['split'][0]}; remove one of them, or put both into one split",
    )


#: The folder of fakes made from a prepared folder's real faces.
MADE = "made"


def is_made(path: str) -> bool:
    """Return whether a path of a manifest is that of a fake made from the prepared faces.

    >>> is_made("made/swap-0a1b/1.png"), is_made("pictures/00/00ff.png")
    (True, False)
    """
    return path.startswith(f"{MADE}/")


def read_landmarks(folder: Path, made: Iterable[Path] = ()) -> dict[str, npt.NDArray[np.float32]]:
    """Return path -> landmarks float32 [5, 2] of a prepared folder, and of fakes made from it."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for part in (folder, *made):
        table = pl.read_parquet(part / "faces.parquet")
        points = table["landmarks"].explode().to_numpy().astype(np.float32).reshape(-1, 5, 2)
        found |= dict(zip(table["path"].to_list(), points, strict=True))
    return found


def add_made_fakes(manifest: Manifest, made: Iterable[Path]) -> Manifest:
    """Return the manifest of a prepared folder with the fakes made from it."""
    tables = [pl.read_parquet(folder / "manifest.parquet") for folder in made]
    whole = pl.concat([manifest.table, *tables], how="diagonal_relaxed")
    return Manifest(whole, root=manifest.root)


def read_prepared(folder: Path) -> Manifest:
    """Return the manifest of a folder that `faceproof data prepare` has made.

    Raises:
        ManifestError: there is none, it is incomplete, or no row has a split.
    """
    manifest, faces = folder / "manifest.parquet", folder / "faces.parquet"
    if not (manifest.is_file() and faces.is_file()):
        raise ManifestError(
            f"{folder} has no complete prepared data set: make one with `faceproof data import "
            "PICTURES -o set.parquet`, `faceproof data split set.parquet -o split.parquet` and "
            f"`faceproof data prepare split.parquet -o {folder}`, or name another as data.prepared"
        )
    found = read_manifest(manifest)
    if not any(found.counts().values()):
        raise ManifestError(
            f"no row of {manifest} has a split: run `faceproof data split` on the manifest, and "
            "`faceproof data prepare` on its output"
        )
    return found
