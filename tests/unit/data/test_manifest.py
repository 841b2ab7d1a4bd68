"""The manifest: what it refuses, what it says of itself, and what survives a file."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from faceproof.data.manifest import CONTRACT, SPLITS, Manifest, Row
from faceproof.data.manifest_files import merge, read_manifest, write_manifest
from faceproof.errors import LeakError, ManifestError, SplitUseError

PURPOSES = {
    "fit": "train",
    "choose": "validation",
    "calibrate": "calibration",
    "final-report": "test",
}


def row(number: int, *, split: str = "train", **changes) -> Row:
    """Return a proper row; even numbers are real."""
    label = "fake" if number % 2 else "real"
    made = Row(
        path=f"pictures/{number}.jpg",
        label=label,
        generator="stylegan2" if number % 2 else "none",
        source="shop",
        group=f"shop/{number}",
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        split=split,
    )
    return replace(made, **changes)


ROWS = tuple(row(number, split=SPLITS[number % 4]) for number in range(12))
ROWS_OF_TEN = {f"pictures/{number}.jpg" for number in range(10)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": "Fake"}, "label is 'Fake', must be one of real, fake"),
        ({"label": "fake"}, "real exactly if its generator is 'none'"),
        ({"generator": "stylegan2"}, "real exactly if its generator is 'none'"),
        ({"split": "dev"}, "split is 'dev', must be one of train, validation, calibration, test"),
        ({"sha256": "abc"}, "sha256"),
        ({"group": ""}, "group and source must not be empty"),
        ({"source": ""}, "group and source must not be empty"),
        ({"path": "/etc/passwd"}, "must stay inside the data folder"),
        ({"path": "a/../../b.jpg"}, "must stay inside the data folder"),
        ({"attributes": {"label": "old"}}, "an attribute must not be called 'label'"),
    ],
)
def test_a_broken_row_is_refused_by_number_and_path(wrong, message):
    with pytest.raises(ManifestError) as refused:
        Manifest((row(1), row(2, **wrong)))
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"row 2 ({wrong.get('path', 'pictures/2.jpg')})")


def test_rows_without_a_split_are_a_manifest_too():
    assert Manifest((row(0, split=""), row(1, split=""))).counts() == dict.fromkeys(SPLITS, 0)


@pytest.mark.parametrize("key", ["group", "sha256"])
def test_nothing_stands_in_two_splits(key):
    same = {key: getattr(row(0), key)}
    Manifest((row(0), row(1, **same)))
    with pytest.raises(LeakError, match=f"{key} {same[key]} occurs in test and train"):
        Manifest((row(0), row(1, split="test", **same)))


def test_a_row_without_a_split_stands_in_none():
    """So what `split` leaves out may belong to a group of train."""
    manifest = Manifest((row(0), row(1, split="", group=row(0).group)))
    assert manifest.counts()["train"] == 1


class TestHash:
    def test_the_order_of_rows_and_their_paths_do_not_matter(self):
        moved = tuple(replace(one, path=f"elsewhere/{one.path}") for one in reversed(ROWS))
        assert Manifest(moved).sha256 == Manifest(ROWS).sha256

    @pytest.mark.parametrize(
        "change",
        [
            {"sha256": "f" * 64},
            {"split": "train"},
            {"label": "fake", "generator": "dalle"},
        ],
    )
    def test_what_decides_a_training_does(self, change):
        other = (*ROWS[:2], replace(ROWS[2], **change), *ROWS[3:])
        assert Manifest(other).sha256 != Manifest(ROWS).sha256

    def test_it_is_frozen(self):
        """Detectors name their data by it: this number must never change."""
        lines = "\n".join(sorted(f"{r.sha256} {r.label} {r.generator} {r.split}" for r in ROWS))
        assert Manifest(ROWS).sha256 == hashlib.sha256(lines.encode()).hexdigest()
        assert Manifest(ROWS).sha256.startswith("bfe66938b31e361f")


class TestTake:
    @pytest.mark.parametrize("purpose", PURPOSES)
    @pytest.mark.parametrize("split", SPLITS)
    def test_a_purpose_reads_its_own_split_alone(self, split, purpose):
        manifest = Manifest(ROWS)
        if split == PURPOSES[purpose]:
            assert [one.split for one in manifest.take(split, purpose=purpose)] == [split] * 3
        else:
            with pytest.raises(SplitUseError, match=split):
                manifest.take(split, purpose=purpose)

    def test_there_is_no_other_purpose(self):
        with pytest.raises(SplitUseError):
            Manifest(ROWS).take("test", purpose="look")

    def test_rows_keep_their_order(self):
        assert Manifest(ROWS).take("train", purpose="fit") == (ROWS[0], ROWS[4], ROWS[8])


class TestAtMost:
    MANIFEST = Manifest(
        row(number, split=("test", "train")[number >= 20], source=("shop", "street")[number >= 10])
        for number in range(40)
    )

    def test_only_the_named_split_is_limited_in_each_source_and_class(self):
        part = self.MANIFEST.at_most({"test": 3})
        assert part.counts() == {"train": 20, "validation": 0, "calibration": 0, "test": 12}
        kinds = part.table.filter(split="test").group_by("source", "label").len()
        assert kinds["len"].to_list() == [3] * 4

    def test_the_lowest_hashes_are_taken_in_the_order_of_the_manifest(self):
        rows = [one for one in self.MANIFEST.rows if one.path in ROWS_OF_TEN and one.is_fake]
        lowest = sorted(rows, key=lambda one: one.sha256)[:2]
        part = self.MANIFEST.at_most({"test": 2}).rows
        assert [one for one in part if one in rows] == [one for one in rows if one in lowest]

    def test_generators_count_apart_and_no_limit_is_the_manifest_itself(self):
        other = Manifest(row(n, generator=("sd", "flux")[n % 4 == 1]) for n in range(1, 16, 2))
        assert len(other.at_most({"train": 1})) == 2
        assert other.at_most({"train": 9}) == other
        assert other.at_most({}) is other


def test_counts_follow_the_order_of_splits():
    assert list(Manifest(ROWS).counts().items()) == [(split, 3) for split in SPLITS]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
class TestFiles:
    def test_every_value_survives(self, tmp_path: Path, name):
        rows = (
            row(0, attributes={"age": "007", "note": 'a "quoted", \n two-lined note'}),
            row(1, path="pictures/Łódź ü.jpg", attributes={"zip": "1e5", "gender": "NA"}),
            row(2, group="shop/nan", source="null", attributes={"age": "1.0", "t": "true"}),
        )
        write_manifest(Manifest(rows), tmp_path / name)
        again = read_manifest(tmp_path / name).rows
        assert again == rows
        assert [one.attributes for one in again] == [one.attributes for one in rows]

    def test_no_row_is_a_manifest(self, tmp_path: Path, name):
        write_manifest(Manifest(()), tmp_path / name)
        assert read_manifest(tmp_path / name) == Manifest(())

    def test_an_empty_attribute_is_none(self, tmp_path: Path, name):
        write_manifest(Manifest((row(0, attributes={"age": ""}), row(1))), tmp_path / name)
        assert [one.attributes for one in read_manifest(tmp_path / name).rows] == [{}, {}]

    def test_a_missing_or_broken_file_says_so(self, tmp_path: Path, name):
        with pytest.raises(ManifestError, match="cannot be read"):
            read_manifest(tmp_path / name)
        (tmp_path / name).write_bytes(b"PAR1\xff\xfe\x00\x81")
        with pytest.raises(ManifestError):
            read_manifest(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("name", ["caf\udce9.csv", "caf\udce9.parquet"])
def test_a_file_whose_name_is_not_utf8_is_read(tmp_path: Path, name):
    write_manifest(Manifest(ROWS), tmp_path / name)
    assert read_manifest(tmp_path / name).rows == ROWS
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ManifestError, match=r"caf\\xe9"):
        read_manifest(tmp_path / name)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ManifestError, match=rf"{name} cannot be written: .*directory"):
        write_manifest(Manifest(ROWS), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_missing_columns_are_named(tmp_path: Path):
    (tmp_path / "m.csv").write_text("path,label,generator\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"m\.csv lacks the columns source, group, sha256, spl"):
        read_manifest(tmp_path / "m.csv")


def csv_of(*lines: str) -> str:
    return "\n".join((",".join(CONTRACT), *lines, ""))


LINE = f"a.jpg,real,none,shop,g,{'0' * 64},train"


def test_a_file_of_a_spreadsheet_is_read(tmp_path: Path):
    """With a byte order mark and line ends of two characters."""
    text = "\ufeff" + csv_of(LINE).replace("\n", "\r\n")
    (tmp_path / "m.csv").write_bytes(text.encode())
    assert len(read_manifest(tmp_path / "m.csv").rows) == 1


@pytest.mark.parametrize("line", [LINE + ",more", LINE.rpartition(",")[0]])
def test_a_line_of_another_length_is_refused(tmp_path: Path, line):
    (tmp_path / "m.csv").write_text(csv_of(LINE, line), encoding="utf-8")
    with pytest.raises(ManifestError, match="Row #3: Expected 7 columns, got"):
        read_manifest(tmp_path / "m.csv")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path):
    text = csv_of(LINE).replace("split", "split,age,age").replace("train", "train,1,2")
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match="'age' twice"):
        read_manifest(tmp_path / "m.csv")


def foreign(**columns: object) -> pl.DataFrame:
    """Return a table of one proper row, with columns of another program."""
    return pl.DataFrame(dict(zip(CONTRACT, LINE.split(","), strict=True)) | columns)


def test_numbers_in_a_parquet_file_of_others_become_text(tmp_path: Path):
    foreign(age=0, score=None).write_parquet(tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").rows[0].attributes == {"age": "0"}


def test_what_is_no_text_is_refused_by_its_column():
    with pytest.raises(ManifestError, match="column 'embedding' has type List"):
        Manifest(foreign(embedding=[[1.0, 2.0]]))


class TestFacts:
    def test_they_are_numbers_in_the_table_and_text_in_a_row(self, tmp_path: Path):
        manifest = Manifest(foreign(width="200", jpeg_quality="", phash="ab" * 32))
        assert manifest.table["width"].to_list() == [200]
        assert manifest.table["jpeg_quality"].to_list() == [None]
        assert manifest.rows[0].attributes == {"width": "200", "phash": "ab" * 32}
        assert manifest.attribute_columns == ()
        for name in ("m.csv", "m.parquet"):
            write_manifest(manifest, tmp_path / name)
            assert read_manifest(tmp_path / name) == manifest

    def test_one_that_is_no_number_is_refused_by_its_row(self):
        with pytest.raises(ManifestError, match="row 1: width is 'wide', must be a number"):
            Manifest(foreign(width="wide"))


class TestRoot:
    def test_a_parquet_file_says_where_its_pictures_lie(self, tmp_path: Path):
        (tmp_path / "lists").mkdir()
        manifest = Manifest(foreign(), root=tmp_path / "pictures")
        write_manifest(manifest, tmp_path / "lists" / "m.parquet")
        again = read_manifest(tmp_path / "lists" / "m.parquet")
        assert again.picture_path("a.jpg") == tmp_path / "pictures" / "a.jpg"

    def test_it_goes_on_saying_so_where_both_have_moved(self, tmp_path: Path):
        (tmp_path / "here").mkdir()
        manifest = Manifest(foreign(), root=tmp_path / "here" / "pictures")
        write_manifest(manifest, tmp_path / "here" / "m.parquet")
        (tmp_path / "here").rename(tmp_path / "there")
        assert read_manifest(tmp_path / "there" / "m.parquet").root == tmp_path / "there/pictures"

    def test_a_csv_lies_above_its_pictures(self, tmp_path: Path):
        manifest = Manifest(foreign(), root=tmp_path / "pictures")
        write_manifest(manifest, tmp_path / "m.csv")
        again = read_manifest(tmp_path / "m.csv")
        assert again.picture_path(again.rows[0].path) == tmp_path / "pictures" / "a.jpg"
        (tmp_path / "lists").mkdir()
        with pytest.raises(ManifestError, match=r"write the manifest into a folder above them, or"):
            write_manifest(manifest, tmp_path / "lists" / "m.csv")
        assert list((tmp_path / "lists").iterdir()) == []

    def test_the_callers_word_counts_most(self, tmp_path: Path):
        write_manifest(Manifest(foreign(), root=tmp_path), tmp_path / "m.parquet")
        assert read_manifest(tmp_path / "m.parquet", root=Path("else")).root == Path("else")

    def test_without_one_no_picture_can_be_named(self):
        with pytest.raises(ManifestError, match=r"a\.jpg: .* set it with --root"):
            Manifest(foreign()).picture_path("a.jpg")


class TestMerge:
    def test_paths_begin_where_all_pictures_lie(self, tmp_path: Path):
        shop = Manifest(foreign(age="3"), root=tmp_path / "shop")
        web = Manifest(foreign(source="web"), root=tmp_path / "web" / "deep")
        whole = merge([shop, web])
        assert whole.root == tmp_path
        assert [one.path for one in whole.rows] == ["shop/a.jpg", "web/deep/a.jpg"]
        assert [one.attributes for one in whole.rows] == [{"age": "3"}, {}]

    def test_what_stands_in_both_is_taken_once(self, tmp_path: Path):
        one = Manifest(foreign(), root=tmp_path)
        assert merge([one, one]) == one

    def test_one_picture_in_two_splits_is_a_leak(self, tmp_path: Path):
        one = Manifest(foreign(), root=tmp_path)
        with pytest.raises(LeakError, match="occurs in test and train"):
            merge([one, Manifest(foreign(split="test"), root=tmp_path)])

    def test_an_unknown_folder_is_asked_for(self, tmp_path: Path):
        with pytest.raises(ManifestError, match="--root"):
            merge([Manifest(foreign(), root=tmp_path), Manifest(foreign())])


def test_its_repr_counts_rows_by_label_and_split():
    rows = [
        Row(f"{n}.jpg", label, generator, "home", f"g{n}", f"{n:064}", split)
        for n, (label, generator, split) in enumerate(
            [("real", "none", "train"), ("fake", "lamp", "train"), ("fake", "lamp", "test")]
        )
    ]
    assert repr(Manifest(rows)) == "<Manifest 3 rows: 1 real, 2 fake; train 2, test 1>"
    plain = [replace(row, split="") for row in rows]
    assert repr(Manifest(plain)) == "<Manifest 3 rows: 1 real, 2 fake; no splits>"
