"""Every condition of `DEGRADATIONS`, and the random histories of training."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.imaging.degradations import (
    AVIF_WORKS,
    DEGRADATIONS,
    blur,
    contrast,
    crop,
    encode_jpeg,
    enlarge,
    history_with_points,
    mirror,
    noise,
    reduce_to,
    resize,
    rotate,
    tone,
)


def random_history(pixels, rng, *, steps=3):
    """Return the picture after a random history, without points."""
    return history_with_points(pixels, np.zeros((0, 2), np.float32), rng, steps=steps)[0]


#: Conditions that move the picture, and what moves it in the same way without loss.
MOVED = {
    "crop-0.9": lambda pixels: crop(pixels, 0.9),
    "crop-0.9+jpeg-75": lambda pixels: crop(pixels, 0.9),
    "crop-0.75": lambda pixels: crop(pixels, 0.75),
    "rotate-5": lambda pixels: rotate(pixels, 5),
    "rotate-15": lambda pixels: rotate(pixels, 15),
    "mirror": mirror,
}
#: The lowest correlation with the picture, where it is not 0.95.
RESEMBLANCE = {"noise-20": 0.9, "caption": 0.92}

SIZES = ((1, 1), (1, 9), (9, 1), (2, 3), (16, 16), (31, 64), (160, 96))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:160, 120:320])


def colour(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


@pytest.mark.parametrize("name", DEGRADATIONS)
class TestEveryCondition:
    def test_any_size_gives_a_picture(self, name):
        for height, width in SIZES:
            degraded = DEGRADATIONS[name](colour(height, width), np.random.default_rng(0))
            assert degraded.dtype == np.uint8
            assert degraded.ndim == 3
            assert degraded.shape[2] == 3
            assert min(degraded.shape[:2]) >= 1

    def test_grey_stays_nearly_grey(self, name, photo):
        """Noise is drawn for each channel; nothing else may colour a grey picture."""
        grey = np.repeat(photo[..., 1:2], 3, axis=2)
        degraded = DEGRADATIONS[name](grey, np.random.default_rng(0)).astype(int)
        spread = np.ptp(degraded, axis=2)
        sigma = int(name.removeprefix("noise-")) if name.startswith("noise-") else 0
        assert spread.mean() < 1 + 2 * sigma

    def test_the_same_seed_gives_the_same_picture(self, name, photo):
        one, other = (DEGRADATIONS[name](photo, np.random.default_rng(5)) for _ in range(2))
        assert np.array_equal(one, other)

    def test_the_picture_itself_stays_as_it_was(self, name, photo):
        before = photo.copy()
        DEGRADATIONS[name](photo, np.random.default_rng(0))
        assert np.array_equal(photo, before)

    def test_the_picture_is_still_to_be_seen(self, name, photo):
        """Brought back to its size, and moved in the same way, it resembles what it was."""
        degraded = DEGRADATIONS[name](photo, np.random.default_rng(0))
        same = MOVED[name](photo) if name in MOVED else photo
        back = cv2.resize(degraded, same.shape[1::-1]).astype(float)
        both = np.corrcoef(back.ravel(), same.ravel().astype(float))
        assert both[0, 1] > RESEMBLANCE.get(name, 0.95)

    def test_only_clean_changes_nothing(self, name, photo):
        degraded = DEGRADATIONS[name](photo, np.random.default_rng(0))
        assert (name == "clean") == np.array_equal(degraded, photo)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("jpeg-95", "jpeg-90"),
        ("jpeg-90", "jpeg-75"),
        ("jpeg-75", "jpeg-60"),
        ("jpeg-60", "jpeg-40"),
        ("jpeg-40", "jpeg-20"),
        ("jpeg-90", "jpeg-75+jpeg-90"),
        ("webp-75", "webp-50"),
        ("webp-50", "webp-30"),
        ("blur-1", "blur-2"),
        ("blur-2", "blur-3"),
        ("noise-5", "noise-10"),
        ("noise-10", "noise-20"),
        ("resize-0.5", "resize-0.2"),
        ("contrast-0.75", "contrast-0.5"),
        ("contrast-1.25", "contrast-1.5"),
        ("brightness-0.8", "brightness-0.6"),
        ("brightness-1.2", "brightness-1.4"),
        ("gamma-0.8", "gamma-0.6"),
        ("gamma-1.25", "gamma-1.6"),
        ("social-media", "repost"),
        ("resize-0.75", "resize-0.5"),
        ("resize-0.5", "resize-0.5+jpeg-60"),
    ],
)
def test_more_of_it_is_worse(better, worse, photo):
    degraded = (DEGRADATIONS[name](photo, np.random.default_rng(0)) for name in (better, worse))
    high, low = (psnr(cv2.resize(one, photo.shape[1::-1]), photo) for one in degraded)
    assert high > low


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_jpeg_files_are_what_other_libraries_write(quality, photo):
    """Baseline, 4:2:0, with the quantisation tables of libjpeg's quality."""
    ours = Image.open(BytesIO(encode_jpeg(photo, quality)))
    theirs = BytesIO()
    Image.fromarray(photo).save(theirs, "JPEG", quality=quality, subsampling="4:2:0")
    reference = Image.open(BytesIO(theirs.getvalue()))
    assert ours.format == "JPEG"
    assert "progressive" not in ours.info
    assert ours.quantization == reference.quantization
    assert [part[1:3] for part in ours.layer] == [(2, 2), (1, 1), (1, 1)]


