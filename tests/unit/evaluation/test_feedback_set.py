"""Feedback as a regression set: which pictures it comes to, what is left out, who judges."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

from skimage import data

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.manifest import Manifest, Row
from faceproof.detector.bundle import Bundle
from faceproof.errors import DataError, ManifestError, UsageError
from faceproof.evaluation.feedback import Feedback, read_feedback, to_json_lines
from faceproof.evaluation.feedback_set import (
    FeedbackCounts,
    FeedbackSet,
    cases_to_manifest,
    collect_cases,
)
from faceproof.evaluation.predictions import origin_of
from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import CropSpec
from faceproof.training.updating.regression import (
    compare_predictions,
    count_unhashed,
    find_face_in_box,
    predict_cases,
    seen_pictures,
)
from faceproof.training.updating.sets import PictureSet, prepare_set
from support.feedback import a_face, a_result, feedback, sha

HEAD = data.astronaut()[0:200, 120:320]


def put(folder: Path, name: str, pixels: np.ndarray) -> str:
    """Write a picture and return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), pixels[:, :, ::-1])
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def on(digest: str, number: int = 0, *, truth: str = "real", **changed) -> Feedback:
    """Return feedback on a picture of this SHA-256."""
    given = feedback(number, truth=truth, **changed)
    return given.model_copy(update={"image": given.image.model_copy(update={"sha256": digest})})


def two_faces(**changed) -> Feedback:
    several = {"faces": [a_face(0.2, "real"), a_face(0.9, left=300)]}
    return feedback(1, result=several, **changed)


class TestFaceMeant:
    @pytest.mark.parametrize(
        ("given", "face", "box"),
        [
            (feedback(1), 0, None),
            (feedback(1, face=0), 0, None),
            (feedback(1, result={"faces": []}), None, None),
            (two_faces(face=0), 0, (10.0, 20.0, 100.0, 120.0)),
            (two_faces(), 1, (300.0, 20.0, 100.0, 120.0)),
            (two_faces(truth="fake"), None, None),
        ],
    )
    def test_it_is_the_one_that_was_told_or_that_there_can_be(self, given, face, box):
        assert (given.face_meant, given.box) == (face, box)


class TestCounts:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        for number in range(6):
            (tmp_path / "deep").mkdir(exist_ok=True)
            (tmp_path / "deep" / f"{number}.jpg").write_bytes(str(number).encode())
        return tmp_path

    def counted(self, folder, *given: Feedback) -> tuple[list[str], FeedbackCounts]:
        found = collect_cases(given, folder, name="f")
        return [case.name for case in found.cases], found.counts

    def test_a_picture_is_found_by_its_hash_wherever_it_lies(self, folder):
        names, counts = self.counted(folder, feedback(3), feedback(77))
        assert names == ["deep/3.jpg"]
        assert counts == FeedbackCounts(told=2, not_found=1)

    def test_the_same_face_is_judged_once(self, folder):
        names, counts = self.counted(folder, feedback(1), feedback(1, operating_point="other"))
        assert (names, counts) == (["deep/1.jpg"], FeedbackCounts(told=2, repeated=1))

    def test_a_face_that_one_detector_did_not_find_is_the_only_one_of_the_other(self, folder):
        unseen = feedback(1, result={"faces": [], "verdict": None})
        names, counts = self.counted(folder, feedback(1), unseen)
        assert (names, counts) == (["deep/1.jpg"], FeedbackCounts(told=2, repeated=1))

    @pytest.mark.parametrize(
        "given",
        [
            (feedback(1), feedback(1, truth="fake")),
            (feedback(1, face=0), feedback(1, truth="fake")),
            (two_faces(face=0), two_faces(face=0, truth="fake")),
            (two_faces(), two_faces(face=0, truth="fake")),
            (two_faces(), two_faces(truth="fake")),
        ],
    )
    def test_what_is_called_real_and_fake_is_left_out(self, folder, given):
        names, counts = self.counted(folder, *given, feedback(2))
        assert (names, counts) == (["deep/2.jpg"], FeedbackCounts(told=3, contradicted=2))

    def test_two_faces_of_one_picture_may_differ(self, folder):
        names, counts = self.counted(folder, two_faces(face=0), two_faces(face=1, truth="fake"))
        assert names == ["deep/1.jpg#0", "deep/1.jpg#1"]
        assert counts == FeedbackCounts(told=2)

    def test_fake_without_saying_which_face_is_left_out(self, folder):
        names, counts = self.counted(folder, two_faces(truth="fake"))
        assert (names, counts) == ([], FeedbackCounts(told=1, unclear=1))

    def test_no_folder(self, tmp_path):
        with pytest.raises(ManifestError, match="not a folder of pictures"):
            collect_cases([], tmp_path / "no", name="f")

    def test_a_manifest_has_what_a_detector_said_and_leaves_out_one_face_of_several(self, folder):
        found = collect_cases([feedback(2, truth="fake"), two_faces(face=0)], folder, name="f")
        manifest, several = cases_to_manifest(found)
        (row,) = manifest.rows
        assert several == 1
        assert (row.label, row.generator, row.source, row.split) == (
            "fake",
            "unknown",
            "feedback",
            "",
        )
        assert row.attributes["verdict"] == "fake"
        assert row.attributes["detector_sha256"] == sha("detector")


