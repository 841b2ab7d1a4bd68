"""Intervals: known values, coverage by simulation, and what happens at the edges."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from faceproof.errors import UsageError
from faceproof.evaluation.intervals import (
    bootstrap,
    clopper_pearson_upper,
    clustered_size,
    effective_size,
    faces_needed,
    intraclass_correlation,
    rate_interval,
    resamples,
    wilson,
)
from faceproof.evaluation.metrics import METRICS

SIMULATIONS = 200


def clustered(rng, *, groups, size, correlation, shift=0.0):
    """Return normal scores [groups * size] that agree within a group, and the groups."""
    shared = rng.normal(size=groups).repeat(size)
    own = rng.normal(size=groups * size)
    scores = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own + shift
    return scores, np.arange(groups).repeat(size)


def test_wilson_by_hand():
    z = NormalDist().inv_cdf(0.975)
    assert wilson(0, 10) == pytest.approx((0, z**2 / (10 + z**2)))
    assert wilson(10, 10) == pytest.approx((10 / (10 + z**2), 1))
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_the_exact_bound_by_hand():
    assert clopper_pearson_upper(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert clopper_pearson_upper(19, 20) == pytest.approx(0.95 ** (1 / 20))
    assert clopper_pearson_upper(20, 20) == 1.0


def test_a_promise_takes_so_many_faces():
    for budget in (0.1, 0.05, 0.01, 0.001):
        needed = faces_needed(budget)
        assert clopper_pearson_upper(0, needed) <= budget < clopper_pearson_upper(0, needed - 1)
    with pytest.raises(UsageError, match="between 0 and 1"):
        faces_needed(0)


def test_single_faces_are_worth_themselves():
    hits = np.arange(50) % 5 == 0
    assert effective_size(hits, np.arange(50)) == 50
    assert intraclass_correlation(np.arange(50.0), np.arange(50), np.zeros(50)) == 0


def test_copies_are_worth_one_face():
    hits = np.arange(60) % 3 == 0
    copied = effective_size(hits.repeat(4), np.arange(60).repeat(4))
    assert copied == pytest.approx(60, rel=0.05)
    assert (
        intraclass_correlation(np.arange(60.0).repeat(4), np.arange(60).repeat(4), [0] * 240) > 0.98
    )


def test_without_a_hit_the_scores_say_what_a_group_is_worth():
    none, groups = np.zeros(400, bool), np.arange(100).repeat(4)
    assert effective_size(none, groups) == 100
    assert effective_size(none, groups, correlation=0.0) == 400
    assert clustered_size(groups, 1 / 3) == pytest.approx(200)


def test_the_correlation_within_groups_is_found_whatever_the_strata_differ_by():
    rng = np.random.default_rng(0)
    scores, groups = clustered(rng, groups=400, size=5, correlation=0.4)
    strata = groups % 2
    found = intraclass_correlation(scores + 3 * strata, groups, strata)
    assert found == pytest.approx(0.4, abs=0.07)


@pytest.mark.parametrize("rate", [0.3, 0.02])
def test_rates_of_clustered_faces_are_covered(rate):
    rng, cut = np.random.default_rng(1), NormalDist().inv_cdf(1 - rate)
    covered = naive = 0
    for _ in range(SIMULATIONS):
        scores, groups = clustered(rng, groups=60, size=10, correlation=0.4)
        hits = scores > cut
        alike = intraclass_correlation(scores, groups, np.zeros(600))
        low, high = rate_interval(hits, groups, correlation=alike)
        covered += low <= rate <= high
        low, high = wilson(hits.sum(), 600)
        naive += low <= rate <= high
    assert covered / SIMULATIONS >= 0.92
    assert naive < covered


@pytest.mark.parametrize(("groups", "size", "shift"), [(40, 3, 1.5), (140, 1, 3.3)])
def test_the_area_under_the_curve_is_covered(groups, size, shift):
    rng, truth = np.random.default_rng(2), NormalDist().cdf(shift / math.sqrt(2))
    covered, n = 0, groups * size
    for seed in range(SIMULATIONS):
        reals, one = clustered(rng, groups=groups, size=size, correlation=0.5)
        fakes, other = clustered(rng, groups=groups, size=size, correlation=0.5, shift=shift)
        low, high = bootstrap(
            np.repeat([False, True], n),
            np.concatenate([reals, fakes]),
            np.concatenate([one, other + 1000]),
            names=["roc_auc"],
            number=200,
            seed=seed,
        )["roc_auc"]
        covered += low <= truth <= high
    assert covered / SIMULATIONS >= 0.91


def test_a_value_out_of_the_unit_interval_has_percentiles():
    rng = np.random.default_rng(0)
    fake = np.repeat([False, True], 40)
    scores = np.where(fake, rng.uniform(0.01, 0.3, 80), rng.uniform(0.7, 0.99, 80))
    low, high = bootstrap(fake, scores, np.arange(80), names=["log_loss"], number=100)["log_loss"]
    assert 1 < low < METRICS["log_loss"](fake, scores) < high


def test_resamples_keep_groups_whole_and_classes_present():
    groups = np.array(["a", "a", "b", "c", "c", "d"])
    fake = np.array([0, 0, 0, 1, 1, 1], bool)
    weights = np.concatenate([*resamples(fake, groups, number=500, seed=3)])
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2]].sum(axis=1) == 2).all()
    assert (weights[:, [3, 5]].sum(axis=1) == 2).all()
    assert weights.mean() == pytest.approx(1, abs=0.05)


def test_groups_with_both_classes_are_drawn_together():
    groups, fake = np.array(["a", "a", "b", "b"]), np.array([0, 1, 0, 1], bool)
    weights = np.concatenate([*resamples(fake, groups, number=50)])
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights.sum(axis=1) == 4).all()


def test_the_same_seed_gives_the_same_interval_and_another_one_not():
    rng = np.random.default_rng(0)
    fake, scores = rng.uniform(size=80) < 0.5, rng.uniform(size=80)
    first, again, other = (
        bootstrap(fake, scores, np.arange(80), names=["roc_auc"], number=100, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_many_faces_are_drawn_in_blocks(monkeypatch):
    monkeypatch.setattr("faceproof.evaluation.intervals._BLOCK", 80 * 7)
    fake = np.arange(80) % 2 == 0
    blocks = [*resamples(fake, np.arange(80), number=30)]
    assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
    drawn = np.concatenate(blocks)
    assert (drawn[:, fake].sum(axis=1) == 40).all()
    assert len(np.unique(drawn, axis=0)) == 30


def test_no_error_at_all_is_no_certainty():
    fake = np.repeat([False, True], 50)
    found = bootstrap(fake, fake * 1.0, np.arange(100), names=["roc_auc", "eer"], number=50)
    assert found["roc_auc"] == pytest.approx(wilson(50, 50))
    assert found["eer"] == pytest.approx(wilson(0, 50))
    grouped = bootstrap(fake, fake * 1.0, np.arange(100) // 10, names=["roc_auc"], number=50)
    assert grouped["roc_auc"] == pytest.approx(wilson(5, 5))
