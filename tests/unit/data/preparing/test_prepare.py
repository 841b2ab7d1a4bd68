"""A whole preparation: what lies in the folder, going on after a break, and what is refused."""

from __future__ import annotations

import csv
import errno
import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from skimage import data

from faceproof.data.manifest import Manifest, Row
from faceproof.data.manifest_files import read_manifest
from faceproof.data.preparing import (
    Equalising,
    FinishSpec,
    PicturesSpec,
    PreparationRecord,
    PrepareOptions,
    ShardsSpec,
    prepare_manifest,
    read_shard,
)
from faceproof.data.preparing import pictures as pictures_module
from faceproof.data.preparing import prepare as prepare_module
from faceproof.data.preparing import (
    summary as probing,
)
from faceproof.data.preparing.folder import read_landmarks, read_prepared
from faceproof.data.preparing.pictures import equalised_side
from faceproof.data.preparing.prepare import compute_common_side
from faceproof.data.preparing.summary import count_failed, summary_lines
from faceproof.data.shortcuts.result import FamilyResult, GuiltyFeature, ProbeResult
from faceproof.errors import DataError, ManifestError, UsageError
from faceproof.imaging.decode import decode, load
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import CropSpec

PLAIN = FinishSpec(probe=False)


def portrait(seed: int, side: int = 160) -> np.ndarray:
    """Return the astronaut's head, each seed another picture."""
    left, top = (int(n) for n in np.random.default_rng(seed).integers(0, 30, 2))
    head = data.astronaut()[top : top + 230, 100 + left : 330 + left]
    return cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)


def write_rows(root: Path, files: dict[str, tuple[bytes, str]]) -> Manifest:
    """Return the manifest of files: content and split by name; fake where the name says so."""
    rows = []
    for name, (content, split) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        fake = "fake" in name
        label, generator = ("fake", "stylegan") if fake else ("real", "none")
        output = {"age": name[-5]}
        rows.append(Row(name, label, generator, "made-up", f"g {name}", digest, split, output))
    return Manifest(rows, root=root)


def usable(root: Path, count: int = 6) -> Manifest:
    """Return a manifest of heads, half of them fake."""
    files = {
        f"{'fake' if n % 2 else 'photo'}/{n}.jpg": (
            encode_jpeg(portrait(n, 200 if n % 2 else 160), 90 - n),
            "train" if n < 4 else "test",
        )
        for n in range(count)
    }
    return write_rows(root, files)


def never(job: object, context: object) -> None:
    """Stand where nothing may be prepared."""
    raise AssertionError(f"{job} is prepared again")


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def raw(tmp_path: Path) -> Manifest:
    return usable(tmp_path / "raw")


def test_the_prepared_set_is_the_same_rows_with_new_pictures(raw, tmp_path):
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert made.root == tmp_path / "out"
    assert prepared.after.sha256 == made.sha256 != raw.sha256
    for old, new in zip(raw.rows, made.rows, strict=True):
        content = (tmp_path / "out" / new.path).read_bytes()
        assert new.sha256 == hashlib.sha256(content).hexdigest()
        assert (new.label, new.generator, new.source) == (old.label, old.generator, old.source)
        assert (new.split, new.group) == (old.split, old.group)
        attributes = new.attributes
        assert (attributes["origin"], attributes["origin_sha256"]) == (old.path, old.sha256)
        assert (attributes["age"], attributes["faces"]) == (old.attributes["age"], "1")
        assert (attributes["width"], attributes["format"]) == ("256", "PNG")
        assert "jpeg_quality" not in attributes
    assert made.table["weight"].to_list() == [1.0] * 6
    assert made.table["bytes"].to_list() == [
        (tmp_path / "out" / path).stat().st_size for path in made.table["path"]
    ]


def test_faces_are_where_training_looks_for_them(raw, tmp_path):
    """`read_landmarks` is what training reads with; the landmarks are those of the crop."""
    prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    faces = read_landmarks(tmp_path / "out")
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert set(faces) == set(made.table["path"])
    for path, points in faces.items():
        (face, *_) = YuNet().find(decode((tmp_path / "out" / path).read_bytes()).pixels)
        assert np.abs(points - face.landmarks).mean() < 6


