"""The crop and the network's input: geometry, edges, large pictures, formula."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from skimage import data

from faceproof.imaging.preprocessing import (
    TEMPLATE_112,
    CropSpec,
    InputSpec,
    Preprocessing,
    crop_face,
    face_matrix,
    network_input,
    prepare,
    similarity,
)

#: The astronaut's five points as YuNet finds them.
LANDMARKS = np.array(
    [[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]], np.float32
)
FILL = CropSpec().fill


def template(size: int, margin: float = 0.0) -> np.ndarray:
    """Return the landmarks of a picture that is its own crop, float32 [5, 2]."""
    share = size / (112 * (1 + 2 * margin))
    return ((TEMPLATE_112 + 112 * margin) * share).astype(np.float32)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.25, 1.0])
@pytest.mark.parametrize("size", [112, 160])
def test_landmarks_come_to_lie_on_the_template(size, margin):
    """A face turned by 30 degrees, enlarged and shifted."""
    angle = np.radians(30)
    turn = 3.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    face = TEMPLATE_112 @ turn.T + [250, -40]
    matrix = face_matrix(face.astype(np.float32), CropSpec(size=size, margin=margin))
    landed = np.column_stack([face, np.ones(5)]) @ matrix.T
    assert landed == pytest.approx(template(size, margin), abs=1e-2)


def test_a_picture_that_is_its_own_crop_is_not_touched():
    picture = noise(160, 160, 3)
    assert np.array_equal(crop_face(picture, template(160), CropSpec(size=160)), picture)
    assert np.array_equal(crop_face(picture, None, CropSpec(size=160)), picture)


def test_points_without_extent_give_the_shift_alone():
    """Also points that turn and mirror so that no rotation helps: their fit would collapse."""
    one = np.full((5, 2), 7.0)
    assert similarity(one, TEMPLATE_112)[:, :2].tolist() == [[1, 0], [0, 1]]
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    mirrored = square[[1, 0, 3, 2]]
    assert similarity(square, mirrored).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_the_crop_of_an_enlarged_picture_is_the_crop_of_the_small_one():
    """Four times larger, the face is averaged down first; what remains is interpolation."""
    small = data.astronaut()
    large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    points = ((LANDMARKS + 0.5) * 4 - 0.5).astype(np.float32)
    spec = CropSpec(size=160)
    away = difference(crop_face(small, LANDMARKS, spec), crop_face(large, points, spec))
    assert away.mean() < 1.5
    assert np.percentile(away, 99) <= 10


@pytest.mark.parametrize("turn", [0.0, 17.0])
def test_a_fine_grid_gives_grey_without_aliasing(turn):
    """Lines of two pixels, black and white, in a face eight times the crop."""
    lines = np.zeros((1280, 1280, 3), np.uint8)
    lines[:, ::4] = lines[:, 1::4] = 255
    matrix = cv2.getRotationMatrix2D((640, 640), turn, 1.0)
    points = np.column_stack([template(1280), np.ones(5)]) @ matrix.T
    crop = crop_face(lines, points.astype(np.float32), CropSpec(size=160))[40:120, 40:120]
    assert crop.std() < 4
    assert crop.mean() == pytest.approx(127.5, abs=2)
    sampled = cv2.warpAffine(lines, np.array([[0.13, 0, 0], [0, 0.13, 0]]), (160, 160))
    assert sampled.std() > 50, "without averaging the same lines would alias"


def test_only_the_needed_part_of_a_large_picture_decides():
    """What lies far from the face changes nothing."""
    picture = noise(900, 1200, 3)
    points = template(320) + np.float32([500, 300])
    before = crop_face(picture, points, CropSpec(size=160))
    picture[:280] = picture[640:] = picture[:, :480] = picture[:, 840:] = 0
    assert np.array_equal(crop_face(picture, points, CropSpec(size=160)), before)


def test_the_part_that_is_looked_at_reaches_beyond_the_crop():
    """Else the border of a reduced face would mix with the fill colour."""
    white = np.full((900, 1200, 3), 255, np.uint8)
    for turn in (0, 30):
        matrix = cv2.getRotationMatrix2D((250, 250), turn, 1.0)
        points = np.column_stack([template(500), np.ones(5)]) @ matrix.T + [300, 200]
        assert (crop_face(white, points.astype(np.float32), CropSpec(size=160)) == 255).all()


def test_what_lies_outside_of_the_picture_is_filled():
    white = np.full((100, 100, 3), 255, np.uint8)
    shifted = template(112) - np.float32([56, 56])
    crop = crop_face(white, shifted, CropSpec(size=112, fill=(1, 2, 3)))
    assert (crop[:55, :] == (1, 2, 3)).all()
    assert (crop[:, :55] == (1, 2, 3)).all()
    assert (crop[58:, 58:] == 255).all()


@pytest.mark.parametrize("scale", [0.2, 5.0])
@pytest.mark.parametrize("away", [-1e6, -5e3, 5e3, 1e6])
def test_a_face_outside_of_the_picture_is_all_fill(away, scale):
    points = template(160) * np.float32(scale) + np.float32(away)
    crop = crop_face(noise(50, 60, 3), points, CropSpec(size=160))
    assert crop.shape == (160, 160, 3)
    assert (crop == FILL).all()


@pytest.mark.parametrize(("height", "width"), [(80, 160), (160, 80), (320, 640), (37, 91)])
def test_a_whole_picture_is_fitted_and_centred(height, width):
    crop = crop_face(np.full((height, width, 3), 255, np.uint8), None, CropSpec(size=160))
    shown = (crop == 255).all(axis=2)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    share = 160 / max(height, width)
    assert len(rows) == pytest.approx(height * share, abs=3)
    assert len(columns) == pytest.approx(width * share, abs=3)
    assert rows.mean() == pytest.approx(79.5, abs=1)
    assert columns.mean() == pytest.approx(79.5, abs=1)
    assert (crop[: max(0, rows[0] - 2)] == FILL).all()
    assert (crop[:, columns[-1] + 3 :] == FILL).all()


def test_network_input_is_the_formula():
    crops = noise(2, 8, 8, 3)
    spec = InputSpec(mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 1.0))
    numbers = network_input(crops, spec)
    assert numbers.shape == (2, 3, 8, 8)
    assert numbers.dtype == np.float32
    assert numbers.flags["C_CONTIGUOUS"]
    expected = (crops.astype(np.float64) / 255 - spec.mean) / spec.std
    assert np.abs(np.moveaxis(numbers, 1, -1) - expected).max() < 1e-6 * 10


def test_one_crop_and_many_give_the_same_numbers():
    crops, spec = noise(3, 8, 8, 3), InputSpec()
    together = network_input(crops, spec)
    assert np.array_equal(together, np.stack([network_input(crop, spec) for crop in crops]))


def test_prepare_is_crop_and_numbers():
    spec = Preprocessing(crop=CropSpec(size=64, margin=0.1))
    crop = crop_face(data.astronaut(), LANDMARKS, spec.crop)
    assert np.array_equal(
        prepare(data.astronaut(), LANDMARKS, spec), network_input(crop, spec.input)
    )


def test_the_picture_itself_stays_as_it_was():
    picture = data.astronaut()
    before = picture.copy()
    prepare(picture, LANDMARKS, Preprocessing())
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(
    "wrong", [{"size": 8}, {"size": 4096}, {"margin": 2.0}, {"method": "box"}, {"sise": 160}]
)
def test_a_crop_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        CropSpec.model_validate(wrong)


EVERY_SHAPE = """
import faulthandler
faulthandler.dump_traceback_later(60, exit=True)
import numpy as np
from faceproof.imaging.preprocessing import CropSpec, TEMPLATE_112, crop_face
rng, spec = np.random.default_rng(0), CropSpec(size=32)
for height, width in ((1, 1), (1, 2), (2, 1), (1, 5000), (5000, 1), (2, 30_000), (30_000, 3)):
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    inside = (rng.random((5, 2)) * [width, height]).astype(np.float32)
    for points in (None, inside, inside * 0, inside * 1000, TEMPLATE_112, -TEMPLATE_112):
        assert crop_face(picture, points, spec).shape == (32, 32, 3)
"""


def test_pictures_of_one_pixel_neither_crash_nor_hang():
    """In a process of its own: OpenCV was seen to hang on borders of pictures of one pixel."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_SHAPE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_whole_crop_does_not_look_at_the_landmarks():
    picture = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    points = np.array([[20, 10], [40, 10], [30, 18], [22, 28], [38, 28]], np.float32)
    spec = CropSpec(method="whole", size=32)
    assert np.array_equal(crop_face(picture, points, spec), crop_face(picture, None, spec))
    assert not np.array_equal(
        crop_face(picture, points, spec), crop_face(picture, points, CropSpec(size=32))
    )
