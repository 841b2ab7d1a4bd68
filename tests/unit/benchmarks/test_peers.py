"""The benchmark of peers: what each network gets, resume, and the page from small score files."""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceproof.data.manifest import Manifest, Row
from faceproof.errors import UsageError
from faceproof.evaluation.other_scores import evaluate_scores
from faceproof.evaluation.score_files import read_scores
from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import CropSpec, crop_face

pytest.importorskip("polars")
FOLDER = Path(__file__).parents[3] / "benchmarks"
NAMES = ("peer_detectors", "peers", "peers_page")
POINTS = np.array([[30, 40], [60, 40], [45, 60], [33, 75], [57, 75]], np.float32)
FACE = Face((20.0, 20.0, 50.0, 70.0), POINTS, 1.0)


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(FOLDER))
    yield [importlib.import_module(name) for name in NAMES]
    sys.path.remove(str(FOLDER))
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def detectors(modules):
    return modules[0]


@pytest.fixture(scope="module")
def peers(modules):
    return modules[1]


@pytest.fixture(scope="module")
def peers_page(modules):
    return modules[2]


# What a network gets.


def test_normalise_is_x_minus_mean_over_std_with_channels_first(detectors):
    pixels = np.array([[[0, 51, 255]]], np.uint8)
    made = detectors.normalise(pixels, (0.5, 0.2, 0.0), (0.5, 0.1, 2.0))
    assert made.shape == (1, 3, 1, 1)
    assert made.ravel().tolist() == pytest.approx([-1.0, 0.0, 0.5], abs=1e-6)


def test_resize_and_crop_takes_the_middle_square(detectors):
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 200
    assert (detectors.resize_and_crop(pixels, 4) == 200).all()
    assert detectors.resize_and_crop(pixels, 8).shape == (8, 8, 3)


def test_each_library_resizes_in_its_own_way(detectors):
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    smooth = detectors.resize_with_pillow(stripes, 2, Image.Resampling.BILINEAR)
    nearest = detectors.resize_with_pillow(stripes, 2, Image.Resampling.NEAREST)
    assert abs(smooth.astype(int) - 100).max() < 15  # antialiased
    assert set(np.unique(nearest)) <= {0, 200}
    assert (
        detectors.resize_with_opencv(np.full((4, 8, 3), 7, np.uint8), 2).tolist()
        == [[[7] * 3] * 2] * 2
    )


@pytest.fixture
def numbered(detectors):
    """A peer whose resize shows the size of what it gets."""
    kept = detectors.PEERS["shashwat39"]
    return replace(kept, resize=lambda pixels, side: np.array(pixels.shape), side=64)


def test_views_of_a_picture(detectors, numbered):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    look = {name: view(pixels, FACE, numbered) for name, view in detectors.VIEWS.items()}
    assert look["whole"].tolist() == [100, 90, 3]
    # 30 px on each side of x 20 to 70 and y 20 to 90, cut at the picture's edge.
    assert look["box"].tolist() == [100, 90, 3]
    narrow = replace(FACE, box=(40.0, 40.0, 10.0, 10.0))
    assert detectors.view_box(pixels, narrow, numbered).tolist() == [70, 70, 3]
    assert (look["crop"] == crop_face(pixels, POINTS, CropSpec(size=64))).all()


def test_without_a_face_only_the_whole_picture_can_be_seen(detectors, numbered):
    pixels = np.zeros((10, 10, 3), np.uint8)
    seen = {
        name for name, view in detectors.VIEWS.items() if view(pixels, None, numbered) is not None
    }
    assert seen == {"whole"}


def test_answers_become_scores_of_fake(detectors):
    here = Path()
    assert detectors.read_second_logit(np.array([0.0, np.log(3)]), here) == pytest.approx(0.75)
    assert detectors.read_inverted(np.array([0.9]), here) == pytest.approx(0.1)


def test_the_clip_probe_reads_the_unit_embedding(detectors, tmp_path):
    (tmp_path / "clip_head.json").write_text('{"weights": [2.0, 0.0], "bias": 0.5}')
    found = detectors.read_clip_probe(np.array([30.0, 40.0]), tmp_path)
    logit = 1.641967 * (2.0 * 0.6 + 0.5) + 0.087735
    assert found == pytest.approx(1 / (1 + np.exp(-logit)))


def arrays_of_meso4(detectors):
    """Arrays that make each of Meso4's channels c answer c before the dense layers."""
    made = {}
    for number, shape in enumerate(detectors.MESO4_SHAPES[:4], start=5):
        depth = shape[-1]
        made[f"conv2d_{number}/conv2d_{number}/kernel:0"] = np.zeros(shape, np.float32)
        made[f"conv2d_{number}/conv2d_{number}/bias:0"] = np.ones(depth, np.float32)
        norm = f"batch_normalization_{number}/batch_normalization_{number}"
        made[f"{norm}/gamma:0"] = np.arange(depth, dtype=np.float32)
        made[f"{norm}/beta:0"] = np.zeros(depth, np.float32)
        made[f"{norm}/moving_mean:0"] = np.zeros(depth, np.float32)
        made[f"{norm}/moving_variance:0"] = np.full(depth, 1 - 1e-3, np.float32)
    for number, shape in ((9, (1024, 16)), (10, (16, 1))):  # 9 before 10: sorted as numbers
        made[f"dense_{number}/dense_{number}/kernel:0"] = np.zeros(shape, np.float32)
        made[f"dense_{number}/dense_{number}/bias:0"] = np.zeros(shape[-1], np.float32)
    made["dense_10/dense_10/kernel:0"][0] = 1.0
    return made


