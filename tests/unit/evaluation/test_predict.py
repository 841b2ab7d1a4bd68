"""Inference for evaluation: what is looked at, in which order, and what is never looked at."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from faceproof.checker import Checker
from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Detector, calibrate
from faceproof.errors import ManifestError, SplitUseError, UnknownChoiceError, UsageError
from faceproof.evaluation.predict import predict, predict_rows
from faceproof.evaluation.predictions import Origin, all_faces, labelled_rows, origin_of
from faceproof.evaluation.scored_faces import (
    BOX_COLUMNS,
    FaceSearch,
    intersection_over_union,
    move_box,
    take_whole_picture,
)
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import prepare

pytestmark = pytest.mark.train

BRIGHTNESS = {"black": 10, "grey": 120, "white": 245}


class MiddleFinder:
    """Finds a small and then a large face, none in dark pictures, and remembers what it saw."""

    def __init__(self):
        self.shapes = []

    def find(self, pixels):
        self.shapes.append(pixels.shape)
        height, width = pixels.shape[:2]
        if pixels.mean() < 50:
            return []
        points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.38, 0.7], [0.62, 0.7]])
        landmarks = (points * [width, height]).astype(np.float32)
        large = Face((0.0, 0.0, float(width), float(height)), landmarks, 0.9)
        return [large, replace(large, box=(0.0, 0.0, 40.0, 40.0), landmarks=landmarks / 4)]


@pytest.fixture
def folder(tmp_path):
    for name, brightness in BRIGHTNESS.items():
        grain = np.random.default_rng(brightness).integers(-5, 6, (96, 80, 3))
        cv2.imwrite(str(tmp_path / f"{name}.png"), (brightness + grain).astype(np.uint8))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return tmp_path


@pytest.fixture
def manifest(folder):
    def row(name, label, split):
        digest = hashlib.sha256((folder / f"{name}.png").read_bytes()).hexdigest()
        generator = "none" if label == "real" else "lamp"
        return Row(f"{name}.png", label, generator, "shop", name, digest, split)

    labels = {"grey": "real", "white": "fake", "black": "real", "broken": "fake"}
    rows = [row(name, label, "calibration") for name, label in labels.items()]
    return Manifest(tuple(rows))


@pytest.fixture
def detector(tiny_bundle):
    return Detector.load(tiny_bundle)


def predicted(detector, manifest, folder, conditions=("clean", "resize-0.5"), **options):
    settings = {"split": "calibration", "purpose": "calibrate", "finder": MiddleFinder(), **options}
    return predict(detector, manifest, conditions, root=folder, **settings)


def test_every_row_under_every_condition_in_order(detector, manifest, folder):
    table = predicted(detector, manifest, folder)
    seen = [(r["path"], r["condition"], r["status"]) for r in table.to_pylist()]
    assert seen == [
        (f"{name}.png", condition, status)
        for name, status in [
            ("grey", "ok"),
            ("white", "ok"),
            ("black", "no_face"),
            ("broken", "error"),
        ]
        for condition in ("clean", "resize-0.5")
    ]
    row = table.to_pylist()[2]
    assert (row["label"], row["generator"], row["source"]) == ("fake", "lamp", "shop")
    assert (row["split"], row["group"]) == ("calibration", "white")


def test_the_answer_is_that_of_the_largest_face_of_the_worn_picture(detector, manifest, folder):
    condition, finder = "resize-0.5", MiddleFinder()
    table = predicted(detector, manifest, folder, [condition], finder=finder)
    assert set(finder.shapes) == {(96, 80, 3), (48, 40, 3)}
    bgr = cv2.imread(str(folder / "white.png"))
    degraded = DEGRADATIONS[condition](bgr[:, :, ::-1].copy(), np.random.default_rng(0))
    ready = prepare(degraded, MiddleFinder().find(degraded)[0].landmarks, detector.preprocessing)
    logit = detector.logits(ready[None])[0]
    row = table.to_pylist()[1]
    assert row["logit"] == pytest.approx(logit, abs=1e-5)
    assert row["fake_probability"] == calibrate(row["logit"], detector.spec.calibration)


def test_batches_and_threads_change_nothing(detector, manifest, folder):
    conditions = ["clean", "noise-10" if "noise-10" in DEGRADATIONS else "clean", "jpeg-60"]
    one = predicted(detector, manifest, folder, conditions, workers=0, batch_size=1)
    actual = []
    many = predicted(
        detector, manifest, folder, conditions, workers=3, batch_size=100, progress=actual.append
    )
    assert actual == [many.num_rows] == [4 * len(set(conditions))]
    assert one.drop_columns(["logit", "fake_probability"]).equals(
        many.drop_columns(["logit", "fake_probability"])
    )
    np.testing.assert_allclose(all_faces(one).logits, all_faces(many).logits, atol=1e-5)


def test_the_table_names_detector_data_and_purpose(detector, manifest, folder):
    origin = origin_of(predicted(detector, manifest, folder))
    assert origin.detector_sha256 == detector.sha256
    assert origin.data_sha256 == manifest.sha256
    assert origin.purpose == "calibrate"


@pytest.mark.parametrize(
    ("split", "purpose"),
    [("test", "choose"), ("test", "calibrate"), ("calibration", "final-report"), ("test", "fun")],
)
def test_a_split_is_read_for_its_purpose_alone(detector, manifest, folder, split, purpose):
    finder = MiddleFinder()
    with pytest.raises(SplitUseError, match=f"'{split}'"):
        predicted(detector, manifest, folder, split=split, purpose=purpose, finder=finder)
    assert finder.shapes == []


def test_the_final_report_reads_the_test_split(detector, manifest, folder):
    own = Manifest(tuple(replace(row, split="test") for row in manifest.rows))
    assert predicted(detector, own, folder, split="test", purpose="final-report").num_rows == 8
    with pytest.raises(UsageError, match="no rows in the split 'calibration'"):
        predicted(detector, own, folder)


def test_a_changed_broken_or_missing_file_is_a_row_with_its_reason(detector, manifest, folder):
    (folder / "grey.png").write_bytes((folder / "white.png").read_bytes())
    (folder / "black.png").unlink()
    rows = predicted(detector, manifest, folder, ["clean"]).to_pylist()
    assert [(row["path"], row["status"], row["reason"]) for row in rows] == [
        ("grey.png", "error", "changed_file"),
        ("white.png", "ok", ""),
        ("black.png", "error", "source_not_found"),
        ("broken.png", "error", "truncated_picture"),
    ]
    assert [row["logit"] is None for row in rows] == [True, False, True, True]


def test_a_picture_without_a_face_says_so(detector, manifest, folder):
    rows = predicted(detector, manifest, folder, ["clean"]).to_pylist()
    assert (rows[2]["status"], rows[2]["reason"]) == ("no_face", "no_face")


def test_an_unknown_condition_is_named_before_anything_is_opened(detector, manifest, folder):
    finder = MiddleFinder()
    with pytest.raises(UnknownChoiceError, match="did you mean 'jpeg-60'"):
        predicted(detector, manifest, folder, ["jpeg60"], finder=finder)
    assert finder.shapes == []


def test_a_missing_file_is_an_error_row(detector, manifest, folder):
    (folder / "grey.png").unlink()
    rows = predicted(detector, manifest, folder, ["clean"]).to_pylist()
    assert (rows[0]["status"], rows[0]["logit"]) == ("error", None)


class CoupleFinder:
    """Finds two faces by the width of the picture; ``seen`` has the boxes for each width."""

    def __init__(self, seen):
        self.seen = seen

    def find(self, pixels):
        return [make_face(*box) for box in self.seen[pixels.shape[1]]]


def make_face(x, y, width, height):
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    landmarks = (points * [width, height] + [x, y]).astype(np.float32)
    return Face((float(x), float(y), float(width), float(height)), landmarks, 0.9)


LEFT, RIGHT = (5, 10, 60, 60), (90, 20, 50, 50)
SMALL_LEFT, SMALL_RIGHT = (3, 5, 29, 30), (44, 8, 32, 32)


@pytest.fixture
def couple(tmp_path):
    """Return the row of a picture of 160 x 96 px, in which two faces are found."""
    grain = np.random.default_rng(5).integers(0, 255, (96, 160, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "couple.png"), cv2.GaussianBlur(grain, (0, 0), 3))
    digest = hashlib.sha256((tmp_path / "couple.png").read_bytes()).hexdigest()
    return Row("couple.png", "fake", "lamp", "shop", "g", digest, "test", {"age": "33"})


def scored(detector, rows, root, finder, conditions=("clean", "resize-0.5"), **options):
    origin = Origin(detector_sha256=detector.sha256, data_sha256="d" * 64, purpose="final-report")
    return predict_rows(
        detector, rows, origin, conditions, root=root, find=FaceSearch(finder.find), **options
    )


def boxes(table):
    return [
        tuple(row[name] for name in BOX_COLUMNS) if row["status"] == "ok" else row["reason"]
        for row in table.to_pylist()
    ]


def test_a_face_is_the_same_one_under_every_condition(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_RIGHT, SMALL_LEFT]})
    assert boxes(scored(detector, [couple], tmp_path, finder)) == [LEFT, SMALL_LEFT]


def test_a_lost_face_is_not_judged_though_another_is_found(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_RIGHT]})
    table = scored(detector, [couple], tmp_path, finder)
    assert boxes(table) == [LEFT, "face_lost"]
    assert table["status"].to_pylist() == ["ok", "no_face"]


def test_the_largest_face_of_the_clean_picture_is_the_one_though_it_is_not_asked(
    detector, couple, tmp_path
):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_RIGHT, SMALL_LEFT]})
    table = scored(detector, [couple], tmp_path, finder, ["resize-0.5"])
    assert boxes(table) == [SMALL_LEFT]


def boxed(row, box, **changes):
    columns = dict(zip(BOX_COLUMNS, map(str, box), strict=True))
    return replace(row, attributes={**row.attributes, **columns}, **changes)


def test_the_box_of_the_manifest_names_the_face(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_LEFT, SMALL_RIGHT]})
    wide = boxed(couple, (80, 10, 70, 70))
    assert boxes(scored(detector, [wide], tmp_path, finder)) == [RIGHT, SMALL_RIGHT]
    nobody = boxed(couple, (70, 60, 20, 20))
    assert boxes(scored(detector, [nobody], tmp_path, finder)) == ["face_lost", "face_lost"]


def test_two_faces_of_a_picture_each_have_their_label(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_LEFT, SMALL_RIGHT]})
    rows = [boxed(couple, RIGHT), boxed(couple, LEFT, label="real", generator="none")]
    table = scored(detector, rows, tmp_path, finder, others=True)
    assert boxes(table) == [RIGHT, SMALL_RIGHT, LEFT, SMALL_LEFT]
    assert table["label"].to_pylist() == ["fake", "fake", "real", "real"]
    assert table["face"].to_pylist() == [0, 0, 1, 1]


@pytest.mark.parametrize("box", [None, LEFT])
def test_duplicate_rows_are_refused(detector, couple, tmp_path, box):
    row = couple if box is None else boxed(couple, box)
    with pytest.raises(ManifestError, match=r"couple\.png has 2 rows; remove duplicates"):
        scored(detector, [row, row], tmp_path, CoupleFinder({}))


@pytest.mark.parametrize("box", [("1", "2", "3", ""), (1, 2, 0, 4), (1, 2, "nan", 4), "abcd"])
def test_a_wrong_box_is_refused_before_anything_is_opened(detector, couple, tmp_path, box):
    with pytest.raises(ManifestError, match=r"couple\.png: the box must be four numbers"):
        scored(detector, [boxed(couple, box)], tmp_path, CoupleFinder({}))


def test_other_faces_are_kept_without_a_label_and_count_nowhere(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT, RIGHT], 80: [SMALL_LEFT]})
    table = scored(detector, [couple], tmp_path, finder, others=True)
    assert boxes(table) == [LEFT, SMALL_LEFT, RIGHT]
    other = table.to_pylist()[2]
    assert (other["face"], other["label"], other["generator"]) == (1, "", "")
    assert other["fake_probability"] is not None
    assert len(all_faces(table)) == 2
    plain = scored(detector, [couple], tmp_path, finder)
    assert labelled_rows(table).equals(plain)


def test_attributes_are_columns(detector, couple, tmp_path):
    finder = CoupleFinder({160: [LEFT]})
    rows = [boxed(couple, LEFT), boxed(couple, RIGHT)]
    rows[1] = replace(rows[1], attributes={**rows[1].attributes, "age": "", "gender": "f"})
    table = scored(detector, rows, tmp_path, finder, ["clean"])
    assert table.column_names[-2:] == ["attribute.age", "attribute.gender"]
    assert table["attribute.age"].to_pylist() == ["33", ""]
    assert table["attribute.gender"].to_pylist() == ["", "f"]


def test_the_verdict_is_that_of_the_checker_and_some_cautions_withhold_it(detector, tmp_path):
    rng, rows = np.random.default_rng(0), []
    smooth = np.linspace(0, 250, 96).astype(np.uint8)
    pictures = {
        "dither": rng.integers(0, 2, (96, 96)) * 255,
        "bright": np.tile(smooth // 4 + 180, (96, 1)),
        "dark": np.tile(smooth // 4, (96, 1)),
    }
    for name, grey in pictures.items():
        file = tmp_path / f"{name}.png"
        Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append(Row(file.name, "fake", "lamp", "shop", name, digest))
    origin = Origin(detector_sha256=detector.sha256, data_sha256="d" * 64, purpose="final-report")
    table = predict_rows(
        detector,
        rows,
        origin,
        ["clean", "blur-1"],
        root=tmp_path,
        find=take_whole_picture(),
        at=detector.operating_point(),
    )
    clean = [row for row in table.to_pylist() if row["condition"] == "clean"]
    checker = Checker(detector, faces="whole")
    checked = [checker.check(tmp_path / row.path) for row in rows]
    assert [row["verdict"] for row in clean] == [one.verdict for one in checked]
    assert [row["cautions"] for row in clean] == [
        ",".join(one.faces[0].quality.cautions) for one in checked
    ]
    dither = [row for row in table.to_pylist() if row["path"] == "dither.png"]
    assert [row["verdict"] for row in dither] == ["unsure", "unsure"]
    assert all("not_continuous_tone" in row["cautions"] for row in dither)
    assert {row["verdict"] for row in clean[1:]} == {"real", "fake"}


CHANGES = {
    "rotate-15": lambda image: image.rotate(15, Image.Resampling.BILINEAR),
    "rotate-90": lambda image: image.rotate(90),
    "mirror": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "crop-0.75": lambda image: image.crop((25, 20, 175, 140)),
    "crop-0.75+resize-0.5": lambda image: image.crop((25, 20, 175, 140)).resize((75, 60)),
    "resize-0.5+jpeg-60": lambda image: image.resize((100, 80)),
    "caption": lambda image: image,
}


@pytest.mark.parametrize("condition", CHANGES)
def test_a_box_moves_with_what_is_in_it(condition):
    """A white square is followed through changes of its picture that Pillow makes."""
    box = (50.0, 60.0, 30.0, 30.0)
    pixels = np.zeros((160, 200), np.uint8)
    pixels[60:90, 50:80] = 255
    changed = np.asarray(CHANGES[condition](Image.fromarray(pixels)))
    x, y, width, height = cv2.boundingRect((changed > 127).astype(np.uint8))
    moved = move_box(box, condition, pixels.shape, changed.shape)
    assert intersection_over_union(moved, (x, y, width, height)) > 0.6
    middle = np.array([x + width / 2, y + height / 2])
    assert np.abs(np.array(moved[:2]) + np.array(moved[2:]) / 2 - middle).max() < 1.5
