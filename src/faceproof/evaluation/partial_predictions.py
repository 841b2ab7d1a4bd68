"""`PartialPredictions`: predictions saved part by part, so that a killed inference resumes.

The folder has `run.json`, which names the detector, the rows and the conditions by a hash, and one
Parquet file for each part of the pictures. Parts of another run are removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from faceproof.detector.spec import Sha256
from faceproof.errors import DataError
from faceproof.evaluation.predictions import (
    Origin,
    Prediction,
    make_table,
    origin_of,
    read_table,
    rows_of,
    write_table,
)
from faceproof.outputs import atomic_write
from faceproof.records import Document

PICTURES, FACES = 128, 512
"""The largest part, in pictures and in predictions; at most a part is predicted again after a
kill. A picture is not divided."""
RUN = "run.json"


class PartialRun(Document):
    """What the parts are of: ``key`` is a hash of all that decides the predictions."""

    schema_: Literal["faceproof.partial_predictions/1"] = Field(
        default="faceproof.partial_predictions/1", alias="schema"
    )
    key: Sha256
    pictures: int = Field(ge=1)


class PartialPredictions:
    """The parts of one run in a folder, in order from the first picture."""

    def __init__(self, folder: Path, origin: Origin, pictures: int) -> None:
        self._folder, self._origin, self._pictures = folder, origin, pictures
        self._count = 0

    @classmethod
    def open(cls, folder: Path, origin: Origin, given: Sequence[object], pictures: int) -> Self:
        """Return the parts in ``folder``, which is created or emptied if it is of another run.

        ``given`` is what decides the predictions beside the detector and the version of faceproof.
        ``pictures`` is the size of a part.
        """
        run = PartialRun(key=_hash([origin, *given]), pictures=pictures)
        if not _is_same(folder / RUN, run):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / RUN) as file:
                file.write(run.model_dump_json(indent=2).encode() + b"\n")
        return cls(folder, origin, pictures)

    def load(self) -> tuple[list[Prediction], int]:
        """Return the saved predictions and the number of pictures that they are of.

        A part that cannot be read is predicted again, with all that come after it.
        """
        found: list[Prediction] = []
        while self._part(self._count).is_file():
            try:
                table = read_table(self._part(self._count))
            except DataError:
                break
            if origin_of(table) != self._origin:
                break
            found += rows_of(table)
            self._count += 1
        return found, self._count * self._pictures

    def save(self, rows: Sequence[Prediction], pictures: int) -> None:
        """Save the predictions of the next ``pictures``; fewer than a part end the run."""
        if pictures == self._pictures:
            write_table(make_table(rows, self._origin), self._part(self._count))
            self._count += 1

    def remove(self) -> None:
        """Remove the folder: the predictions are complete."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self._folder / f"{number:06}.parquet"


def pictures_in_part(conditions: int) -> int:
    """Return how many pictures are a part, each judged once for every condition.

    >>> [pictures_in_part(conditions) for conditions in (1, 3, 62, 1000)]
    [128, 128, 8, 1]
    """
    return max(1, min(PICTURES, FACES // conditions))


def _is_same(path: Path, run: PartialRun) -> bool:
    try:
        return PartialRun.read(path) == run
    except (OSError, ValueError):
        return False


def _hash(given: Sequence[object]) -> str:
    """Return the SHA-256 of records, rows and plain values, and of faceproof's version."""
    text = json.dumps([version("faceproof"), *given], default=repr, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
