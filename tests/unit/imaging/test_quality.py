"""What makes a face hard to judge, and what withholds its verdict."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.imaging.damage import Damage
from faceproof.imaging.faces import Face
from faceproof.imaging.quality import assess, outside_share

ASTRONAUT = Face(
    (178.0, 63.0, 90.0, 113.0),
    np.float32([[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]]),
    0.93,
)


def moved(face: Face, *, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> Face:
    """Return the face as it lies in a picture that was scaled and shifted."""
    x, y, width, height = (value * scale for value in face.box)
    points = (face.landmarks * scale + np.array(shift)).astype(np.float32)
    return Face((x + shift[0], y + shift[1], width, height), points, face.detection_score)


def test_a_good_face_has_no_caution():
    quality = assess(data.astronaut(), ASTRONAUT)
    assert quality.side_px == 90
    assert quality.cautions == ()


def test_a_small_face():
    half = cv2.resize(data.astronaut(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    quality = assess(half, moved(ASTRONAUT, scale=0.5))
    assert quality.side_px == 45
    assert "small" in quality.cautions


def test_a_blurred_face():
    soft = cv2.GaussianBlur(data.astronaut(), (0, 0), 4)
    assert assess(soft, ASTRONAUT).cautions == ("blurred",)


def test_a_blurred_face_in_a_large_picture_is_sharp_at_the_crops_size():
    """What counts is what the network sees: the same blur in a face four times as large."""
    large = cv2.resize(data.astronaut(), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(large, (0, 0), 4)
    assert assess(soft, moved(ASTRONAUT, scale=4)).cautions == ()


def test_a_dark_face():
    assert "dark" in assess(data.astronaut() // 6, ASTRONAUT).cautions


def test_a_dark_background_is_no_dark_face():
    picture = np.zeros_like(data.astronaut())
    picture[40:200, 150:300] = data.astronaut()[40:200, 150:300]
    assert "dark" not in assess(picture, ASTRONAUT).cautions


def test_a_face_cut_off_by_the_frame():
    cut = np.ascontiguousarray(data.astronaut()[:, 200:])
    face = moved(ASTRONAUT, shift=(-200, 0))
    assert outside_share(cut.shape, face) == pytest.approx(22 / 90)
    assert "cut_off" in assess(cut, face).cautions


def test_a_face_that_was_hardly_found():
    unsure = replace(ASTRONAUT, detection_score=0.71)
    assert assess(data.astronaut(), unsure).cautions == ("low_detection_score",)


def test_cautions_add_up_in_a_fixed_order():
    small = cv2.resize(data.astronaut() // 8, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    face = replace(moved(ASTRONAUT, scale=0.4), detection_score=0.7)
    assert assess(small, face).cautions == ("small", "blurred", "dark", "low_detection_score")


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((10, 10, 20, 20), 0.0),
        ((-10, 0, 20, 20), 0.5),
        ((90, 40, 20, 20), 0.75),
        ((200, 200, 20, 20), 1.0),
        ((-50, -50, 1000, 1000), 1 - 100 * 50 / 1e6),
        ((10, 10, 0, 20), 1.0),
    ],
)
def test_outside_share(box, share):
    face = Face(tuple(map(float, box)), ASTRONAUT.landmarks, 0.9)
    assert outside_share((50, 100, 3), face) == pytest.approx(share)


def test_a_face_outside_of_the_picture_is_assessed_too():
    quality = assess(np.zeros((30, 30, 3), np.uint8), ASTRONAUT)
    assert "cut_off" in quality.cautions


@pytest.mark.parametrize(
    ("box", "damaged"),
    [
        ((0, 180, 512, 332), False),  # below the face, chin and all
        ((0, 170, 512, 342), True),
        ((0, 0, 512, 33), False),
        ((0, 0, 178, 512), True),  # the crop is wider than the box
        ((300, 0, 212, 512), False),
    ],
)
def test_a_face_on_the_damaged_part_gets_no_verdict(box, damaged):
    quality = assess(data.astronaut(), ASTRONAUT, Damage(box, share=0.5))
    assert (quality.cautions == ("damaged",)) == damaged
    assert quality.withholds_verdict == damaged


def test_other_cautions_withhold_nothing():
    face = moved(ASTRONAUT, scale=0.5)
    half = cv2.resize(data.astronaut(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert assess(half, face).cautions == ("small",)
    assert not assess(half, face).withholds_verdict
