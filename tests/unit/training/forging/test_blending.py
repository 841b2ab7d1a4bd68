"""Faces blended into pictures: only the mask changes, a seed decides all, odd input is harmless."""

import time

import cv2
import numpy as np
import pytest

from faceproof.errors import UnknownChoiceError
from faceproof.imaging.preprocessing import TEMPLATE_112
from faceproof.training.forging.blending import (
    BLENDS,
    RATIOS,
    SIDES,
    TEXTURES,
    random_self_blend,
    self_blend,
    swap_face,
)
from faceproof.training.forging.masks import OUTLINES, face_mask, face_patch, fit_affine, is_face

SIZE = 224
LANDMARKS = (TEMPLATE_112 * 1.2 + 40).astype(np.float32)
SEEDS = range(12)


def picture(seed: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """Smooth colours with some grain, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (8, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def turned(degrees: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), degrees, 0.9)
    return (LANDMARKS @ turn[:, :2].T + turn[:, 2]).astype(np.float32)


def blended(kind: str, seed: int, landmarks: np.ndarray = LANDMARKS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "self":
        return self_blend(picture(1), landmarks, rng)
    return swap_face(picture(1), landmarks, picture(2), turned(15), rng, blend=kind)


KINDS = ["self", *BLENDS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_changes_outside_of_the_mask_and_something_inside(kind, seed):
    before, after = picture(1), blended(kind, seed)
    mask = face_mask(LANDMARKS, before.shape[:2], np.random.default_rng(seed))
    assert (after.shape, after.dtype) == (before.shape, np.uint8)
    assert np.array_equal(after[mask == 0], before[mask == 0])
    inside = mask > 0.6
    assert inside.sum() > 500
    assert np.abs(after[inside].astype(int) - before[inside]).mean() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_everything_and_the_inputs_stay_as_they_were(kind):
    before, points = picture(1), LANDMARKS.copy()
    assert np.array_equal(blended(kind, 5), blended(kind, 5))
    assert not np.array_equal(blended(kind, 5), blended(kind, 6))
    assert np.array_equal(before, picture(1))
    assert np.array_equal(points, LANDMARKS)


DEGENERATE = {
    "one spot": np.full((5, 2), 50, np.float32),
    "outside, right": LANDMARKS + np.float32(5000),
    "outside, left": LANDMARKS - np.float32(5000),
    "nowhere": np.full((5, 2), np.nan, np.float32),
    "infinite": np.full((5, 2), np.inf, np.float32),
    "absurdly far": LANDMARKS + np.float32(1e30),
    "tiny": LANDMARKS * np.float32(1e-3),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", DEGENERATE)
def test_landmarks_without_a_face_leave_the_picture_alone(kind, case):
    after = blended(kind, 3, DEGENERATE[case])
    assert np.array_equal(after, picture(1))
    assert not np.shares_memory(after, picture(1))
    assert not face_mask(DEGENERATE[case], (SIZE, SIZE), np.random.default_rng(3)).any()


@pytest.mark.parametrize("case", ["one spot", "nowhere", "tiny"])
def test_a_donor_without_a_face_leaves_the_target_alone(case):
    rng = np.random.default_rng(0)
    after = swap_face(picture(1), LANDMARKS, picture(2), DEGENERATE[case], rng)
    assert np.array_equal(after, picture(1))


AWKWARD = {
    "in a corner": LANDMARKS - np.float32(90),
    "at the right edge": LANDMARKS + np.float32([120, 0]),
    "larger than the picture": (LANDMARKS - 112) * np.float32(9) + 112,
    "on its side": turned(90),
    "upside down": turned(180),
    "mirrored": LANDMARKS * np.float32([-1, 1]) + np.float32([SIZE, 0]),
    "in profile": LANDMARKS * np.float32([0.25, 1]) + np.float32([80, 0]),
    "on a line": np.float32([[60, 100], [90, 100], [112, 100], [130, 100], [160, 100]]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", AWKWARD)
@pytest.mark.parametrize("seed", range(3))
def test_awkward_faces_keep_shape_and_stay_inside_the_mask(kind, case, seed):
    before, after = picture(1), blended(kind, seed, AWKWARD[case])
    mask = face_mask(AWKWARD[case], before.shape[:2], np.random.default_rng(seed))
    assert (after.shape, after.dtype) == (before.shape, np.uint8)
    assert np.array_equal(after[mask == 0], before[mask == 0])


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_donors_are_harmless(case):
    rng = np.random.default_rng(0)
    after = swap_face(picture(1), LANDMARKS, picture(2), AWKWARD[case], rng)
    assert after.shape == picture(1).shape


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (31, 47)])
def test_pictures_of_any_shape(size):
    small = picture(3, *size)
    points = (TEMPLATE_112 / 112 * [size[1], size[0]]).astype(np.float32)
    rng = np.random.default_rng(0)
    assert self_blend(small, points, rng).shape == small.shape
    assert swap_face(small, points, picture(2), LANDMARKS, rng).shape == small.shape
    assert swap_face(picture(2), LANDMARKS, small, points, rng).shape == (SIZE, SIZE, 3)


def test_read_only_and_strided_pixels_are_taken():
    pixels = picture(1)[:, ::-1]
    pixels.flags.writeable = False
    rng = np.random.default_rng(0)
    for _ in SEEDS:
        assert self_blend(pixels, LANDMARKS, rng).shape == pixels.shape
        assert swap_face(pixels, LANDMARKS, pixels, LANDMARKS, rng).shape == pixels.shape


@pytest.mark.parametrize("outline", OUTLINES)
def test_every_outline_covers_its_own_part_of_the_face(outline):
    mask = face_mask(LANDMARKS, (SIZE, SIZE), outline=outline)
    assert (mask.dtype, mask.shape) == (np.float32, (SIZE, SIZE))
    assert (mask.min(), mask.max()) == (0, 1)
    assert 0.01 < mask.mean() < 0.5
    assert mask[0].max() == mask[-1].max() == 0


def test_random_masks_differ_and_stay_in_range():
    masks = [face_mask(LANDMARKS, (SIZE, SIZE), np.random.default_rng(seed)) for seed in SEEDS]
    assert all(mask.min() == 0 and 0.6 < mask.max() <= 1 for mask in masks)
    areas = {int((mask > 0).sum()) for mask in masks}
    assert len(areas) > len(SEEDS) / 2


def test_a_patch_is_no_larger_than_what_it_changes():
    patch = face_patch(LANDMARKS, (2000, 3000))
    assert patch is not None
    assert (patch.weights > 0).mean() > 0.5


@pytest.mark.parametrize("texture", TEXTURES)
def test_every_texture_keeps_shape_and_mean_colour(texture):
    after = TEXTURES[texture](picture(1), np.random.default_rng(0))
    assert (after.shape, after.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert np.abs(after.mean(axis=(0, 1)) - picture(1).mean(axis=(0, 1))).max() < 3


def test_a_swap_brings_the_donor_with_the_targets_colours():
    target = np.full((SIZE, SIZE, 3), (200, 60, 60), np.uint8)
    donor = np.repeat(picture(4).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    rng = np.random.default_rng(1)
    after = swap_face(target, LANDMARKS, donor, LANDMARKS, rng, outline="face")
    centre = after[100:130, 95:120].reshape(-1, 3)
    assert np.abs(centre.mean(axis=0) - [200, 60, 60]).max() < 60
    assert centre.std() > target[0, 0].std() / 100


def test_a_much_larger_donor_is_averaged_down():
    checks = np.indices((1120, 1120)).sum(axis=0) % 2 * np.uint8(255)
    donor = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    after = swap_face(
        np.full((SIZE, SIZE, 3), 128, np.uint8),
        LANDMARKS,
        donor,
        (TEMPLATE_112 * 10).astype(np.float32),
        np.random.default_rng(0),
    )
    assert np.abs(after.astype(int) - 128).max() < 12


def test_strength_makes_a_self_blend_more_visible():
    def change(strength: float) -> float:
        made = [self_blend(picture(1), LANDMARKS, np.random.default_rng(s), strength=strength)
                for s in SEEDS]  # fmt: skip
        return float(np.mean([np.abs(each.astype(int) - picture(1)).mean() for each in made]))

    assert change(2.0) > 1.2 * change(0.5)


class TestAsInThePaper:
    """Shiohara and Yamasaki change either side, and mix with the ratios of `RATIOS`."""

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_picture_around_may_be_what_is_changed(self, seed, monkeypatch):
        """Where the copy covers it whole, and is not moved, the face is as it was."""
        from faceproof.training.forging import blending

        monkeypatch.setattr(blending, "_shift", lambda pixels, patch, *_: patch.view_of(pixels))
        before = picture(1)
        rng = np.random.default_rng(seed)
        after = self_blend(before, LANDMARKS, rng, changed="picture", ratio=1.0)
        mask = face_mask(LANDMARKS, before.shape[:2], np.random.default_rng(seed))
        around, inside = mask == 0, mask == mask.max()
        assert np.abs(after[around].astype(int) - before[around]).mean() > 1.5
        assert inside.any()
        assert np.array_equal(after[inside], before[inside])

    @pytest.mark.parametrize("ratio", sorted(set(RATIOS)))
    def test_the_ratio_is_the_largest_weight_of_the_copy(self, ratio):
        """With less of the copy the change is less, in proportion."""
        before = picture(1)
        changes = []
        for share in (1.0, ratio):
            after = self_blend(before, LANDMARKS, np.random.default_rng(4), ratio=share)
            changes.append(after.astype(float) - before)
        inside = np.abs(changes[0]) > 4
        assert inside.sum() > 1000
        assert np.median(changes[1][inside] / changes[0][inside]) == pytest.approx(ratio, abs=0.05)

    def test_both_sides_and_all_ratios_are_drawn(self, monkeypatch):
        from faceproof.training.forging import blending

        drawn = []
        monkeypatch.setattr(
            blending, "self_blend", lambda *_, changed, ratio: drawn.append((changed, ratio))
        )
        for seed in range(600):
            random_self_blend(picture(1), LANDMARKS, np.random.default_rng(seed))
        assert {side for side, _ in drawn} == set(SIDES)
        assert np.mean([side == "copy" for side, _ in drawn]) == pytest.approx(0.5, abs=0.085)
        ratios = np.array([ratio for _, ratio in drawn])
        shares = {value: float((ratios == value).mean()) for value in set(RATIOS)}
        assert shares == pytest.approx({0.25: 1 / 6, 0.5: 1 / 6, 0.75: 1 / 6, 1: 0.5}, abs=0.085)

    @pytest.mark.parametrize("case", DEGENERATE)
    def test_landmarks_without_a_face_leave_the_picture_alone(self, case):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            after = random_self_blend(picture(1), DEGENERATE[case], rng)
            assert np.array_equal(after, picture(1))

    def test_another_side_is_refused_with_the_choices(self):
        with pytest.raises(UnknownChoiceError, match="picture"):
            self_blend(picture(1), LANDMARKS, np.random.default_rng(0), changed="pictur")

    def test_coarse_pixels_are_every_second_or_fourth(self):
        """Nearest, then linear: what is kept are the pixels of the picture themselves."""
        before = picture(1)
        for seed in range(6):
            step = int(np.random.default_rng(seed).choice((2, 4)))
            after = TEXTURES["coarsened"](before, np.random.default_rng(seed))
            kept = before[::step, ::step]
            wanted = cv2.resize(kept, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(after, wanted)


def test_unknown_names_are_refused_with_the_choices():
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownChoiceError, match="alpha"):
        swap_face(picture(1), LANDMARKS, picture(2), LANDMARKS, rng, blend="apha")
    with pytest.raises(UnknownChoiceError, match="lower"):
        face_mask(LANDMARKS, (SIZE, SIZE), outline="louer")


def test_affine_takes_points_to_points_and_never_mirrors():
    stretched = LANDMARKS * np.float32([1.2, 0.9]) + np.float32([4, 7])
    mapped = np.column_stack([LANDMARKS, np.ones(5)]) @ fit_affine(LANDMARKS, stretched)[:2].T
    assert mapped == pytest.approx(stretched, abs=1e-3)
    assert np.linalg.det(fit_affine(LANDMARKS, LANDMARKS * np.float32([-1, 1]))) >= 0
    assert is_face(LANDMARKS)


def test_a_call_takes_a_few_milliseconds():
    pixels, donor = picture(1), picture(2)
    calls = {
        "self": lambda rng: self_blend(pixels, LANDMARKS, rng),
        "swap": lambda rng: swap_face(pixels, LANDMARKS, donor, LANDMARKS, rng),
    }
    for name, call in calls.items():
        spent = []
        for seed in range(30):
            rng, start = np.random.default_rng(seed), time.process_time()
            call(rng)
            spent.append(time.process_time() - start)
        # 1 to 2 ms on an idle core; the bound leaves room for a busy machine.
        assert np.median(spent) < 0.02, name
