"""`write_shards`: prepared pictures in a few large files, for training on many machines.

The column ``image`` is a struct of ``bytes`` and ``path``, with the schema metadata of Hugging
Face's `datasets`: it opens as a picture there, and as bytes in other readers.

Source: Aizman, Maltby and Breuel, "High Performance I/O For Large Scale Deep Learning", 2019.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import Landmarks
from faceproof.data.preparing.spec import ShardKind, ShardsSpec
from faceproof.errors import DataError
from faceproof.outputs import atomic_write
from faceproof.pipeline import batch_by_weight
from faceproof.records import Document, Record
from faceproof.tables import choose


class SampleFacts(Record):
    """The facts of a sample: its row, and five landmarks (x, y) in its pixels."""

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
class ShardSample:
    """A picture's file and its facts; ``key`` names it among all shards of a set."""

    key: str
    suffix: str
    data: bytes = field(repr=False)
    facts: SampleFacts


def _sample_facts(
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


def _verify_sample(sample: ShardSample, shard: str) -> ShardSample:
    """Return the sample after verifying its picture's hash.

    Raises:
        DataError: the hash differs.
    """
    if hashlib.sha256(sample.data).hexdigest() != sample.facts.sha256:
        raise DataError(
            f"{shard}: the picture of {sample.key} is corrupt (its sha256 differs): "
            "copy the shard again, or write it again with `faceproof data prepare`"
        )
    return sample


#: Size of a row group in bytes of pictures: the memory of a writer or a reader.
_GROUP_BYTES = 32 * 1000**2

_TEXT = ("label", "generator", "source", "split", "group", "sha256")
_POINTS = 10


def write_parquet(samples: Iterable[ShardSample], file: BinaryIO) -> None:
    """Write the samples; equal samples give equal bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(pa)
    groups = batch_by_weight(samples, lambda sample: len(sample.data), weight=_GROUP_BYTES)
    # Pictures are compressed already; dictionaries and min/max statistics of them are useless.
    with parquet.ParquetWriter(
        file,
        schema,
        compression="none",
        use_dictionary=list(_TEXT),
        write_statistics=list(_TEXT),
    ) as writer:
        for group in groups:
            rows = [_make_row(sample) for sample in group]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _row_bytes(picture: int, facts: int) -> int:
    """Return the approximate number of bytes of a sample in a Parquet file."""
    return picture + facts


def read_parquet(path: Path) -> Iterator[ShardSample]:
    """Yield the samples of a Parquet file, one row group after another.

    Raises:
        DataError: it is not a complete Parquet file, or has other content.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield from map(_sample, file.read_row_group(number).to_pylist())
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is not a complete shard of this kind ({error}): copy it again"
        ) from error


def _schema(pa: Any) -> Any:
    """Return the columns, with the metadata of `datasets`."""
    columns = {
        "key": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        **dict.fromkeys(_TEXT, pa.string()),
        "is_fake": pa.int64(),
        "weight": pa.float64(),
        "landmarks": pa.list_(pa.float32(), _POINTS),
        "attributes": pa.string(),
    }
    plain = {
        name: {"dtype": str(kind).replace("double", "float64"), "_type": "Value"}
        for name, kind in columns.items()
    }
    points = {"dtype": "float32", "_type": "Value"}
    listed = {"feature": points, "length": _POINTS, "_type": "Sequence"}
    features = plain | {"image": {"_type": "Image"}, "landmarks": listed}
    features_json = json.dumps({"info": {"features": features}})
    return pa.schema(list(columns.items()), metadata={"huggingface": features_json})


def _make_row(sample: ShardSample) -> dict[str, object]:
    """Return a sample as a row; attributes are JSON, because they differ between sets."""
    facts = sample.facts.model_dump()
    points = [number for point in sample.facts.landmarks for number in point]
    return facts | {
        "key": sample.key,
        "image": {"bytes": sample.data, "path": f"{sample.key}.{sample.suffix}"},
        "landmarks": points,
        "attributes": json.dumps(sample.facts.attributes, ensure_ascii=False),
    }


def _sample(row: dict[str, Any]) -> ShardSample:
    """Return the sample of a row."""
    key, image, points = row.pop("key"), row.pop("image"), row.pop("landmarks")
    pairs = tuple(zip(points[::2], points[1::2], strict=True))
    attributes = json.loads(row.pop("attributes"))
    facts = SampleFacts(**row, landmarks=pairs, attributes=attributes)
    return ShardSample(key, PurePosixPath(image["path"]).suffix[1:], image["bytes"], facts)


_BLOCK = 512


def write_tar(samples: Iterable[ShardSample], file: BinaryIO) -> None:
    """Write the samples; equal samples give equal bytes, on any machine at any time."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            _add(tar, f"{sample.key}.{sample.suffix}", sample.data)
            _add(tar, f"{sample.key}.json", sample.facts.model_dump_json().encode())


def _tar_bytes(*sizes: int) -> int:
    """Return the bytes of files of these sizes in a tar file, with headers and padding.

    >>> _tar_bytes(1, 512, 513)
    3584
    """
    return sum(_BLOCK + -(-size // _BLOCK) * _BLOCK for size in sizes)


def read_tar(path: Path) -> Iterator[ShardSample]:
    """Yield the samples of a tar file, without unpacking it to disk.

    Raises:
        DataError: it is not a complete tar file, or has other content.
    """
    try:
        _check_end(path)
        with tarfile.open(path, "r|") as tar:
            yield from _pair_files(_iterate_files(tar), path.name)
    except (tarfile.TarError, ValidationError, EOFError) as error:
        raise DataError(
            f"{path} is not a complete shard of this kind ({error}): copy it again"
        ) from error


def _check_end(path: Path) -> None:
    """Reject a file without the two empty blocks that end a tar file.

    `tarfile` does not detect a file truncated between two members.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2 * _BLOCK))
        if file.read() != bytes(2 * _BLOCK):
            raise tarfile.ReadError("its end is missing")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file with a header independent of this machine."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = len(data), 0, 0o644
    tar.addfile(header, io.BytesIO(data))


