"""What a split promises: clusters stay whole, old rows stay put, and the rest is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from faceproof.data.manifest import SPLITS, Manifest
from faceproof.data.splitting.split import SplitResult, SplitSpec, divide
from faceproof.errors import ManifestError, UsageError

A, B, FAR = bytes(32), bytes(31) + b"\xff", b"\xff" * 32  # B is 8 bits from A


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row(name: str, **known: str) -> dict[str, str]:
    """Return one real row with a group and a file of its own."""
    return {
        "path": f"{name}.jpg",
        "label": "real",
        "generator": "none",
        "source": "shop",
        "split": "",
        "group": f"g-{name}",
        "sha256": digest(name),
        "phash": hashlib.sha256(f"p{name}".encode()).hexdigest(),
    } | known


def manifest(*rows: dict[str, str], root: Path | None = None) -> Manifest:
    return Manifest(pl.DataFrame(list(rows)), root=root)


def many(count: int, start: int = 0, **known: str) -> list[dict[str, str]]:
    return [row(f"{number:05}", **known) for number in range(start, start + count)]


def split_of(divided: SplitResult | Manifest) -> dict[str, str]:
    table = (divided.manifest if isinstance(divided, SplitResult) else divided).table
    return {path.removesuffix(".jpg"): split for path, split in table["path", "split"].iter_rows()}


class TestClusters:
    def test_group_file_and_near_duplicate_join(self):
        rows = [
            row("a", group="one", phash=A.hex()),
            row("b", phash=B.hex(), sha256=digest("same")),
            row("c", sha256=digest("same")),
            row("d", group="one"),
            row("e", phash=FAR.hex()),
        ]
        divided = divide(manifest(*rows), SplitSpec())
        groups = dict(divided.manifest.table["path", "group"].iter_rows())
        assert [groups[f"{name}.jpg"] for name in "abcd"] == ["g-b"] * 4
        assert groups["e.jpg"] == "g-e"
        assert len({split_of(divided)[name] for name in "abcd"}) == 1
        assert divided.related.rows_joined == 4
        assert (divided.related.count, divided.related.largest) == (2, 4)

    def test_the_group_of_before_is_kept_where_it_changed(self):
        rows = [row("a", phash=A.hex()), row("b", phash=B.hex()), row("c")]
        once = divide(manifest(*rows), SplitSpec()).manifest
        before = dict(once.table["path", "group_before"].iter_rows())
        assert before == {"a.jpg": "", "b.jpg": "g-b", "c.jpg": ""}
        new = manifest(*rows[:0], *[row("0", phash=A.hex())])
        both = Manifest(pl.concat([once.table, new.table], how="diagonal"))
        twice = divide(both, SplitSpec()).manifest
        before = dict(twice.table["path", "group_before"].iter_rows())
        assert before == {"a.jpg": "g-a", "b.jpg": "g-b", "c.jpg": "", "0.jpg": ""}
        assert twice.table["group"].to_list() == ["g-0", "g-0", "g-c", "g-0"]

    def test_where_no_group_changes_there_is_no_such_column(self):
        assert "group_before" not in divide(manifest(*many(5)), SplitSpec()).manifest.table.columns

    def test_the_distance_can_be_chosen(self):
        rows = [row("a", phash=A.hex()), row("b", phash=B.hex())]
        for bits, clusters in ((7, 2), (8, 1)):
            assert divide(manifest(*rows), SplitSpec(near_bits=bits)).related.count == clusters

    def test_rows_without_a_hash_are_counted_and_told(self):
        rows = [row("a", phash=""), row("b", phash=""), row("c")]
        divided = divide(manifest(*rows), SplitSpec())
        assert divided.related.count == 3
        assert divided.related.without_hash == 2
        assert any("2 rows have no perceptual hash" in text for text in divided.warnings)

    def test_a_manifest_without_the_column_is_split_too(self):
        table = manifest(*many(3)).table.drop("phash")
        assert divide(Manifest(table), SplitSpec()).related.without_hash == 3

    def test_a_wrong_hash_is_refused(self):
        with pytest.raises(ManifestError, match="64 hexadecimal digits"):
            divide(manifest(row("a", phash="abc")), SplitSpec())

    def test_a_large_cluster_is_told(self):
        divided = divide(manifest(*many(2, group="one"), *many(30, start=2)), SplitSpec())
        assert any("the largest cluster has 2 of 32 rows" in text for text in divided.warnings)
        divided = divide(manifest(*many(2, group="one"), *many(38, start=2)), SplitSpec())
        assert not any("the largest cluster" in text for text in divided.warnings)


class TestMemory:
    def test_old_rows_stay_and_new_ones_follow_their_cluster(self):
        rows = [row("a", split="calibration"), row("b", group="g-a"), row("c", sha256=digest("a"))]
        divided = divide(manifest(*rows), SplitSpec())
        assert set(split_of(divided).values()) == {"calibration"}
        assert divided.kept == 2, "a and c are the same file"

    def test_an_older_manifest_is_known_by_hash_then_by_path(self):
        old = manifest(row("a", split="test"), row("b", split="validation"))
        moved = row("a", path="elsewhere.jpg", group="x")
        saved_again = row("b", sha256=digest("b again"), group="y")
        other = row("b", sha256=digest("a"), group="z")
        assert split_of(divide(manifest(moved, saved_again), SplitSpec(), older=[old])) == {
            "elsewhere": "test",
            "b": "validation",
        }
        assert split_of(divide(manifest(other), SplitSpec(), older=[old])) == {"b": "test"}

    def test_a_path_is_that_of_its_data_folder(self, tmp_path):
        """Two sets have a 00001.jpg each."""
        shares = {"train": 1.0}
        old = manifest(row("a", split="test"), root=tmp_path / "one")
        again = row("a", sha256=digest("other"), group="x")
        here = divide(manifest(again, root=tmp_path / "one"), SplitSpec(shares=shares), older=[old])
        there = divide(
            manifest(again, root=tmp_path / "two"), SplitSpec(shares=shares), older=[old]
        )
        assert (split_of(here), split_of(there)) == ({"a": "test"}, {"a": "train"})

    def test_the_first_older_manifest_counts_most_and_the_own_split_least(self):
        one, other = manifest(row("a", split="test")), manifest(row("a", split="validation"))
        own = manifest(row("a", split="train"))
        for older, expected in (([one, other], "test"), ([other], "validation"), ([], "train")):
            assert split_of(divide(own, SplitSpec(), older=older)) == {"a": expected}

    def test_a_row_that_contradicts_the_older_manifest_is_left_out(self):
        """Its group is in test there, and this manifest says train."""
        old = manifest(row("a", group="one", split="test"))
        own = manifest(row("b", group="one", split="train"), row("a", group="one", split="train"))
        divided = divide(own, SplitSpec(), older=[old])
        assert split_of(divided) == {"b": "", "a": "test"}
        (out,) = divided.left_out
        assert out.path == "b.jpg"
        assert out.reason == "its group is in test, the row itself in train: excluded"

    def test_an_old_row_counts_for_more_than_a_copy_of_another(self):
        """The copy is of a, which is in train, and of the group of b, which is in test."""
        old = manifest(row("a", split="train"), row("b", split="test"))
        copy = row("copy", sha256=digest("a"), group="g-b")
        divided = divide(manifest(copy, row("a"), row("b")), SplitSpec(), older=[old])
        assert split_of(divided) == {"copy": "", "a": "train", "b": "test"}

    def test_a_bridge_is_left_out_and_old_rows_stay(self):
        rows = [
            row("a", group="one", split="train"),
            row("b", phash=A.hex(), split="test"),
            row("c", group="one", phash=B.hex()),
            row("d", group="one"),
            row("e"),
        ]
        divided = divide(manifest(*rows), SplitSpec(shares={"train": 1.0}))
        assert split_of(divided) == {"a": "train", "b": "test", "c": "", "d": "", "e": "train"}
        actual = [(out.path, out.reason) for out in divided.left_out]
        assert actual == [(f"{name}.jpg", "connects train and test: excluded") for name in "cd"]
        assert divided.manifest.table["group"].to_list() == ["one", "g-b", "one", "one", "g-e"]
        assert not any("leak" in text for text in divided.warnings), "without c, nothing does"

    def test_old_rows_that_leak_are_told_and_stay(self):
        rows = [
            row("a", phash=A.hex(), split="train"),
            row("b", phash=B.hex(), split="test"),
            row("c", group="g-b", split="test"),
        ]
        divided = divide(manifest(*rows), SplitSpec())
        assert split_of(divided) == {"a": "train", "b": "test", "c": "test"}
        assert any(text.startswith("3 rows already leak") for text in divided.warnings)
        assert divided.left_out == ()

    def test_old_rows_count_to_the_shares(self):
        rows = [*many(60, split="train"), *many(40, start=60)]
        counts = list(divide(manifest(*rows), SplitSpec()).manifest.counts().values())
        assert counts == pytest.approx([70, 6, 12, 12], abs=1)


class TestTold:
    def test_counts_are_those_of_the_manifest(self):
        divided = divide(manifest(*many(200)), SplitSpec())
        where = divided.strata.index("label=real")
        assert divided.counts[where].tolist() == list(divided.manifest.counts().values())

    def test_an_empty_stratum_is_told(self):
        rows = [*many(100), row("x", label="fake", generator="gan")]
        divided = divide(manifest(*rows), SplitSpec())
        empty = [text for text in divided.warnings if "of generator=gan (1 rows)" in text]
        assert len(empty) == 3

    def test_what_wants_nothing_lacks_nothing(self):
        divided = divide(manifest(*many(100)), SplitSpec(shares={"train": 0.5, "test": 0.5}))
        assert divided.warnings == ()

    def test_many_empty_strata_are_counted(self):
        rows = [row(f"{number}", age=str(number)) for number in range(40)]
        warnings = divide(manifest(*rows), SplitSpec(by=("age",))).warnings
        assert len(warnings) == 11
        assert warnings[-1] == "and 110 more strata without a row in some split"

    def test_an_unknown_column_is_named_with_the_nearest(self):
        with pytest.raises(UsageError, match="'gendr', did you mean 'gender'"):
            divide(manifest(row("a", gender="f")), SplitSpec(by=("gendr",)))

    @pytest.mark.parametrize("column", ["path", "label", "split", "nothing"])
    def test_only_attributes_are_stratified_by(self, column):
        with pytest.raises(UsageError, match="must be one of phash"):
            divide(manifest(row("a")), SplitSpec(by=(column,)))

    def test_shares_must_be_whole(self):
        with pytest.raises(UsageError, match=r"the sum of the shares is 0\.9"):
            divide(manifest(row("a")), SplitSpec(shares={"train": 0.9}))


class TestEdges:
    def test_no_row(self):
        table = manifest(row("a")).table.clear()
        divided = divide(Manifest(table), SplitSpec())
        assert len(divided.manifest) == 0
        assert (divided.warnings, divided.left_out) == ((), ())

    def test_one_row(self):
        assert split_of(divide(manifest(row("a")), SplitSpec()))["a"] in SPLITS

    def test_one_class(self):
        counts = divide(manifest(*many(100, label="fake", generator="gan")), SplitSpec()).counts
        assert np.array_equal(counts[0], [70, 6, 12, 12])

    def test_nothing_but_split_and_group_changes(self):
        before = manifest(*many(20, age="3"))
        after = divide(before, SplitSpec()).manifest
        assert after.table.drop("split").equals(before.table.drop("split"))
        assert before.table["split"].to_list() == [""] * 20
