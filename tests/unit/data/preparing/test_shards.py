"""Shards: what goes in comes out, in a drawn order, in equal bytes, and damage is told."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from faceproof.data.manifest import FACTS, Manifest, Row
from faceproof.data.preparing.shards import ShardIndex, read_shard, write_shards
from faceproof.data.preparing.spec import ShardsSpec
from faceproof.errors import DataError, UnknownChoiceError, UsageError

POINTS = ((1.5, 2.25), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0))
KINDS = pytest.mark.parametrize("kind", ["webdataset", "parquet"])


def prepared_set(root: Path, count: int = 20) -> tuple[Manifest, np.ndarray]:
    """Return a prepared set whose pictures are some bytes: shards do not look into them."""
    rows, sizes = [], []
    for number in range(count):
        content = f"picture {number} ".encode() * (10 + number)
        sha256 = hashlib.sha256(content).hexdigest()
        path = f"pictures/real/{sha256[:2]}/{sha256}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        kinds = ("real", "none") if number % 2 else ("fake", "stylegan")
        output = {"age": str(number), "größe": "klein"} if number else {}
        split = "train" if number % 5 else ""
        rows.append(Row(path, *kinds, "made-up", f"g{number}", sha256, split, output))
        sizes.append(len(content))
    table = Manifest(rows).table.with_columns(weight=0.5, bytes=pl.Series(sizes))
    landmarks = np.array([POINTS] * count, np.float32)
    landmarks[:, 0, 0] = range(count)
    return Manifest(table, root=root), landmarks


def spec(kind: str, **limits: int) -> ShardsSpec:
    return ShardsSpec(kind=kind, **limits)


@KINDS
def test_what_goes_in_comes_out(tmp_path, kind):
    manifest, landmarks = prepared_set(tmp_path)
    index = write_shards(manifest, landmarks, tmp_path / "shards", spec(kind), seed=0)
    samples = [s for shard in index.shards for s in read_shard(tmp_path / "shards" / shard.name)]
    assert len(samples) == len({sample.key for sample in samples}) == 20
    rows = {row.sha256: row for row in manifest.rows}
    for sample in samples:
        row, facts = rows[sample.facts.sha256], sample.facts
        assert sample.data == (tmp_path / row.path).read_bytes()
        assert f"{sample.key}.{sample.suffix}" == Path(row.path).name
        assert (facts.label, facts.generator) == (row.label, row.generator)
        assert (facts.source, facts.group, facts.split) == (row.source, row.group, row.split)
        assert facts.is_fake == int(row.is_fake)
        assert facts.weight == 0.5
        assert facts.landmarks[0] == (float(row.group[1:]), 2.25)
        assert facts.landmarks[1:] == POINTS[1:]
        assert facts.attributes == {k: v for k, v in row.attributes.items() if k not in FACTS}


@KINDS
def test_a_split_is_in_shards_of_its_own_and_the_index_lists_them(tmp_path, kind):
    manifest, landmarks = prepared_set(tmp_path)
    folder = tmp_path / "shards"
    index = write_shards(manifest, landmarks, folder, spec(kind, most_pictures=6), seed=0)
    assert ShardIndex.read(folder / "shards.json") == index
    suffix = "tar" if kind == "webdataset" else "parquet"
    assert [(shard.name, shard.split, shard.rows) for shard in index.shards] == [
        (f"all-000000.{suffix}", "all", 4),
        (f"train-000000.{suffix}", "train", 6),
        (f"train-000001.{suffix}", "train", 6),
        (f"train-000002.{suffix}", "train", 4),
    ]
    for shard in index.shards:
        content = (folder / shard.name).read_bytes()
        assert shard.bytes == len(content)
        assert shard.sha256 == hashlib.sha256(content).hexdigest()
        output = {sample.facts.split or "all" for sample in read_shard(folder / shard.name)}
        assert output == {shard.split}
    assert index.data_sha256 == manifest.sha256


@KINDS
def test_the_order_is_drawn_from_the_seed_and_is_the_same_each_time(tmp_path, kind):
    manifest, landmarks = prepared_set(tmp_path)
    first, again, other = (
        write_shards(manifest, landmarks, tmp_path / name, spec(kind), seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert [shard.sha256 for shard in first.shards] == [shard.sha256 for shard in again.shards]
    assert [shard.sha256 for shard in first.shards] != [shard.sha256 for shard in other.shards]
    name = first.shards[1].name
    order = [sample.facts.group for sample in read_shard(tmp_path / "a" / name)]
    assert order != [row.group for row in manifest.rows if row.split]
    assert sorted(order) == sorted(row.group for row in manifest.rows if row.split)


def test_no_tar_is_larger_than_asked_for_and_none_could_hold_one_more(tmp_path):
    """Each takes 2 headers and 2 padded files; the end of a tar file is 10240 bytes at the most."""
    manifest, landmarks = prepared_set(tmp_path)
    most = 8192
    index = write_shards(
        manifest, landmarks, tmp_path / "s", spec("webdataset", most_bytes=most), seed=0
    )
    train = [shard for shard in index.shards if shard.split == "train"]
    assert len(train) > 2
    for shard in train:
        with tarfile.open(tmp_path / "s" / shard.name) as tar:
            held = sum(512 + -(-member.size // 512) * 512 for member in tar)
        assert held <= most
    assert all(shard.rows >= 2 for shard in train[:-1])


def test_a_picture_above_the_limit_has_a_shard_of_its_own(tmp_path):
    manifest, landmarks = prepared_set(tmp_path, 3)
    index = write_shards(manifest, landmarks, tmp_path / "s", spec("parquet", most_bytes=1), seed=0)
    assert [shard.rows for shard in index.shards] == [1, 1, 1]


def test_a_tar_says_nothing_of_who_wrote_it_and_when(tmp_path):
    manifest, landmarks = prepared_set(tmp_path, 2)
    write_shards(manifest, landmarks, tmp_path / "s", spec("webdataset"), seed=0)
    with tarfile.open(tmp_path / "s" / "train-000000.tar") as tar:
        members = tar.getmembers()
        output = json.load(tar.extractfile(members[1]))
    assert [Path(member.name).suffix for member in members] == [".png", ".json"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert output["is_fake"] == 0
    assert output["attributes"] == {"age": "1", "größe": "klein"}


def test_parquet_says_to_datasets_which_column_is_a_picture(tmp_path):
    manifest, landmarks = prepared_set(tmp_path, 2)
    write_shards(manifest, landmarks, tmp_path / "s", spec("parquet"), seed=0)
    table = parquet.read_table(tmp_path / "s" / "train-000000.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert set(features) == set(table.column_names)
    assert features["image"] == {"_type": "Image"}
    image = table["image"][0].as_py()
    assert image["bytes"] == (tmp_path / manifest.rows[1].path).read_bytes()
    assert image["path"] == Path(manifest.rows[1].path).name
    assert table["attributes"][0].as_py() == '{"age": "1", "größe": "klein"}'


@KINDS
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_a_shard_that_is_cut_off_is_told(tmp_path, kind, keep):
    manifest, landmarks = prepared_set(tmp_path)
    index = write_shards(manifest, landmarks, tmp_path / "s", spec(kind), seed=0)
    path = tmp_path / "s" / index.shards[-1].name
    content = path.read_bytes()
    path.write_bytes(content[: int(index.shards[-1].bytes * keep * 0.8)])
    with pytest.raises(DataError, match="copy"):
        list(read_shard(path))


@KINDS
def test_a_picture_that_changed_in_its_shard_is_told(tmp_path, kind):
    manifest, landmarks = prepared_set(tmp_path, 2)
    write_shards(manifest, landmarks, tmp_path / "s", spec(kind), seed=0)
    (path,) = (tmp_path / "s").glob("train*")
    path.write_bytes(path.read_bytes().replace(b"picture 1 ", b"picture X ", 1))
    with pytest.raises(DataError, match="is corrupt"):
        list(read_shard(path))


def test_a_foreign_shard_is_told(tmp_path):
    with tarfile.open(tmp_path / "foreign.tar", "w") as tar:
        for name in ("one.png", "two.png"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DataError, match=r"one\.png is not followed by its JSON file"):
        list(read_shard(tmp_path / "foreign.tar"))
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(DataError, match="not a complete shard"):
        list(read_shard(tmp_path / "foreign.parquet"))
    with pytest.raises(UnknownChoiceError, match="suffix of a shard"):
        list(read_shard(tmp_path / "foreign.zip"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_shard(tmp_path / "gone.tar"))


@pytest.mark.parametrize(
    ("typed", "most_bytes", "most_pictures"),
    [("512MB", 512_000_000, None), ("3 kb", 3000, None), ("10000", 512_000_000, 10_000)],
)
def test_sizes_as_people_write_them(typed, most_bytes, most_pictures):
    found = ShardsSpec.parse_size("parquet", typed)
    assert (found.most_bytes, found.most_pictures) == (most_bytes, most_pictures)


@pytest.mark.parametrize("typed", ["", "0", "0MB", "12TB", "-3", "1.5GB", "MB"])
def test_a_size_that_is_none_is_told(typed):
    with pytest.raises(UsageError, match="use 512MB"):
        ShardsSpec.parse_size("parquet", typed)