def test_meso4_is_rebuilt_with_keras_order_of_features(detectors):
    pytest.importorskip("onnx")
    arrays = arrays_of_meso4(detectors)
    arrays["dense_9/dense_9/kernel:0"][16 + 5, 0] = 0.5  # second place, channel 5
    network = detectors.meso4(arrays)
    assert network(np.zeros((256, 256, 3), np.uint8)) == pytest.approx(1 - 1 / (1 + np.exp(-2.5)))


def test_arrays_of_another_network_are_refused(detectors):
    arrays = arrays_of_meso4(detectors)
    arrays["dense_9/dense_9/kernel:0"] = np.zeros((512, 16), np.float32)
    pytest.importorskip("onnx")
    with pytest.raises(UsageError, match="not the arrays of Meso4"):
        detectors.meso4(arrays)


def test_weights_that_are_missing_or_changed_are_refused(detectors, tmp_path):
    peer = detectors.PEERS["shashwat39"]
    with pytest.raises(UsageError, match="is missing; take it from shashwat39"):
        peer.load(tmp_path)
    (tmp_path / "model_2.onnx").write_bytes(b"changed")
    with pytest.raises(UsageError, match="is not the file of shashwat39"):
        peer.load(tmp_path)


def test_the_table_of_detectors_is_complete(detectors):
    for name, peer in detectors.DETECTORS.items():
        assert set(peer.views) <= set(detectors.VIEWS), name
        assert 0 < peer.threshold < 1
        assert all(len(sha256) == 64 for sha256 in peer.files.values())


# The sample and the score files.


def rows(number: int, **more: str) -> list[Row]:
    made = []
    for n in range(number):
        label, generator = ("real", "none") if n % 2 else ("fake", "lamp")
        digest = hashlib.sha256(str(n).encode()).hexdigest()
        made.append(
            Row(f"{n}.png", label, generator, "home", f"g{n}", digest, more.get("split", "test"))
        )
    return made


def test_a_smaller_sample_is_the_start_of_a_larger_one(peers):
    manifest = Manifest(
        [
            *rows(30),
            replace(rows(1)[0], path="v.png", split="validation", group="v", sha256="0" * 64),
        ]
    )
    few, more = (
        peers.draw_sample(manifest, "test", most).table["path"].to_list() for most in (3, 9)
    )
    assert len(few) == 6
    assert len(more) == 18
    assert more[:6] == few
    assert few == peers.draw_sample(manifest, "test", 3).table["path"].to_list()
    with pytest.raises(UsageError, match="no rows in the split 'train'"):
        peers.draw_sample(manifest, "train", 3)


def test_another_sample_in_the_same_folder_is_refused(peers, tmp_path):
    manifest = Manifest(rows(8), root=tmp_path)
    peers.keep_sample(peers.draw_sample(manifest, "test", 2), tmp_path / "out")
    peers.keep_sample(peers.draw_sample(manifest, "test", 2), tmp_path / "out")
    with pytest.raises(UsageError, match="another sample"):
        peers.keep_sample(peers.draw_sample(manifest, "test", 3), tmp_path / "out")


class OneFace:
    """A finder of one face; none in black pictures."""

    def find(self, pixels):
        width = pixels.shape[1]
        scale = width / 90
        box = tuple(side * scale for side in FACE.box)
        return [Face(box, POINTS * scale, 1.0)] if pixels.max() > 40 else []


@pytest.fixture
def sample(tmp_path):
    """Six pictures: one is black, one is missing, one is not the manifest's."""
    folder, made = tmp_path / "pictures", []
    folder.mkdir()
    for n, row in enumerate(rows(6)):
        file = folder / row.path
        Image.new("RGB", (90, 100), (0, 0, 0) if n == 0 else (30 * n + 60, 90, 90)).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        made.append(replace(row, sha256="f" * 64 if n == 5 else digest))
    (folder / "4.png").unlink()
    return Manifest(made, root=folder)