def _iterate_files(tar: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of every ordinary file."""
    for member in tar:
        content = tar.extractfile(member)
        if content is not None:
            yield PurePosixPath(member.name), content.read()


def _pair_files(files: Iterable[tuple[PurePosixPath, bytes]], shard: str) -> Iterator[ShardSample]:
    """Yield a sample for each picture and the JSON file that follows it."""
    waiting: tuple[PurePosixPath, bytes] | None = None
    for name, data in files:
        if waiting is None:
            waiting = name, data
        elif name.suffix == ".json" and name.stem == waiting[0].stem:
            facts = SampleFacts.model_validate_json(data)
            yield ShardSample(name.stem, waiting[0].suffix[1:], waiting[1], facts)
            waiting = None
        else:
            break
    else:
        if waiting is None:
            return
    raise DataError(f"{shard}: {waiting[0]} is not followed by its JSON file; copy the shard again")


_READERS: dict[str, Callable[[Path], Iterator[ShardSample]]] = {
    ".tar": read_tar,
    ".parquet": read_parquet,
}


def read_shard(path: Path) -> Iterator[ShardSample]:
    """Yield the samples of a shard in their order, each one verified.

    Raises:
        DataError: the shard is corrupt, truncated, or not one of ours.
        UnknownChoiceError: its suffix is not that of a shard.
    """
    read = choose(_READERS, path.suffix, what="suffix of a shard")
    try:
        for sample in read(path):
            yield _verify_sample(sample, path.name)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


INDEX = "shards.json"

#: A set without splits is one.
_NO_SPLIT = "all"


@dataclass(frozen=True)
class _ShardFormat:
    """A kind of shard: its suffix, its writer, and the size of a sample in it."""

    suffix: str
    write: Callable[[Iterable[ShardSample], BinaryIO], None]
    weigh: Callable[[int, int], int]


KINDS: dict[ShardKind, _ShardFormat] = {
    "webdataset": _ShardFormat("tar", write_tar, _tar_bytes),
    "parquet": _ShardFormat("parquet", write_parquet, _row_bytes),
}


class ShardFile(Record):
    """One shard: its name next to the index, its split, its rows, bytes and hash."""

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
    stock, suffix = _PreparedRows(manifest, landmarks), KINDS[spec.kind].suffix
    shards = [
        _write_shard(stock, rows, split, folder / f"{split}-{number:06d}.{suffix}")
        for split, order in sorted(_rows_by_split(stock, seed).items())
        for number, rows in enumerate(_divide_rows(stock, order, spec))
    ]
    index = ShardIndex(kind=spec.kind, data_sha256=manifest.sha256, seed=seed, shards=tuple(shards))
    index.write(folder / INDEX)
    return index


@dataclass(frozen=True)
class _PreparedRows:
    """The rows of a prepared set and their pictures, by number."""

    manifest: Manifest
    landmarks: Landmarks

    def facts_of(self, number: int) -> SampleFacts:
        """Return the facts of a row."""
        row = self.manifest.table.row(number, named=True)
        return _sample_facts(row, self.landmarks[number], self.manifest.attribute_columns)

    def sample(self, number: int) -> ShardSample:
        """Return the sample of a row, its file read."""
        path = self.manifest.table["path"][number]
        data = self.manifest.picture_path(path).read_bytes()
        return ShardSample(
            key_of(path), PurePosixPath(path).suffix[1:], data, self.facts_of(number)
        )


def _rows_by_split(stock: _PreparedRows, seed: int) -> dict[str, list[int]]:
    """Return the numbers of the rows of each split, shuffled."""
    rows: dict[str, list[int]] = defaultdict(list)
    for number, split in enumerate(stock.manifest.table["split"]):
        rows[split or _NO_SPLIT].append(number)

    paths = stock.manifest.table["path"].to_list()

    def sort_key(number: int) -> bytes:
        return hashlib.sha256(f"{seed}:{key_of(paths[number])}".encode()).digest()

    return {split: sorted(numbers, key=sort_key) for split, numbers in rows.items()}


def _divide_rows(
    stock: _PreparedRows, order: Iterable[int], spec: ShardsSpec
) -> Iterator[list[int]]:
    """Yield the rows of each shard; one that is larger than the limit has a shard of its own."""
    most = spec.most_pictures or sys.maxsize
    weigh, held, weight = KINDS[spec.kind].weigh, list[int](), 0
    for number in order:
        facts = stock.facts_of(number).model_dump_json().encode()
        more = weigh(stock.manifest.table["bytes"][number], len(facts))
        if held and (len(held) >= most or weight + more > spec.most_bytes):
            yield held
            held, weight = [], 0
        held.append(number)
        weight += more
    yield held


def _write_shard(stock: _PreparedRows, rows: Sequence[int], split: str, path: Path) -> ShardFile:
    """Write one shard, whole or not at all, and return its line of the index."""
    (write,) = [kind.write for kind in KINDS.values() if path.suffix == f".{kind.suffix}"]
    with atomic_write(path) as file:
        write(map(stock.sample, rows), file)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    return ShardFile(name=path.name, split=split, rows=len(rows), bytes=size, sha256=digest)
