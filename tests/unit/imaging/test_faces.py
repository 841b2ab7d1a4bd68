"""The face finder on the astronaut of scikit-image, whole, turned, cut, small, and on nothing.

Cautions: each appears where its reason does, and nowhere else.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.imaging import faces
from faceproof.imaging.faces import (
    FACE_FINDERS,
    SMALLEST_FACE_PX,
    Face,
    YuNet,
    smallest_face,
)
from faceproof.imaging.preprocessing import CropSpec, crop_face

#: Where the astronaut's eyes, nose tip and mouth corners lie; her face is 90 px wide.
LANDMARKS = np.array([[200, 102], [247, 103], [221, 125], [199, 143], [239, 144]])
#: How far YuNet's landmarks may lie from the truth, as a share of the face's width.
NEAR = 0.13


@pytest.fixture(scope="module")
def finder() -> YuNet:
    return YuNet()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def head(astronaut) -> np.ndarray:
    """The astronaut's head, 270 px square, the face 90 px wide."""
    return astronaut[:270, 90:360]


def on_grey(picture: np.ndarray, *, width: int, height: int, at: tuple[int, int]) -> np.ndarray:
    """Return a grey picture with ``picture`` on it, its corner at x, y."""
    canvas = np.full((height, width, 3), 110, np.uint8)
    canvas[at[1] : at[1] + picture.shape[0], at[0] : at[0] + picture.shape[1]] = picture
    return canvas


def scaled(picture: np.ndarray, factor: float) -> np.ndarray:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)


def assert_near(face: Face, expected: np.ndarray, *, share: float = NEAR) -> None:
    """Assert that all five landmarks lie where they should."""
    assert np.abs(face.landmarks - expected).max() < share * face.side_px


def test_the_astronaut_is_found_with_box_and_landmarks(finder, astronaut):
    (face,) = finder.find(astronaut)
    x, y, width, height = face.box
    assert 170 < x < 190
    assert 55 < y < 75
    assert 80 < width < 100
    assert 100 < height < 125
    assert face.side_px == width
    assert 0.9 < face.detection_score <= 1
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32
    assert_near(face, LANDMARKS, share=0.05)


def test_a_grey_and_a_mirrored_astronaut_are_found(finder, astronaut):
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert len(finder.find(grey)) == 1
    (face,) = finder.find(np.ascontiguousarray(astronaut[:, ::-1]))
    assert_near(face, [511, 0] + LANDMARKS[[1, 0, 2, 4, 3]] * [-1, 1])


def test_pixels_need_not_lie_in_one_piece(finder, astronaut):
    backwards = np.ascontiguousarray(astronaut[:, ::-1])
    (face,) = finder.find(backwards[:, ::-1])
    assert_near(face, LANDMARKS, share=0.05)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_on_its_side_gives_the_same_crop(finder, astronaut, turns):
    """Turning back is exact; one grey level is what interpolation rounds."""
    (upright,) = finder.find(astronaut)
    picture = np.ascontiguousarray(np.rot90(astronaut, turns))
    (face,) = finder.find(picture)
    crops = [
        crop_face(pixels, one.landmarks, CropSpec(size=160)).astype(int)
        for pixels, one in ((astronaut, upright), (picture, face))
    ]
    assert np.abs(crops[0] - crops[1]).max() <= 1
    assert face.detection_score == upright.detection_score
    assert sorted(face.box[2:]) == pytest.approx(sorted(upright.box[2:]))


def test_turned_points_are_the_same_pixels(astronaut):
    """A pixel followed through `np.rot90` and back."""
    picture = np.zeros((7, 11, 3), np.uint8)
    picture[2, 9] = 255
    for turns in (1, 2, 3):
        (y,), (x,) = np.nonzero(np.rot90(picture, turns)[..., 0])
        back = faces._unturn(np.array([[x, y]], np.float32), turns, (7, 11))
        assert back.tolist() == [[9, 2]]


@pytest.mark.parametrize("degrees", [-45, -20, 20, 45])
def test_a_tilted_head_is_found(finder, astronaut, degrees):
    """YuNet's landmarks follow a tilt only in part; the box is where the face is."""
    matrix = cv2.getRotationMatrix2D((222.0, 122.0), degrees, 1.0)
    (face,) = finder.find(cv2.warpAffine(astronaut, matrix, (512, 512)))
    turned = np.column_stack([LANDMARKS, np.ones(5)]) @ matrix.T
    corner, size = np.array(face.box[:2]), np.array(face.box[2:])
    assert ((corner < turned) & (turned < corner + size)).all()


FRAME = ((178, 63), (268, 176))
BROW_TO_LIP = ((185, 75), (262, 170))


