"""The rising curve: it goes through its steps, never turns and never says certain.

Calibrations: what is fitted, what is chosen, and what cannot be fitted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from faceproof.detector import (
    Calibration,
    DetectorSpec,
    Isotonic,
    Platt,
    Temperature,
    calibrate,
    calibrated_logits,
    sigmoid,
)
from faceproof.errors import SplitUseError, TrainingError, UnknownChoiceError, UsageError
from faceproof.training import calibration as calibrating
from faceproof.training.calibration import (
    CALIBRATIONS,
    ISOTONIC_GROUPS,
    balancing_weights,
    fit,
    fit_isotonic_curve,
    group_folds,
    out_of_fold_probabilities,
    pool_adjacent_violators,
    smooth_targets,
)
from support.calibration_faces import degraded_faces, drawn, made

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
    blocks = pool_adjacent_violators(np.array([0.1, 0.8, 0.2, 0.9]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(blocks.values, [0.1, 0.35, 0.9])
    np.testing.assert_allclose(blocks.weights, [1.0, 4.0, 1.0])
    assert blocks.starts.tolist() == [0, 1, 3]


def test_equal_steps_are_one():
    assert len(pool_adjacent_violators(np.full(5, 0.3), np.ones(5)).values) == 1


def test_no_step_is_certain_and_a_small_one_less_so_than_a_large_one():
    """Nine reals, one fake: the two faces that are added make 1 of 10 and 1 of 2 of them."""
    logits = np.append(np.linspace(-3, -2, 9), 3.0)
    curve = fit_isotonic_curve(logits, np.append(np.zeros(9), 1.0), np.ones(10), slope=1.0)
    np.testing.assert_allclose(calibrate(curve.logits, curve), [1 / 10, 1 / 2])
    assert curve.logits[0] == pytest.approx((logits[:9].sum() - 3.0) / 10)
    assert np.all(np.abs(calibrate([-30.0, 30.0], curve) - [0, 1]) > 0)


def test_faces_with_the_same_logit_get_the_same_value():
    logits = np.repeat([-1.0, 1.0], 50)
    targets = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 20)
    curve = fit_isotonic_curve(logits, targets, np.ones(100), slope=1.0)
    assert len(curve.logits) == 1
    assert calibrate([-1.0, 0.0, 1.0], curve)[1] == pytest.approx((20 + 1) / 102)


def test_platt_finds_the_line():
    fitted = fit(drawn(), method="platt").calibration
    assert isinstance(fitted, Platt)
    assert fitted.slope == pytest.approx(2.0, rel=0.1)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.2)


def test_temperature_finds_the_scale():
    fitted = fit(drawn(slope=0.5, intercept=0.0), method="temperature").calibration
    assert isinstance(fitted, Temperature)
    assert fitted.temperature == pytest.approx(2.0, rel=0.1)


def test_the_better_one_is_kept_and_all_scores_told():
    found = fit(drawn(intercept=-2.0))
    assert found.calibration.method == "platt"
    assert set(found.losses) == set(found.briers) == set(CALIBRATIONS)
    assert found.losses["platt"] < found.losses["temperature"]
    assert str(found).startswith("platt, by log loss on unseen groups: temperature 0.")


def kinked(n=2000, *, seed=0):
    """Return faces whose log-odds rise fast below 0 and hardly above: no line fits them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=20 * n)
    fake = rng.uniform(size=20 * n) < sigmoid(np.where(logits < 0, 3 * logits, 0.05 * logits))
    keep = np.concatenate([np.flatnonzero(fake)[:n], np.flatnonzero(~fake)[:n]])
    return made(logits[keep], fake[keep])


def test_where_no_line_fits_isotonic_is_kept():
    found = fit(kinked())
    assert found.calibration.method == "isotonic"
    assert found.losses["isotonic"] < found.losses["platt"] - 0.005
    odds = calibrated_logits([-2.0, -1.0, 0.5, 3.0], found.calibration)
    steep, _, flat = np.diff(odds)
    assert steep > 2
    assert flat < 0.7


def test_isotonic_takes_enough_groups_of_each_class():
    few = kinked(ISOTONIC_GROUPS - 1)
    found = fit(few)
    assert set(found.losses) == {"temperature", "platt"}
    output = "isotonic needs 500 groups of each class, found 499 of"
    assert output in found.left_out["isotonic"]
    assert output in str(found)
    with pytest.raises(TrainingError, match=output):
        fit(few, method="isotonic")
    assert not fit(kinked(ISOTONIC_GROUPS)).left_out
    copies = replace(kinked(1000), groups=np.array([f"g{n // 4}" for n in range(2000)]))
    assert "found 250 of" in fit(copies).left_out["isotonic"]


