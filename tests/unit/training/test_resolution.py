"""Resolution matching: the drawn width says nothing about the class, and no draw is impossible."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from faceproof.data.manifest import Row
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import TEMPLATE_112
from faceproof.training.recipe import ResolutionRecipe
from faceproof.training.resolution import WidthMatchedSampler, face_widths, reduce_face

LABELS = [
    *[("pair", "real")] * 200,
    *[("pair", "fake")] * 200,
    *[("small_reals", "real")] * 300,
    *[("sharp_reals", "real")] * 300,
    *[("sharp_fakes", "fake")] * 300,
    *[("made", "fake")] * 200,
]
SHARES = {"pair": 0.4, "small_reals": 0.3, "sharp_reals": 0.3, "sharp_fakes": 0.4, "made": 0.2}


@pytest.fixture(scope="module")
def widths():
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rng.uniform(140, 150, 400),
            rng.uniform(70, 120, 300),
            rng.uniform(200, 384, 300),
            rng.uniform(300, 384, 300),
            rng.uniform(80, 200, 200),
        ]
    )


def spec(**changes):
    given = {"narrowest": 72, "widest": 300, "own_width": {"pair": 0.75}, "fixed_width": ("made",)}
    return ResolutionRecipe(**(given | changes))


def drawn(draw, count=6000):
    rng = np.random.default_rng(7)
    return [draw(rng) for _ in range(count)]


def auc(fakes, reals):
    order = np.searchsorted(np.sort(reals), fakes, "left")
    ties = np.searchsorted(np.sort(reals), fakes, "right")
    return float((order + ties).mean() / (2 * len(reals)))


def test_the_width_does_not_predict_the_class(widths):
    draws = drawn(WidthMatchedSampler(LABELS, widths, spec(), SHARES, {}))
    fake = np.array([LABELS[one.row][1] == "fake" for one in draws])
    width = np.array([one.width for one in draws])
    assert 0.47 < fake.mean() < 0.53
    assert abs(auc(width[fake], width[~fake]) - 0.5) < 0.03


def test_without_matching_the_same_rows_would_give_the_class_away(widths):
    fake = np.array([label == "fake" for _, label in LABELS])
    assert auc(widths[fake], widths[~fake]) > 0.6


def test_every_face_has_the_drawn_width_or_more(widths):
    draws = drawn(WidthMatchedSampler(LABELS, widths, spec(), SHARES, {}))
    assert all(widths[one.row] >= one.width * 0.97 - 1e-9 for one in draws)
    assert all(one.width <= 300 for one in draws)


def test_a_source_of_fixed_width_keeps_its_own(widths):
    draws = drawn(WidthMatchedSampler(LABELS, widths, spec(), SHARES, {}))
    made = [one for one in draws if LABELS[one.row][0] == "made"]
    assert made
    assert all(one.width == widths[one.row] for one in made)


def test_sources_come_by_their_shares_where_all_have_the_width(widths):
    shares = {"small_reals": 0.3, "sharp_reals": 0.6, "sharp_fakes": 0.9}
    chosen = spec(narrowest=72, widest=73, own_width={}, fixed_width=())
    wide = np.maximum(widths, 80)
    found = Counter(
        LABELS[one.row][0] for one in drawn(WidthMatchedSampler(LABELS, wide, chosen, shares, {}))
    )
    assert found["sharp_reals"] / found["small_reals"] == pytest.approx(2, rel=0.2)


def test_forgeries_are_shares_of_all_draws_and_made_of_real_rows(widths):
    draws = drawn(WidthMatchedSampler(LABELS, widths, spec(), SHARES, {"paste": 0.05, "swap": 0.1}))
    found = Counter(one.forgery for one in draws)
    assert found["paste"] / len(draws) == pytest.approx(0.05, abs=0.015)
    assert found["swap"] / len(draws) == pytest.approx(0.1, abs=0.02)
    assert all(LABELS[one.row][1] == "real" for one in draws if one.forgery)


@pytest.mark.parametrize(
    ("changes", "shares", "forgeries", "message"),
    [
        ({"widest": 900}, SHARES, {}, "resolution.widest = 900 px: no real face"),
        ({}, SHARES | {"others": 1.0}, {}, "'others', which has no training picture"),
        ({"own_width": {"sharp_fakes": 0.5}}, SHARES, {}, "does not hold both classes"),
        ({}, SHARES, {"paste": 0.5}, "lower the shares of forgeries"),
    ],
)
def test_what_no_draw_can_give_is_refused_in_one_line(widths, changes, shares, forgeries, message):
    with pytest.raises(TrainingError, match=message) as caught:
        WidthMatchedSampler(LABELS, widths, spec(**changes), shares, forgeries)
    assert "\n" not in str(caught.value)


def test_a_range_written_backwards_is_refused():
    with pytest.raises(ValidationError, match="narrowest 300 is not below widest 100"):
        ResolutionRecipe(narrowest=300, widest=100)


def test_the_width_of_a_face_is_the_side_of_its_crop_without_margin():
    points = np.stack([TEMPLATE_112, 2 * TEMPLATE_112 + 5]).astype(np.float32)
    assert face_widths(points) == pytest.approx([112, 224], rel=1e-4)


def test_reducing_moves_the_landmarks_with_the_pixels():
    pixels = np.zeros((240, 200, 3), np.uint8)
    pixels[100:140, 80:120] = 255
    points = np.full((5, 2), 99.5, np.float32)
    points[:, 1] = 119.5
    small, moved = reduce_face(pixels, points, 0.5, np.random.default_rng(0))
    assert small.shape == (120, 100, 3)
    assert moved[0] == pytest.approx([49.5, 59.5])
    assert small[60, 50].min() > 250
    assert reduce_face(pixels, points, 0.99, np.random.default_rng(0))[0] is pixels


def test_one_class_draws_rows_of_that_class_only(widths):
    rows = [
        Row(str(number), label, "none", source, "", "", "train")
        for number, (source, label) in enumerate(LABELS)
        if label == "real"
    ]
    own = np.array(
        [width for width, (_, label) in zip(widths, LABELS, strict=True) if label == "real"]
    )
    shares = {"pair": 1.0, "small_reals": 1.0, "sharp_reals": 1.0}
    draw = WidthMatchedSampler.for_class(rows, own, 80, 200, shares)
    rng = np.random.default_rng(3)
    found = [draw.draw_any_width("real", rng) for _ in range(200)]
    assert all(80 <= one.width <= 200 and own[one.row] >= one.width * 0.97 - 1e-9 for one in found)
