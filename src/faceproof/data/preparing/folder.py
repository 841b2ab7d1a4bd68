"""The prepared folder: what lies where, whether it is ours, and how it is emptied."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faceproof.errors import DataError, UsageError

#: The tables of a prepared folder, and its record: all that a finished run has written last.
MANIFEST, FACES, PROBLEMS, RECORD = (
    *("manifest.parquet", "faces.parquet"),
    *("problems.csv", "prepare.json"),
)
JOURNAL, PICTURES, SHARDS = "journal.jsonl", "pictures", "shards"

_OURS = (JOURNAL, PICTURES, SHARDS, MANIFEST, FACES, PROBLEMS, RECORD)


def take_folder(folder: Path, *, anew: bool) -> None:
    """Make the folder, or see that it is a prepared one; empty it first with ``anew``.

    Raises:
        UsageError: it holds something, and no journal of ours.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder with --output")
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return
    if not (folder / JOURNAL).is_file():
        raise UsageError(
            f"{folder} is not empty and was not made by `faceproof data prepare`: "
            "name another folder with --output"
        )
    if anew:
        _empty(folder)


@contextmanager
def telling_full_disk(folder: Path) -> Iterator[None]:
    """Turn what the file system says when a result cannot be written into our error.

    Raises:
        DataError: the disk is full, or refuses.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = "the disk is full" if full else error.strerror or str(error)
        remedy = "make room" if full else "see to that"
        raise DataError(
            f"{folder} cannot be written: {reason}; {remedy} and run the same command again, "
            "what is finished is kept"
        ) from error


def _empty(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in _OURS:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
