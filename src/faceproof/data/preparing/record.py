"""What was prepared, of what, and what it changed: the record beside the prepared pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from faceproof.data.preparing.spec import FinishSpec, PicturesSpec
from faceproof.data.preparing.weights import effective_rows
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.records import Document, Record


class DataSet(Record):
    """A set before or after: its hash, and its rows by class."""

    sha256: str
    rows: int
    real: int
    fake: int


class Weighing(Record):
    """The weights of one split: the largest, and how many equal rows vary as much."""

    split: str
    rows: int
    most: float
    effective_rows: float


class Prepared(Document):
    """What `prepare` did; written as ``prepare.json``.

    ``side`` is the common longest side in pixels, where pictures were equalised. ``problems``
    counts the rows that were left out, by code. ``outside`` is the mean share of a crop that lies
    outside of its picture, by class. The two probes looked at the same rows.
    """

    schema_: Literal["faceproof.prepared/1"] = Field(default="faceproof.prepared/1", alias="schema")
    spec: PicturesSpec
    finish: FinishSpec
    side: int | None
    before: DataSet
    after: DataSet
    problems: dict[str, int]
    outside: dict[str, float]
    weights: tuple[Weighing, ...]
    probe_before: ProbeResult | None = None
    probe_after: ProbeResult | None = None
    versions: dict[str, str | None]


def weighing(table: pl.DataFrame) -> tuple[Weighing, ...]:
    """Return the weights of each split of a table with the column ``weight``."""
    return tuple(
        _weighing(str(split), part["weight"].to_numpy())
        for (split,), part in table.group_by("split", maintain_order=True)
    )


def outside(table: pl.DataFrame) -> dict[str, float]:
    """Return the mean share of a crop outside of its picture, by class, of a prepared table."""
    share = pl.col("outside").cast(pl.Float64).mean().round(4)
    return dict(table.group_by("label").agg(share).sort("label").iter_rows())


def data_set(table: pl.DataFrame, sha256: str) -> DataSet:
    """Return the hash and the counts of a manifest's table."""
    fake = int((table["label"] == "fake").sum())
    return DataSet(sha256=sha256, rows=table.height, real=table.height - fake, fake=fake)


def _weighing(split: str, weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Weighing:
    return Weighing(
        split=split,
        rows=len(weights),
        most=float(weights.max()),
        effective_rows=effective_rows(weights),
    )