def test_pictures_longer_than_a_format_can_hold_are_reduced():
    """WebP holds 16383 px a side, JPEG 65500; a picture may have 30000, or more when enlarged."""
    long = np.full((20, 30_000, 3), 90, np.uint8)
    assert DEGRADATIONS["webp-75"](long, np.random.default_rng(0)).shape[1] == 16_383
    assert DEGRADATIONS["jpeg-75"](long, np.random.default_rng(0)).shape[1] == 30_000
    longer = np.full((16, 66_000, 3), 90, np.uint8)
    assert DEGRADATIONS["jpeg-75"](longer, np.random.default_rng(0)).shape[1] == 65_500


def test_resize_scales_both_sides_and_keeps_16_px():
    assert resize(colour(100, 60), 0.5).shape == (50, 30, 3)
    assert resize(colour(20, 300), 0.1).shape == (16, 30, 3)


def test_reduce_to_only_reduces():
    assert reduce_to(colour(100, 60), 50).shape == (50, 30, 3)
    picture = colour(40, 60)
    assert reduce_to(picture, 60) is picture


def test_tone_is_its_formula():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = 255 * np.clip(0.8 * ramp / 255 + 0.1, 0, 1) ** 1.5
    assert np.abs(tone(ramp, gain=0.8, offset=0.1, gamma=1.5) - expected).max() <= 0.5


@pytest.mark.skipif(not AVIF_WORKS, reason="this build of Pillow cannot write AVIF")
def test_avif_loses_more_at_a_lower_quality(photo):
    high, low = (
        psnr(DEGRADATIONS[name](photo, np.random.default_rng(0)), photo)
        for name in ("avif-75", "avif-30")
    )
    assert high > low > 20


def test_crop_and_mirror_move_pixels_and_change_none():
    picture = colour(40, 60)
    assert np.array_equal(crop(picture, 0.5), picture[10:30, 15:45])
    assert crop(colour(1, 9), 0.75).shape == (1, 7, 3)
    assert np.array_equal(mirror(mirror(picture)), picture)
    assert np.array_equal(mirror(picture)[:, 0], picture[:, -1])


def test_rotate_is_anticlockwise_about_the_middle():
    picture = np.zeros((41, 41, 3), np.uint8)
    picture[20, 35] = picture[20, 20] = 255
    turned = rotate(picture, 90)[..., 0]
    assert {tuple(at) for at in np.argwhere(turned > 128)} == {(20, 20), (5, 20)}


def test_enlarge_never_reduces_and_stops_at_its_limit(monkeypatch):
    assert enlarge(colour(30, 40), 1.5).shape == (45, 60, 3)
    monkeypatch.setattr("faceproof.imaging.degradations._MOST_ENLARGED", 5000)
    assert enlarge(colour(60, 80), 2.0).shape == (61, 82, 3)
    assert enlarge(colour(90, 80), 2.0).shape == (90, 80, 3)


def test_contrast_is_about_mid_grey():
    ramp = np.uint8([[[0] * 3, [64] * 3, [128] * 3, [255] * 3]])
    assert contrast(ramp, 0.5)[0, :, 0].tolist() == [64, 96, 128, 191]


def test_noise_has_the_spread_it_names():
    flat = np.full((200, 200, 3), 128, np.uint8)
    assert noise(flat, 5.0, np.random.default_rng(0)).std() == pytest.approx(5.0, rel=0.02)


def test_blur_spreads_one_pixel_as_a_gaussian():
    dot = np.zeros((31, 31, 3), np.uint8)
    dot[15, 15] = 255
    spread = blur(dot, 1.0)[15, :, 0].astype(float)
    assert spread[15] == pytest.approx(255 / (2 * np.pi), abs=2)
    assert spread[16] / spread[15] == pytest.approx(np.exp(-0.5), abs=0.05)


class TestRandomHistory:
    def test_a_seed_decides_it(self, photo):
        one, other = (random_history(photo, np.random.default_rng(4)) for _ in range(2))
        assert np.array_equal(one, other)

    def test_no_steps_is_no_change(self, photo):
        assert random_history(photo, np.random.default_rng(0), steps=0) is photo

    def test_histories_differ_and_some_are_empty(self, photo):
        made = [random_history(photo, np.random.default_rng(seed)) for seed in range(40)]
        untouched = sum(one is photo for one in made)
        assert 3 <= untouched <= 20, "one in four of three steps"
        assert len({one.shape for one in made}) > 10

    def test_a_face_keeps_its_pixels(self, photo):
        """Never below 96 px by one step, so that there is something left to judge."""
        sides = [
            max(random_history(photo, np.random.default_rng(seed), steps=1).shape)
            for seed in range(60)
        ]
        assert min(sides) >= 96
        assert max(sides) <= round(1.3 * 200)

    def test_any_size_goes_through(self):
        for height, width in SIZES:
            for seed in range(6):
                degraded = random_history(
                    colour(height, width), np.random.default_rng(seed), steps=6
                )
                assert degraded.dtype == np.uint8


LONG_PICTURES = """
import faulthandler
faulthandler.dump_traceback_later(60, exit=True)
import numpy as np
from faceproof.imaging.degradations import DEGRADATIONS
for shape in ((1, 4000), (4000, 1), (3, 20_000)):
    for name, wear in DEGRADATIONS.items():
        wear(np.full((*shape, 3), 77, np.uint8), np.random.default_rng(0))
"""


def test_long_thin_pictures_neither_crash_nor_hang():
    """In a process of its own: OpenCV was seen to hang on borders of pictures of one pixel."""
    done = subprocess.run(
        [sys.executable, "-c", LONG_PICTURES], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
