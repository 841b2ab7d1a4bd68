"""What holds for every logit, calibration and pair of thresholds."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceproof.detector import (
    Calibration,
    ChosenOn,
    Identity,
    Isotonic,
    OperatingPoint,
    Platt,
    Temperature,
    calibrate,
    decide,
    sigmoid,
)

ORDER = {"real": 0, "unsure": 1, "fake": 2}
CHOSEN_ON = ChosenOn(data_sha256="a" * 64, n=1)
floats = st.floats(allow_nan=False, allow_infinity=False)
probabilities = st.floats(0, 1)


def curve(knots: tuple[set[float], set[float]], slope: float) -> Isotonic:
    """Return a curve through as many knots as both sets have."""
    rising = list(zip(sorted(knots[0]), sorted(knots[1]), strict=False))
    logits, calibrated = zip(*rising, strict=True)
    return Isotonic(logits=logits, calibrated=calibrated, slope=slope)


places = st.sets(st.floats(-1e9, 1e9), min_size=1, max_size=9)
curves = st.builds(
    curve, st.tuples(places, places), st.floats(0, exclude_min=True, allow_infinity=False)
)
calibrations = st.one_of(
    curves,
    st.just(Identity()),
    st.floats(1e-6, 1e6).map(lambda t: Temperature(temperature=t)),
    st.builds(
        Platt,
        slope=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        intercept=floats,
    ),
)
points = st.tuples(probabilities, probabilities).map(
    lambda ends: OperatingPoint(
        name="p", real_below=min(ends), fake_from=max(ends), promise="none", chosen_on=CHOSEN_ON
    )
)


@given(floats)
def test_sigmoid_is_a_probability_and_symmetric(x: float) -> None:
    p, opposite = sigmoid([x, -x])
    assert 0 <= p <= 1
    assert math.isclose(p + opposite, 1, abs_tol=1e-15)


@given(st.floats(-700, 700))
def test_sigmoid_is_the_formula(x: float) -> None:
    assert math.isclose(sigmoid(x), 1 / (1 + math.exp(-x)), rel_tol=1e-12)


@given(calibrations, st.lists(floats, min_size=2, max_size=20))
def test_calibration_keeps_the_order_of_logits(
    calibration: Calibration, logits: list[float]
) -> None:
    found = calibrate(sorted(logits), calibration)
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found <= 1))


@given(curves, st.lists(st.integers(0, 8), min_size=2, max_size=2), st.floats(0, 1))
def test_a_curve_rises_between_neighbouring_numbers_too(
    drawn: Isotonic, ends: list[int], share: float
) -> None:
    """Where rounding bites: at knots and at the floats next to them."""
    first, last = (drawn.logits[min(end, len(drawn.logits) - 1)] for end in sorted(ends))
    between = first + share * (last - first)
    near = [math.nextafter(x, end) for x in (first, between, last) for end in (-1e10, 1e10)]
    found = calibrate(sorted([first, between, last, *near]), drawn)
    assert np.all(np.diff(found) >= 0)


@given(points, probabilities, probabilities)
def test_a_verdict_never_falls_as_the_probability_rises(
    point: OperatingPoint, one: float, other: float
) -> None:
    low, high = sorted([one, other])
    assert ORDER[decide(low, point)] <= ORDER[decide(high, point)]


@given(points)
def test_thresholds_mean_what_they_say(point: OperatingPoint) -> None:
    assert decide(point.fake_from, point) == "fake"
    if point.real_below < point.fake_from:
        assert decide(point.real_below, point) == "unsure"
    if point.real_below > 0:
        assert decide(math.nextafter(point.real_below, 0), point) == "real"
