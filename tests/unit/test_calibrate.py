"""Calibrations and operating points: what they promise holds, and what cannot hold is refused."""

from dataclasses import replace

import numpy as np
import pytest

from faceproof.detector import Platt, Temperature, calibrate, sigmoid
from faceproof.errors import SplitUseError, TrainingError, UnknownChoiceError, UsageError
from faceproof.evaluation.predictions import Faces
from faceproof.training.calibrate import CALIBRATIONS, balance, fit, group_folds, smoothed
from faceproof.training.operating_points import (
    BUDGETS,
    CONDITIONS,
    Budget,
    operating_point,
    operating_points,
)

HASH = "e" * 64


def made(logits, fake, *, sources="s", groups=None, conditions="clean", generators=None) -> Faces:
    """Return calibration faces with uncalibrated probabilities."""
    logits, fake = np.asarray(logits, float), np.asarray(fake, bool)

    def texts(value):
        return np.broadcast_to(np.asarray(value, np.str_), fake.shape).copy()

    return Faces(
        fake=fake,
        logits=logits,
        probabilities=sigmoid(logits),
        sources=texts(sources),
        generators=texts(np.where(fake, "g", "none") if generators is None else generators),
        groups=texts(np.arange(len(fake)) if groups is None else groups),
        conditions=texts(conditions),
        splits=texts("calibration"),
        statuses=texts("ok"),
    )