class TestKnown:
    def test_the_same_file_and_one_saved_again_are_known_and_another_is_not(self, tmp_path):
        learned = put(tmp_path / "sets", "learned.png", HEAD)
        folder = tmp_path / "kept"
        same = put(folder, "same.png", HEAD)
        assert same == learned
        again = put(folder, "again.jpg", cv2.resize(HEAD, (150, 150)))
        other = put(folder, "other.png", data.astronaut()[250:450, 100:300])
        origin = put(folder, "origin.png", data.astronaut()[60:160, 0:100])
        found = collect_cases(
            [on(digest, i) for i, digest in enumerate((same, again, other, origin))],
            folder,
            name="f",
        )
        one = a_set(tmp_path / "sets", learned, origin=origin)
        left = found.without(seen_pictures(found, [one], finder=YuNet()))
        assert [case.path for case in left.cases] == ["other.png"]
        assert left.counts == FeedbackCounts(told=4, known=3)

    def test_a_face_that_was_cut_out_is_known_in_its_picture_saved_again(self, tmp_path):
        """A prepared set hashes its crops; the pictures of feedback are cut alike to compare."""
        wide = np.full((300, 500, 3), 60, np.uint8)
        wide[60:260, 40:240] = HEAD
        put(tmp_path / "new", "wide.png", wide)
        given = Row("wide.png", "real", "none", "s", "g", sha_of(tmp_path / "new" / "wide.png"))
        raw = PictureSet(Manifest([given], root=tmp_path / "new"), is_prepared=False, name="new")
        crop = CropSpec(size=112, margin=0.1)
        cut = prepare_set(raw, crop, tmp_path / "prepared", progress=lambda _: None)
        folder = tmp_path / "kept"
        again = put(folder, "again.jpg", cv2.resize(wide, (375, 225)))
        dark = put(folder, "dark.png", np.ascontiguousarray(wide[:, ::-1]) // 2)
        found = collect_cases([on(again, 1), on(dark, 2)], folder, name="f")
        assert seen_pictures(found, [cut], finder=YuNet()) == {"again.jpg"}

    def test_a_picture_that_cannot_be_read_is_not_known(self, tmp_path):
        learned = put(tmp_path / "sets", "learned.png", HEAD)
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "broken.png").write_bytes(b"no picture")
        found = collect_cases(
            [on(sha_of(tmp_path / "kept" / "broken.png"))], tmp_path / "kept", name="f"
        )
        assert seen_pictures(found, [a_set(tmp_path / "sets", learned)], finder=YuNet()) == set()

    def test_pictures_without_a_perceptual_hash_are_counted(self, tmp_path):
        learned = put(tmp_path / "sets", "learned.png", HEAD)
        assert count_unhashed([a_set(tmp_path / "sets", learned)]) == 0
        assert count_unhashed([a_set(tmp_path / "sets", learned, phash="")]) == 1


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def a_set(folder: Path, digest: str, *, origin: str = "", phash: str | None = None) -> PictureSet:
    """Return a set of one picture."""
    output = (
        phash if phash is not None else perceptual_hash(load(folder / "learned.png").pixels).hex()
    )
    more = {"origin_sha256": origin, "phash": output}
    row = Row("learned.png", "real", "none", "s", "g", digest, "train", more)
    return PictureSet(Manifest([row], root=folder), is_prepared=True, name="sets")