@pytest.mark.parametrize(
    ("frame", "factor"),
    [(FRAME, 1.0), (FRAME, 6.0), (BROW_TO_LIP, 8.0)],
    ids=["as it is", "enlarged", "found in the padded copy alone"],
)
def test_a_face_that_fills_the_frame_is_found(finder, astronaut, frame, factor):
    (left, top), (right, bottom) = frame
    tight = scaled(astronaut[top:bottom, left:right], factor)
    face = finder.find(tight)[0]
    assert_near(face, (LANDMARKS - [left, top] + 0.5) * factor - 0.5)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (3000, 2000)])
def test_a_face_of_40_px_in_a_large_picture_is_found(finder, head, width, height):
    picture = on_grey(scaled(head, 44 / 90), width=width, height=height, at=(300, 200))
    (face,) = finder.find(picture)
    assert_near(face, (LANDMARKS - [90, 0]) * 44 / 90 + [300, 200], share=0.2)


def test_faces_too_small_for_a_verdict_are_not_returned(finder, head):
    small = on_grey(scaled(head, 0.2), width=640, height=480, at=(100, 100))
    assert finder.find(small) == []
    assert SMALLEST_FACE_PX > 0.2 * 90


def test_several_faces_come_largest_first(finder, head):
    picture = np.full((320, 900, 3), 110, np.uint8)
    for place, factor in ((20, 0.5), (260, 1.0), (600, 0.7)):
        pasted = scaled(head, factor)
        picture[20 : 20 + pasted.shape[0], place : place + pasted.shape[1]] = pasted
    found = finder.find(picture)
    assert [int(face.box[0] // 300) for face in found] == [1, 2, 0]
    assert [face.side_px for face in found] == sorted((f.side_px for f in found), reverse=True)


def test_no_face_is_an_empty_list(finder):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for picture in (noise, np.zeros((200, 200, 3), np.uint8), data.coffee()[::2, ::2]):
        assert finder.find(np.ascontiguousarray(picture)) == []


SHAPES = ((1, 1), (1, 2), (2, 1), (1, 40), (40, 1), (3, 3), (1, 5000), (5000, 2), (2, 30_000))

EVERY_SHAPE = f"""
import faulthandler
faulthandler.dump_traceback_later(60, exit=True)  # OpenCV hangs where the interpreter cannot help
import numpy as np
from faceproof.imaging.faces import YuNet
finder, rng = YuNet(), np.random.default_rng(0)
for shape in {SHAPES}:
    assert finder.find(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) == [], shape
"""


def test_pictures_without_room_for_a_face_neither_crash_nor_hang():
    """In a process of its own: a hang or a crash in OpenCV would end the tests."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_SHAPE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_share_one_finder(finder, astronaut, head):
    pictures = [astronaut, head, np.ascontiguousarray(astronaut[::2, ::2])] * 6
    alone = [finder.find(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(finder.find, pictures))
    for one, other in zip(alone, together, strict=True):
        assert [face.box for face in one] == [face.box for face in other]
        assert all(
            np.array_equal(a.landmarks, b.landmarks) for a, b in zip(one, other, strict=True)
        )


def test_every_finder_of_the_table_finds_the_astronaut(astronaut):
    for make in FACE_FINDERS.values():
        (face,) = make().find(astronaut)
        assert isinstance(face, Face)


def crowd(head: np.ndarray, *, width: int, height: int, side: int) -> tuple[np.ndarray, int]:
    """Return a grey picture with faces of ``side`` px all over it, and how many."""
    one = scaled(head, side / 90)
    places = [
        (x, y)
        for x in range(40, width - one.shape[1], width // 5)
        for y in range(40, height - one.shape[0], height // 4)
    ]
    picture = np.full((height, width, 3), 110, np.uint8)
    for x, y in places:
        picture[y : y + one.shape[0], x : x + one.shape[1]] = one
    return picture, len(places)


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (4000, 3000)])
def test_small_faces_in_a_large_picture_are_found_once_each(finder, head, width, height):
    picture, count = crowd(head, width=width, height=height, side=37)
    found = finder.find(picture)
    assert count >= 20
    assert len(found) == count
    assert all(SMALLEST_FACE_PX <= face.side_px < 50 for face in found)


def test_small_faces_are_found_in_a_picture_on_its_side(finder, head):
    picture, count = crowd(head, width=1600, height=1200, side=60)
    assert len(finder.find(np.rot90(picture))) == count


def test_a_portrait_is_not_searched_in_tiles(finder, head, monkeypatch):
    portrait = on_grey(scaled(head, 4), width=1400, height=1200, at=(20, 20))
    once = finder.find(portrait)
    monkeypatch.setattr(finder, "_search_tiles", None)
    assert [face.box for face in finder.find(portrait)] == [face.box for face in once]
    assert len(once) == 1


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [(640, 480, 32), (6000, 4000, 32), (8000, 6000, 46), (12000, 8000, 64)],
)
def test_the_smallest_face_is_told(width, height, side):
    assert smallest_face((height, width, 3)) == side
