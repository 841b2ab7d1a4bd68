"""What a training picture goes through: repeatable, blind to the class, gentle with geometry."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from skimage import data

from faceproof.imaging.preprocessing import CropSpec
from faceproof.training import augment
from faceproof.training.augment import (
    Sample,
    augment_crop,
    cut_out,
    degrade,
    forge,
    jitter_colour,
    jitter_landmarks,
)
from faceproof.training.recipe import AugmentRecipe

CROP = CropSpec(size=64)
RECIPE = AugmentRecipe()
NOTHING = AugmentRecipe(
    history_steps=0,
    self_blend=0,
    swap=0,
    cut=0,
    flip=0,
    colour=0,
    grey=0,
    blur=0,
    noise=0,
    shift=0,
    scale=0,
    turn_degrees=0,
)
POINTS = np.float32([[100, 92], [147, 93], [120, 115], [98, 133], [139, 134]])


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[10:210, 100:320])


@pytest.fixture(scope="module")
def real(pixels) -> Sample:
    return Sample(pixels, POINTS, is_fake=False)


@pytest.fixture(scope="module")
def fake(pixels) -> Sample:
    return Sample(pixels, POINTS, is_fake=True)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def refuse() -> Sample:
    raise AssertionError("no donor is needed here")


class TestAugmentedCrop:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_seed_decides_it(self, real, seed):
        one, other = (augment_crop(real, lambda: real, RECIPE, CROP, rng(seed)) for _ in range(2))
        assert np.array_equal(one[0], other[0])
        assert one[1] == other[1]

    def test_seeds_differ(self, fake):
        crops = {augment_crop(fake, refuse, RECIPE, CROP, rng(s))[0].tobytes() for s in range(10)}
        assert len(crops) == 10

    def test_it_is_a_crop_of_the_recipes_size(self, real, fake):
        for seed, sample in enumerate([real, fake] * 5):
            crop, _ = augment_crop(sample, lambda: real, RECIPE, CROP, rng(seed))
            assert crop.shape == (64, 64, 3)
            assert crop.dtype == np.uint8
            assert crop.flags["C_CONTIGUOUS"]

    def test_with_all_chances_at_zero_it_is_the_crop_as_in_use(self, real):
        from faceproof.imaging.preprocessing import crop_face

        crop, is_fake = augment_crop(real, refuse, NOTHING, CROP, rng(0))
        assert np.array_equal(crop, crop_face(real.pixels, POINTS, CROP))
        assert not is_fake

    def test_a_flip_is_a_mirror(self, real):
        plain, _ = augment_crop(real, refuse, NOTHING, CROP, rng(0))
        always = NOTHING.model_copy(update={"flip": 1.0})
        mirrored, _ = augment_crop(real, refuse, always, CROP, rng(0))
        assert np.array_equal(mirrored, plain[:, ::-1])

    def test_the_sample_stays_as_it_was(self, real):
        before, points = real.pixels.copy(), real.landmarks.copy()
        for seed in range(6):
            augment_crop(real, lambda: real, RECIPE, CROP, rng(seed))
        assert np.array_equal(real.pixels, before)
        assert np.array_equal(real.landmarks, points)

    def test_the_face_is_still_to_be_seen(self, real):
        """Most crops resemble the plain one; a mirrored one resembles its mirror."""
        plain, _ = augment_crop(real, refuse, NOTHING, CROP, rng(0))
        likeness = []
        for seed in range(30):
            crop, _ = augment_crop(real, lambda: real, RECIPE, CROP, rng(seed))
            both = (crop, crop[:, ::-1])
            likeness.append(max(np.corrcoef(c.ravel(), plain.ravel())[0, 1] for c in both))
        assert np.median(likeness) > 0.7


#: Each chance of the recipe and what switches it off.
SWITCHES = {
    "history_steps": 0,
    "self_blend": 0.0,
    "swap": 0.0,
    "reconstruct": 0.0,
    "cut": 0.0,
    "flip": 0.0,
    "colour": 0.0,
    "grey": 0.0,
    "blur": 0.0,
    "noise": 0.0,
    "shift": 0.0,
    "scale": 0.0,
    "turn_degrees": 0.0,
}
BUSY = RECIPE.model_copy(
    update={
        "self_blend": 0.2,
        "swap": 0.2,
        "reconstruct": 0.2,
        "grey": 0.3,
        "blur": 0.4,
        "noise": 0.4,
    }
)


class TestAblation:
    """Switched off, a step changes nothing but itself: the others draw what they drew."""

    def steps(self, monkeypatch, real, recipe, seed) -> dict[str, object]:
        """Return what each step was given by chance, for one sample."""
        seen: dict[str, object] = {}

        def first(*values):
            return values[0]

        def drawing(name, back=first):
            def step(*values, **_):
                generator = next(v for v in values if isinstance(v, np.random.Generator))
                seen[name] = float(generator.random())
                return back(*values)

            return step

        def blurred(pixels, sigma):
            seen["blur"] = sigma
            return pixels

        def placed(_pixels, points, _crop):
            seen["points"] = points
            return real.pixels

        with monkeypatch.context() as patch:
            patch.setattr(augment, "random_self_blend", drawing("self_blend"))
            patch.setattr(augment, "swap_face", drawing("swap"))
            patch.setattr(augment, "reconstruct", drawing("reconstruct"))
            patch.setattr(augment, "cut_out", drawing("cut"))
            patch.setattr(augment, "jitter_colour", drawing("colour"))
            patch.setattr(augment, "noise", drawing("noise"))
            patch.setattr(augment, "blur", blurred)
            history = drawing("history_steps", lambda *values: values[:2])
            patch.setattr(augment, "history_with_points", history)
            patch.setattr(augment, "crop_face", placed)
            crop, _ = augment_crop(real, lambda: real, recipe, CROP, rng(seed))
            seen["flip"] = bool(np.array_equal(crop, real.pixels[:, ::-1]))
        return seen

    @pytest.mark.parametrize("off", SWITCHES)
    def test_a_step_that_is_switched_off_leaves_the_others_as_they_were(
        self, monkeypatch, real, off
    ):
        without = BUSY.model_copy(update={off: SWITCHES[off]})
        placing = off in ("shift", "scale", "turn_degrees")
        for seed in range(60):
            one = self.steps(monkeypatch, real, BUSY, seed)
            other = self.steps(monkeypatch, real, without, seed)
            ignored = {off, "points"} if placing else {off}
            left = [
                {k: v for k, v in seen.items() if k not in ignored and k != "points"}
                for seen in (one, other)
            ]
            assert left[0] == left[1]
            if not placing:
                assert np.array_equal(one["points"], other["points"])

    def test_every_step_is_met(self, monkeypatch, real):
        met = set()
        for seed in range(60):
            met |= set(self.steps(monkeypatch, real, BUSY, seed))
        assert met >= {"self_blend", "swap", "reconstruct", "cut", "colour", "noise", "blur"}

    def test_a_chance_of_zero_never_happens(self, monkeypatch, real):
        for seed in range(80):
            seen = self.steps(monkeypatch, real, NOTHING, seed)
            assert set(seen) == {"history_steps", "points", "flip"}
            assert seen["flip"] is False


class TestForgeries:
    def chosen(self, **chances: float) -> Counter:
        recipe = NOTHING.model_copy(update=chances)
        places = (np.arange(10_000) + 0.5) / 10_000
        return Counter(augment._choose_forgery(float(place), recipe) for place in places)

    @pytest.mark.parametrize(
        "chances",
        [
            (0.05, 0.03, 0.1),
            (0.4, 0.3, 0.3),
            (0.0, 0.6, 0.3),
            (0.6, 0.1, 0.2),
            (0, 0, 1),
            (1, 0, 0),
        ],
    )
    def test_they_come_by_their_chances_and_exclude_one_another(self, chances):
        names = ("self_blend", "swap", "reconstruct")
        found = self.chosen(**dict(zip(names, chances, strict=True)))
        for name, chance in zip(names, chances, strict=True):
            assert found[name] / 10_000 == pytest.approx(chance, abs=2e-4)
        assert found[None] / 10_000 == pytest.approx(1 - sum(chances), abs=3e-4)

    def test_a_picture_that_a_coder_did_not_change_stays_real(self, pixels):
        """Black stays black, but where a coder lays a pattern over its colour."""
        recipe = NOTHING.model_copy(update={"reconstruct": 1.0})
        black = Sample(np.zeros_like(pixels), POINTS, is_fake=False)
        made = [forge(black, refuse, recipe, rng(seed)) for seed in range(12)]
        assert sum(one is black for one in made) >= 6
        assert all(one.is_fake == bool(one.pixels.any()) for one in made)

    def test_a_face_that_cannot_be_blended_stays_real(self, pixels):
        recipe = NOTHING.model_copy(update={"self_blend": 1.0})
        away = Sample(pixels, POINTS + np.float32(5000), is_fake=False)
        assert forge(away, refuse, recipe, rng(0)) is away

    def test_a_reconstruction_is_a_fake_of_the_same_face(self, real):
        recipe = NOTHING.model_copy(update={"reconstruct": 1.0})
        made = forge(real, refuse, recipe, rng(1))
        assert made.is_fake
        assert np.array_equal(made.landmarks, real.landmarks)
        difference = made.pixels.astype(float) - real.pixels
        assert 0.5 < np.sqrt((difference**2).mean()) < 10


class TestLabels:
    def test_a_fake_stays_a_fake_and_is_never_forged(self, fake):
        forging = RECIPE.model_copy(update={"self_blend": 1.0})
        for seed in range(10):
            assert augment_crop(fake, refuse, forging, CROP, rng(seed))[1]

    def test_a_real_face_becomes_a_fake_only_where_it_was_forged(self, real):
        for seed in range(200):
            made = forge(real, lambda: real, RECIPE, rng(seed))
            assert made.is_fake == (made is not real)
            if made.is_fake:
                assert not np.array_equal(made.pixels, real.pixels)

    def test_it_is_forged_as_often_as_the_recipe_says(self, real, monkeypatch):
        monkeypatch.setattr(augment, "random_self_blend", lambda pixels, *_: 255 - pixels)
        monkeypatch.setattr(augment, "reconstruct", lambda pixels, *_: 255 - pixels)
        monkeypatch.setattr(augment, "swap_face", lambda pixels, *_: 255 - pixels)
        recipe = RECIPE.model_copy(update={"self_blend": 0.2, "swap": 0.1, "reconstruct": 0.15})
        calls = Counter()

        def donor() -> Sample:
            calls["donor"] += 1
            return real

        fakes = sum(forge(real, donor, recipe, rng(seed)).is_fake for seed in range(2000))
        assert fakes / 2000 == pytest.approx(0.45, abs=0.04)
        assert calls["donor"] / 2000 == pytest.approx(0.1, abs=0.03)

    def test_both_classes_go_through_the_same_histories(self, real, fake, monkeypatch):
        """Steps, kernels and qualities of 400 pictures each; 4 standard deviations are 0.14."""
        drawn: dict[bool, list[int]] = {True: [], False: []}
        changed: dict[bool, list[float]] = {True: [], False: []}
        monkeypatch.setattr(augment, "crop_face", lambda *_: real.pixels[:4, :4])
        plain = RECIPE.model_copy(update={"self_blend": 0.0, "swap": 0.0})
        for sample in (real, fake):
            label = sample.is_fake

            def history(pixels, points, generator, *, steps, label=label):
                drawn[label].append(int(generator.integers(0, steps + 1)))
                changed[label].append(float(pixels.mean()))
                return pixels, points

            monkeypatch.setattr(augment, "history_with_points", history)
            for seed in range(400):
                start = 10_000 * label + seed
                augment_crop(sample, refuse, plain, CROP, rng(start))
        for steps in range(4):
            shares = [np.mean(np.array(drawn[label]) == steps) for label in (True, False)]
            assert shares[0] == pytest.approx(shares[1], abs=0.14)
        assert np.mean(changed[True]) == pytest.approx(np.mean(changed[False]), abs=6)

    def test_from_the_same_chances_both_classes_get_the_same_picture(self, real, fake):
        """Without forgery the class is not looked at: only the draw for it stands before."""
        plain = RECIPE.model_copy(update={"self_blend": 0.0, "swap": 0.0})
        for seed in range(10):
            drawn = rng(seed)
            ahead = rng(seed)
            ahead.random()  # a real face's chance of being forged
            one, _ = augment_crop(real, refuse, plain, CROP, drawn)
            other, _ = augment_crop(fake, refuse, plain, CROP, ahead)
            assert np.array_equal(one, other)


class TestCutOut:
    def test_the_landmarks_move_with_the_cut(self, pixels):
        marked = np.zeros_like(pixels)
        for x, y in POINTS.astype(int):
            marked[y, x] = 255
        for seed in range(20):
            cut = cut_out(Sample(marked, POINTS, is_fake=False), rng(seed))
            for x, y in cut.landmarks.astype(int):
                assert cut.pixels[y, x].min() == 255

    def test_it_keeps_all_landmarks_and_cuts_something(self, real):
        sizes = []
        for seed in range(40):
            cut = cut_out(real, rng(seed))
            height, width = cut.pixels.shape[:2]
            assert ((cut.landmarks >= 0) & (cut.landmarks < [width, height])).all()
            sizes.append(height * width)
        assert np.mean(sizes) < 0.8 * real.pixels.shape[0] * real.pixels.shape[1]

    def test_nothing_smaller_than_32_px_is_cut(self, pixels):
        tiny = Sample(pixels, (POINTS * 0.1).astype(np.float32), is_fake=False)
        assert cut_out(tiny, rng(0)) is tiny

    def test_landmarks_outside_of_the_picture_do_not_break_it(self, pixels):
        far = Sample(pixels, POINTS + np.float32(5000), is_fake=False)
        assert cut_out(far, rng(0)) is far


class TestWorn:
    def test_landmarks_follow_the_file_history(self, real, monkeypatch):
        monkeypatch.setattr(
            augment,
            "history_with_points",
            lambda pixels, points, *_, **__: (pixels[::2, ::2].copy(), points / 2),
        )
        after = degrade(real, NOTHING, rng(0))
        assert np.array_equal(after.landmarks, POINTS / 2)

    def test_grey_has_no_colour(self, real):
        after = degrade(real, NOTHING.model_copy(update={"grey": 1.0}), rng(0))
        assert np.ptp(after.pixels, axis=2).max() == 0

    def test_recoloured_pictures_keep_their_shape_and_differ(self, pixels):
        shades = {jitter_colour(pixels, rng(seed)).mean().round(1) for seed in range(8)}
        assert len(shades) > 5


class TestJittered:
    def test_without_chances_nothing_moves(self):
        assert jitter_landmarks(POINTS, NOTHING, rng(0)) == pytest.approx(POINTS, abs=1e-3)

    def test_it_is_as_small_as_the_recipe_says(self):
        """Three percent of the crop's side in shift, 8 % in scale, 5 degrees in turn."""
        centre = POINTS.mean(axis=0)
        span = np.linalg.norm(POINTS - centre, axis=1).mean()
        for seed in range(200):
            moved = jitter_landmarks(POINTS, RECIPE, rng(seed))
            away = np.abs(moved.mean(axis=0) - centre).max()
            size = np.linalg.norm(moved - moved.mean(axis=0), axis=1).mean() / span
            one, other = (points[1] - points[0] for points in (POINTS, moved))
            turn = np.degrees(np.arctan2(*other[::-1]) - np.arctan2(*one[::-1]))
            assert away <= 0.03 * 4 * span * 1.001
            assert np.exp(-0.081) < size < np.exp(0.081)
            assert abs(turn) <= 5.01

    def test_shape_and_type_stay(self):
        moved = jitter_landmarks(POINTS, RECIPE, rng(0))
        assert moved.shape == (5, 2)
        assert moved.dtype == np.float32