@pytest.mark.parametrize(
    ("losses", "briers", "chosen"),
    [
        ((0.3, 0.2, 0.1), (0.3, 0.2, 0.1), "isotonic"),
        ((0.3, 0.2, 0.1), (0.3, 0.1, 0.2), "platt"),
        ((0.3, 0.1, 0.2), (0.3, 0.2, 0.1), "platt"),
        ((0.3, 0.2, 0.1), (0.1, 0.2, 0.3), "temperature"),
    ],
)
def test_where_the_scores_disagree_the_simpler_one_is_taken(losses, briers, chosen):
    named = [dict(zip(CALIBRATIONS, scores, strict=True)) for scores in (losses, briers)]
    assert calibrating._choose_best(*named) == chosen


def test_each_face_is_judged_by_a_fit_that_has_not_seen_its_group(monkeypatch):
    seen: list[set[float]] = []

    def noted(logits, targets, weights):
        seen.append(set(logits.tolist()))
        return Platt(slope=1.0, intercept=float(len(seen)))

    monkeypatch.setitem(CALIBRATIONS, "noted", noted)
    faces = drawn(600)
    found, folds = out_of_fold_probabilities(faces, "noted"), group_folds(faces)
    for fold, logits in enumerate(seen):
        assert logits == set(faces.logits[folds != fold].tolist())
        out = faces.logits[folds == fold]
        np.testing.assert_allclose(found[folds == fold], sigmoid(out + fold + 1))


def test_the_mix_of_classes_and_sources_does_not_matter():
    """The same faces, the fakes of one source three times over: the same calibration."""
    faces = drawn(600)
    sources = np.where(np.arange(len(faces)) % 2, "a", "b")
    faces = replace(faces, sources=sources)
    more = np.concatenate(
        [np.arange(len(faces)), np.tile(np.flatnonzero(faces.fake & (sources == "a")), 2)]
    )
    weights, again = balancing_weights(faces), balancing_weights(faces.where(more))
    assert weights.mean() == pytest.approx(1)
    assert weights[faces.fake].sum() == pytest.approx(weights[~faces.fake].sum())
    summed = np.bincount(more, weights=again) / again.sum()
    np.testing.assert_allclose(summed, weights / weights.sum())


def test_perfect_separation_stays_finite():
    faces = made(np.repeat([-3.0, 3.0], 30), np.repeat([False, True], 30))
    calibration = fit(faces, method="platt").calibration
    p = calibrate(faces.logits, calibration)
    assert smooth_targets(faces).tolist()[:1] == [1 / 32]
    np.testing.assert_allclose(p, np.repeat([1 / 32, 31 / 32], 30), atol=1e-6)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_a_detector_that_has_it_backwards_is_refused(method):
    faces = drawn(600)
    with pytest.raises(TrainingError, match="higher logits do not mean fake"):
        fit(replace(faces, fake=~faces.fake), method=method)


def test_huge_and_tiny_logits_are_fitted_too():
    for scale in (1e-4, 1e4):
        faces = drawn(500)
        fitted = fit(replace(faces, logits=faces.logits * scale), method="platt").calibration
        assert fitted.slope * scale == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_other_splits_are_refused(split):
    faces = degraded_faces()
    faces = replace(faces, splits=np.where(np.arange(len(faces)) == 5, split, faces.splits))
    with pytest.raises(SplitUseError, match=f"got faces of {split}"):
        fit(faces)


def test_what_cannot_be_fitted_is_refused():
    faces = drawn(50)
    with pytest.raises(UnknownChoiceError, match="'platt'"):
        fit(faces, method="plat")
    with pytest.raises(TrainingError, match="no judged fake"):
        fit(faces.where(~faces.fake))
    with pytest.raises(UsageError, match=r"predictions\.judged"):
        fit(replace(faces, logits=np.where(faces.fake, faces.logits, np.nan)))
    with pytest.raises(TrainingError, match="1 groups of real faces"):
        fit(replace(faces, groups=np.where(faces.fake, faces.groups, "one")))


def test_folds_keep_groups_whole_and_hold_both_classes():
    faces = degraded_faces(100, groups=np.arange(200) // 4)
    folds = group_folds(faces)
    for group in np.unique(faces.groups):
        assert len(np.unique(folds[faces.groups == group])) == 1
    for fold in range(5):
        assert {*faces.fake[folds == fold].tolist()} == {False, True}
