"""The sets of an update, their weights, its recipe and its page: all that needs no training."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("pyarrow")

from faceproof.data.manifest import Manifest, Row
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.preparing import Equalising, PicturesSpec
from faceproof.data.preparing.spec import DataSet, FinishSpec, PreparationRecord
from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.errors import LeakError, ManifestError, UsageError
from faceproof.evaluation.evaluate import DetectorRef
from faceproof.evaluation.gate import DataSetSummary, Gate, GateRule, GuardedChange, Update
from faceproof.evaluation.paired import Change
from faceproof.imaging.preprocessing import CropSpec
from faceproof.reports.update_page import update_markdown, update_page, verdict
from faceproof.training.updating.sets import (
    PictureSet,
    add_weights,
    choose_pictures_spec,
    join_sets,
    old_generators,
    prepare_set,
    read_set,
    refuse_without_splits,
    roomy_crop,
    split_new,
)

SPLITS = ("train", "validation", "calibration", "test")
CROP = CropSpec(size=64, margin=0.1)


def silent(_: str) -> None:
    """Say nothing."""


def rows(folder: Path, kinds, each: int, *, splits=("",), **changed: str) -> list[Row]:
    """Write ``each`` files of each (generator, source), and return their rows."""
    found = []
    for generator, source in kinds:
        for number in range(each):
            path = f"{source}-{generator}-{number}.jpg"
            (folder / path).write_bytes(path.encode())
            output = {
                "path": path,
                "label": "real" if generator == "none" else "fake",
                "generator": generator,
                "source": source,
                "group": path,
                "sha256": hashlib.sha256(path.encode()).hexdigest(),
                "split": splits[number % len(splits)],
            }
            found.append(Row(**(output | changed)))
    return found


def a_set(folder: Path, found: list[Row], *, prepared: bool = True) -> PictureSet:
    """Write a manifest, and the faces of its pictures, and read it as a set."""
    manifest = Manifest(found, root=folder)
    write_manifest(manifest, folder / "manifest.parquet")
    if prepared:
        faces = {"path": manifest.table["path"], "landmarks": [[1.0] * 10] * len(manifest)}
        pl.DataFrame(faces).write_parquet(folder / "faces.parquet")
    return read_set(folder)


@pytest.fixture
def new(tmp_path):
    folder = tmp_path / "n"
    folder.mkdir()
    return a_set(folder, rows(folder, [("sd", "web")], 40))


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "o"
    folder.mkdir()
    kinds = [("none", "home"), ("none", "street"), ("gan", "lab"), ("swap", "lab")]
    return a_set(folder, rows(folder, kinds, 20, splits=SPLITS))


class TestSets:
    def test_a_manifest_is_prepared_where_every_face_is_known(self, old, tmp_path):
        assert old.is_prepared
        assert read_set(tmp_path / "o" / "manifest.parquet").is_prepared
        few = old.manifest.with_table(old.manifest.table.head(3))
        write_manifest(few, tmp_path / "few.parquet")
        assert read_set(tmp_path / "few.parquet").is_prepared
        pl.read_parquet(tmp_path / "o" / "faces.parquet").head(2).write_parquet(
            tmp_path / "o" / "faces.parquet"
        )
        assert not read_set(tmp_path / "few.parquet").is_prepared

    def test_new_pictures_without_splits_get_them_and_enough_is_held_out(self, new, old):
        output = []
        counts = split_new(new, old, progress=output.append).manifest.counts()
        assert sum(counts.values()) == 40
        assert 20 <= counts["train"] <= 28
        assert min(counts.values()) >= 3
        assert "has no splits: divided into" in output[0]

    def test_splits_that_are_there_stay(self, old):
        assert split_new(old, None, progress=silent).manifest == old.manifest

    def test_a_picture_of_the_old_test_split_is_not_learned(self, new, old, tmp_path):
        tested = old.manifest.table.filter(split="test", label="fake").head(1)
        leaking = pl.concat([new.manifest.table, tested.with_columns(split=pl.lit("train"))])
        actual = PictureSet(Manifest(leaking.with_columns(split=pl.lit("train"))), True, "web")
        with pytest.raises(LeakError, match=r"of web is .* 'train' here and 'test' there"):
            split_new(actual, old, progress=silent)

    def test_not_even_once_it_was_prepared(self, new, old):
        """The old set keeps the hash of the file that each crop was cut from."""
        table = old.manifest.table
        first = new.manifest.table["sha256"][0]
        origins = pl.Series("origin_sha256", [first] + [""] * (len(table) - 1))
        cut = PictureSet(Manifest(table.with_columns(origins)), True, "old")
        moved = PictureSet(
            Manifest(new.manifest.table.with_columns(split=pl.lit("validation"))), True, "web"
        )
        with pytest.raises(ManifestError, match="with the label 'fake' here and 'real' there"):
            split_new(moved, cut, progress=silent)

    def test_old_pictures_among_the_new_are_left_to_the_old_set(self, new, old):
        both = pl.concat([new.manifest.table, old.manifest.table.filter(split="train")])
        actual, output = PictureSet(Manifest(both), True, "web"), []
        left = split_new(actual, old, progress=output.append).manifest.table
        assert set(left["generator"]) == {"sd"}
        assert any("20 pictures are old ones" in line for line in output)

    def test_nothing_new_is_refused(self, old):
        with pytest.raises(ManifestError, match="has no new pictures"):
            split_new(old, old, progress=silent)

    def test_old_pictures_without_splits_are_refused(self, new):
        with pytest.raises(ManifestError, match="outside the training split"):
            refuse_without_splits(new)


class TestCrops:
    def record(self, folder: Path, spec: PicturesSpec, *, side=None) -> None:
        """Write how the folder was prepared."""
        counts = DataSet(sha256="0", rows=1, real=1, fake=0)
        PreparationRecord(
            spec=spec,
            finish=FinishSpec(),
            side=side,
            before=counts,
            after=counts,
            problems={},
            outside={},
            weights=(),
            versions={},
        ).write(folder / "prepare.json")

    @pytest.mark.parametrize(
        ("crop", "message"),
        [
            (CropSpec(size=64, margin=0.0), "has a crop margin of 0, but the detector needs 0.1"),
            (CropSpec(size=32, margin=0.1), "has faces at 27 px, but the detector needs 53 px"),
            (CropSpec(method="whole", size=64), "has crops of whole"),
        ],
    )
    def test_a_crop_that_lacks_what_the_detector_sees(self, old, tmp_path, crop, message):
        self.record(tmp_path / "o", PicturesSpec(crop=crop))
        with pytest.raises(UsageError, match=message) as error:
            prepare_set(old, CROP, tmp_path / "out", progress=silent)
        assert "data prepare --detector" in str(error.value)

    @pytest.mark.parametrize(
        "spec",
        [
            PicturesSpec(crop=CROP),
            PicturesSpec(crop=CropSpec(size=256, margin=0.25)),
            PicturesSpec(crop=CropSpec(size=16), keep="picture"),
        ],
    )
    def test_a_crop_that_shows_at_least_that_is_taken(self, old, tmp_path, spec):
        self.record(tmp_path / "o", spec)
        assert prepare_set(old, CROP, tmp_path / "out", progress=silent) is old

    def test_new_pictures_are_prepared_as_the_old_ones_were(self, old, tmp_path):
        was = PicturesSpec(crop=CropSpec(size=256, margin=0.25), equalise=Equalising(), seed=3)
        self.record(tmp_path / "o", was, side=90)
        wanted = was.model_copy(update={"equalise": Equalising(side=90)})
        assert choose_pictures_spec(CROP, old) == wanted

    def test_else_with_room_around_the_face(self):
        made = choose_pictures_spec(CROP, None).crop
        assert made == roomy_crop(CROP)
        assert made.margin == pytest.approx(0.35)
        assert made.size / (1 + 2 * made.margin) >= 112
        assert choose_pictures_spec(CropSpec(method="whole"), None).keep == "picture"
        assert roomy_crop(CropSpec(size=1024, margin=0.9)).size == 1024


class TestJoined:
    def weights(self, manifest: Manifest, **kind: str) -> float:
        """Return the weight of all rows of a kind together."""
        return manifest.table.filter(split="train", **kind)["weight"].sum()

    def test_one_folder_with_every_picture_its_face_and_its_split(self, new, old, tmp_path):
        split = split_new(new, old, progress=silent)
        join_sets(split, old, tmp_path / "data", replay_share=0.5)
        manifest = read_manifest(tmp_path / "data" / "manifest.parquet")
        assert len(manifest) == 120
        faces = pl.read_parquet(tmp_path / "data" / "faces.parquet")
        assert set(faces["path"]) == set(manifest.table["path"])
        for path, sha256 in manifest.table.select("path", "sha256").iter_rows():
            content = (tmp_path / "data" / path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == sha256

    def test_fakes_are_drawn_by_share_generator_and_source_and_reals_by_source(
        self, new, old, tmp_path
    ):
        split = split_new(new, old, progress=silent)
        made = join_sets(split, old, tmp_path / "data", replay_share=0.3)
        assert self.weights(made, generator="sd") == pytest.approx(0.7)
        assert self.weights(made, generator="gan") == pytest.approx(0.15)
        assert self.weights(made, generator="swap") == pytest.approx(0.15)
        assert self.weights(made, source="home") == pytest.approx(0.5)
        assert self.weights(made, source="street") == pytest.approx(0.5)

    def test_a_share_of_0_learns_from_no_old_picture(self, new, old, tmp_path):
        split = split_new(new, old, progress=silent)
        made = join_sets(split, old, tmp_path / "data", replay_share=0)
        of_old = made.table.filter(pl.col("path").str.starts_with("replay/"))
        assert set(of_old["split"]) == set(SPLITS) - {"train"}
        assert self.weights(made, generator="sd") == pytest.approx(1)

    def test_without_old_pictures(self, new, tmp_path):
        split = split_new(new, None, progress=silent)
        made = join_sets(split, None, tmp_path / "data", replay_share=0)
        assert self.weights(made, generator="sd") == pytest.approx(1)
        assert old_generators(None) == ()

    def test_a_second_time_is_the_same(self, new, old, tmp_path):
        split = split_new(new, old, progress=silent)
        first = join_sets(split, old, tmp_path / "data", replay_share=0.5)
        assert join_sets(split, old, tmp_path / "data", replay_share=0.5).sha256 == first.sha256

    def test_a_group_in_another_split_is_a_leak_and_both_sets_are_named(self, old, tmp_path):
        folder = tmp_path / "n"
        folder.mkdir()
        group = old.manifest.table.filter(split="test")["group"][0]
        new = a_set(folder, rows(folder, [("sd", "web")], 4, splits=("train",), group=group))
        with pytest.raises(LeakError, match=r"/n and .*/o together: group .* occurs in"):
            join_sets(new, old, tmp_path / "data", replay_share=0.5)

    def test_a_picture_that_is_gone_is_named(self, new, old, tmp_path):
        split = split_new(new, old, progress=silent)
        gone = split.manifest.table["path"][3]
        (tmp_path / "n" / gone).unlink()
        with pytest.raises(ManifestError, match=rf"{gone} of .* is missing"):
            join_sets(split, old, tmp_path / "data", replay_share=0.5)

    def test_new_real_sources_count_like_old_ones(self):
        kinds = [("new/a", "real", "none", "x"), ("replay/b", "real", "none", "y")] + [
            (f"replay/c{n}", "real", "none", "z") for n in range(8)
        ]
        table = pl.DataFrame(
            kinds, schema=["path", "label", "generator", "source"], orient="row"
        ).with_columns(split=pl.lit("train"))
        weights = add_weights(table, replay_share=0.5)["weight"].to_list()
        assert weights == pytest.approx([1 / 3, 1 / 3, *[1 / 24] * 8])

    def test_old_generators_are_those_of_the_old_fakes(self, old):
        assert old_generators(old) == ("gan", "swap")


def an_update(*, accepted: bool, outcome: str) -> Update:
    """Return a small record."""
    point = OperatingPoint(
        name="1-in-100",
        real_below=0.1,
        fake_from=0.9,
        promise="p",
        bpcer_budget=0.01,
        chosen_on=ChosenOn(data_sha256="c" * 64, n=9),
    )
    actual = {"n": 50, "groups": 40, "old": 0.9, "new": 0.8, "change": -0.1, "low": -0.2, "high": 0}
    lost = Change(metric="recall", slice="generator=<gan>|x", **actual)
    learned = DataSetSummary(
        name="a|b", data_sha256="d" * 64, rows={"train": 5}, training_fakes={"sd": 1234}
    )
    return Update(
        old=DetectorRef(name="d", version="1.0", sha256="a" * 64),
        candidate=DetectorRef(name="d", version="1.0-u1", sha256="b" * 64),
        new_data=learned,
        replay=None,
        replay_share=0.0,
        steps=300,
        gate=Gate(
            rule=GateRule(),
            data_sha256="d" * 64,
            split="validation",
            old_point=point,
            new_point=point,
            not_judged=0,
            guarded=(GuardedChange(change=lost, outcome=outcome),),
            others=(lost.model_copy(update={"slice": "all", "condition": "jpeg-60"}),),
            cautions=("no `old` generator <b>was</b> measured",),
            accepted=accepted,
        ),
        tested=(lost,) if accepted else (),
    )


class TestPage:
    def test_a_refusal_says_why_and_that_test_was_not_read(self):
        done = an_update(accepted=False, outcome="lost")
        for text in (update_markdown(done), update_page(done)):
            assert "80.0 %" in text
            assert "-10.0 [-20.0, +0.0]" in text.replace("\\", "")
            assert "Not read, because a retry after seeing test figures" in text
        assert verdict(done.gate) == (
            "A loss of more than 2 percentage points was found or is possible: generator=<gan>|x "
            "recall from 90.0 % to 80.0 % (n 50)."
        )

    def test_an_accepted_one_shows_test_and_says_what_nobody_can_tell(self):
        done = an_update(accepted=True, outcome="cannot tell")
        assert "Not read" not in update_markdown(done) + update_page(done)
        assert verdict(done.gate).endswith(
            "0 of 1 checked figures held; 1 undecided, with too few faces."
        )

    def test_what_comes_from_elsewhere_cannot_break_out(self):
        done = an_update(accepted=True, outcome="held")
        page, text = update_page(done), update_markdown(done)
        assert "<gan>" not in page
        assert "<b>was" not in page
        assert "generator=<gan>|x" not in text
        assert "all as jpeg-60" in page

    def test_the_record_survives_a_file(self, tmp_path):
        done = an_update(accepted=True, outcome="held")
        done.write(tmp_path / "update.json")
        assert Update.read(tmp_path / "update.json") == done
