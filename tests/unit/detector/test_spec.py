"""Two thresholds make three verdicts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from faceproof.detector import ChosenOn, OperatingPoint, decide, picture_probability


def point(real_below: float, fake_from: float) -> OperatingPoint:
    chosen_on = ChosenOn(data_sha256="a" * 64, n=10)
    return OperatingPoint(
        name="p", real_below=real_below, fake_from=fake_from, promise="none", chosen_on=chosen_on
    )


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [
        (0.0, "real"),
        (0.39, "real"),
        (0.4, "unsure"),
        (0.59, "unsure"),
        (0.6, "fake"),
        (1.0, "fake"),
    ],
)
def test_the_upper_threshold_is_fake_and_the_lower_unsure(probability: float, verdict: str) -> None:
    assert decide(probability, point(0.4, 0.6)) == verdict


def test_equal_thresholds_leave_no_room_for_unsure() -> None:
    assert [decide(p, point(0.5, 0.5)) for p in (0.49, 0.5)] == ["real", "fake"]


@pytest.mark.parametrize(
    ("ends", "verdicts"),
    [((0, 0), ["fake", "fake"]), ((1, 1), ["real", "fake"]), ((0, 1), ["unsure", "fake"])],
)
def test_thresholds_at_the_ends(ends: tuple[float, float], verdicts: list[str]) -> None:
    assert [decide(p, point(*ends)) for p in (0.0, 1.0)] == verdicts


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_probability_gets_no_verdict(wrong: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        decide(wrong, point(0.4, 0.6))


@pytest.mark.parametrize("ends", [(0.6, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_thresholds_out_of_order_or_range_are_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        point(*ends)


def test_thresholds_are_never_chosen_on_test_data() -> None:
    with pytest.raises(ValidationError, match="split"):
        ChosenOn.model_validate({"data_sha256": "a" * 64, "n": 10, "split": "test"})


def test_a_picture_is_as_fake_as_its_most_fake_face() -> None:
    assert picture_probability([0.2, 0.8, 0.5]) == 0.8
    assert picture_probability([]) is None
    with pytest.raises(ValueError, match="is NaN"):
        picture_probability([0.2, float("nan")])