def test_what_is_left_out_stands_in_a_table_with_its_reason(tmp_path):
    head = encode_jpeg(portrait(0), 90)
    files = {
        "photo/good.jpg": (head, ""),
        "photo/cut.jpg": (head[: len(head) // 2], ""),
        "photo/cup.jpg": (encode_jpeg(data.coffee()[:200, :300], 90), ""),
        "fake/tiny.jpg": (encode_jpeg(portrait(1, 20), 90), ""),
        "fake/new.jpg": (encode_jpeg(portrait(2), 90), ""),
        "fake/gone, too.jpg": (encode_jpeg(portrait(3), 90), ""),
    }
    raw = write_rows(tmp_path / "raw", files)
    (tmp_path / "raw/fake/new.jpg").write_bytes(head)
    (tmp_path / "raw/fake/gone, too.jpg").unlink()
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    with (tmp_path / "out" / "problems.csv").open(encoding="utf-8", newline="") as file:
        output = {line["path"]: line["code"] for line in csv.DictReader(file)}
    assert output == {
        "photo/cut.jpg": "truncated_picture",
        "photo/cup.jpg": "no_face",
        "fake/tiny.jpg": "too_small",
        "fake/new.jpg": "changed",
        "fake/gone, too.jpg": "source_not_found",
    }
    assert prepared.after.rows == 1
    assert prepared.problems == dict.fromkeys(sorted(output.values()), 1)
    assert count_failed(prepared) == 3
    (line, *_) = summary_lines(prepared)
    assert line.startswith("6 rows: 1 prepared (1 real, 0 fake); excluded: 1 changed, 1 no_face")


def test_fill_that_tells_the_classes_apart_is_told(tmp_path):
    """Fakes cut so close that their crops reach over the edge, as many sets of faces are."""
    tight = cv2.resize(data.astronaut()[40:180, 165:285], (180, 210))
    wide = data.astronaut()[0:300, 60:400]
    files = {
        "fake/a.jpg": (encode_jpeg(tight, 90), "train"),
        "photo/b.jpg": (encode_jpeg(wide, 90), "train"),
    }
    raw = write_rows(tmp_path / "raw", files)
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    shares = [float(row.attributes["outside"]) for row in made.rows]
    assert prepared.outside == {"fake": shares[0], "real": shares[1]}
    assert shares[0] > 0.2
    assert shares[1] < 0.05
    lines = list(summary_lines(prepared))
    assert lines[1].startswith(
        f"mean share outside of its picture, and filled: {shares[0]:.0%} of a fake crop"
    )
    assert lines[2].startswith("warning: the fill predicts the class")
    close = PicturesSpec(crop=CropSpec(size=160, margin=-0.1))
    less = prepare_manifest(raw, tmp_path / "close", close, finish=PLAIN)
    assert "outside" not in "".join(summary_lines(less))


def test_one_picture_in_two_files_never_stands_in_two_splits(tmp_path):
    """Once decoded and cut, the copy with a comment is the same picture: the later split loses."""
    head = encode_jpeg(portrait(0), 90)
    comment = head[:2] + b"\xff\xfe\x00\x06copy" + head[2:]
    files = {
        "photo/0.jpg": (head[:2] + b"\xff\xfe\x00\x06none" + head[2:], ""),
        "photo/a.jpg": (head, "train"),
        "photo/b.jpg": (comment, "test"),
        "photo/c.jpg": (head[:2] + b"\xff\xfe\x00\x06same" + head[2:], "train"),
    }
    raw = write_rows(tmp_path / "raw", files)
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert made.table["origin"].to_list() == [f"photo/{name}.jpg" for name in "0ac"]
    assert prepared.problems == {"leak": 1}
    output = (tmp_path / "out" / "problems.csv").read_text(encoding="utf-8")
    assert "the same picture as photo/a.jpg in train" in output
    assert count_failed(prepared) == 0


def test_rows_that_share_a_file_have_a_picture_each(tmp_path):
    head = encode_jpeg(portrait(0), 90)
    raw = write_rows(tmp_path / "raw", {f"photo/{n}.jpg": (head, "train") for n in range(3)})
    prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert len(set(made.table["path"])) == len(made) == 3


def test_a_kept_picture_keeps_the_quality_that_is_known_of_it(tmp_path):
    raw = usable(tmp_path / "raw", 2)
    known = raw.with_table(raw.table.with_columns(jpeg_quality=pl.Series([90, 89], dtype=pl.Int16)))
    qualities = []
    for name, spec in {"p": PicturesSpec(keep="picture"), "c": PicturesSpec()}.items():
        prepare_manifest(known, tmp_path / name, spec, finish=PLAIN)
        made = read_manifest(tmp_path / name / "manifest.parquet")
        qualities.append(made.table["jpeg_quality"].to_list())
    assert qualities == [[90, 89], [None, None]]


# one result, whatever happens on the way


def whole(raw: Manifest, output: Path, **how: object) -> dict[str, bytes]:
    """Return all that a preparation with everything on leaves behind."""
    spec = PicturesSpec(equalise=Equalising())
    shards = ShardsSpec(kind="webdataset", most_pictures=2)
    finish = FinishSpec(probe=False, balance=("class",), shards=shards)
    prepare_manifest(raw, output, spec, finish=finish, how=PrepareOptions(**how))
    return contents(output)


def test_the_number_of_threads_changes_nothing(raw, tmp_path):
    assert whole(raw, tmp_path / "a", workers=0) == whole(raw, tmp_path / "b", workers=4)


def test_a_run_that_broke_off_ends_in_the_same_bytes(raw, tmp_path, monkeypatch):
    """Broken after each picture in turn; what was finished is not done again."""
    expected = whole(raw, tmp_path / "unbroken")
    prepare_one, done = prepare_module.prepare_picture, []

    def breaking(job, context):
        if len(done) % 2 and not done[-1]:
            done.append("broken")
            raise KeyboardInterrupt
        done.append("")
        return prepare_one(job, context)

    monkeypatch.setattr(prepare_module, "prepare_picture", breaking)
    for _ in range(20):
        try:
            found = whole(raw, tmp_path / "broken", workers=0)
            break
        except KeyboardInterrupt:
            continue
    assert found == expected
    assert done.count("") == len(raw)
    assert done.count("broken") >= 3


@pytest.mark.parametrize("cut", [1, 40, 500])
def test_a_torn_journal_is_mended(raw, tmp_path, cut):
    expected = whole(raw, tmp_path / "out")
    journal = tmp_path / "out" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert whole(raw, tmp_path / "out") == expected


@pytest.mark.parametrize("damage", ["gone", "shorter", "other"])
def test_a_finished_picture_that_was_lost_is_made_again(raw, tmp_path, damage):
    expected = whole(raw, tmp_path / "out")
    (first, *_) = sorted((tmp_path / "out").rglob("*.png"))
    content = first.read_bytes()
    first.unlink()
    if damage != "gone":
        first.write_bytes(content[:-1] + (b"" if damage == "shorter" else b"x"))
    assert whole(raw, tmp_path / "out") == expected


def test_a_finished_folder_is_not_prepared_again(raw, tmp_path, monkeypatch):
    expected, output, counted = whole(raw, tmp_path / "out"), [], []
    monkeypatch.setattr(prepare_module, "prepare_picture", never)
    found = whole(raw, tmp_path / "out", say=output.append, advance=counted.append)
    assert found == expected
    assert "6 of 6 rows were finished before" in output
    assert len(counted) == 6


def test_weights_and_shards_change_without_preparing_again(raw, tmp_path, monkeypatch):
    whole(raw, tmp_path / "out")
    monkeypatch.setattr(prepare_module, "prepare_picture", never)
    spec = PicturesSpec(equalise=Equalising())
    shards = ShardsSpec(kind="parquet")
    finish = FinishSpec(probe=False, shards=shards)
    prepared = prepare_manifest(raw, tmp_path / "out", spec, finish=finish)
    folder = tmp_path / "out" / "shards"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["shards.json", "test-000000.parquet", "train-000000.parquet"]
    assert {s.facts.weight for s in read_shard(folder / "train-000000.parquet")} == {1.0}
    assert PreparationRecord.read(tmp_path / "out" / "prepare.json") == prepared
    prepare_manifest(raw, tmp_path / "out", spec, finish=PLAIN)
    assert not folder.exists()


def test_a_folder_without_its_record_is_not_finished(raw, tmp_path, monkeypatch):
    """The record is written last, and is gone while anything is written."""
    whole(raw, tmp_path / "out")
    monkeypatch.setattr("faceproof.data.preparing.prepare.write_shards", None)
    with pytest.raises(TypeError):
        whole(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "prepare.json").exists()


# what is refused


def test_another_spec_or_other_rows_are_refused_with_a_remedy(raw, tmp_path):
    prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    before = contents(tmp_path / "out")
    with pytest.raises(UsageError, match=r"with other options \(seed was 0, is 1\): .* --anew"):
        prepare_manifest(raw, tmp_path / "out", PicturesSpec(seed=1), finish=PLAIN)
    fewer = raw.with_table(raw.table.head(3))
    with pytest.raises(UsageError, match="other rows: set another folder"):
        prepare_manifest(fewer, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    assert contents(tmp_path / "out") == before
    anew = prepare_manifest(
        fewer, tmp_path / "out", PicturesSpec(seed=1), finish=PLAIN, how=PrepareOptions(anew=True)
    )
    assert anew.after.rows == 3
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_a_journal_of_another_version_is_refused(raw, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal.jsonl").write_text('{"schema": "faceproof.prepare-journal/9"}\n')
    with pytest.raises(UsageError, match="another version"):
        prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)


def test_a_folder_that_is_not_ours_is_left_alone_even_with_anew(raw, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for anew in (False, True):
        with pytest.raises(UsageError, match="not made by"):
            prepare_manifest(
                raw, tmp_path / "out", PicturesSpec(), finish=PLAIN, how=PrepareOptions(anew=anew)
            )
    assert contents(tmp_path / "out") == {"thesis.txt": b"years of work"}
    with pytest.raises(UsageError, match="is a file"):
        prepare_manifest(raw, tmp_path / "out" / "thesis.txt", PicturesSpec(), finish=PLAIN)


def test_anew_keeps_what_somebody_laid_into_the_folder(raw, tmp_path):
    prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    prepare_manifest(
        raw, tmp_path / "out", PicturesSpec(seed=3), finish=PLAIN, how=PrepareOptions(anew=True)
    )
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_second_run_in_the_same_folder_is_refused(raw, tmp_path):
    inner: list[str] = []

    def again(_: object) -> None:
        if not inner:
            with pytest.raises(UsageError, match="another run is writing") as error:
                prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)
            inner.append(str(error.value))

    how = PrepareOptions(workers=0, advance=again)
    assert prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN, how=how)
    assert inner


def test_a_run_that_was_killed_before_its_journal_can_start_again(raw, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prepare.lock").touch()
    assert prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=PLAIN)


def test_a_full_disk_is_told_and_the_run_goes_on_later(raw, tmp_path, monkeypatch):
    expected = whole(raw, tmp_path / "unbroken")
    written = pictures_module._write_picture

    def full(kept, job, context, faces):
        if list(context.output.rglob("*.png")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(kept, job, context, faces)

    with monkeypatch.context() as patch:
        patch.setattr(pictures_module, "_write_picture", full)
        with pytest.raises(DataError, match="the disk is full; make room and run the same"):
            whole(raw, tmp_path / "out", workers=0)
    assert whole(raw, tmp_path / "out") == expected


def test_a_manifest_without_a_data_folder_is_refused(raw, tmp_path):
    with pytest.raises(ManifestError, match="--root"):
        prepare_manifest(Manifest(raw.table), tmp_path / "out", PicturesSpec(), finish=PLAIN)
    assert not (tmp_path / "out").exists()


# the common side


def test_the_common_side_reduces_the_smallest_class_of_a_source_too(tmp_path):
    """The fakes are 200 px, the photographs 160."""
    raw, output = usable(tmp_path / "raw"), []
    spec = PicturesSpec(keep="picture", equalise=Equalising())
    assert compute_common_side(raw.table, tmp_path / "raw", spec, YuNet()) == 120
    prepared = prepare_manifest(
        raw, tmp_path / "out", spec, finish=PLAIN, how=PrepareOptions(say=output.append)
    )
    assert (prepared.side, output[0]) == (120, "common side of pictures: 120 px")
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert set(made.table["width"]) == {120}
    assert made.table["jpeg_quality"].is_between(70, 95).all()


def test_the_common_side_of_crops_is_that_of_faces(tmp_path):
    """The same head stands in pictures of 200 and of 160 px: three quarters of its smaller side."""
    raw, output = usable(tmp_path / "raw"), []
    spec = PicturesSpec(equalise=Equalising())
    found = []
    for path in raw.table.filter(pl.col("label") == "real")["path"]:
        pixels = load(tmp_path / "raw" / path).pixels
        found.append(equalised_side(pixels, YuNet().find(pixels)[0].landmarks, spec))
    how = PrepareOptions(say=output.append)
    prepared = prepare_manifest(raw, tmp_path / "out", spec, finish=PLAIN, how=how)
    assert prepared.side == round(0.75 * float(np.median(found)))
    assert prepared.side < 120
    assert output[0] == f"common side of faces: {prepared.side} px"


def test_one_class_alone_cannot_be_equalised_unless_the_side_is_given(tmp_path):
    raw = usable(tmp_path / "raw")
    fakes = raw.with_table(raw.table.filter(pl.col("label") == "fake"))
    with pytest.raises(UsageError, match=r"all 3 rows are fake: .*--equalise-side"):
        prepare_manifest(fakes, tmp_path / "out", PicturesSpec(equalise=Equalising()), finish=PLAIN)
    spec = PicturesSpec(equalise=Equalising(side=150))
    assert prepare_manifest(fakes, tmp_path / "out", spec, finish=PLAIN).side == 150


def test_sizes_that_cannot_be_told_are_refused(tmp_path):
    raw = usable(tmp_path / "raw", 2)
    (tmp_path / "raw" / "fake" / "1.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="no picture of fake made-up can be opened and has a f"):
        compute_common_side(raw.table, tmp_path / "raw", PicturesSpec(), YuNet())


# weights


def test_weights_stand_in_the_manifest_and_are_told(tmp_path):
    raw = usable(tmp_path / "raw", 5)
    finish = FinishSpec(probe=False, balance=("class",))
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(), finish=finish)
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    by_class = made.table.filter(pl.col("split") == "train").group_by("label")
    assert by_class.agg(pl.col("weight").sum())["weight"].to_list() == pytest.approx([2, 2])
    assert [(w.split, w.rows, w.most) for w in prepared.weights] == [
        ("train", 4, 1.0),
        ("test", 1, 1.0),
    ]
    heavy = replace(PrepareOptions(), workers=1)
    uneven = raw.with_table(raw.table.with_columns(weight=pl.Series([60.0, 1, 1, 1, 1])))
    kept = prepare_manifest(uneven, tmp_path / "kept", PicturesSpec(), finish=PLAIN, how=heavy)
    assert kept.weights[0].most == 60.0
    lines = [line for line in summary_lines(kept) if "fill" not in line]
    assert lines[1].startswith("weights in train: 60.00 at the most; its 4 rows vary as much as 1")
    assert lines[2].startswith("warning: a row with weight 60 is memorised")


# the probe


def probed(auc: float, **families: float) -> ProbeResult:
    """Return a result of the probe; families above 0.7 are guilty by one feature."""
    near = {"low": auc - 0.05, "high": auc + 0.05}
    found = [
        FamilyResult(name=name, features=2, auc=own, low=own - 0.1, high=own)
        for name, own in families.items()
    ]
    guilty = [
        GuiltyFeature(feature="f", family=f.name, importance=0.1, says="more", auc=1, low=1, high=1)
        for f in found
        if f.auc > 0.7
    ]
    facts = {"n_real": 3, "n_fake": 3, "groups": 6, "folds": 3, "seed": 0}
    return ProbeResult(auc=auc, **near, families=tuple(found), guilty=tuple(guilty), **facts)


def test_the_probe_looks_at_the_same_rows_before_and_after(raw, tmp_path, monkeypatch):
    looked_at, results = [], [probed(0.95, file=0.9, format=0.8), probed(0.6, file=0.75)]

    def probe(items, **how):
        looked_at.append((list(items), how["seed"]))
        return results[len(looked_at) - 1]

    monkeypatch.setattr(probing, "probe_pictures", probe)
    (tmp_path / "raw" / "photo" / "0.jpg").unlink()
    prepared = prepare_manifest(raw, tmp_path / "out", PicturesSpec(seed=4))
    assert [prepared.probe_before, prepared.probe_after] == results
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    before, after = ([item.source for item in items] for items, _ in looked_at)
    assert before == [tmp_path / "raw" / row.attributes["origin"] for row in made.rows]
    assert after == [tmp_path / "out" / row.path for row in made.rows]
    for items, seed in looked_at:
        assert seed == 4
        assert [(i.is_fake, i.group) for i in items] == [(r.is_fake, r.group) for r in made.rows]
    lines = list(summary_lines(prepared))[1:]
    (start,) = [i for i, line in enumerate(lines) if line.startswith("prediction of the label")]
    lines = lines[start:]
    assert [line.split() for line in lines[1:5]] == [
        ["ROC-AUC", "[95", "%", "interval]", "before", "after"],
        [*("all", "features"), *("0.950", "[0.900,", "1.000]"), *("0.600", "[0.550,", "0.650]")],
        [
            *("file", "0.900", "[0.800,", "0.900],", "1", "guilty"),
            *("0.750", "[0.650,", "0.750],", "1", "guilty"),
        ],
        [
            *("format", "0.800", "[0.700,", "0.800],", "1", "guilty"),
            *("the", "same", "for", "all"),
        ],
    ]
    assert lines[5].startswith("after: unsure: ") or lines[5].startswith("after: none: ")


def test_too_few_pictures_for_a_probe_are_told(tmp_path):
    raw, output = usable(tmp_path / "raw", 2), []
    prepared = prepare_manifest(
        raw, tmp_path / "out", PicturesSpec(), how=PrepareOptions(say=output.append)
    )
    assert prepared.probe_before is None
    assert output[-1].startswith("the shortcut probe was skipped: ")


# as training reads it


def test_training_reads_what_was_prepared(tmp_path):
    raw = usable(tmp_path / "raw")
    halves = pl.Series("split", ["train", "test"] * 3)
    prepare_manifest(
        raw.with_table(raw.table.with_columns(halves)),
        tmp_path / "out",
        PicturesSpec(),
        finish=PLAIN,
    )
    found = read_prepared(tmp_path / "out")
    assert found.counts()["train"] == 3
    assert found.picture_path(found.rows[0].path).is_file()
    assert read_landmarks(tmp_path / "out").keys() == set(found.table["path"])


def test_a_folder_without_a_data_set_or_a_split_says_what_to_do(tmp_path):
    with pytest.raises(ManifestError, match="make one with `faceproof data import"):
        read_prepared(tmp_path)
    raw = usable(tmp_path / "raw")
    unsplit = raw.with_table(raw.table.with_columns(split=pl.lit("")))
    prepare_manifest(unsplit, tmp_path / "out", PicturesSpec(), finish=PLAIN)
    with pytest.raises(ManifestError, match="run `faceproof data split` on the manifest"):
        read_prepared(tmp_path / "out")
