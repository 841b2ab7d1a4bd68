"""Leave-one-out protocols: who stands where, what is moved, and that the hash is believed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest
from faceproof.data.splitting.protocols import (
    COLUMNS,
    INDEX,
    Protocols,
    leave_out,
    read_index,
    write_protocols,
)
from faceproof.data.splitting.split import SplitSpec
from faceproof.errors import ManifestError

ROWS = """
r1 none  shop   train       g1
r2 none  street train       g2
r3 none  shop   test        g3
r4 none  street validation  g4
a1 a     shop   train       g1
a2 a     shop   train       g5
a3 a     shop   test        g6
a4 a     street calibration g7
b1 b     street train       g8
b2 b     street test        g9
b3 b     street validation  g4
x1 a     shop   -           g10
"""
SPEC = SplitSpec(seed=3)


def manifest(text: str = ROWS, root: Path | None = None) -> Manifest:
    rows = []
    for line in text.strip().splitlines():
        name, generator, source, split, group = line.split()
        rows.append(
            {
                "path": f"{name}.jpg",
                "label": "real" if generator == "none" else "fake",
                "generator": generator,
                "source": source,
                "split": split.strip("-"),
                "group": group,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
                "age": "30",
            }
        )
    return Manifest(pl.DataFrame(rows), root=root)


def standing(table: pl.DataFrame) -> dict[str, str]:
    """Return split -> names, as one line."""
    grouped = table.group_by("split").agg(pl.col("path").str.head(2).sort())
    return {split: " ".join(paths) for split, paths in grouped.iter_rows()}


class TestWhoStandsWhere:
    def test_without_a_generator(self):
        """a1 shares its group with r1, which is learnt from; x1 has no split."""
        table, moved = leave_out(manifest().table, "generator", "a")
        assert standing(table) == {
            "train": "b1 r1 r2",
            "validation": "b3 r4",
            "test": "a2 a3 a4 r3",
        }
        assert moved == 2

    def test_without_a_source(self):
        table, moved = leave_out(manifest().table, "source", "street")
        assert standing(table) == {"train": "a1 a2 r1", "test": "a4 b1 b2 b3 r2 r4"}
        assert moved == 5

    def test_a_file_that_is_learnt_from_is_not_moved(self):
        table = manifest().table
        same = table.filter(path="r2.jpg")["sha256"][0]
        a2 = pl.col("path") == "a2.jpg"
        table = table.with_columns(sha256=pl.when(a2).then(pl.lit(same)).otherwise("sha256"))
        assert standing(leave_out(table, "generator", "a")[0])["test"] == "a3 a4 r3"

    def test_columns_are_those_that_others_need(self):
        assert tuple(leave_out(manifest().table, "generator", "a")[0].columns) == COLUMNS


class TestFiles:
    def test_each_generator_and_source_has_one(self, tmp_path):
        index = write_protocols(manifest(), tmp_path / "deep" / "down", SPEC)
        assert [(one.kind, one.left_out) for one in index.protocols] == [
            ("leave-one-generator-out", "a"),
            ("leave-one-generator-out", "b"),
            ("leave-one-source-out", "shop"),
            ("leave-one-source-out", "street"),
        ]
        assert {path.name for path in (tmp_path / "deep" / "down").iterdir()} == {
            INDEX,
            *(one.file for one in index.protocols),
        }

    def test_the_index_says_what_the_file_holds(self, tmp_path):
        whole = manifest()
        index = write_protocols(whole, tmp_path, SPEC)
        one = index.protocols[0]
        data = (tmp_path / one.file).read_bytes()
        assert one.sha256 == hashlib.sha256(data).hexdigest()
        assert one.counts["test"] == {"real": 1, "fake": 3}
        assert one.counts["train"] == {"real": 2, "fake": 1}
        assert one.counts["calibration"] == {"real": 0, "fake": 0}
        assert one.moved == 2
        assert (index.data_sha256, index.split) == (whole.sha256, SPEC)
        assert data.decode().splitlines()[0] == ",".join(COLUMNS)
        assert Protocols.read(tmp_path / INDEX) == index == read_index(tmp_path)

    def test_it_is_read_as_a_manifest(self, tmp_path):
        write_protocols(manifest(), tmp_path, SPEC)
        file = tmp_path / "leave-one-generator-out-a.csv"
        found = read_manifest(file, root=tmp_path / "pictures")
        assert found.root == tmp_path / "pictures"
        expected = leave_out(manifest().table, "generator", "a")[0]
        assert found.table.select(COLUMNS).equals(expected)

    def test_the_same_rows_give_the_same_bytes(self, tmp_path):
        whole = manifest()
        turned = Manifest(whole.table.reverse())
        one, other = (
            write_protocols(each, tmp_path / name, SPEC)
            for each, name in ((whole, "one"), (turned, "other"))
        )
        assert one == other

    @pytest.mark.parametrize(
        ("value", "plain"), [("Stable Diffusion/2", "stable-diffusion-2"), ("../..", ""), ("ж", "")]
    )
    def test_any_name_makes_a_file_of_its_own(self, tmp_path, value, plain):
        rows = manifest().table
        a = pl.col("generator") == "a"
        odd = rows.with_columns(generator=pl.when(a).then(pl.lit(value)).otherwise("generator"))
        write_protocols(Manifest(odd), tmp_path, SPEC)
        one = next(p for p in read_index(tmp_path).protocols if p.left_out == value)
        digest = hashlib.sha256(value.encode()).hexdigest()[:8]
        expected = "-".join(filter(None, ["leave-one-generator-out", plain, digest]))
        assert one.file == f"{expected}.csv"
        assert (tmp_path / one.file).is_file()
        assert len(read_manifest(tmp_path / one.file)) == 9

    def test_what_cannot_be_is_skipped_with_its_reason(self, tmp_path):
        rows = """
        r1 none one train g1
        r2 none one test  g2
        a1 a    one train g3
        b1 b    two train g1
        """
        index = write_protocols(manifest(rows), tmp_path, SPEC)
        assert [one.left_out for one in index.protocols] == ["a"]
        assert index.skipped == (
            "without generator b: it has no row for the test split",
            "without source one: no real row is left in train",
            "without source two: it has no row for the test split",
        )


class TestBelief:
    def test_a_missing_index_is_named(self, tmp_path):
        with pytest.raises(ManifestError, match=r"protocols\.json is not an index"):
            read_index(tmp_path)

    def test_an_index_with_a_strange_field_is_refused(self, tmp_path):
        write_protocols(manifest(), tmp_path, SPEC)
        output = json.loads((tmp_path / INDEX).read_text())
        (tmp_path / INDEX).write_text(json.dumps(output | {"more": 1}))
        with pytest.raises(ManifestError, match="not an index of protocols"):
            read_index(tmp_path)

    def test_an_index_that_names_a_file_elsewhere_is_refused(self, tmp_path):
        write_protocols(manifest(), tmp_path / "p", SPEC)
        text = (tmp_path / "p" / INDEX).read_text()
        (tmp_path / "p" / INDEX).write_text(text.replace('"file": "', '"file": "../'))
        with pytest.raises(ManifestError, match="not an index of protocols"):
            read_index(tmp_path / "p")
