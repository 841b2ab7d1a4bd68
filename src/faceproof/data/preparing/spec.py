"""`PrepareOptions`, `PreparationRecord` and the outcomes of rows: options and record."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, TypeAdapter, field_validator

from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import UsageError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.messages import ignore_message
from faceproof.records import Document, Record
from faceproof.tables import choose

_UNITS = {"kb": 1000, "mb": 1000**2, "gb": 1000**3}
_SIZE = re.compile(r"(?P<count>\d+) *(?P<unit>[kmg]b)?", re.IGNORECASE)

ShardKind = Literal["webdataset", "parquet"]
SHARD_KINDS: dict[str, ShardKind] = {"webdataset": "webdataset", "parquet": "parquet"}

Quality = Annotated[int, Field(ge=1, le=100)]


class Equalising(Record):
    """One distribution of file histories for both classes.

    Each picture is reduced until its face (or its longest side, if whole pictures are kept) has
    ``side`` px (None: chosen from the data). It is then saved as JPEG with a quality drawn
    uniformly from ``quality``, both ends included. The side of a face is that of a crop without
    margin.
    """

    side: int | None = Field(default=None, ge=16, le=8192)
    quality: tuple[Quality, Quality] = (70, 95)

    @field_validator("quality")
    @classmethod
    def _require_ascending(cls, quality: tuple[int, int]) -> tuple[int, int]:
        """Reject a range with swapped ends."""
        if quality[0] > quality[1]:
            raise ValueError("the lower quality must come first")
        return quality


class PicturesSpec(Record):
    """The options that, with the source pictures, determine the pictures of a prepared folder.

    ``keep`` is "crop" (the aligned crop), "picture" (the whole file) or "face": the part of the
    picture around the face, upright and at the face's own width, reduced only if the face is wider
    than ``crop.size`` px. A file that needs neither cropping nor reduction is kept unchanged; any
    other is written losslessly.
    """

    crop: CropSpec = CropSpec(size=256, margin=0.25)
    keep: Literal["crop", "picture", "face"] = "crop"
    format: Literal["png", "webp", "jpeg"] = "png"
    equalise: Equalising | None = None
    seed: int = Field(default=0, ge=0)


class ShardsSpec(Record):
    """Options of shards: a shard is closed before it exceeds either limit."""

    kind: ShardKind
    most_bytes: int = Field(default=512 * 1000**2, ge=1)
    most_pictures: int | None = Field(default=None, ge=1)

    @classmethod
    def parse_size(cls, kind: ShardKind, size: str) -> ShardsSpec:
        """Return the spec for a size such as ``512MB``, or a number of pictures.

        Raises:
            UsageError: the size is neither.

        >>> ShardsSpec.parse_size("parquet", "2GB").most_bytes
        2000000000
        >>> ShardsSpec.parse_size("parquet", "1000").most_pictures
        1000
        """
        found = _SIZE.fullmatch(size.strip())
        if found is None or int(found["count"]) == 0:
            raise UsageError(f"invalid shard size {size!r}: use 512MB, 2GB or a number of pictures")
        if found["unit"] is None:
            return cls(kind=kind, most_pictures=int(found["count"]))
        return cls(kind=kind, most_bytes=int(found["count"]) * _UNITS[found["unit"].lower()])


class FinishSpec(Record):
    """Options for results from the prepared pictures; changing them needs no new preparation."""

    balance: tuple[str, ...] = ()
    shards: ShardsSpec | None = None
    probe: bool = True


@dataclass(frozen=True)
class PrepareOptions:
    """Options of a run: number of threads, start from scratch or resume, and callbacks.

    ``advance`` is called after each finished row, ``say`` with each message.
    """

    workers: int = min(16, os.cpu_count() or 1)
    anew: bool = False
    advance: Callable[[object], None] = ignore_message
    say: Callable[[str], None] = ignore_message


Point = tuple[float, float]

#: Facts about a picture, not failures: they are counted, and the run succeeds.
STATED = frozenset({"no_face", "too_small", "leak"})


class WrittenPicture(Record):
    """A prepared picture: its path in the folder, its facts, and its largest face.

    ``outside`` is the filled share of a crop, outside its picture.
    """

    outcome: Literal["done"] = "done"
    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    jpeg_quality: int | None
    phash: str
    faces: int
    outside: float
    landmarks: tuple[Point, Point, Point, Point, Point]


class DroppedPicture(Record):
    """A row without a prepared picture: the code of the reason, and its message."""

    outcome: Literal["dropped"] = "dropped"
    code: str
    reason: str


Outcome = Annotated[WrittenPicture | DroppedPicture, Field(discriminator="outcome")]
_OUTCOMES: TypeAdapter[WrittenPicture | DroppedPicture] = TypeAdapter(Outcome)


def parse_outcome(line: bytes) -> WrittenPicture | DroppedPicture:
    """Return the outcome of a line of JSON.

    Raises:
        ValidationError: the line is invalid.

    >>> parse_outcome(b'{"outcome": "dropped", "code": "no_face", "reason": "none found"}').code
    'no_face'
    """
    return _OUTCOMES.validate_json(line)


#: The choices to balance by, and the column of each.
BALANCES: dict[str, str] = {"class": "label", "generator": "generator", "source": "source"}

#: A row with more weight than this is seen so often that it is memorised.
MOST_WEIGHT = 20.0


def balanced_weights(table: pl.DataFrame, order: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the weight of each row, float64 [N]: their mean is 1 within each split.

    Within a split of n rows, the weight of a row is n * share / size, with ``share`` the share of
    its cell and ``size`` the number of rows in it. With ``class`` each class has the same share,
    otherwise its share of the rows. Within each class, ``generator`` and ``source`` divide the
    share evenly among their values, nested in the given order. (Real rows have one generator,
    ``none``.)

    Raises:
        UnknownChoiceError: an unknown choice to balance by.
    """
    columns = [choose(BALANCES, name, what="balance") for name in dict.fromkeys(order)]
    rows, cell = pl.len().over("split"), ["split", "label"]
    share = 1 / pl.col("label").n_unique().over("split")
    if "label" not in columns:
        share = pl.len().over(cell) / rows
    for column in (name for name in columns if name != "label"):
        share = share / pl.col(column).n_unique().over(cell)
        cell = [*cell, column]
    weights = table.select((rows * share / pl.len().over(cell)).alias("weight"))["weight"]
    return weights.cast(pl.Float64).to_numpy()


