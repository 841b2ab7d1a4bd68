"""The audit *shortcuts* exposes a detector of backgrounds, and clears one of faces."""

import hashlib

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

import faceproof
from faceproof.audits import counterfactuals, sampled_faces
from faceproof.audits.counterfactuals import VARIANTS, face_ellipse
from faceproof.audits.sampled_faces import Crop
from faceproof.audits.shortcuts import mean_interval
from faceproof.data.manifest import Row
from faceproof.imaging.preprocessing import TEMPLATE_112

COUNT, SIDE = 24, 40
#: The corners and the middle of a crop of 32 px: outside and inside of any face.
CORNERS, MIDDLE = np.s_[:, :, :3, :3], np.s_[:, :, 14:20, 12:20]


@pytest.fixture
def make(tmp_path):
    """Write grainy pictures, brighter in fakes at the corners or in the middle."""

    def make(where, labels=("real", "fake")):
        rows = []
        for n in range(COUNT):
            label = labels[n % len(labels)]
            grain = np.random.default_rng(n).normal(size=(SIDE, SIDE, 3))
            pixels = np.rint(100 + 150 * cv2.GaussianBlur(grain, (0, 0), 2)).clip(40, 150)
            if label == "fake":
                bright = np.zeros((SIDE, SIDE), dtype=bool)
                if where == "corners":
                    bright[:6, :6] = True
                else:
                    bright[13:29, 11:29] = True
                pixels[bright] += 100
            path = tmp_path / f"{n}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            generator = "none" if label == "real" else "lamp"
            rows.append(
                (
                    f"{n}.png",
                    label,
                    generator,
                    "home",
                    "test",
                    f"g{n}",
                    hashlib.sha256(path.read_bytes()).hexdigest(),
                )
            )
        names = ("path", "label", "generator", "source", "split", "group", "sha256")
        pl.DataFrame(rows, schema=names, orient="row").write_csv(tmp_path / "m.csv")
        return tmp_path / "m.csv"

    return make


@pytest.fixture
def run(monkeypatch, tiny_bundle, make, tmp_path):
    """Audit a detector that reads the mean of one part of the crop."""

    def run(where, *, labels=("real", "fake"), folder="out", without=()):
        detector = faceproof.Detector.load(tiny_bundle)
        part = {"corners": CORNERS, "middle": MIDDLE}[where]
        monkeypatch.setattr(
            type(detector),
            "logits",
            lambda self, inputs: 20 * inputs[part].mean((1, 2, 3)).astype(np.float64),
        )
        ask = {"only": ["shortcuts"], "output": tmp_path / folder, "faces": "whole"}
        manifest = make(where, labels)
        for name in without:
            (tmp_path / name).unlink()
        return faceproof.audit(detector, manifest, **ask)["shortcuts"]

    return run


def rows_of(found, name):
    table = found.table(name).frame()
    return {row[table.columns[0]]: row for row in table.iter_rows(named=True)}


class TestADetectorOfBackgrounds:
    @pytest.fixture
    def found(self, run):
        return run("corners")

    def test_hiding_the_face_changes_nothing_and_removing_the_background_all(self, found):
        rows = rows_of(found, "counterfactuals")
        assert list(rows) == ["unchanged", *VARIANTS]
        assert rows["unchanged"]["roc_auc"] == 1.0
        assert rows["face-grey"]["roc_auc"] == 1.0
        assert rows["face-grey"]["flips"] == 0.0
        assert rows["background-grey"]["roc_auc"] == pytest.approx(0.5)
        assert rows["background-grey"]["flips"] >= 0.5
        assert "the face hidden ROC-AUC is 1.000" in found.answer

    def test_the_background_moves_the_logit_and_the_face_does_not(self, found):
        effects = rows_of(found, "swaps")
        assert list(effects) == ["background", "face", "unchanged"]
        whole = effects["unchanged"]["logit_difference"]
        assert effects["background"]["logit_difference"] == pytest.approx(whole, rel=0.15)
        assert abs(effects["face"]["logit_difference"]) < 0.15 * whole
        assert effects["background"]["pairs"] == COUNT

    def test_a_file_of_the_same_pixels_has_the_same_score(self, found):
        rows = rows_of(found, "counterfactuals")
        for name in counterfactuals.LOSSLESS:
            assert rows[name]["flips"] == rows[name]["move_size_95"] == 0.0
        assert rows["jpeg-50"]["move_size_median"] > 0

    def test_scores_in_the_folder_are_not_made_again(self, run, found, tmp_path, monkeypatch):
        (tmp_path / "out" / "shortcuts.json").unlink()
        monkeypatch.setattr(counterfactuals, "read_sampled_faces", None)
        assert run("corners") == found


