"""The prepared folder: what lies where, whether it is ours, and how it is emptied."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faceproof.errors import DataError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: The tables of a prepared folder, and its record: all that a finished run has written last.
MANIFEST, FACES, PROBLEMS, RECORD = (
    *("manifest.parquet", "faces.parquet"),
    *("problems.csv", "prepare.json"),
)
JOURNAL, PICTURES, SHARDS = "journal.jsonl", "pictures", "shards"

_OURS = (PICTURES, SHARDS, MANIFEST, FACES, PROBLEMS, RECORD, JOURNAL)


def make_folder(folder: Path) -> None:
    """Make the folder, or see that it is a prepared one.

    Raises:
        UsageError: it holds something, and no journal of ours.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder with --output")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / JOURNAL).is_file():
        raise UsageError(
            f"{folder} is not empty and was not made by `faceproof data prepare`: "
            "name another folder with --output"
        )


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


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a second run out of the folder; a run that dies lets go of it.

    Windows cannot lock a folder: there nothing is kept out.

    Raises:
        UsageError: another run is writing into it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"another run is writing into {folder}: wait until it ends") from None
    finally:
        os.close(handle)


def empty_folder(folder: Path) -> None:
    """Remove what a run writes, and nothing else; the journal, which says that it is ours, last."""
    for name in _OURS:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
