"""The tables of a prepared folder: its manifest, its faces, and what was left out."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import FACTS
from faceproof.data.preparing.outcomes import Done, Dropped

Landmarks = npt.NDArray[np.float32]
Problem = tuple[str, Dropped]

_COLUMNS: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "sha256": pl.String,
    **{name: kind for name, kind in FACTS.items() if name != "weight"},
    "faces": pl.Int32,
    "outside": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class Sorted:
    """The rows of a prepared set, their landmarks float32 [N, 5, 2], and what was left out."""

    table: pl.DataFrame
    landmarks: Landmarks
    problems: list[Problem]


def sort_out(table: pl.DataFrame, outcomes: Iterable[Done | Dropped]) -> Sorted:
    """Return the prepared rows, and the problems in the order of the rows.

    The outcomes, one a row, are taken one after another: a million of them would fill the memory.
    Two files of different bytes may be one picture once they are prepared. Where such a pair
    stands in two splits, the split that comes first in the manifest keeps it.
    """
    problems: dict[int, Dropped] = {}
    numbers, points = array("q"), array("f")
    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Dropped):
            problems[number] = outcome
            continue
        numbers.append(number)
        for point in outcome.landmarks:
            points.extend(point)
        for name, column in columns.items():
            column.append(getattr(outcome, name))
    made = pl.DataFrame(columns, schema=_COLUMNS)
    prepared = _prepared_rows(table[numbers], made)
    stays = _stays(prepared)
    problems |= {numbers[i]: _leak(prepared, int(i)) for i in np.flatnonzero(~stays)}
    return Sorted(
        prepared.filter(stays),
        np.array(points, np.float32).reshape(-1, 5, 2)[stays],
        [(table["path"][number], problems[number]) for number in sorted(problems)],
    )


def write_faces(paths: pl.Series, landmarks: Landmarks, path: Path) -> None:
    """Write path and landmarks (10 numbers: x, y of each point) of every prepared picture."""
    points = pl.Series("landmarks", landmarks.reshape(-1, 10)).cast(pl.List(pl.Float32))
    pl.DataFrame([paths, points]).write_parquet(path)


def write_problems(problems: Sequence[Problem], path: Path) -> None:
    """Write path, code and reason of every row that has no prepared picture."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("path", "code", "reason"))
        lines.writerows((name, problem.code, problem.reason) for name, problem in problems)


def _prepared_rows(rows: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their new paths, hashes and facts, and where they came from."""
    said = made.with_columns(
        jpeg_quality=_quality(rows, made),
        faces=pl.col("faces").cast(pl.String),
        outside=pl.col("outside").map_elements("{:.3f}".format, pl.String),
        origin=rows["path"],
        origin_sha256=rows["sha256"],
    )
    return rows.with_columns(said.get_columns())


def _quality(rows: pl.DataFrame, made: pl.DataFrame) -> pl.Series:
    """Return the JPEG quality of our own saves, and the known one of files kept as they are."""
    if "jpeg_quality" not in rows.columns:
        return made["jpeg_quality"]
    kept = made["sha256"] == rows["sha256"]
    return rows["jpeg_quality"].cast(pl.Int16).zip_with(kept, made["jpeg_quality"])


def _stays(prepared: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows stay: bool [N], False where the picture stands in an earlier split."""
    split = pl.col("split")
    first = split.filter(split != "").first().over("sha256")
    return prepared.select((split == "") | (split == first))["split"].to_numpy()


def _leak(prepared: pl.DataFrame, number: int) -> Dropped:
    """Return the problem of a row whose picture stands in an earlier split."""
    same = prepared.filter(
        (pl.col("sha256") == prepared["sha256"][number]) & (pl.col("split") != "")
    )
    return Dropped(
        code="leak",
        reason=f"once prepared it is the same picture as {same['origin'][0]} in "
        f"{same['split'][0]}; take one of them out, or put both into one split",
    )
