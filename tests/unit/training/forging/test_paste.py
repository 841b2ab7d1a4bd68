"""The paste: a coarse face under a soft mask, and nothing outside of the mask."""

import cv2
import numpy as np
import pytest

from faceproof.imaging.preprocessing import TEMPLATE_112
from faceproof.training.forging import paste
from faceproof.training.forging.masks import face_mask
from faceproof.training.forging.paste import SIDES_PX, paste_face
from support.forging import LANDMARKS, NO_FACE, SIZE, picture

SEEDS = range(12)
LARGE = 600
LARGE_LANDMARKS = (TEMPLATE_112 * 4 + 70).astype(np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grain(pixels: np.ndarray) -> np.ndarray:
    """Return the finest detail of a picture, float32 [H, W, 3]."""
    exact = pixels.astype(np.float32)
    return exact - cv2.GaussianBlur(exact, (0, 0), 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_pixels_under_the_mask_change(seed):
    before, after = picture(1), paste_face(picture(1), LANDMARKS, rng(seed))
    mask = face_mask(LANDMARKS, before.shape[:2], rng(seed))
    assert np.array_equal(after[mask == 0], before[mask == 0])
    inside = mask > 0.6
    assert np.abs(after[inside].astype(int) - before[inside]).mean() > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_edge_of_the_mask_is_soft(seed, monkeypatch):
    """A paste of white on black shows the mask itself: no step of more than half of its height."""
    monkeypatch.setattr(paste, "_recolour", lambda face, _: np.full_like(face, 255))
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    shown = paste_face(black, LANDMARKS, rng(seed))[..., 0].astype(int)
    largest = shown.max()
    assert largest > 150
    steps = max(np.abs(np.diff(shown, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.6 * largest
    between = (shown > 0.1 * largest) & (shown < 0.9 * largest)
    assert between.sum() > 200


def has_full_mask(seed: int) -> bool:
    return bool((face_mask(LARGE_LANDMARKS, (LARGE, LARGE), rng(seed)) > 0.99).sum() > 5000)


@pytest.mark.parametrize("seed", [seed for seed in range(20) if has_full_mask(seed)])
def test_the_face_is_softer_than_the_picture(seed):
    """Where the mask is full the grain of the picture is lost."""
    before = picture(1, LARGE, LARGE)
    after = paste_face(before, LARGE_LANDMARKS, rng(seed))
    mask = face_mask(LARGE_LANDMARKS, (LARGE, LARGE), rng(seed))
    before_grain, after_grain = (
        one.astype(float)[mask > 0.99] for one in (grain(before), grain(after))
    )
    assert after_grain.std() < 0.7 * before_grain.std()


def test_the_face_is_reduced_to_the_size_of_a_swapper(monkeypatch):
    sides = []
    reduce = paste._reduce_face

    def noted(face, generator):
        small = reduce(face, generator)
        sides.append((max(face.shape[:2]), max(small.shape[:2])))
        return small

    monkeypatch.setattr(paste, "_reduce_face", noted)
    for seed in range(60):
        paste_face(picture(1, LARGE, LARGE), LARGE_LANDMARKS, rng(seed))
        paste_face(picture(1), LANDMARKS, rng(seed))
    assert all(SIDES_PX[0] * 0.5 < small <= SIDES_PX[1] for _, small in sides)
    assert all(small <= 0.8 * face + 1 for face, small in sides)
    large = [small for face, small in sides if face > 200]
    assert min(large) < 65
    assert max(large) > 118


def test_the_mean_colour_changes_only_slightly():
    before = picture(1)
    for seed in SEEDS:
        after = paste_face(before, LANDMARKS, rng(seed))
        change = after.astype(int) - before
        changed = np.abs(change).max(axis=2) > 0
        assert np.abs(change[changed].mean(axis=0)).max() < 20


def test_a_seed_decides_everything():
    one, same, other = (paste_face(picture(1), LANDMARKS, rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("case", NO_FACE)
def test_landmarks_without_a_face_leave_a_copy(case):
    before = picture(1)
    after = paste_face(before, NO_FACE[case], rng())
    assert np.array_equal(after, before)
    assert not np.shares_memory(after, before)


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (31, 47)])
def test_pictures_of_any_shape(size):
    points = (TEMPLATE_112 / 112 * [size[1], size[0]]).astype(np.float32)
    for seed in SEEDS:
        assert paste_face(picture(3, *size), points, rng(seed)).shape == (*size, 3)
