"""What decides a prepared folder: the pictures in it, and what is made of them afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from faceproof.errors import UsageError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.records import Record

_UNITS = {"kb": 1000, "mb": 1000**2, "gb": 1000**3}
_SIZE = re.compile(r"(?P<count>\d+) *(?P<unit>[kmg]b)?", re.IGNORECASE)

ShardKind = Literal["webdataset", "parquet"]
SHARD_KINDS: dict[str, ShardKind] = {"webdataset": "webdataset", "parquet": "parquet"}

Quality = Annotated[int, Field(ge=1, le=100)]


class Equalising(Record):
    """One distribution of file histories for both classes.

    Each picture is reduced until its face, or where whole pictures are kept, its longest side, has
    ``side`` px (None: chosen from the data), and saved as JPEG with a quality drawn evenly from
    ``quality``, both ends included. The side of a face is that of a crop without margin.
    """

    side: int | None = Field(default=None, ge=16, le=8192)
    quality: tuple[Quality, Quality] = (70, 95)

    @field_validator("quality")
    @classmethod
    def _ascends(cls, quality: tuple[int, int]) -> tuple[int, int]:
        """Refuse a range that is written backwards."""
        if quality[0] > quality[1]:
            raise ValueError("the lower quality comes first")
        return quality


class PicturesSpec(Record):
    """What decides the pictures of a prepared folder, together with the pictures it is made of.

    ``keep`` is "crop" (the aligned crop), "picture" (the whole file) or "face": the part of the
    picture around the face, upright and at the face's own width, reduced only where the face is
    wider than ``crop.size`` px. A file with nothing to cut away and nothing to reduce is kept as
    it is; any other is written without loss.
    """

    crop: CropSpec = CropSpec(size=256, margin=0.25)
    keep: Literal["crop", "picture", "face"] = "crop"
    format: Literal["png", "webp", "jpeg"] = "png"
    equalise: Equalising | None = None
    seed: int = Field(default=0, ge=0)


class ShardsSpec(Record):
    """How shards are written: a shard ends before it holds more than either limit."""

    kind: ShardKind
    most_bytes: int = Field(default=512 * 1000**2, ge=1)
    most_pictures: int | None = Field(default=None, ge=1)

    @classmethod
    def sized(cls, kind: ShardKind, size: str) -> ShardsSpec:
        """Return the spec for a size as people write it: ``512MB``, or a number of pictures.

        Raises:
            UsageError: the size is neither.

        >>> ShardsSpec.sized("parquet", "2GB").most_bytes
        2000000000
        >>> ShardsSpec.sized("parquet", "1000").most_pictures
        1000
        """
        found = _SIZE.fullmatch(size.strip())
        if found is None or int(found["count"]) == 0:
            raise UsageError(f"shard size {size!r}: write 512MB, 2GB or a number of pictures")
        if found["unit"] is None:
            return cls(kind=kind, most_pictures=int(found["count"]))
        return cls(kind=kind, most_bytes=int(found["count"]) * _UNITS[found["unit"].lower()])


class FinishSpec(Record):
    """What is made of the prepared pictures; it may change without preparing them again."""

    balance: tuple[str, ...] = ()
    shards: ShardsSpec | None = None
    probe: bool = True


def _silent(_: object) -> None:
    """Tell nothing."""


@dataclass(frozen=True)
class Preparing:
    """How a run goes on: in how many threads, from the start or not, and who is told what.

    ``advance`` is called once for each row that is finished, ``say`` with each message.
    """

    workers: int = min(16, os.cpu_count() or 1)
    anew: bool = False
    advance: Callable[[object], None] = _silent
    say: Callable[[str], None] = _silent
