"""What holds for the crop of any face in any picture."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.imaging.preprocessing import CropSpec, crop_face, face_matrix

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a crop

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 70)
coordinates = st.floats(-1e5, 1e5, width=32)
any_points = st.lists(st.tuples(coordinates, coordinates), min_size=5, max_size=5)
frames = st.tuples(st.integers(0, 40), st.integers(0, 40))
SPEC = CropSpec(size=32)


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@UNHURRIED
@given(seeds, sides, sides, any_points)
def test_any_points_in_any_picture_give_a_crop(seed, height, width, points):
    crop = crop_face(noise(seed, height, width), np.float32(points), SPEC)
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == np.uint8


@UNHURRIED
@given(seeds, sides, sides, frames, st.floats(0.05, 0.9))
def test_a_frame_of_the_fill_colour_changes_nothing(seed, height, width, frame, small):
    """The outside of a picture is the fill colour already; the face is smaller than its crop."""
    (left, top), rng = frame, np.random.default_rng(seed)
    picture = noise(seed, height, width)
    face = rng.normal(size=(5, 2)).astype(np.float32) * 10 * small + [width / 2, height / 2]
    framed = np.full((height + 2 * top, width + 2 * left, 3), SPEC.fill, np.uint8)
    framed[top : top + height, left : left + width] = picture
    one = crop_face(picture, np.float32(face), SPEC).astype(int)
    other = crop_face(framed, np.float32(face + np.array(frame)), SPEC).astype(int)
    if abs(np.linalg.det(face_matrix(np.float32(face), SPEC)[:, :2])) >= 1:
        assert np.abs(one - other).max() <= 8, "coordinates are rounded to 1/32 px"


@UNHURRIED
@given(seeds, any_points)
def test_a_flat_picture_gives_its_colour_and_the_fill(seed, points):
    """No colour comes from anywhere else; where they meet they mix."""
    colour = np.random.default_rng(seed).integers(0, 256, 3)
    flat = np.full((40, 50, 3), colour, np.uint8)
    crop = crop_face(flat, np.float32(points), SPEC).astype(int)
    low, high = np.minimum(colour, SPEC.fill), np.maximum(colour, SPEC.fill)
    assert ((crop >= low - 1) & (crop <= high + 1)).all()