def effective_rows(weights: npt.NDArray[np.float64]) -> float:
    """Return the number of equally weighted rows with the same variance.

    Source: Kish, "Survey Sampling", 1965.

    >>> effective_rows(np.array([1.0, 1.0, 0.0, 2.0])).__round__(3)
    2.667
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


class DataSet(Record):
    """A set before or after preparation: its hash, and its rows by class."""

    sha256: str
    rows: int
    real: int
    fake: int


class _WeightSummary(Record):
    """The weights of one split: the largest, and the effective number of rows."""

    split: str
    rows: int
    most: float
    effective_rows: float


class PreparationRecord(Document):
    """The result of `prepare`, written as ``prepare.json``.

    ``side`` is the common longest side in pixels, if pictures were equalised. ``problems`` counts
    the excluded rows, by code. ``outside`` is the mean share of a crop outside its picture, by
    class. Both probes used the same rows.
    """

    schema_: Literal["faceproof.prepared/1"] = Field(default="faceproof.prepared/1", alias="schema")
    spec: PicturesSpec
    finish: FinishSpec
    side: int | None
    before: DataSet
    after: DataSet
    problems: dict[str, int]
    outside: dict[str, float]
    weights: tuple[_WeightSummary, ...]
    probe_before: ProbeResult | None = None
    probe_after: ProbeResult | None = None
    versions: dict[str, str | None]


def summarise_weights(table: pl.DataFrame) -> tuple[_WeightSummary, ...]:
    """Return the weights of each split of a table with the column ``weight``."""
    return tuple(
        _summarise_split(str(split), part["weight"].to_numpy())
        for (split,), part in table.group_by("split", maintain_order=True)
    )


def mean_share_outside(table: pl.DataFrame) -> dict[str, float]:
    """Return the mean share of a crop outside its picture, by class, of a prepared table."""
    share = pl.col("outside").cast(pl.Float64).mean().round(4)
    return dict(table.group_by("label").agg(share).sort("label").iter_rows())


def describe_data_set(table: pl.DataFrame, sha256: str) -> DataSet:
    """Return the hash and the counts of a manifest's table."""
    fake = int((table["label"] == "fake").sum())
    return DataSet(sha256=sha256, rows=table.height, real=table.height - fake, fake=fake)


def _summarise_split(
    split: str, weights: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> _WeightSummary:
    return _WeightSummary(
        split=split,
        rows=len(weights),
        most=float(weights.max()),
        effective_rows=effective_rows(weights),
    )