class TestAStop:
    """Kills the audit in the third part of five: of saved copies, and of changed backgrounds."""

    @pytest.mark.parametrize(("step", "left"), [("_score_copies", 14), ("_judge", 3 * 6)])
    def test_a_killed_audit_resumes_where_it_was(self, run, monkeypatch, step, left):
        place = counterfactuals if step == "_score_copies" else counterfactuals._Changes
        whole, make = run("middle", folder="whole"), getattr(place, step)
        monkeypatch.setattr(counterfactuals, "_PART", 5)
        calls = []

        def killed(*given):
            calls.append(given)
            if len(calls) == 13:
                raise KeyboardInterrupt
            return make(*given)

        monkeypatch.setattr(place, step, killed)
        with pytest.raises(KeyboardInterrupt):
            run("middle")
        calls[:] = [None] * 13
        assert run("middle") == whole
        assert len(calls) == 13 + left


class TestADetectorOfFaces:
    @pytest.fixture
    def found(self, run):
        return run("middle")

    def test_hiding_the_face_leaves_chance_and_removing_the_background_changes_nothing(self, found):
        rows = rows_of(found, "counterfactuals")
        assert rows["face-grey"]["roc_auc"] == pytest.approx(0.5)
        assert rows["face-grey"]["real_probability"] == pytest.approx(
            rows["face-grey"]["fake_probability"]
        )
        for name in ("background-grey", "background-of-real", "background-of-fake"):
            assert rows[name]["flips"] == 0.0
            assert rows[name]["roc_auc"] == 1.0

    def test_the_face_moves_the_logit_and_the_background_does_not(self, found):
        effects = rows_of(found, "swaps")
        whole = effects["unchanged"]["logit_difference"]
        assert effects["face"]["logit_difference"] == pytest.approx(whole, rel=0.02)
        assert abs(effects["background"]["logit_difference"]) < 0.02 * whole

    def test_the_probe_and_the_correlations_say_how_many_files_they_need(self, found):
        told = [one for one in found.cautions if "shortcut probe was not run" in one]
        assert len(told) == 1
        assert "20" in told[0]


def test_faces_without_a_verdict_are_replaced_by_others(run, monkeypatch):
    monkeypatch.setattr(sampled_faces, "EACH", 6)
    found = run("middle", without=[f"{n}.png" for n in range(10)])
    assert rows_of(found, "counterfactuals")["unchanged"]["judged"] == 12


def test_one_class_has_no_swaps(run):
    found = run("middle", labels=("fake",))
    assert "swaps" not in {one.name for one in found.tables}
    assert rows_of(found, "counterfactuals")["background-of-real"]["judged"] == 0
    assert any(one.startswith("No real face was judged") for one in found.cautions)


def test_the_ellipse_covers_the_landmarks_and_no_corner():
    row = Row("a.png", "real", "none", "s", "g", "")
    for scale in (0.5, 1.0, 3.0):
        side = round(112 * scale)
        points = (TEMPLATE_112 * scale).astype(np.float32)
        mask = face_ellipse(Crop(row, np.zeros((side, side, 3), np.uint8), points))[..., 0]
        x, y = np.rint(points).astype(int).T
        assert (mask[y, x] > 0.99).all()
        assert mask[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 0.01
        assert 0.5 < mask.mean() < 0.7


def test_the_interval_of_a_mean_counts_groups():
    values = np.random.default_rng(0).normal(size=400)
    alone = mean_interval(values, np.arange(400).astype(str))
    twice = mean_interval(np.repeat(values, 2), np.repeat(np.arange(400), 2).astype(str))
    assert alone == pytest.approx(twice)
    assert (alone[2] - alone[1]) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 20, rel=1e-3)
    assert mean_interval(np.empty(0), np.empty(0, np.str_)) is None
