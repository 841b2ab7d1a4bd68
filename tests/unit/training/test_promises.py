"""Conformal risk control: the risk on what comes next is what was asked for, groups or not.

What promises take is told before hours of training; refused where it was asked for by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation.intervals import clustered_size, intraclass_correlation
from faceproof.training.preflight import doubtful_promises, refuse_few_faces
from faceproof.training.promises import (
    LADDER,
    Budget,
    corrected_risk,
    groups_needed,
    highest_error_danger,
    least_faces,
)
from faceproof.training.recipe import CalibrationRecipe

ALPHA = 0.1


def worth(scores, groups) -> float:
    """Return what faces are worth, as the operating points count it."""
    return clustered_size(groups, intraclass_correlation(scores, groups, np.zeros(len(scores))))


def risk_above(kept: float) -> float:
    """Return the share of standard normal scores above the last one that is kept."""
    return 1 - NormalDist().cdf(kept)


def test_by_hand():
    """(k + 1) / (n + 1) <= alpha: of 99 the 9 highest may err, of 98 only 8."""
    for n, kept in [(99, 90), (98, 90), (100, 91)]:
        assert highest_error_danger(np.arange(1, n + 1), np.arange(n), alpha=ALPHA, worth=n) == kept


def test_too_few_groups_or_too_little_worth_is_refused():
    assert groups_needed(ALPHA) == 9
    nine = np.arange(9)
    assert highest_error_danger(nine, nine, alpha=ALPHA, worth=9) == 8
    for groups, worthy in [(nine, 8.9), (nine // 2, 9)]:
        with pytest.raises(UsageError, match="needs at least 9 groups"):
            highest_error_danger(nine, groups, alpha=ALPHA, worth=worthy)
    with pytest.raises(UsageError, match="between 0 and 1"):
        groups_needed(1.0)
    for alpha in (0.05, 0.01, 1 / 3, 0.3, 0.7):
        needed = groups_needed(alpha)
        assert corrected_risk(0.0, needed) <= alpha + 1e-12 < corrected_risk(0.0, needed - 1)


def test_equal_faces_err_together_or_not_at_all():
    danger = np.array([3.0] * 12 + [2.0] * 88)
    assert highest_error_danger(danger, np.arange(100), alpha=ALPHA, worth=100) == 3.0
    assert highest_error_danger(danger, np.arange(100), alpha=0.2, worth=100) == 2.0


def test_a_large_group_counts_once_and_its_faces_count_too():
    """One group of 100 in error is 1 of 100 groups, and 100 of 199 faces."""
    danger = np.concatenate([np.full(100, 9.0), np.arange(99) / 99])
    groups = np.concatenate([np.zeros(100), np.arange(1, 100)])
    assert highest_error_danger(danger, groups, alpha=ALPHA, worth=199) == 9.0
    # Ninety-nine groups in error, each of one face among a thousand others that are not.
    many = np.concatenate([np.full(99, 9.0), np.zeros(1000)])
    apart = np.concatenate([np.arange(99), np.full(1000, 99)])
    assert highest_error_danger(many, apart, alpha=ALPHA, worth=1099) == 9.0


def test_agrees_with_the_definition():
    """The lowest threshold whose corrected risks, of groups and of faces, are within alpha."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        groups = rng.integers(0, 60, 200)
        danger = rng.normal(size=200).round(1) + rng.normal(size=60)[groups].round(1)
        n = len(np.unique(groups))

        def held(threshold, danger=danger, groups=groups, n=n):
            errs = danger > threshold
            by_group = [errs[groups == one].mean() for one in np.unique(groups)]
            return (n * np.mean(by_group) + 1) / (n + 1) <= ALPHA and (
                80 * errs.mean() + 1
            ) / 81 <= ALPHA

        lowest = min(value for value in danger if held(value))
        assert highest_error_danger(danger, groups, alpha=ALPHA, worth=80) == lowest


@pytest.mark.parametrize("n", [25, 60, 200])
def test_the_mean_risk_on_new_faces_is_what_was_asked_for(n):
    """Known exactly: (k + 1) / (n + 1), and a simulation of 1500 draws is within 4 errors of it."""
    rng = np.random.default_rng(n)
    draws = rng.normal(size=(1500, n))
    risks = [
        risk_above(highest_error_danger(one, np.arange(n), alpha=ALPHA, worth=n)) for one in draws
    ]
    expected = np.floor(ALPHA * (n + 1)) / (n + 1)
    assert expected <= ALPHA
    assert np.mean(risks) == pytest.approx(expected, abs=4 * np.std(risks) / np.sqrt(1500))


