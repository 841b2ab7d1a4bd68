"""YuNet's network on onnxruntime gives the faces of OpenCV's FaceDetectorYN."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.errors import FaceproofError
from faceproof.imaging import face_network
from faceproof.imaging.face_network import FaceNetwork

FIXTURES = Path(__file__).parents[2] / "fixtures"
ORIGINAL = FIXTURES / "face_detection_yunet_2023mar.onnx"
ASTRONAUT = data.astronaut()
CROWD = np.tile(ASTRONAUT[20:220, 120:320], (3, 4, 1))
STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE


def by_opencv(pixels: np.ndarray, threshold: float) -> np.ndarray:
    """Return the rows of OpenCV's own finder with the zoo's file."""
    height, width = pixels.shape[:2]
    finder = cv2.FaceDetectorYN.create(str(ORIGINAL), "", (width, height), threshold, 0.3, 5000)
    found = finder.detect(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
    return np.zeros((0, 15), np.float32) if found is None else found


@pytest.mark.parametrize("threshold", [0.7, 0.3, 0.05])
@pytest.mark.parametrize(
    "pixels",
    [
        ASTRONAUT,
        CROWD,
        np.ascontiguousarray(ASTRONAUT[:333, :457]),
        np.ascontiguousarray(ASTRONAUT[::3, ::2]),
        cv2.resize(ASTRONAUT[30:270, 180:420], (640, 640)),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((40, 700, 3), np.uint8),
    ],
    ids=lambda pixels: "x".join(map(str, pixels.shape)),
)
def test_it_finds_what_opencv_finds(pixels: np.ndarray, threshold: float) -> None:
    ours, theirs = FaceNetwork(threshold).find(pixels), by_opencv(pixels, threshold)
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    order = [np.lexsort(np.round(rows[:, :2].T)) for rows in (ours, theirs)]
    assert np.allclose(ours[order[0]], theirs[order[1]], atol=5e-3)


def test_there_is_something_to_compare() -> None:
    assert len(FaceNetwork(0.7).find(CROWD)) == 12
    assert len(FaceNetwork(0.05).find(ASTRONAUT)) >= 1


def test_another_model_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_network, "_SHA256", "0" * 64)
    face_network._session.cache_clear()
    with pytest.raises(FaceproofError, match="reinstall faceproof"):
        FaceNetwork(0.7)


def test_the_file_is_the_zoos_without_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.syspath_prepend(FIXTURES)
    from make_yunet_any_size import MADE, any_size

    assert MADE.read_bytes() == any_size(ORIGINAL.read_bytes())
    sys.modules.pop("make_yunet_any_size")


@pytest.mark.skipif(not STATM.exists(), reason="needs the /proc of Linux")
def test_the_memory_of_a_large_picture_is_not_kept() -> None:
    network = FaceNetwork(0.7)
    network.find(np.zeros((640, 640, 3), np.uint8))
    before = resident_bytes()
    network.find(np.zeros((1600, 1600, 3), np.uint8))  # needs 150 MB
    assert resident_bytes() - before < 75e6


def test_scores_at_the_threshold_are_kept() -> None:
    network = FaceNetwork(0.5)
    value = np.array([[0.25], [0.5], [0.499], [1.0], [0.24]], np.float32)
    other = np.array([[1.0], [0.5], [0.5], [0.25], [1.0]], np.float32)
    boxes, points = np.zeros((5, 4), np.float32), np.zeros((5, 10), np.float32)
    rows = network._read_cells([value, other, boxes, points], 8, 5)
    assert rows[:, 14].tolist() == [0.5, 0.5, 0.5]
    assert rows[:, 0].tolist() == [-4.0, 4.0, 20.0]
