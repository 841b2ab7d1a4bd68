"""Shards read at random: the same bytes as the files, and plain words where something is amiss."""

from __future__ import annotations

import hashlib
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pyarrow import parquet

from faceproof.data.manifest import Manifest, Row
from faceproof.data.preparing.shard_access import find_place, index_shards
from faceproof.data.preparing.shards import ShardIndex, key_of, write_shards
from faceproof.data.preparing.spec import ShardsSpec
from faceproof.errors import DataError, ManifestError

KINDS = pytest.mark.parametrize("kind", ["webdataset", "parquet"])
SPLITS = ("train", "validation")


def prepared(root: Path, count: int = 24) -> Manifest:
    """Return a prepared set of random bytes, most of them short, some larger than a page.

    They all begin alike, as the files of one encoder do.
    """
    rows, sizes, rng = [], [], np.random.default_rng(0)
    for number in range(count):
        content = bytes(range(200)) + rng.bytes(1_200_000 if number % 8 == 3 else 300 + 7 * number)
        sha256 = hashlib.sha256(content).hexdigest()
        path = f"pictures/{sha256[:2]}/{sha256}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        label = ("real", "none") if number % 2 else ("fake", "stylegan")
        rows.append(Row(path, *label, "made-up", f"g{number}", sha256, SPLITS[number % 3 == 0]))
        sizes.append(len(content))
    table = Manifest(rows).table.with_columns(weight=0.5, bytes=pl.Series(sizes))
    return Manifest(table, root=root)


def sharded(root: Path, kind: str, count: int = 24, most: int = 7) -> Manifest:
    """Return the set, its shards written."""
    manifest, spec = prepared(root, count), ShardsSpec(kind=kind, most_pictures=most)
    write_shards(manifest, np.zeros((count, 5, 2), np.float32), root / "shards", spec, seed=0)
    return manifest


@KINDS
def test_every_file_is_found_by_its_key_in_any_order(tmp_path, kind):
    manifest = sharded(tmp_path, kind)
    found = index_shards(tmp_path, SPLITS)
    assert len(found) == len(manifest)
    for number in np.random.default_rng(1).permutation(len(manifest)).tolist():
        row = manifest.rows[number]
        place = find_place(found, row.path, tmp_path)
        assert place.read() == (tmp_path / row.path).read_bytes()
        assert place.shard.name.startswith(row.split)


@KINDS
def test_only_the_splits_that_are_asked_for_are_listed(tmp_path, kind):
    manifest = sharded(tmp_path, kind)
    (tmp_path / "shards" / f"train-000000.{'tar' if kind == 'webdataset' else kind}").unlink()
    found = index_shards(tmp_path, {"validation"})
    assert set(found) == {key_of(row.path) for row in manifest.rows if row.split == "validation"}


@KINDS
def test_several_row_groups_in_one_shard(tmp_path, kind, monkeypatch):
    from faceproof.data.preparing import shards

    monkeypatch.setattr(shards, "_GROUP_BYTES", 1000)
    manifest = sharded(tmp_path, kind, most=100)
    if kind == "parquet":
        assert parquet.ParquetFile(tmp_path / "shards" / "train-000000.parquet").num_row_groups > 3
    found = index_shards(tmp_path, SPLITS)
    for row in manifest.rows:
        assert found[key_of(row.path)].read() == (tmp_path / row.path).read_bytes()


def test_pictures_that_begin_alike_are_not_taken_for_one_another(tmp_path):
    """Parquet says of no picture where it lies: each is looked for behind the one before."""
    manifest = sharded(tmp_path, "parquet", count=12)
    found = index_shards(tmp_path, SPLITS)
    by_shard = sorted((str(place.shard), place.start, place.size) for place in found.values())
    for (shard, start, size), (following, begin, _) in pairwise(by_shard):
        assert shard != following or begin >= start + size
    assert len(manifest) == len(found)


@KINDS
def test_places_can_be_sent_to_another_process(tmp_path, kind):
    manifest = sharded(tmp_path, kind)
    found = pickle.loads(pickle.dumps(index_shards(tmp_path, SPLITS)))
    row = manifest.rows[5]
    assert found[key_of(row.path)].read() == (tmp_path / row.path).read_bytes()


def test_without_shards_it_says_how_to_make_them(tmp_path):
    with pytest.raises(ManifestError, match=r"prepare --shards .* or set data.reading = \"files\""):
        index_shards(tmp_path, SPLITS)


@KINDS
def test_a_shard_that_was_cut_off_or_lost_is_named(tmp_path, kind):
    sharded(tmp_path, kind)
    shard = sorted((tmp_path / "shards").glob("train-000001.*"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=rf"{shard.name} has {len(whole) - 100} bytes, not"):
        index_shards(tmp_path, SPLITS)
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name} is missing: copy it again"):
        index_shards(tmp_path, SPLITS)


@KINDS
def test_a_shard_that_is_something_else_is_named(tmp_path, kind):
    sharded(tmp_path, kind)
    shard = sorted((tmp_path / "shards").glob("train-000001.*"))[0]
    shard.write_bytes(bytes(range(256)) * (shard.stat().st_size // 256 + 1))
    shard.write_bytes(shard.read_bytes()[: _size(tmp_path, shard.name)])
    with pytest.raises(DataError, match=rf"{shard.name} is not a complete shard of this kind"):
        index_shards(tmp_path, SPLITS)


def _size(root: Path, name: str) -> int:
    """Return how large the index says that a shard is."""
    index = ShardIndex.read(root / "shards" / "shards.json")
    return next(shard.bytes for shard in index.shards if shard.name == name)


def test_a_compressed_parquet_file_is_refused(tmp_path):
    sharded(tmp_path, "parquet")
    shard = tmp_path / "shards" / "train-000000.parquet"
    table = parquet.read_table(shard)
    zeros = [{"bytes": bytes(5000), "path": "a.png"}] * table.num_rows
    import pyarrow as pa

    parquet.write_table(
        table.set_column(1, "image", pa.array(zeros, table["image"].type)),
        shard,
        compression="zstd",
    )
    index = ShardIndex.read(tmp_path / "shards" / "shards.json")
    changed = [
        one.model_copy(update={"bytes": shard.stat().st_size}) if one.name == shard.name else one
        for one in index.shards
    ]
    index.model_copy(update={"shards": tuple(changed)}).write(tmp_path / "shards" / "shards.json")
    with pytest.raises(DataError, match="compressed"):
        index_shards(tmp_path, SPLITS)


def test_a_picture_of_another_set_is_named(tmp_path):
    sharded(tmp_path, "webdataset")
    with pytest.raises(DataError, match=r"pictures/x/elsewhere.png is in none of the shards"):
        find_place(index_shards(tmp_path, SPLITS), "pictures/x/elsewhere.png", tmp_path)