def clusters(rng, *, sizes, correlation):
    """Return normal scores that agree within a group, and the groups."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.normal(size=len(sizes))[groups]
    own = rng.normal(size=len(groups))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own, groups


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 1.0])
def test_the_mean_risk_holds_for_groups_of_very_different_sizes(correlation):
    rng = np.random.default_rng(5)
    risks = []
    for _ in range(400):
        sizes = np.where(rng.uniform(size=60) < 0.1, 30, rng.integers(1, 4, size=60))
        scores, groups = clusters(rng, sizes=sizes, correlation=correlation)
        held = worth(scores, groups)
        if held < groups_needed(ALPHA):
            continue
        risks.append(risk_above(highest_error_danger(scores, groups, alpha=ALPHA, worth=held)))
    assert len(risks) > 300
    error = np.std(risks) / np.sqrt(len(risks))
    assert np.mean(risks) <= ALPHA + 2 * error
    assert np.mean(risks) >= 0.25 * ALPHA  # not absurdly cautious


def test_a_plain_quantile_would_break_the_promise_that_is_kept_here():
    """What the correction is for: 10 % of 30 faces come to more than 10 % of new ones."""
    rng = np.random.default_rng(1)
    plain, ours = [], []
    for _ in range(2000):
        scores = np.sort(rng.normal(size=30))
        plain.append(risk_above(scores[-4]))  # three of thirty above
        ours.append(risk_above(highest_error_danger(scores, np.arange(30), alpha=ALPHA, worth=30)))
    assert np.mean(plain) > 0.12
    assert np.mean(ours) <= ALPHA


def test_the_mean_risk_over_groups_holds_where_large_groups_are_the_hard_ones():
    """Each group counts once: the theorem, whatever the sizes have to do with the scores."""
    rng, by_group, by_face = np.random.default_rng(9), [], []
    for _ in range(400):
        large = rng.uniform(size=80) < 0.2
        scores, groups = clusters(rng, sizes=np.where(large, 8, 1), correlation=0.5)
        scores = scores + np.where(large[groups], 1.0, 0.0)
        kept = highest_error_danger(scores, groups, alpha=ALPHA, worth=worth(scores, groups))
        easy, hard = risk_above(kept), risk_above(kept - 1.0)
        by_group.append(0.8 * easy + 0.2 * hard)
        by_face.append((0.8 * easy + 1.6 * hard) / 2.4)
    assert np.mean(by_group) <= ALPHA
    assert np.mean(by_face) <= ALPHA
    assert np.mean(by_face) >= 0.5 * ALPHA


def manifest(*, reals: int, fakes: int = 100, a_group: int = 1) -> Manifest:
    """Return a set whose calibration split holds so many faces, and every other split two."""

    def row(number: int, split: str, generator: str, group: int) -> Row:
        label = "real" if generator == "none" else "fake"
        name = f"{split}-{label}-{number}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return Row(
            f"{name}.jpg", label, generator, "shop", f"{split}-{label}-{group}", digest, split
        )

    rows = [
        row(n, split, kind, n)
        for split in SPLITS
        for kind in ("none", "gan")
        for n in range(1)
        if split != "calibration"
    ]
    rows += [row(n, "calibration", "none", n // a_group) for n in range(reals)]
    rows += [row(n, "calibration", "gan", n) for n in range(fakes)]
    return Manifest(tuple(rows))


def asked(**keys: object) -> CalibrationRecipe:
    return CalibrationRecipe.model_validate(keys)


def test_a_promise_takes_as_many_faces_as_show_it():
    assert [least_faces(share) for share in LADDER] == [59, 299, 598, 2995]
    assert Budget(bpcer=0.001).reals_needed == 2995
    assert Budget(bpcer=0.001).fakes_needed == 59


def test_each_promise_that_is_named_is_refused_with_what_it_takes():
    with pytest.raises(TrainingError) as refused:
        refuse_few_faces(asked(budgets=[0.05, 0.01, 0.001]), manifest(reals=300), splits=SPLITS)
    assert str(refused.value) == (
        "the split calibration has 300 real faces and needs at least 2995: real faces: 1-in-20 "
        "needs 59, 1-in-100 needs 299, 1-in-1000 needs 2,995; fakes: 59; add more pictures, or "
        "promise what this data supports: --set calibration.budgets=auto"
    )
    refuse_few_faces(asked(budgets=[0.05, 0.01]), manifest(reals=300), splits=SPLITS)


def test_a_coarse_budget_needs_as_few_fakes_as_real_faces():
    assert [Budget(bpcer=share).apcer for share in (0.2, 0.1, 0.05, 0.01)] == [0.2, 0.1, 0.05, 0.05]
    assert Budget(bpcer=0.2).fakes_needed == Budget(bpcer=0.2).reals_needed == 14
    assert Budget(bpcer=0.2, apcer=0.05).fakes_needed == 59


def test_of_what_is_left_open_the_mildest_is_enough():
    refuse_few_faces(asked(), manifest(reals=14, fakes=14), splits=SPLITS)
    with pytest.raises(TrainingError, match="13 real faces and needs at least 14"):
        refuse_few_faces(asked(), manifest(reals=13), splits=SPLITS)
    with pytest.raises(TrainingError, match="13 fake faces and needs at least 14"):
        refuse_few_faces(asked(), manifest(reals=14, fakes=13), splits=SPLITS)


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [
        ({"budgets": [0.05, 0.01]}, "--set calibration.budgets=auto"),
        ({"default_budget": 0.01}, "--set calibration.default_budget=auto"),
        (
            {"budgets": [0.05], "default_budget": 0.05},
            "--set calibration.budgets=auto --set calibration.default_budget=auto",
        ),
    ],
)
def test_a_refusal_ends_with_the_options_that_lead_to_a_run(keys, remedy):
    few = manifest(reals=24, fakes=24)
    with pytest.raises(TrainingError) as refused:
        refuse_few_faces(asked(**keys), few, splits=SPLITS)
    assert str(refused.value).endswith(f"promise what this data supports: {remedy}")
    refuse_few_faces(asked(**dict.fromkeys(keys, "auto")), few, splits=SPLITS)


def test_too_few_for_any_promise_are_split_again_or_added_to():
    few = manifest(reals=5, fakes=60)
    many_in_train = [row for row in manifest(reals=60).rows if row.path.startswith("calibration-r")]
    trained = [replace(row, path=f"t{row.path}", split="train") for row in many_in_train[5:]]
    with pytest.raises(TrainingError, match=r"data split MANIFEST --anew --shares train=0\.5,"):
        refuse_few_faces(asked(), Manifest((*few.rows, *trained)), splits=SPLITS)
    with pytest.raises(TrainingError, match=r"; add more real pictures$"):
        refuse_few_faces(asked(), manifest(reals=9, fakes=60), splits=SPLITS)


def test_a_small_set_is_told_its_promise_and_how_to_get_a_stricter_one():
    (told,) = doubtful_promises(asked(), manifest(reals=24, fakes=30))
    assert told.startswith(
        "calibration has 24 real and 30 fake faces: the strictest promise that they may support "
        "is 1-in-5. 1-in-20 needs 59 independent faces of each class: "
    )
    (told,) = doubtful_promises(asked(), manifest(reals=40, fakes=40))
    assert "may support is 1-in-10." in told


def test_a_default_that_is_named_is_needed_though_the_ladder_is_not():
    with pytest.raises(TrainingError, match="100 real faces and needs at least 299"):
        refuse_few_faces(asked(default_budget=0.01), manifest(reals=100), splits=SPLITS)


def test_what_will_not_be_promised_is_told_before_training():
    assert doubtful_promises(asked(), manifest(reals=600)) == [
        "the promise 1-in-1000 needs 2,995 independent real faces, but calibration has 600 in "
        "600 groups: it will be omitted"
    ]


def test_faces_in_few_groups_may_not_be_enough():
    output = doubtful_promises(asked(budgets=[0.05, 0.01]), manifest(reals=300, a_group=3))
    assert output == [
        "the promise 1-in-100 needs 299 independent real faces, but calibration has 300 in 100 "
        "groups: it may be omitted"
    ]
    assert not doubtful_promises(asked(budgets=[0.05, 0.01]), manifest(reals=300))
