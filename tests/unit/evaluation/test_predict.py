"""Inference for evaluation: what is looked at, in which order, and what is never looked at."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Detector, calibrate
from faceproof.errors import ManifestError, SplitUseError, UnknownChoiceError, UsageError
from faceproof.evaluation.predict import predict
from faceproof.evaluation.predictions import all_faces, origin_of
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
    assert set(finder.shapes) == {(48, 40, 3)}
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


def test_a_changed_file_stops_everything(detector, manifest, folder):
    (folder / "grey.png").write_bytes((folder / "white.png").read_bytes())
    with pytest.raises(
        ManifestError, match=r"grey\.png has changed: its SHA-256 is .*the manifest has"
    ):
        predicted(detector, manifest, folder)


def test_an_unknown_condition_is_named_before_anything_is_opened(detector, manifest, folder):
    finder = MiddleFinder()
    with pytest.raises(UnknownChoiceError, match="did you mean 'jpeg-60'"):
        predicted(detector, manifest, folder, ["jpeg60"], finder=finder)
    assert finder.shapes == []


def test_a_missing_file_is_an_error_row(detector, manifest, folder):
    (folder / "grey.png").unlink()
    rows = predicted(detector, manifest, folder, ["clean"]).to_pylist()
    assert (rows[0]["status"], rows[0]["logit"]) == ("error", None)