class Brightness:
    """A network of the mean of red that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, pixels):
        self.calls += 1
        return float(pixels[..., 0].mean() / 255)


def score_all(peers, sample, folder, **more):
    network = Brightness()
    left = peers.score(
        sample, {"shashwat39": network}, folder, ("clean", "resize-0.5"), finder=OneFace(), **more
    )
    return left, network.calls


def test_score_files_have_a_row_for_each_picture(peers, sample, tmp_path):
    assert score_all(peers, sample, tmp_path) == (0, 14)
    whole = read_scores(tmp_path / "shashwat39-whole-clean.csv")
    assert list(whole.scores) == [(f"{n}.png", "clean") for n in range(6)]
    assert whole.scores["1.png", "clean"] == pytest.approx(90 / 255)
    assert whole.without_score == 2
    worn = read_scores(tmp_path / "shashwat39-crop-resize-0.5.csv")
    assert {condition for _, condition in worn.scores} == {"resize-0.5"}
    assert worn.without_score == 3


def test_faceproof_evaluate_takes_a_score_file(peers, sample, tmp_path):
    score_all(peers, sample, tmp_path)
    found = evaluate_scores(tmp_path / "shashwat39-whole-clean.csv", sample, resamples=100)
    assert found.count_judged("all", "clean") == (2, 2)


def test_an_interrupted_run_resumes_and_ends_the_same(peers, sample, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    score_all(peers, sample, whole)
    ticks = iter(range(100))
    left, calls = score_all(peers, sample, parts, until=2, clock=lambda: next(ticks))
    assert (left, calls) == (4, 6)
    torn = parts / "shashwat39-whole-clean.csv"
    torn.write_text(torn.read_text() + "2.png,0.3")  # killed in the middle of a row
    assert score_all(peers, sample, parts) == (0, 8)
    for file in sorted(whole.glob("*.csv")):
        assert (parts / file.name).read_text() == file.read_text()
    assert score_all(peers, sample, parts) == (0, 0)


def test_the_default_is_scored_as_faceproof_check_does(peers, detectors, tmp_path):
    from faceproof import Checker, Detector
    from faceproof.imaging.faces import YuNet

    picture = next((FOLDER.parent / "samples").rglob("*.jpg"))
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    sample = Manifest([Row(picture.name, "fake", "lamp", "s", "g", digest)], root=picture.parent)
    networks = {"default": detectors.DEFAULT.load(tmp_path)}
    peers.score(sample, networks, tmp_path, ("clean",), finder=YuNet())
    (score,) = read_scores(tmp_path / "default-crop-clean.csv").scores.values()
    checked = Checker(Detector.load("default")).check(picture)
    assert score == pytest.approx(checked.faces[0].fake_probability, abs=1e-6)


# The page.


@pytest.fixture
def output(peers, tmp_path):
    """Score files of the default and one peer for 40 pictures; the peer lacks two."""
    from faceproof.data.manifest_files import write_manifest

    made = rows(40)
    write_manifest(Manifest(made, root=tmp_path), tmp_path / peers.SAMPLE)
    for name in ("default-crop-clean", "shashwat39-whole-clean"):
        file = peers.ScoreFile(tmp_path, tuple(name.rsplit("-", 2)))
        for n, row in enumerate(made):
            right = 0.99 if row.is_fake else 0.1
            peer = name.startswith("shash")
            wrong = peer and n in {1, 3, 5, 7, 9}
            file.add(row.path, None if peer and n < 2 else 0.6 if wrong else right)
        file.save()
    return tmp_path


def test_the_page_has_the_figures_of_the_score_files(peers_page, output):
    (output / "shashwat39-training.txt").write_text("data/2.jpg\ndata/3.jpg\n")
    text = peers_page.page(output, output)
    lines = text.splitlines()
    (peer,) = [line for line in lines if line.startswith("| shashwat39, whole | 38 of 40 |")]
    # 4 of 19 real pictures have 0.6, below all fakes: ranks are right, the threshold is not.
    assert "| 1.000 [" in peer
    assert "| 21.1 [" in peer
    assert any(line.startswith("| default, crop | 40 of 40 | 1.000 [") for line in lines)
    assert "20 real, 20 fake; at most 20 of each source and class" in text
    assert "| home, own | 1.000 [" in text
    assert (
        "1 fakes of this sample have the file name of one of its training pictures (home)" in text
    )
    assert "best pair 1.000 (home, own)" in text
    assert "jireh-jam, " not in text


def test_a_page_needs_scores_of_the_default(peers_page, output):
    (output / "default-crop-clean.csv").unlink()
    with pytest.raises(UsageError, match="no scores of the default"):
        peers_page.page(output, None)


def test_fakes_without_reals_of_their_own_meet_sharp_portraits(peers_page):
    labels, _ = peers_page.label_faces(
        [
            Row("a", "fake", "lamp", "alone", "a", ""),
            Row("b", "real", "none", "portraits_x", "b", ""),
            Row("c", "real", "none", "small", "c", ""),
            Row("d", "fake", "lamp", "small", "d", ""),
        ],
        ["clean"],
        {(name, "clean") for name in "abcd"},
    )
    found = {name: mask.tolist() for name, mask in peers_page.pairs(labels)}
    assert found == {
        "alone: lamp, other": [True, True, False, False],
        "small, own": [False, False, True, True],
    }
