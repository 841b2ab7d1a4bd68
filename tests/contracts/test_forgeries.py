"""What every entry of `FORGERIES` keeps."""

from __future__ import annotations

import numpy as np
import pytest

from faceproof.errors import TrainingError, UnknownChoiceError
from faceproof.training.forging.table import (
    FORGERIES,
    Forgery,
    ForgingResources,
    MadeFake,
    RealFace,
    validate_forgeries,
)
from support.forging import LANDMARKS, NO_FACE, SIZE, picture, real_face, small_autoencoder

SEEDS = range(6)
WITHOUT_AUTOENCODER = [name for name, one in FORGERIES.items() if not one.needs_autoencoder]
NAMES = [
    pytest.param(name, marks=pytest.mark.train if one.needs_autoencoder else ())
    for name, one in FORGERIES.items()
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def resources_for(forgery: Forgery) -> ForgingResources:
    return ForgingResources(small_autoencoder() if forgery.needs_autoencoder else None)


def refuse() -> RealFace:
    raise AssertionError("the donor was asked for")


def made(name: str, real: RealFace, *, seed: int = 0, donor=lambda: real_face(2)) -> MadeFake:
    return FORGERIES[name].make(real, donor, rng(seed), resources_for(FORGERIES[name]))


def test_the_table_has_the_kinds_of_fakes():
    assert set(FORGERIES) == {"self_blend", "swap", "paste", "round_trip", "reconstruct"}
    assert [name for name, one in FORGERIES.items() if one.needs_donor] == ["swap"]
    assert [name for name, one in FORGERIES.items() if one.needs_autoencoder] == ["round_trip"]


@pytest.mark.parametrize("name", NAMES)
class TestEveryForgery:
    def test_the_fake_has_the_shape_of_the_picture_and_differs_from_it(self, name):
        for seed in SEEDS:
            fake = made(name, real_face(1), seed=seed)
            assert fake.is_fake
            assert (fake.pixels.shape, fake.pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)
            assert not np.array_equal(fake.pixels, picture(1))

    def test_equal_seeds_give_equal_fakes_and_others_give_others(self, name):
        one, same, other = (made(name, real_face(1), seed=seed).pixels for seed in (5, 5, 6))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_the_real_picture_and_its_landmarks_stay_as_they_were(self, name):
        real = real_face(1, LANDMARKS.copy())
        fake = made(name, real)
        assert not np.shares_memory(fake.pixels, real.pixels)
        assert np.array_equal(real.pixels, picture(1))
        assert np.array_equal(real.landmarks, LANDMARKS)

    def test_the_face_changes_more_than_the_border(self, name):
        before = picture(1).astype(int)
        changes = np.mean(
            [np.abs(made(name, real_face(1), seed=s).pixels - before).mean(2) for s in SEEDS], 0
        )
        border = np.concatenate([changes[:8].ravel(), changes[-8:].ravel()])
        assert changes[100:130, 95:120].mean() > 0.5
        if not FORGERIES[name].changes_surroundings:
            assert border.max() == 0

    def test_the_fake_keeps_the_groups_of_all_its_people(self, name):
        expected = ("person-1", "person-2") if FORGERIES[name].needs_donor else ("person-1",)
        assert made(name, real_face(1)).groups == expected

    def test_the_donor_is_asked_for_only_where_it_is_needed(self, name):
        asked = []

        def donor() -> RealFace:
            asked.append(1)
            return real_face(2)

        made(name, real_face(1), donor=donor)
        assert len(asked) == FORGERIES[name].needs_donor

    @pytest.mark.parametrize("case", NO_FACE)
    def test_a_picture_without_a_face_stays_real(self, name, case):
        real = real_face(1, NO_FACE[case])
        fake = made(name, real, donor=refuse)
        assert not fake.is_fake
        assert fake.groups == real.groups
        assert np.array_equal(fake.pixels, real.pixels)

    @pytest.mark.parametrize("level", [0, 90, 255])
    def test_a_flat_picture_stays_real(self, name, level):
        flat = RealFace(np.full((SIZE, SIZE, 3), level, np.uint8), LANDMARKS, ("person-1",))
        assert not made(name, flat, donor=refuse).is_fake

    def test_pictures_of_odd_sides_and_read_only_pixels_are_taken(self, name):
        pixels = picture(3, 131, 203)[:, ::-1]
        pixels.flags.writeable = False
        real = RealFace(pixels, LANDMARKS * np.float32(0.6), ("person-3",))
        assert made(name, real).pixels.shape == (131, 203, 3)

    def test_the_summary_is_one_short_line(self, name):
        summary = FORGERIES[name].summary
        assert 0 < len(summary.split()) <= 25
        assert summary == summary.strip().rstrip(".")


class TestDonors:
    def test_a_donor_of_the_same_group_leaves_the_picture_real(self):
        real = RealFace(picture(1), LANDMARKS, ("video-1", "person-1"))
        donor = RealFace(picture(2), LANDMARKS, ("person-1",))
        fake = made("swap", real, donor=lambda: donor)
        assert (fake.is_fake, fake.groups) == (False, real.groups)

    def test_a_donor_without_a_face_leaves_the_picture_real(self):
        fake = made("swap", real_face(1), donor=lambda: real_face(2, NO_FACE["one spot"]))
        assert (fake.is_fake, fake.groups) == (False, ("person-1",))

    def test_people_without_groups_can_be_swapped(self):
        real, donor = (RealFace(picture(seed), LANDMARKS) for seed in (1, 2))
        fake = made("swap", real, donor=lambda: donor)
        assert (fake.is_fake, fake.groups) == (True, ())

    def test_all_groups_of_both_people_are_kept_once(self):
        real = RealFace(picture(1), LANDMARKS, ("a", "b", "a"))
        fake = made("swap", real, donor=lambda: RealFace(picture(2), LANDMARKS, ("c", "d")))
        assert not fake.is_fake or fake.groups == ("a", "b", "c", "d")


class TestBadInput:
    def test_a_missing_autoencoder_is_named_in_one_line(self):
        with pytest.raises(TrainingError, match="autoencoder") as caught:
            validate_forgeries(FORGERIES, ForgingResources())
        assert "\n" not in str(caught.value)

    def test_a_missing_autoencoder_is_refused_at_the_fake_too(self):
        for resources in (None, ForgingResources()):
            with pytest.raises(TrainingError, match="autoencoder"):
                FORGERIES["round_trip"].make(real_face(1), refuse, rng(), resources)

    def test_what_needs_nothing_needs_no_autoencoder(self):
        validate_forgeries(WITHOUT_AUTOENCODER, ForgingResources())

    def test_an_unknown_kind_is_refused_with_the_nearest(self):
        with pytest.raises(UnknownChoiceError, match="did you mean 'paste'"):
            validate_forgeries(["paste", "past"], ForgingResources())
