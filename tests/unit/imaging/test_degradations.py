"""File histories: every step leaves a picture, its points on the same features, and its traces."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.imaging.degradations import (
    HISTORY,
    SUBSAMPLINGS,
    encode_jpeg,
    history_with_points,
    jpeg,
)


def random_history(pixels, rng, *, steps=3):
    """Return the picture after a random history, without points."""
    return history_with_points(pixels, np.zeros((0, 2), np.float32), rng, steps=steps)[0]


SIZES = ((1, 1), (1, 9), (9, 1), (31, 64), (160, 96))
DOTS = np.float32([[40, 30], [150, 40], [96, 80], [50, 120], [140, 125]])


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:160, 120:320])


@pytest.fixture(scope="module")
def dotted() -> np.ndarray:
    """Five white discs of 4 px on grey, centred on `DOTS`."""
    canvas = np.full((160, 200, 3), 70, np.uint8)
    for x, y in DOTS.astype(int).tolist():
        cv2.circle(canvas, (x, y), 4, (255, 255, 255), -1)
    return canvas


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def centre_near(pixels: np.ndarray, point: np.ndarray, reach: int = 9) -> np.ndarray:
    """Return the centre of what is bright around a point, float [2]."""
    left, top = (max(0, int(v) - reach) for v in point)
    window = pixels[top : top + 2 * reach + 1, left : left + 2 * reach + 1, 1].astype(float)
    weights = np.clip(window - 150, 0, None)
    y, x = np.indices(window.shape)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum() + [left, top]


@pytest.mark.parametrize("step", HISTORY)
class TestEveryStep:
    def test_points_stay_on_the_same_features(self, step, dotted):
        away = []
        for seed in range(12):
            degraded, points = HISTORY[step](dotted, DOTS, rng(seed))
            assert points.dtype == np.float32
            away += [centre_near(degraded, point) - point for point in points]
        assert np.abs(away).max() < 0.4
        assert np.abs(np.mean(away, axis=0)).max() < 0.03, "half a pixel is not forgotten"

    def test_any_size_goes_through(self, step):
        for height, width in SIZES:
            pixels = rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
            degraded, points = HISTORY[step](pixels, DOTS, rng(1))
            assert (degraded.dtype, degraded.ndim, points.shape) == (np.uint8, 3, (5, 2))

    def test_a_seed_decides_it_and_the_picture_stays(self, step, photo):
        before = photo.copy()
        one, other = (HISTORY[step](photo, DOTS, rng(5)) for _ in range(2))
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
        assert np.array_equal(photo, before)

    def test_it_changes_the_picture_and_it_is_still_to_be_seen(self, step, photo):
        changed = 0
        for seed in range(8):
            degraded, points = HISTORY[step](photo, DOTS, rng(seed))
            changed += not np.array_equal(degraded, photo)
            matrix = cv2.estimateAffine2D(points, DOTS)[0]
            back = cv2.warpAffine(degraded, matrix, photo.shape[1::-1])[20:140, 20:180]
            both = np.corrcoef(back.ravel(), photo[20:140, 20:180].ravel())
            assert both[0, 1] > 0.95
        assert changed >= 7, "a resize by a factor of nearly 1 is none"

    def test_it_never_leaves_less_than_a_face(self, step, photo):
        sides = [max(HISTORY[step](photo, DOTS, rng(seed))[0].shape) for seed in range(40)]
        assert 90 <= min(sides) <= max(sides) <= round(1.3 * 200)


def test_a_whole_history_keeps_points_where_they_were(dotted):
    """Up to three steps; a disc at the least scale is still 2 px wide."""
    moved = 0
    for seed in range(60):
        degraded, points = history_with_points(dotted, DOTS, rng(seed))
        moved += not np.allclose(points, DOTS)
        for point in points:
            if min(degraded.shape[:2]) > 90:
                assert centre_near(degraded, point, 5) == pytest.approx(point, abs=0.8)
    assert moved > 25


def test_points_or_not_the_picture_is_the_same(photo):
    for seed in range(10):
        plain = random_history(photo, rng(seed))
        assert np.array_equal(plain, history_with_points(photo, DOTS, rng(seed))[0])


def test_every_step_is_drawn_as_often_as_it_should_be(photo, monkeypatch):
    drawn: Counter[str] = Counter()

    def noting(name):
        def step(pixels, points, _rng):
            drawn[name] += 1
            return pixels, points

        return step

    for name in HISTORY:
        monkeypatch.setitem(HISTORY, name, noting(name))
    for seed in range(1500):
        random_history(photo, rng(seed), steps=2)
    total = drawn.total()
    assert total == pytest.approx(1500, rel=0.08)
    expected = {"resize": 0.35, "jpeg": 0.3, "webp": 0.15, "chain": 0.08, "screenshot": 0.12}
    assert {name: drawn[name] / total for name in HISTORY} == pytest.approx(expected, abs=0.035)


def test_a_screenshot_may_have_bars_and_lose_its_border(dotted):
    """Bars are grey, as wide as the picture, above or below; what is cut is at the border."""
    shots = [HISTORY["screenshot"](dotted, DOTS, rng(seed)) for seed in range(40)]
    spans = [np.ptp(points, axis=0) / degraded.shape[1::-1] for degraded, points in shots]
    shares = np.array(spans) / (np.ptp(DOTS, axis=0) / [200, 160])
    assert (shares[:, 0] > 1.02).mean() > 0.5, "of the width something is cut"
    assert (shares[:, 1] < 0.98).mean() > 0.1, "bars make it higher"


@pytest.mark.parametrize("name", SUBSAMPLINGS)
def test_chroma_is_stored_as_named(name, photo):
    from io import BytesIO

    from PIL import Image

    layers = [
        part[1:3] for part in Image.open(BytesIO(encode_jpeg(photo, 80, subsampling=name))).layer
    ]
    factors = {"4:2:0": (2, 2), "4:4:4": (1, 1), "4:2:2": (2, 1), "4:4:0": (1, 2)}
    assert layers == [factors[name], (1, 1), (1, 1)]


def test_jpeg_is_as_before_where_nothing_is_named(photo):
    assert np.array_equal(jpeg(photo, 60), jpeg(photo, 60, subsampling="4:2:0"))
    assert not np.array_equal(jpeg(photo, 60), jpeg(photo, 60, subsampling="4:4:4"))