class TestJudged:
    @pytest.fixture
    def found(self, tmp_path) -> FeedbackSet:
        """A picture with one face, one with two of which either is meant, and one without."""
        folder = tmp_path / "kept"
        single = put(folder, "one.png", HEAD)
        wide = np.full((240, 640, 3), 90, np.uint8)
        wide[20:220, 20:220] = HEAD
        wide[20:220, 400:600] = HEAD[:, ::-1] // 3
        several = put(folder, "two.png", wide)
        none = put(folder, "none.png", np.full((200, 200, 3), 128, np.uint8))
        faces = YuNet().find(wide)
        assert len(faces) == 2
        boxes = [{**a_face(), "box": [float(side) for side in face.box]} for face in faces]
        pair = [on(several, 2 + i, face=i, result={"faces": boxes}) for i in (0, 1)]
        given = [on(single, 1), *pair, on(none, 5, truth="fake", result={"faces": []})]
        return collect_cases(given, folder, name="f")

    def test_each_case_is_judged_by_its_own_face_and_kept(self, found, tiny_bundle, tmp_path):
        bundle = Bundle.read(tiny_bundle)
        answers = predict_cases(found, bundle, tmp_path / "f.parquet", finder=YuNet())
        output = {row["path"]: row for row in answers.to_pylist()}
        assert set(output) == {"one.png", "two.png#0", "two.png#1", "none.png"}
        assert output["none.png"]["status"] == "no_face"
        one, other = (output[f"two.png#{i}"]["logit"] for i in (0, 1))
        assert abs(one - other) > 0.2, "the bright and the dark face are told apart"
        assert origin_of(answers).purpose == "regression"
        written = (tmp_path / "f.parquet").stat().st_mtime_ns
        predict_cases(found, bundle, tmp_path / "f.parquet", finder=YuNet())
        assert (tmp_path / "f.parquet").stat().st_mtime_ns == written

    def test_both_detectors_judge_and_what_has_no_face_is_in_no_pair(
        self, found, tiny_bundle, tmp_path
    ):
        bundle = Bundle.read(tiny_bundle)
        answers = compare_predictions(found, bundle, bundle, tmp_path)
        assert (len(answers.pair.old), answers.pair.not_judged) == (3, 1)

    def test_no_case_is_no_pair(self, found, tiny_bundle, tmp_path):
        bundle = Bundle.read(tiny_bundle)
        assert compare_predictions(None, bundle, bundle, tmp_path) is None
        known = found.without({case.path for case in found.cases})
        assert compare_predictions(known, bundle, bundle, tmp_path) is None

    def test_a_face_elsewhere_is_not_the_one_that_is_meant(self):
        (face,) = YuNet().find(HEAD)
        assert len(find_face_in_box(face.box, YuNet(), HEAD)) == 1
        x, y, width, height = face.box
        assert find_face_in_box((x + width, y, width, height), YuNet(), HEAD) == []


class TestFile:
    def test_what_was_written_is_read(self, tmp_path):
        given = (feedback(1), two_faces(face=1, truth="fake"))
        (tmp_path / "f.jsonl").write_text("".join(to_json_lines(given)), encoding="utf-8")
        assert read_feedback(tmp_path / "f.jsonl") == given

    @pytest.mark.parametrize("line", ["{", '{"id": "x"}', '{"schema": "faceproof.feedback/2"}'])
    def test_a_line_that_is_no_feedback_is_named(self, tmp_path, line):
        text = next(iter(to_json_lines([feedback(1)]))) + line + "\n"
        (tmp_path / "f.jsonl").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="line 2"):
            read_feedback(tmp_path / "f.jsonl")

    def test_a_mark_is_no_part_of_a_line_and_utf16_is_named(self, tmp_path):
        given = (feedback(1),)
        text = "\n" + "".join(to_json_lines(given))
        (tmp_path / "f.jsonl").write_text(text, encoding="utf-8-sig")
        assert read_feedback(tmp_path / "f.jsonl") == given
        (tmp_path / "f.jsonl").write_text(text, encoding="utf-16")
        with pytest.raises(UsageError, match=r"f\.jsonl is UTF-16, and must be UTF-8"):
            read_feedback(tmp_path / "f.jsonl")

    def test_no_file(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_feedback(tmp_path / "no.jsonl")


def test_a_result_of_the_support_is_what_the_wire_takes():
    from faceproof.results import CheckResult

    assert set(a_result()) <= set(CheckResult.model_json_schema(by_alias=True)["properties"])
