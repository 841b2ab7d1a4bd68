"""Saved again: the same file always gives the same answers, each from the worn pixels."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.audits import CONDITIONS, check_resaved
from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.errors import PictureError, UnknownChoiceError
from faceproof.imaging.degradations import DEGRADATIONS, jpeg
from faceproof.results import ResavedResult

# The detector of the tests calls bright faces fake.
BRIGHT = cv2.convertScaleAbs(data.astronaut()[:320, 60:380], alpha=1.6)


@pytest.fixture
def checker(tiny_bundle: Path) -> Checker:
    return Checker(Detector.load(tiny_bundle, threads=1))


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_each_way_is_told_in_order_as_the_checker_answers_it(checker):
    actual = check_resaved(checker, png(BRIGHT), conditions=("clean", "jpeg-60", "dark"))
    assert [one.condition for one in actual] == ["clean", "jpeg-60", "dark"]
    for one, pixels in zip(actual, (BRIGHT, jpeg(BRIGHT, 60)), strict=False):
        alone = checker.check(pixels)
        assert one == ResavedResult(
            condition=one.condition,
            status="ok",
            verdict=alone.verdict,
            fake_probability=alone.fake_probability,
            faces=len(alone.faces),
        )
    assert actual[0].verdict == "fake"
    assert actual[2].fake_probability < actual[0].fake_probability


def test_the_same_file_gives_the_same_answers_whatever_else_is_asked(checker):
    file = png(BRIGHT)
    ways = ("screenshot", "noise-5")
    actual = check_resaved(checker, file, conditions=ways)
    assert check_resaved(checker, file, conditions=ways) == actual
    assert check_resaved(checker, file, conditions=("jpeg-90", *reversed(ways)))[:0:-1] == actual


def test_another_file_has_another_screenshot(checker):
    other = BRIGHT.copy()
    other[0, 0] ^= 1
    asked = {"conditions": ("screenshot",)}
    assert check_resaved(checker, png(BRIGHT), **asked) != check_resaved(
        checker, png(other), **asked
    )


def test_a_picture_without_a_face_is_told_as_such(checker):
    actual = check_resaved(
        checker, png(np.full((90, 90, 3), 128, np.uint8)), conditions=("jpeg-90",)
    )
    assert actual == (ResavedResult(condition="jpeg-90", status="no_face", faces=0),)


def test_the_ways_that_are_tried_are_ways_that_there_are():
    assert set(CONDITIONS) <= set(DEGRADATIONS)
    assert "clean" not in CONDITIONS


def test_no_heat_map_is_made_for_a_picture_saved_again(checker, monkeypatch):
    checker.heatmaps = True
    actual = check_resaved(checker, png(BRIGHT), conditions=("jpeg-90",))
    assert actual[0].verdict == "fake"
    assert checker.heatmaps


def test_what_is_no_picture_and_what_is_no_condition(checker):
    with pytest.raises(PictureError):
        check_resaved(checker, b"GIF89a")
    with pytest.raises(UnknownChoiceError, match="jpeg-90"):
        check_resaved(checker, png(BRIGHT), conditions=("jpeg-91",))


def test_copies_of_a_damaged_picture_get_no_verdict(checker):
    stream = io.BytesIO()
    Image.fromarray(BRIGHT).save(stream, "JPEG", quality=95)
    file = stream.getvalue()
    whole = check_resaved(checker, file, conditions=("jpeg-60", "resize-0.5"))
    assert {one.verdict for one in whole} == {"fake"}
    cut = check_resaved(checker, file[: 2 * len(file) // 5], conditions=("jpeg-60", "resize-0.5"))
    assert {(one.verdict, one.withheld) for one in cut} == {("unsure", True)}
    point = checker.operating_point
    assert [one.at(point) for one in cut] == list(cut)
    assert [one.at(point) for one in whole] == list(whole)
