"""Shards written: in an order drawn from a seed, each split by itself, with an index beside."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from pydantic import Field

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.shards.parquet_shard import row_bytes, write_parquet
from faceproof.data.preparing.shards.sample import Sample, SampleFacts, key_of, sample_facts
from faceproof.data.preparing.shards.webdataset import tar_bytes, write_tar
from faceproof.data.preparing.spec import ShardKind, ShardsSpec
from faceproof.data.preparing.tables import Landmarks
from faceproof.records import Document, Record
from faceproof.runs import replacing

INDEX = "shards.json"

#: A set without splits is one.
_NO_SPLIT = "all"


@dataclass(frozen=True)
class _Kind:
    """A kind of shard: its suffix, who writes it, and the room for so many bytes of two files."""

    suffix: str
    write: Callable[[Iterable[Sample], BinaryIO], None]
    weigh: Callable[[int, int], int]


KINDS: dict[ShardKind, _Kind] = {
    "webdataset": _Kind("tar", write_tar, tar_bytes),
    "parquet": _Kind("parquet", write_parquet, row_bytes),
}


class ShardFile(Record):
    """One shard: its name beside the index, its split, its rows, bytes and hash."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str


class ShardIndex(Document):
    """All shards of a prepared set, written as ``shards.json``; ``data_sha256`` is its hash."""

    schema_: Literal["faceproof.shards/1"] = Field(default="faceproof.shards/1", alias="schema")
    kind: ShardKind
    data_sha256: str
    seed: int
    shards: tuple[ShardFile, ...]


def write_shards(
    manifest: Manifest, landmarks: Landmarks, folder: Path, spec: ShardsSpec, *, seed: int
) -> ShardIndex:
    """Return the index of the shards written into ``folder``: the rows of ``manifest``.

    ``landmarks`` are float32 [N, 5, 2], row by row. Within a split the order is drawn from
    ``seed`` and the pictures' names: rows that are added later leave the order of the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stock, suffix = _Stock(manifest, landmarks), KINDS[spec.kind].suffix
    shards = [
        _write_shard(stock, rows, split, folder / f"{split}-{number:06d}.{suffix}")
        for split, order in sorted(_by_split(stock, seed).items())
        for number, rows in enumerate(_divided(stock, order, spec))
    ]
    index = ShardIndex(kind=spec.kind, data_sha256=manifest.sha256, seed=seed, shards=tuple(shards))
    index.write(folder / INDEX)
    return index


@dataclass(frozen=True)
class _Stock:
    """The rows of a prepared set and their pictures, by number."""

    manifest: Manifest
    landmarks: Landmarks

    def facts(self, number: int) -> SampleFacts:
        """Return the facts of a row."""
        row = self.manifest.table.row(number, named=True)
        return sample_facts(row, self.landmarks[number], self.manifest.attribute_columns)

    def sample(self, number: int) -> Sample:
        """Return the sample of a row, its file read."""
        path = self.manifest.table["path"][number]
        data = self.manifest.picture_path(path).read_bytes()
        return Sample(key_of(path), PurePosixPath(path).suffix[1:], data, self.facts(number))


def _by_split(stock: _Stock, seed: int) -> dict[str, list[int]]:
    """Return the numbers of the rows of each split, shuffled."""
    rows: dict[str, list[int]] = defaultdict(list)
    for number, split in enumerate(stock.manifest.table["split"]):
        rows[split or _NO_SPLIT].append(number)

    paths = stock.manifest.table["path"].to_list()

    def drawn(number: int) -> bytes:
        return hashlib.sha256(f"{seed}:{key_of(paths[number])}".encode()).digest()

    return {split: sorted(numbers, key=drawn) for split, numbers in rows.items()}


def _divided(stock: _Stock, order: Iterable[int], spec: ShardsSpec) -> Iterator[list[int]]:
    """Yield the rows of each shard; one that is larger than the limit has a shard of its own."""
    most = spec.most_pictures or sys.maxsize
    weigh, held, weight = KINDS[spec.kind].weigh, list[int](), 0
    for number in order:
        facts = stock.facts(number).model_dump_json().encode()
        more = weigh(stock.manifest.table["bytes"][number], len(facts))
        if held and (len(held) >= most or weight + more > spec.most_bytes):
            yield held
            held, weight = [], 0
        held.append(number)
        weight += more
    yield held


def _write_shard(stock: _Stock, rows: Sequence[int], split: str, path: Path) -> ShardFile:
    """Write one shard, whole or not at all, and return its line of the index."""
    (write,) = [kind.write for kind in KINDS.values() if path.suffix == f".{kind.suffix}"]
    with replacing(path) as file:
        write(map(stock.sample, rows), file)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    return ShardFile(name=path.name, split=split, rows=len(rows), bytes=size, sha256=digest)
