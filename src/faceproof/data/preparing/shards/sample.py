"""A sample of a shard: a picture's file and what the manifest says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from faceproof.errors import DataError
from faceproof.records import Record


class SampleFacts(Record):
    """What stands beside the picture: its row, and five landmarks (x, y) in its pixels."""

    label: str
    is_fake: int
    generator: str
    source: str
    split: str
    group: str
    sha256: str
    weight: float
    landmarks: tuple[tuple[float, float], ...]
    attributes: dict[str, str]


@dataclass(frozen=True)
class Sample:
    """A picture's file and its facts; ``key`` names it among all shards of a set."""

    key: str
    suffix: str
    data: bytes = field(repr=False)
    facts: SampleFacts


def sample_facts(
    row: Mapping[str, object], landmarks: npt.NDArray[np.float32], attributes: tuple[str, ...]
) -> SampleFacts:
    """Return the facts of a row of a prepared manifest; landmarks are float32 [5, 2]."""
    return SampleFacts(
        label=str(row["label"]),
        is_fake=int(row["label"] == "fake"),
        generator=str(row["generator"]),
        source=str(row["source"]),
        split=str(row["split"]),
        group=str(row["group"]),
        sha256=str(row["sha256"]),
        weight=float(str(row["weight"])),
        landmarks=tuple((float(x), float(y)) for x, y in landmarks),
        attributes={name: str(row[name]) for name in attributes if row[name]},
    )


def key_of(path: str) -> str:
    """Return the key of a prepared picture: the name of its file."""
    return PurePosixPath(path).stem


def checked(sample: Sample, shard: str) -> Sample:
    """Return the sample, whose picture must be the one that was written.

    Raises:
        DataError: it is not.
    """
    if hashlib.sha256(sample.data).hexdigest() != sample.facts.sha256:
        raise DataError(
            f"{shard}: the picture of {sample.key} is damaged (its sha256 differs): "
            "copy the shard again, or write it again with `faceproof data prepare`"
        )
    return sample
