"""Copies as print and fax make them, and the caution that knows them from photographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.imaging.printing import COPIES, POSTERISED
from faceproof.imaging.quality import has_continuous_tone

PHOTOGRAPH = data.astronaut()
FACE = (slice(63, 176), slice(178, 268))


def jpeg(pixels: np.ndarray, quality: int, *, grey: bool = False) -> np.ndarray:
    saved = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", saved, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("name", COPIES)
def test_a_printed_copy_has_two_values_and_the_picture_in_it(name):
    copy = COPIES[name](PHOTOGRAPH)
    assert copy.shape == PHOTOGRAPH.shape
    assert copy.dtype == np.uint8
    assert set(np.unique(copy)) == {0, 255}
    far = (cv2.GaussianBlur(one, (0, 0), 12).astype(float) for one in (copy, PHOTOGRAPH))
    assert np.corrcoef(*(picture.mean(axis=2).ravel() for picture in far))[0, 1] > 0.8


@pytest.mark.parametrize("name", POSTERISED)
def test_a_posterised_copy_has_few_values(name):
    assert len(np.unique(POSTERISED[name](PHOTOGRAPH))) == int(name.split()[0])


@pytest.mark.parametrize("name", [*COPIES, *POSTERISED])
def test_no_copy_has_continuous_tone(name):
    assert not has_continuous_tone((COPIES | POSTERISED)[name](PHOTOGRAPH)[FACE])


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("quality", [50, 75, 95])
def test_no_printed_copy_has_it_inside_a_grey_jpeg(name, quality):
    assert not has_continuous_tone(jpeg(COPIES[name](PHOTOGRAPH), quality, grey=True)[FACE])


ORDINARY = {
    "as it is": PHOTOGRAPH,
    "grey": np.repeat(cv2.cvtColor(PHOTOGRAPH, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
    "JPEG 60": jpeg(PHOTOGRAPH, 60),
    "JPEG 20": jpeg(PHOTOGRAPH, 20),
    "dark": PHOTOGRAPH // 6,
    "overexposed": cv2.convertScaleAbs(PHOTOGRAPH, alpha=2.0),
    "pale": 200 + PHOTOGRAPH // 5,
    "enlarged": np.kron(PHOTOGRAPH, np.ones((2, 2, 1), np.uint8))[:512, :512],
    "flat": np.full_like(PHOTOGRAPH, 128),
    "grainy": np.clip(
        PHOTOGRAPH + np.random.default_rng(1).normal(0, 12, PHOTOGRAPH.shape), 0, 255
    ).astype(np.uint8),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_photographs_have_continuous_tone(name):
    assert has_continuous_tone(ORDINARY[name][FACE])


def test_a_speck_is_not_judged():
    assert has_continuous_tone(np.zeros((15, 40, 3), np.uint8))
