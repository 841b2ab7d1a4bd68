"""The marked picture: every face framed, numbered and named, whatever the picture is like."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest

from faceproof.detector import Verdict
from faceproof.imaging.quality import Quality
from faceproof.reports.marked_picture import (
    LOOKS,
    Box,
    mark_picture,
    overlay_heatmaps,
    picture_words,
    place_labels,
)
from faceproof.reports.words import VERDICTS
from faceproof.results import CheckedBy, CheckedFace, CheckedImage, CheckResult, HeatMap

HASH = "a" * 64
GREY = (128, 128, 128)


def heat(left: float, top: float, side: float) -> HeatMap:
    right, bottom = left + side, top + side
    return HeatMap(
        values=((0.0, 1.0), (0.0, 0.5)),
        corners=((left, top), (right, top), (right, bottom), (left, bottom)),
        reliable=True,
        hottest_deleted=-1,
        random_deleted=-0.5,
    )


def face(box: tuple[float, float, float, float], verdict: Verdict = "fake", **more) -> CheckedFace:
    actual = {"real": 0.1, "unsure": 0.5, "fake": 0.9}[verdict]
    return CheckedFace(
        box=box,
        landmarks=None,
        detection_score=None,
        quality=Quality(side_px=30),
        verdict=verdict,
        fake_probability=actual,
        **more,
    )


def result(*faces: CheckedFace, width: int = 800, height: int = 600) -> CheckResult:
    most = max(faces, key=lambda one: one.fake_probability, default=None)
    return CheckResult(
        source="a.jpg",
        status="ok" if faces else "no_face",
        image=CheckedImage(sha256=HASH, width=width, height=height, format="JPEG"),
        verdict=most.verdict if most else None,
        fake_probability=most.fake_probability if most else None,
        faces=faces,
        detector=CheckedBy(name="bright", version="1.0", sha256=HASH),
        operating_point="balanced",
        elapsed_ms=1,
    )


def picture(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def coloured(pixels: np.ndarray, verdict: Verdict) -> np.ndarray:
    """Return where a picture has the colour of a verdict, bool [H, W]."""
    return (pixels == LOOKS[verdict].fill).all(axis=-1)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((800, 600), 1600, (800, 600)),
        ((3200, 2400), 1600, (1600, 1200)),
        ((2400, 3200), 400, (300, 400)),
        ((40, 30), 1600, (640, 480)),
        ((40, 30), 200, (200, 150)),
        ((1, 3000), 1600, (16, 1600)),
    ],
)
def test_the_size_suits_reading(size, longest, expected):
    shown = mark_picture(picture(*size), result(face((1, 1, 20, 20))), longest=longest)
    assert shown.shape == (expected[1], expected[0], 3)
    assert shown.dtype == np.uint8


def test_a_picture_without_a_face_stays_as_it_is():
    before = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    assert np.array_equal(mark_picture(before, result()), before)


def test_the_pixels_given_are_left_alone_and_the_same_comes_twice():
    given = picture(800, 600)
    actual = result(face((100, 100, 200, 200)))
    first = mark_picture(given, actual)
    assert (given == 128).all()
    assert np.array_equal(first, mark_picture(given, actual))
    assert not np.array_equal(first, given)


@pytest.mark.parametrize(
    ("verdict", "least", "most"), [("fake", 0.98, 1.0), ("unsure", 0.4, 0.7), ("real", 0.3, 0.55)]
)
def test_the_line_tells_the_verdict_without_its_colour(verdict, least, most):
    """Along the lower side: all of it is drawn, half of it in dashes, or the corners alone."""
    shown = mark_picture(picture(800, 600), result(face((200, 150, 300, 300), verdict)))
    side = coloured(shown, verdict)[450, 200:501]
    assert least <= side.mean() <= most
    pieces = np.flatnonzero(np.diff(np.concatenate([[0], side.astype(int), [0]])) == 1).size
    assert {"fake": pieces == 1, "unsure": pieces > 3, "real": pieces == 2}[verdict]


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), *(LOOKS[v].fill for v in LOOKS)])
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_a_frame_stands_out_on_any_ground(ground, verdict):
    """Black and white lines go with the coloured one, so one of them differs from the ground."""
    before = np.full((600, 800, 3), ground, np.uint8)
    shown = mark_picture(before, result(face((200, 150, 300, 300), verdict)))
    column = shown[400:, 210].astype(int)
    contrasts = [contrast(tuple(one), ground) for one in column]
    assert max(contrasts) > 4.5


def contrast(one: tuple[int, ...], two: tuple[int, ...]) -> float:
    """Return the contrast of two sRGB colours, from 1 to 21 (WCAG 2.2)."""
    light, dark = sorted(map(luminance, (one, two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[int, ...]) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in colour)
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_words_on_labels_can_be_read_and_looks_differ_in_more_than_colour():
    assert set(LOOKS) == set(get_args(Verdict))
    assert all(contrast(look.fill, look.text) > 4.5 for look in LOOKS.values())
    assert len({look.sign for look in LOOKS.values()}) == 3


def inside(place: Box, size: tuple[int, int]) -> bool:
    return place.left >= 0 and place.top >= 0 and place.right < size[0] and place.bottom < size[1]


def touch(one: Box, two: Box) -> bool:
    """Return whether two places cover one another."""
    wide = min(one.right, two.right) - max(one.left, two.left)
    return wide > 0 and min(one.bottom, two.bottom) > max(one.top, two.top)


def test_fifty_faces_have_labels_that_leave_one_another_alone():
    size = (1600, 1000)
    boxes = [
        Box(160.0 * i + 20, 200.0 * j + 40, 160.0 * i + 110, 200.0 * j + 150)
        for j, i in itertools.product(range(5), range(10))
    ]
    verdicts = [get_args(Verdict)[n % 3] for n in range(50)]
    labels = place_labels(boxes, verdicts, size)
    assert [label.text for label in labels] == [
        f"{n} {VERDICTS[verdict].word}" for n, verdict in enumerate(verdicts, start=1)
    ]
    assert all(inside(label.place, size) for label in labels)
    assert not any(touch(a.place, b.place) for a, b in itertools.combinations(labels, 2))
    assert all(label.size >= 11 for label in labels)


def test_labels_of_neighbours_give_way():
    """Each alone would stand above its face, where the two would cover one another."""
    boxes = [Box(300, 200, 330, 236), Box(334, 200, 364, 236)]
    one, two = place_labels(boxes, ["unsure", "fake"], (800, 600))
    assert (one.text, two.text) == ("1 unsure", "2 looks fake")
    assert not touch(one.place, two.place)
    alone = place_labels(boxes[1:], ["fake"], (800, 600))[0]
    assert touch(one.place, alone.place)


def test_a_crowd_without_room_keeps_its_numbers_inside_the_picture():
    size = (640, 480)
    rng = np.random.default_rng(3)
    boxes = [Box(x, y, x + 24, y + 30) for x, y in rng.uniform(0, (616, 450), (200, 2))]
    labels = place_labels(boxes, ["fake"] * 200, size)
    assert [int(label.text.split()[0]) for label in labels] == list(range(1, 201))
    assert all(inside(label.place, size) for label in labels)


@pytest.mark.parametrize(
    "box",
    [(-50, -40, 120, 120), (760, 560, 200, 200), (0, 0, 800, 600), (900, 900, 5, 5), (5, 5, 0, 0)],
    ids=["beyond the corner", "beyond the end", "the whole picture", "outside", "empty"],
)
def test_a_face_at_the_border_is_framed_inside(box):
    shown = mark_picture(picture(800, 600), result(face(box)))
    assert coloured(shown, "fake").sum() > 200


def test_a_tiny_picture_has_a_label():
    shown = mark_picture(picture(24, 30), result(face((4, 4, 16, 20)), width=24, height=30))
    plate = coloured(shown, "fake")
    assert plate.any()
    white = (shown == 255).all(axis=-1)
    assert white.sum() > 100


def test_heat_maps_are_laid_over_faces_that_have_one():
    actual = result(
        face((100, 100, 200, 200), heatmap=heat(100, 100, 200)), face((500, 100, 99, 99))
    )
    plain, hot = (
        mark_picture(picture(800, 600), actual),
        mark_picture(picture(800, 600), actual, heat_opacity=0.7),
    )
    changed = (plain != hot).any(axis=-1)
    assert changed[110:290, 110:290].any()
    changed[90:310, 90:310] = False
    assert not changed.any()
    assert np.array_equal(mark_picture(picture(800, 600), actual, heat_opacity=0.0), plain)


def test_a_picture_without_heat_maps_is_left_as_it_is():
    before = picture(800, 600)
    assert np.array_equal(overlay_heatmaps(before, result(face((1, 1, 9, 9))), opacity=1.0), before)


def test_the_picture_in_words():
    actual = result(*(face((n, n, 9, 9), "real") for n in range(14)), face((99, 9, 9, 9)))
    words = picture_words(actual)
    assert "face 1 no sign of a fake, face 2 no sign of a fake" in words
    assert words.endswith("face 12 no sign of a fake and 3 more.")
    assert "no face" in picture_words(result())
