"""The rising curve: it goes through its steps, never turns and never says certain."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from faceproof.detector import Calibration, DetectorSpec, Isotonic, calibrate, calibrated_logits
from faceproof.training.promising.isotonic import isotonic, pooled

CURVE = Isotonic(logits=(-1.0, 0.0, 2.0), calibrated=(-3.0, 1.0, 2.0), slope=0.5)


def test_straight_between_knots_and_led_on_beyond_them():
    found = calibrated_logits([-3.0, -1.0, -0.5, 0.0, 1.0, 2.0, 6.0], CURVE)
    assert found.tolist() == [-4.0, -3.0, -1.0, 1.0, 1.5, 2.0, 4.0]
    one = Isotonic(logits=(1.0,), calibrated=(5.0,), slope=2.0)
    assert calibrated_logits([[0.0], [3.0]], one).tolist() == [[3.0], [9.0]]


def test_it_is_told_from_other_calibrations_and_survives_json():
    adapter: TypeAdapter[Calibration] = TypeAdapter(Calibration)
    assert adapter.validate_json(CURVE.model_dump_json()) == CURVE
    exact = Isotonic(logits=(0.1 + 0.2, 1 / 3), calibrated=(-1 / 3, 1e-300), slope=np.pi)
    assert adapter.validate_json(exact.model_dump_json()) == exact


def test_a_bundle_carries_it(tiny_spec):
    spec = DetectorSpec.model_validate({**dict(tiny_spec), "calibration": CURVE})
    again = DetectorSpec.model_validate_json(spec.to_json())
    assert again.calibration == CURVE
    assert again == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"logits": (0.0, 0.0, 1.0)},
        {"calibrated": (0.0, 2.0, 1.0)},
        {"calibrated": (0.0, 0.0, 1.0)},
        {"logits": (0.0, 1.0)},
        {"logits": (), "calibrated": ()},
        {"slope": 0.0},
        {"slope": -1.0},
        {"logits": (0.0, 1.0, float("inf"))},
        {"calibrated": (0.0, 1.0, float("nan"))},
    ],
)
def test_what_would_swap_real_and_fake_or_tie_them_is_refused(wrong):
    with pytest.raises(ValidationError):
        Isotonic.model_validate({**CURVE.model_dump(), **wrong})


def test_neighbours_that_fall_are_pooled_by_weight():
    blocks = pooled(np.array([0.1, 0.8, 0.2, 0.9]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(blocks.values, [0.1, 0.35, 0.9])
    np.testing.assert_allclose(blocks.weights, [1.0, 4.0, 1.0])
    assert blocks.starts.tolist() == [0, 1, 3]


def test_equal_steps_are_one():
    assert len(pooled(np.full(5, 0.3), np.ones(5)).values) == 1


def test_no_step_is_certain_and_a_small_one_less_so_than_a_large_one():
    """Nine reals, one fake: the two faces that are added make 1 of 10 and 1 of 2 of them."""
    logits = np.append(np.linspace(-3, -2, 9), 3.0)
    curve = isotonic(logits, np.append(np.zeros(9), 1.0), np.ones(10), slope=1.0)
    np.testing.assert_allclose(calibrate(curve.logits, curve), [1 / 10, 1 / 2])
    assert curve.logits[0] == pytest.approx((logits[:9].sum() - 3.0) / 10)
    assert np.all(np.abs(calibrate([-30.0, 30.0], curve) - [0, 1]) > 0)


def test_faces_with_the_same_logit_get_the_same_value():
    logits = np.repeat([-1.0, 1.0], 50)
    targets = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 20)
    curve = isotonic(logits, targets, np.ones(100), slope=1.0)
    assert len(curve.logits) == 1
    assert calibrate([-1.0, 0.0, 1.0], curve)[1] == pytest.approx((20 + 1) / 102)
