"""An update from end to end on small faces: a new generator, a gate, a refusal, bad input."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from skimage import data
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.cli import app  # noqa: E402
from faceproof.data.manifest_files import read_manifest  # noqa: E402
from faceproof.detector import Detector  # noqa: E402
from faceproof.detector.bundle import Bundle, write_bundle  # noqa: E402
from faceproof.errors import ManifestError, TrainingError, UsageError  # noqa: E402
from faceproof.evaluation.feedback import Feedback, read_feedback, to_json_lines  # noqa: E402
from faceproof.evaluation.gate import Update  # noqa: E402
from faceproof.evaluation.predictions import make_table as predictions_table  # noqa: E402
from faceproof.evaluation.predictions import origin_of, read_table, rows_of, write_table  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training.recipe import read_recipe  # noqa: E402
from faceproof.training.train import train  # noqa: E402
from faceproof.training.updating import update as updating  # noqa: E402
from support.feedback import feedback  # noqa: E402

FAST = (
    "schedule.steps=6",
    "schedule.batch_size=8",
    "calibration.conditions=['clean']",
    "export.conditions=['clean']",
)
PLAIN = ("device.accelerator='cpu'", "device.precision='32-true'", "device.loader_workers=0")


def faceproof(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def options(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module", autouse=True)
def without_trial_export():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_try_export", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def detector(prepared, tmp_path_factory) -> Path:
    """A detector that knows rosy cheeks."""
    longer = ("schedule.steps=24", "schedule.batch_size=16", "schedule.validate_steps=12")
    recipe = read_recipe(prepared / "recipe.toml", longer)
    return train(recipe, tmp_path_factory.mktemp("old"), progress=silent).folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Files of a new generator that makes faces green, and their manifest without splits."""
    folder = tmp_path_factory.mktemp("new")
    rows = []
    for number in range(500, 520):
        rng = np.random.default_rng(number)
        left, top = 100 + rng.integers(0, 40), rng.integers(0, 30)
        head = data.astronaut()[top : top + 200, left : left + 200] * [0.6, 1.0, 0.6] + [0, 40, 0]
        noisy = head + rng.normal(0, 3, head.shape)
        large = noisy.clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), large[:, :, ::-1])
        rows.append(
            {
                "path": path.name,
                "label": "fake",
                "generator": "leaf",
                "source": "garden",
                "split": "",
                "group": f"garden/{number}",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    pl.DataFrame(rows).write_csv(folder / "new.csv")
    return folder / "new.csv"


def wanted(detector: Path, pictures: Path, prepared: Path, output: Path, *more: object):
    """Run ``faceproof update``."""
    words = ("--detector", detector, "--data", pictures, "--output", output)
    replay = () if "--no-replay" in more else ("--replay", prepared)
    return faceproof("update", *words, *replay, *options(*FAST, *PLAIN), *more)


@pytest.fixture(scope="module")
def made(detector, pictures, prepared, tmp_path_factory):
    """The folder of an accepted update, and what the command said."""
    output = tmp_path_factory.mktemp("updates") / "leaf"
    return output, wanted(detector, pictures, prepared, output)


@pytest.fixture
def output(made, tmp_path) -> Path:
    """A copy of the folder, to go on with."""
    return Path(shutil.copytree(made[0], tmp_path / "leaf"))


class TestAccepted:
    def test_the_bundle_is_named_last_on_standard_output(self, made):
        output, result = made
        assert result.exit_code == 0, result.output
        head, *rows, last = result.stdout.splitlines()
        assert head.split()[:3] == ["faces", "metric", "n"]
        assert last == str(output / "bundle")
        assert [row.split()[0] for row in rows if row.endswith(("held", "cannot tell"))] == [
            "source=mini",
            "generator=blush",
        ]
        assert "accepted: No checked figure lost more than 2 percentage" in result.stderr
        assert "divided into" in result.stderr

    def test_the_new_detector_says_where_it_comes_from(self, made, detector):
        old, new = Bundle.read(detector), Bundle.read(made[0] / "bundle")
        assert (new.spec.name, new.spec.version) == ("mini", "1.0-u1")
        assert new.spec.generators_seen == ("blush", "leaf")
        assert new.spec.started_from[0].name == "mini 1.0"
        assert new.spec.started_from[0].sha256 == old.spec.members[0].weights.sha256
        assert old.sha256 in new.spec.notes[-1]
        assert new.spec.default_operating_point == "1-in-5"
        assert new.spec.preprocessing == old.spec.preprocessing
        assert "leaf" in (made[0] / "bundle" / "CARD.md").read_text(encoding="utf-8")
        Detector.load(made[0] / "bundle")

    def test_the_record_says_what_was_learned_and_what_changed(self, made):
        done = Update.read(made[0] / "update.json")
        assert done.accepted
        assert done.new_data.training_fakes.keys() == {"leaf"}
        assert done.replay.training_fakes == {"blush": 12}
        assert done.steps == 6
        assert (done.gate.split, done.gate.old_point.name) == ("validation", "1-in-5")
        assert {change.slice for change in done.gate.others} >= {"all", "generator=leaf"}
        assert {change.slice for change in done.tested} >= {"generator=blush", "generator=leaf"}
        for name in ("update.md", "update.html"):
            text = (made[0] / name).read_text(encoding="utf-8")
            assert "leaf" in text
            assert "accepted" in text

    def test_the_gate_read_validation_and_the_report_test(self, made):
        for split, purpose in (("validation", "choose"), ("test", "final-report")):
            for who in ("old", "new"):
                answers = read_table(made[0] / f"predictions-{split}-{who}.parquet")
                assert origin_of(answers).purpose == purpose
                assert set(answers["split"].to_pylist()) == {split}

    def test_nothing_but_the_training_split_was_learned(self, made):
        (start,) = json.loads((made[0] / "run.json").read_text(encoding="utf-8"))
        manifest = read_manifest(made[0] / "data" / "manifest.parquet")
        assert start["data_sha256"] == manifest.sha256
        assert start["recipe"]["schedule"]["keep"] == "last"
        assert start["recipe"]["distil"]["follow"] == "where_right"
        assert start["recipe"]["network"]["batch_norm"] == "frozen"
        train_rows = manifest.table.filter(pl.col("split") == "train")
        assert set(train_rows["generator"]) == {"none", "blush", "leaf"}

    def test_the_same_command_does_nothing_twice(
        self, output, detector, pictures, prepared, monkeypatch
    ):
        def never(*_, **__):
            raise AssertionError("predicted again")

        before = (output / "last.pt").read_bytes()
        monkeypatch.setattr("faceproof.training.finish.predict", never)
        assert wanted(detector, pictures, prepared, output).exit_code == 0
        assert (output / "last.pt").read_bytes() == before


class TestRefused:
    @pytest.fixture
    def refused(self, output, detector, pictures, prepared):
        for file in output.glob("predictions-test-*"):
            file.unlink()
        return output, wanted(detector, pictures, prepared, output, "--strict")

    def test_it_is_kept_and_says_so_itself_and_test_was_not_read(self, refused):
        output, result = refused
        assert result.exit_code == 3, result.output
        assert result.stdout.splitlines()[-1] == str(output / "refused")
        assert (
            "REFUSED: A loss of more than 2 percentage points was found or is possible"
            in result.stderr
        )
        assert not (output / "bundle").exists()
        assert not list(output.glob("predictions-test-*"))
        spec = Detector.load(output / "refused").spec
        assert spec.notes[0].startswith("REFUSED by the gate")
        assert "REFUSED" in (output / "refused" / "CARD.md").read_text(encoding="utf-8")
        done = Update.read(output / "update.json")
        assert (done.accepted, done.tested) == (False, ())
        assert "Not read" in (output / "update.html").read_text(encoding="utf-8")

    def test_json_is_the_record(self, output, detector, pictures, prepared):
        result = wanted(detector, pictures, prepared, output, "--strict", "--format", "json")
        assert json.loads(result.stdout) == json.loads((output / "update.json").read_bytes())


@pytest.fixture(scope="module")
def told(pictures, tmp_path_factory) -> tuple[Path, Path]:
    """A file of feedback and the folder of the pictures that were kept for it."""
    folder = tmp_path_factory.mktemp("kept")
    head = data.astronaut()[10:210, 110:310, ::-1]  # blue, green, red
    # Mirrored: the new pictures show the same face, and would be known again.
    heads = {"real": head[:, ::-1], "fake": head[:, ::-1] // 2}
    wide = np.full((300, 520, 3), 70, np.uint8)
    for name, left in (("real", 20), ("fake", 300)):
        canvas = wide.copy()
        canvas[60:260, left : left + 200] = heads[name]
        cv2.imwrite(str(folder / f"{name}.png"), canvas)
    shutil.copyfile(pictures.parent / "503.png", folder / "learned.png")
    again = cv2.imread(str(pictures.parent / "504.png"))
    cv2.imwrite(str(folder / "again.jpg"), cv2.resize(again, (160, 160)))
    given = [
        on_file(folder / "real.png", 1, truth="real"),
        on_file(folder / "fake.png", 2, truth="fake", generator="leaf"),
        on_file(folder / "learned.png", 3, truth="fake"),
        on_file(folder / "again.jpg", 4, truth="fake"),
        feedback(5),
    ]
    (folder / "told.jsonl").write_text("".join(to_json_lines(given)), encoding="utf-8")
    return folder / "told.jsonl", folder


class TestFeedback:
    @pytest.fixture
    def judged(self, told, output, detector, pictures, prepared):
        """Go on with the accepted update, and let feedback be judged."""

        def judged(kept: Path = told[1]):
            words = ("--feedback", told[0], "--feedback-pictures", kept)
            return output, wanted(detector, pictures, prepared, output, *words)

        return judged

    def test_it_is_a_slice_of_its_own_and_what_is_left_out_is_counted(self, judged):
        output, result = judged()
        assert result.exit_code in {0, 3}, result.output
        assert "2 pictures from 5 feedback entries; 1 not in the folder; 2 known" in result.stderr
        assert "have no perceptual hash" in result.stderr, "those of the replay"
        done = Update.read(output / "update.json")
        assert (done.feedback.told, done.feedback.known, done.feedback.not_found) == (5, 2, 1)
        assert done.feedback.judged == 2
        told = [one for one in done.gate.guarded if one.change.slice == "source=feedback"]
        assert {one.change.metric for one in told} == {"bpcer", "recall"}
        assert {one.change.n for one in told} == {1}
        for name in ("update.md", "update.html"):
            text = (output / name).read_text(encoding="utf-8")
            assert "source=feedback" in text.replace("\\", "")
            assert "used neither for training nor for selection" in text
            assert "2 of 5 judged" in text

    def test_it_is_in_nothing_that_is_learned_or_chosen_on(self, judged, told):
        output, _ = judged()
        manifest = read_manifest(output / "data" / "manifest.parquet")
        kept = {one.image.sha256 for one in read_feedback(told[0])[:2]}
        assert not kept & {*manifest.table["sha256"], *manifest.table["origin_sha256"]}
        assert "feedback" not in set(manifest.table["source"])
        for file in output.glob("predictions-*"):
            answers = read_table(file)
            is_feedback = "feedback" in file.name
            assert (origin_of(answers).purpose == "regression") == is_feedback
            assert (set(answers["source"].to_pylist()) == {"feedback"}) == is_feedback

    def test_more_wrong_than_before_is_refused(self, judged):
        """The candidate's answers are turned round: what was right is wrong."""
        output, _ = judged()
        for who, right in (("old", True), ("new", False)):
            file = output / f"predictions-feedback-{who}.parquet"
            turned = [
                replace(row, fake_probability=float((row.label == "fake") == right))
                for row in rows_of(read_table(file))
            ]
            write_table(predictions_table(turned, origin_of(read_table(file))), file)
        _, result = judged()
        assert result.exit_code == 3
        assert "source=feedback" in result.stderr
        done = Update.read(output / "update.json")
        assert (done.feedback.wrong_before, done.feedback.wrong_after) == (0, 2)
        assert done.feedback.newly_wrong_names == ("fake.png", "real.png")
        assert (output / "refused").is_dir()
        assert "fake.png, real.png" in (output / "update.html").read_text(encoding="utf-8")

    def test_feedback_that_is_not_there_decides_nothing_and_says_so(self, judged, tmp_path):
        _, result = judged(tmp_path)
        assert result.exit_code == 0
        assert "none of the 5 feedback entries could be judged" in result.stderr

    def test_one_without_the_other(self, detector, pictures, prepared, told, tmp_path):
        for words in (("--feedback", told[0]), ("--feedback-pictures", told[1])):
            result = wanted(detector, pictures, prepared, tmp_path / "out", *words)
            assert result.exit_code == 2
            assert "go together" in result.stderr


def on_file(path: Path, number: int, **told: object) -> Feedback:
    """Return feedback on the picture in a file."""
    given = feedback(number, **told)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return given.model_copy(update={"image": given.image.model_copy(update={"sha256": digest})})


class TestWithoutReplay:
    def test_it_takes_a_word(self, detector, pictures, tmp_path):
        words = ("--detector", detector, "--data", pictures, "--output", tmp_path / "out")
        result = faceproof("update", *words)
        assert result.exit_code == 2
        assert "add --no-replay" in result.stderr

    def test_one_class_alone_is_refused_and_the_remedy_told(
        self, detector, pictures, prepared, tmp_path
    ):
        result = wanted(detector, pictures, prepared, tmp_path / "out", "--no-replay")
        assert result.exit_code == 1
        assert "no real faces for training" in result.stderr
        assert "NO OLD PICTURES" in result.stderr

    def test_old_pictures_that_only_measure_are_not_learned(
        self, detector, pictures, prepared, tmp_path
    ):
        result = wanted(detector, pictures, prepared, tmp_path / "out", "--replay-share", "0")
        assert result.exit_code == 1
        assert "no real faces for training" in result.stderr
        table = read_manifest(tmp_path / "out" / "data" / "manifest.parquet").table
        old = table.filter(pl.col("path").str.starts_with("replay/"))
        assert set(old["split"]) == {"validation", "calibration", "test"}


class TestBadInput:
    @pytest.fixture
    def refused(self, detector, pictures, prepared, tmp_path):
        """Say what an update with another wish is refused for, before anything is trained."""

        def refused(kind: type[Exception], **changed: object) -> str:
            wish = {"detector": str(detector), "data": pictures, "replay": prepared} | changed
            with pytest.raises(kind) as error:
                updating.update(updating.UpdateOptions(**wish), tmp_path / "out", progress=silent)
            assert not (tmp_path / "out" / "last.pt").exists()
            return str(error.value)

        return refused

    def test_an_unknown_operating_point_lists_the_choices(self, refused):
        assert "Choices: 1-in-5" in refused(UsageError, at="1-in-7")

    def test_an_ensemble(self, refused, detector, tmp_path):
        old = Bundle.read(detector)
        files = {file.name: old.read_file(file) for file in old.spec.files}
        (member,) = old.spec.members
        twin = member.model_copy(
            update={
                "name": "twin",
                "weights": member.weights.model_copy(update={"name": "twin.safetensors"}),
                "onnx": member.onnx.model_copy(update={"name": "twin.onnx"}),
            }
        )
        files |= {"twin.safetensors": files[member.weights.name]}
        files |= {"twin.onnx": files[member.onnx.name]}
        spec = old.spec.model_copy(update={"members": (member, twin)})
        both = write_bundle(tmp_path / "both", spec, files)
        output = refused(UsageError, detector=str(both.folder))
        assert "ensemble of 2 networks" in output
        assert "distil" in output

    def test_a_manifest_that_is_not_there(self, refused, tmp_path):
        assert "not found: use a .parquet" in refused(ManifestError, data=tmp_path / "no.csv")

    def test_old_pictures_without_splits(self, refused, pictures):
        assert "outside the training split" in refused(ManifestError, replay=pictures)

    @pytest.mark.parametrize(
        "override",
        [
            "schedule.keep='best'",
            "schedule.patience=2",
            "network.name='resnet18'",
            "data.balance=['class']",
            "calibration.default_budget=0.05",
        ],
    )
    def test_a_key_that_an_update_does_not_change(self, refused, override):
        output = refused(UsageError, overrides=(override,))
        assert f"--set {override.partition('=')[0]}: an update cannot change it" in output

    def test_several_devices(self, refused):
        assert "runs on one device" in refused(UsageError, overrides=("device.devices=2",))

    def test_a_misspelt_key_is_named_with_the_nearest(self, refused):
        assert "did you mean 'steps'" in refused(UsageError, overrides=("schedule.stepz=3",))

    def test_calibration_faces_that_cannot_keep_the_promise(self, refused, prepared, tmp_path):
        manifest = read_manifest(prepared / "manifest.parquet")
        few = manifest.table.filter(pl.col("split") != "calibration")
        from faceproof.data.manifest_files import write_manifest

        write_manifest(manifest.with_table(few), tmp_path / "few.parquet")
        output = refused(TrainingError, replay=tmp_path / "few.parquet")
        assert "the split calibration has 0 real faces" in output

    def test_another_update_does_not_go_on_in_the_same_folder(
        self, output, detector, pictures, prepared
    ):
        result = wanted(detector, pictures, prepared, output, "--replay-share", "0.3")
        assert result.exit_code == 2
        assert "has an update with another replay_share" in result.stderr

    @pytest.mark.parametrize("margin", ["0", "100", "-1"])
    def test_a_margin_that_is_none(self, detector, pictures, prepared, tmp_path, margin):
        result = wanted(detector, pictures, prepared, tmp_path / "out", f"--margin={margin}")
        assert result.exit_code == 2
        assert "percentage points" in result.stderr