def drawn(n=2000, *, slope=2.0, intercept=-1.0, seed=0) -> Faces:
    """Return as many real as fake faces whose true probability is sigmoid(slope x + intercept)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=10 * n) + 0.5
    fake = rng.uniform(size=10 * n) < sigmoid(slope * logits + intercept)
    keep = np.concatenate([np.flatnonzero(fake)[:n], np.flatnonzero(~fake)[:n]])
    return made(logits[keep], fake[keep])


def worn(n=1000, *, seed=0, groups=None) -> Faces:
    """Return n real and n fake faces under the three conditions, JPEG making reals look faker."""
    rng = np.random.default_rng(seed)
    fake = np.repeat([False, True], n)
    clean = rng.normal(size=2 * n) + 4 * fake - 2
    logits = [clean, clean + 0.8 * ~fake, clean - 0.3]
    return made(
        np.concatenate(logits),
        np.tile(fake, 3),
        groups=np.tile(np.arange(2 * n) if groups is None else groups, 3),
        conditions=np.repeat(CONDITIONS, 2 * n),
    )


def test_platt_finds_the_line():
    fitted = fit(drawn(), method="platt").calibration
    assert isinstance(fitted, Platt)
    assert fitted.slope == pytest.approx(2.0, rel=0.1)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.2)


def test_temperature_finds_the_scale():
    fitted = fit(drawn(slope=0.5, intercept=0.0), method="temperature").calibration
    assert isinstance(fitted, Temperature)
    assert fitted.temperature == pytest.approx(2.0, rel=0.1)


def test_the_better_one_is_kept_and_both_losses_told():
    found = fit(drawn(intercept=-2.0))
    assert found.calibration.method == "platt"
    assert set(found.losses) == set(CALIBRATIONS)
    assert found.losses["platt"] < found.losses["temperature"]


def test_the_mix_of_classes_and_sources_does_not_matter():
    """The same faces, the fakes of one source three times over: the same calibration."""
    faces = drawn(600)
    sources = np.where(np.arange(len(faces)) % 2, "a", "b")
    faces = replace(faces, sources=sources)
    more = np.concatenate(
        [np.arange(len(faces)), np.tile(np.flatnonzero(faces.fake & (sources == "a")), 2)]
    )
    weights, again = balance(faces), balance(faces.where(more))
    assert weights.mean() == pytest.approx(1)
    assert weights[faces.fake].sum() == pytest.approx(weights[~faces.fake].sum())
    summed = np.bincount(more, weights=again) / again.sum()
    np.testing.assert_allclose(summed, weights / weights.sum())


def test_perfect_separation_stays_finite():
    faces = made(np.repeat([-3.0, 3.0], 30), np.repeat([False, True], 30))
    calibration = fit(faces, method="platt").calibration
    p = calibrate(faces.logits, calibration)
    assert smoothed(faces).tolist()[:1] == [1 / 32]
    np.testing.assert_allclose(p, np.repeat([1 / 32, 31 / 32], 30), atol=1e-6)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_a_detector_that_has_it_backwards_is_refused(method):
    faces = drawn(200)
    with pytest.raises(TrainingError, match="higher logits do not mean fake"):
        fit(replace(faces, fake=~faces.fake), method=method)


def test_huge_and_tiny_logits_are_fitted_too():
    for scale in (1e-4, 1e4):
        faces = drawn(500)
        fitted = fit(replace(faces, logits=faces.logits * scale), method="platt").calibration
        assert fitted.slope * scale == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_other_splits_are_refused(split):
    faces = worn()
    faces = replace(faces, splits=np.where(np.arange(len(faces)) == 5, split, faces.splits))
    with pytest.raises(SplitUseError, match=f"got faces of {split}"):
        fit(faces)
    with pytest.raises(SplitUseError, match=f"got faces of {split}"):
        operating_point(faces, BUDGETS[0], data_sha256=HASH)


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
    faces = worn(100, groups=np.arange(200) // 4)
    folds = group_folds(faces)
    for group in np.unique(faces.groups):
        assert len(np.unique(folds[faces.groups == group])) == 1
    for fold in range(5):
        assert {*faces.fake[folds == fold].tolist()} == {False, True}


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.name)
def test_the_budget_holds_under_every_condition_and_is_used_up_in_the_worst(budget):
    faces = worn()
    point = operating_point(faces, budget, data_sha256=HASH)
    alarms = [
        (faces.probabilities[~faces.fake & (faces.conditions == name)] >= point.fake_from).mean()
        for name in CONDITIONS
    ]
    assert max(alarms) == alarms[1] == pytest.approx(budget.bpcer)
    misses = [
        (faces.probabilities[faces.fake & (faces.conditions == name)] < point.real_below).mean()
        for name in CONDITIONS
    ]
    assert max(misses) <= budget.apcer
    assert point.real_below <= point.fake_from


def test_what_was_promised_is_written_down():
    point = operating_point(worn(), Budget(bpcer=0.01), data_sha256=HASH)
    assert point.name == "1-in-100"
    assert point.bpcer_budget == 0.01
    assert (point.chosen_on.data_sha256, point.chosen_on.split) == (HASH, "calibration")
    assert point.chosen_on.n == 1000
    assert point.promise == (
        "at most 1 in 100 real faces called fake, and at most 1 in 20 fakes called real, on "
        "the calibration faces as each of clean, jpeg-60, resize-0.5; worst jpeg-60: 1.00% of "
        "1000, below 1.69% with 95 % confidence"
    )


def test_the_bound_in_the_promise_holds_for_new_faces():
    """In about 95 of 100 trainings, new faces are called fake no more often than the bound."""
    kept = 0
    for seed in range(60):
        point = operating_point(worn(400, seed=seed), Budget(bpcer=0.05), data_sha256=HASH)
        bound = float(point.promise.split("below ")[1].split("%")[0]) / 100
        new = worn(2500, seed=1000 + seed)
        jpeg = new.probabilities[~new.fake & (new.conditions == "jpeg-60")]
        kept += (jpeg >= point.fake_from).mean() <= bound
    assert kept >= 53


def test_stricter_budgets_have_higher_thresholds():
    points = operating_points(worn(), data_sha256=HASH)
    assert list(points) == ["1-in-20", "1-in-100", "1-in-200"]
    upper = [point.fake_from for point in points.values()]
    assert upper == sorted(set(upper))


def test_a_budget_of_each_source_and_generator_is_the_stricter_one():
    faces = worn(1200)
    hard = np.arange(len(faces)) % 3 == 0
    faces = replace(
        faces,
        sources=np.where(hard, "hard", "easy"),
        generators=np.where(~faces.fake, "none", np.where(hard, "h", "e")),
        probabilities=sigmoid(faces.logits + np.where(hard, np.where(faces.fake, -2, 1), 0)),
    )
    pooled, each = (
        operating_point(faces, Budget(bpcer=0.05, reals=r, fakes=f), data_sha256=HASH)
        for r, f in [("pooled", "pooled"), ("source", "generator")]
    )
    assert pooled.fake_from < each.fake_from
    assert each.real_below < pooled.real_below
    assert "of each source" in each.promise
    assert "of each generator" in each.promise
    reals = ~faces.fake & hard & (faces.conditions == "jpeg-60")
    assert (faces.probabilities[reals] >= each.fake_from).mean() <= 0.05


def test_a_promise_that_too_few_faces_support_is_refused():
    with pytest.raises(UsageError) as refusal:
        operating_point(worn(500), Budget(bpcer=0.005), data_sha256=HASH)
    assert str(refusal.value) == (
        "the calibration split cannot support a promise of at most 0.50% errors on real faces "
        "(clean): it holds 500 of them, worth 500 independent ones. It takes at least 598 "
        "independent ones, about 598 like these; or ask for a larger budget"
    )
    faces = worn(500)
    few = faces.where(~faces.fake | np.isin(faces.groups, [str(n) for n in range(500, 520)]))
    with pytest.raises(UsageError, match=r"errors on fake faces \(clean\): it holds 20"):
        operating_point(few, Budget(bpcer=0.05), data_sha256=HASH)


def test_copies_do_not_support_a_promise():
    """A thousand real faces that are fifty, twenty times over, are fifty."""
    faces = worn(50)
    copies = replace(
        faces.where(np.tile(np.arange(len(faces)), 20)), groups=np.tile(faces.groups, 20)
    )
    with pytest.raises(UsageError, match="holds 1000 of them, worth 50 independent ones"):
        operating_point(copies, Budget(bpcer=0.05), data_sha256=HASH)


def test_a_condition_without_faces_is_refused():
    faces = worn()
    with pytest.raises(UsageError, match=r"'resize-0\.5', but no real calibration face"):
        operating_point(faces.where(faces.conditions != "resize-0.5"), BUDGETS[0], data_sha256=HASH)


def test_a_detector_that_is_certain_and_wrong_cannot_keep_a_promise():
    faces = worn()
    sure = replace(faces, probabilities=np.where(faces.logits > -1.0, 1.0, faces.probabilities))
    with pytest.raises(TrainingError, match="certain, wrongly"):
        operating_point(sure, BUDGETS[1], data_sha256=HASH)


def test_the_lower_threshold_never_passes_the_upper():
    faces = worn()
    far = replace(faces, probabilities=np.where(faces.fake, 0.99, faces.probabilities / 4))
    point = operating_point(far, BUDGETS[0], data_sha256=HASH)
    assert point.real_below == point.fake_from < 0.3
