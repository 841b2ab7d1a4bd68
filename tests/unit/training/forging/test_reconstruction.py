"""Reconstruction fakes: hardly to be seen, but their spectrum is marked as a generator marks it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.errors import UnknownChoiceError
from faceproof.training.forging.reconstruction import CODERS, reconstruct

SEEDS = range(10)
SIZES = ((1, 1), (1, 9), (9, 1), (2, 3), (31, 64), (97, 160))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    head = data.astronaut()[:300, 50:350]
    return cv2.resize(head, (192, 192), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def made(photo) -> dict[str, list[np.ndarray]]:
    return {
        name: [reconstruct(photo, np.random.default_rng(seed), coder=name) for seed in SEEDS]
        for name in CODERS
    }


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


def at_period(pixels: np.ndarray, period: int) -> float:
    """Return how far the spectrum of neighbouring differences stands out at 1 / period.

    Source: Gallagher, "Detection of Linear and Cubic Interpolation in JPEG Compressed Images",
    CRV 2005.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(float)
    steps = np.abs(np.diff(luma, axis=1, append=luma[:, -1:])).mean(axis=0)
    spectrum = np.abs(np.fft.fft(steps - steps.mean()))
    return float(
        spectrum[len(steps) // period] / np.median(spectrum[len(steps) // 8 : -len(steps) // 8])
    )


def checkerboard(pixels: np.ndarray) -> float:
    """Return how far the picture's spectrum stands out at half of the sampling frequency.

    Zhang et al. 2019 show these peaks at the edge and in the corner of a GAN's spectrum.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(float)
    window = np.hanning(luma.shape[0])
    high = (luma - cv2.GaussianBlur(luma, (0, 0), 1.5)) * np.outer(window, window)
    power = np.abs(np.fft.fft2(high)) ** 2
    half = luma.shape[0] // 2
    peaks = power[half - 1 : half + 2, half - 1 : half + 2].mean()
    around = np.median(power[half - 20 : half + 20, half - 20 : half + 20])
    return float(peaks / around)


@pytest.mark.parametrize("coder", CODERS)
class TestEveryCoder:
    def test_hardly_anything_is_to_be_seen(self, coder, photo, made):
        for fake in made[coder]:
            assert (fake.shape, fake.dtype) == (photo.shape, np.uint8)
            assert 28 < psnr(fake, photo) < 45

    def test_a_seed_decides_it_and_the_photograph_stays(self, coder, photo, made):
        before = photo.copy()
        again = reconstruct(photo, np.random.default_rng(3), coder=coder)
        assert np.array_equal(again, made[coder][3])
        assert not np.array_equal(again, made[coder][4])
        assert np.array_equal(photo, before)

    def test_any_size_goes_through(self, coder):
        for height, width in SIZES:
            noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
            assert reconstruct(noise, np.random.default_rng(0), coder=coder).shape == noise.shape

    def test_a_flat_picture_stays_flat_but_for_a_pattern(self, coder):
        """What is lost is detail; where there is none, only a weak periodic pattern is left."""
        flat = np.full((64, 64, 3), 120, np.uint8)
        after = reconstruct(flat, np.random.default_rng(2), coder=coder).astype(int)
        assert np.abs(after.mean(axis=(0, 1)) - 120).max() < 1
        assert np.abs(after - 120).max() < 15


class TestTraces:
    @pytest.mark.parametrize("coder", ["nearest", "bilinear", "chroma"])
    def test_enlarging_twice_leaves_a_period_of_two(self, coder, photo, made):
        found = np.median([at_period(fake, 2) for fake in made[coder]])
        assert found > 2.5 * at_period(photo, 2)

    def test_transposed_convolutions_leave_a_checkerboard(self, photo, made):
        found = np.median([checkerboard(fake) for fake in made["transposed"]])
        assert found > 10 * checkerboard(photo)

    def test_patches_leave_their_own_grid(self, photo, made):
        strongest = [
            max(at_period(fake, period) / max(1, at_period(photo, period)) for period in (4, 6, 8))
            for fake in made["patches"]
        ]
        assert np.median(strongest) > 2.5

    def test_traces_outlive_a_save(self, photo, made):
        """Both classes are saved again afterwards; the trace must still tell them apart."""
        from faceproof.imaging.degradations import jpeg

        real = at_period(jpeg(photo, 90), 2)
        saved = np.median([at_period(jpeg(fake, 90), 2) for fake in made["nearest"]])
        assert saved > 2.5 * real


def test_all_coders_are_drawn(photo, monkeypatch):
    drawn = set()
    for name in CODERS:
        monkeypatch.setitem(CODERS, name, lambda planes, _rng, name=name: drawn.add(name) or planes)
    for seed in range(60):
        reconstruct(photo, np.random.default_rng(seed))
    assert drawn == set(CODERS)


def test_an_unknown_coder_is_refused_with_the_choices(photo):
    with pytest.raises(UnknownChoiceError, match="nearest"):
        reconstruct(photo, np.random.default_rng(0), coder="nearst")
