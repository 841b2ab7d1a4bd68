"""The tables of a prepared folder: its manifest, its faces, and what was left out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from faceproof.data.manifest import FACTS
from faceproof.data.preparing.outcomes import Done, Dropped

Problem = tuple[str, Dropped]

_MEASURED = tuple(name for name in FACTS if name not in {"weight", "jpeg_quality"})


@dataclass(frozen=True)
class Sorted:
    """The rows of a prepared set, the landmarks of their faces, and what was left out."""

    table: pl.DataFrame
    done: list[Done]
    problems: list[Problem]


def sort_out(table: pl.DataFrame, outcomes: Sequence[Done | Dropped]) -> Sorted:
    """Return the prepared rows, and the problems in the order of the rows.

    Two files of different bytes may be one picture once they are prepared. Where such a pair
    stands in two splits, the split that comes first in the manifest keeps it.
    """
    kept = _without_leaks(table["split"].to_list(), outcomes)
    paths = table["path"].to_list()
    numbers = [number for number, item in enumerate(kept) if isinstance(item, Done)]
    done = [item for item in kept if isinstance(item, Done)]
    problems = [(paths[i], item) for i, item in enumerate(kept) if isinstance(item, Dropped)]
    return Sorted(_prepared_rows(table[numbers], done), done, problems)


def write_faces(done: Iterable[Done], path: Path) -> None:
    """Write path and landmarks (10 numbers: x, y of each point) of every prepared picture."""
    done = list(done)
    points = [[number for point in item.landmarks for number in point] for item in done]
    paths = pl.Series("path", [item.path for item in done], pl.String)
    pl.DataFrame([paths, pl.Series("landmarks", points, pl.List(pl.Float32))]).write_parquet(path)


def write_problems(problems: Iterable[Problem], path: Path) -> None:
    """Write path, code and reason of every row that has no prepared picture."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("path", "code", "reason"))
        lines.writerows((name, problem.code, problem.reason) for name, problem in problems)


def _without_leaks(
    splits: Sequence[str], outcomes: Sequence[Done | Dropped]
) -> list[Done | Dropped]:
    """Return the outcomes, without the pictures that stand in another split already."""
    first: dict[str, str] = {}
    return [
        Dropped(
            code="leak",
            reason=f"once prepared it is the same picture as one in {first[item.sha256]}; "
            "one of them must go, or both must stand in one split",
        )
        if isinstance(item, Done) and split and first.setdefault(item.sha256, split) != split
        else item
        for split, item in zip(splits, outcomes, strict=True)
    ]


def _prepared_rows(rows: pl.DataFrame, done: Sequence[Done]) -> pl.DataFrame:
    """Return the rows with their new paths, hashes and facts, and where they came from."""
    facts = {
        name: pl.Series(name, [getattr(item, name) for item in done], FACTS[name])
        for name in _MEASURED
    }
    facts["jpeg_quality"] = _quality(rows, done)
    return rows.with_columns(
        rows["path"].alias("origin"),
        rows["sha256"].alias("origin_sha256"),
        pl.Series("path", [item.path for item in done], pl.String),
        pl.Series("sha256", [item.sha256 for item in done], pl.String),
        pl.Series("faces", [str(item.faces) for item in done], pl.String),
        pl.Series("outside", [f"{item.outside:.3f}" for item in done], pl.String),
        **facts,
    )


def _quality(rows: pl.DataFrame, done: Sequence[Done]) -> pl.Series:
    """Return the JPEG quality of our own saves, and the known one of files kept as they are."""
    known = [None] * len(done)
    if "jpeg_quality" in rows.columns:
        known = rows["jpeg_quality"].to_list()
    same = (item.sha256 == origin for item, origin in zip(done, rows["sha256"], strict=True))
    found = [
        before if kept else item.jpeg_quality
        for item, before, kept in zip(done, known, same, strict=True)
    ]
    return pl.Series("jpeg_quality", found, pl.Int16)
