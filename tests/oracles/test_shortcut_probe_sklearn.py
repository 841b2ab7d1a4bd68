"""The probe against scikit-learn by hand, its interval and quantiles against other arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from faceproof.data.shortcuts.intervals import auc_interval, roc_auc, student_t_factor
from faceproof.data.shortcuts.probe import fit, importance, number_groups, probe

NAMES = ("bytes", "luma", "contrast", "width")
FAMILY = {"file": [0], "brightness": [1, 2], "dimensions": [3]}


def data(seed: int):
    """Return a table with gaps and ties, unequal classes and unequal groups."""
    rng = np.random.default_rng(seed)
    n = 240
    groups = rng.integers(0, 90, n)
    fake = rng.uniform(size=n) < 0.35
    table = rng.normal(size=(n, 4)) + fake[:, None] * np.array([1.2, 0.8, 0.0, 0.0])
    table[rng.uniform(size=(n, 4)) < 0.1] = np.nan
    table[:, 3] = np.round(table[:, 3])
    return table, fake, groups


def by_hand(table, fake, groups, seed):
    """Return the scores as a user of scikit-learn would find them."""
    kept = 240 * 4 // 5
    model = HistGradientBoostingClassifier(
        max_iter=50,
        max_bins=63,
        max_leaf_nodes=8,
        min_samples_leaf=kept // 40,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    divide = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, table, fake, groups=groups, cv=divide, method="predict_proba")
    return scores[:, 1]


@pytest.mark.parametrize("seed", range(2))
def test_the_probe_is_what_scikit_learn_gives_by_hand(seed):
    table, fake, groups = data(seed)
    groups = number_groups(groups)
    result = probe(table, NAMES, fake, groups, seed=seed)
    # min_samples_leaf follows the size of a training part, 186 to 198 here: 4 in all of them.
    scores = by_hand(table, fake, groups, seed)
    assert result.auc == pytest.approx(roc_auc_score(fake, scores), abs=1e-12)
    interval = auc_interval(fake, scores, groups, mutual=1.0)
    assert (result.low, result.high) == pytest.approx(interval[1:], abs=1e-12)
    for family in result.families:
        own = by_hand(table[:, FAMILY[family.name]], fake, groups, seed)
        assert family.auc == pytest.approx(roc_auc_score(fake, own), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_roc_auc_agrees_with_scikit_learn_with_ties(seed):
    rng = np.random.default_rng(seed)
    fake = rng.uniform(size=200) < 0.3
    scores = np.round(rng.normal(size=200) + fake, seed % 3)
    assert roc_auc(fake, scores) == pytest.approx(roc_auc_score(fake, scores), abs=1e-12)
    assert auc_interval(fake, scores, np.arange(200)).auc == pytest.approx(
        roc_auc_score(fake, scores), abs=1e-12
    )


def test_importance_agrees_with_scikit_learn_on_one_fold():
    table, fake, _groups = data(0)
    fold = (np.arange(240) % 2).astype(np.int64)
    models = fit(table, fake, fold, seed=0)
    ours = [importance(models, table, fake, fold, column=i, seed=1) for i in range(4)]
    theirs = [
        permutation_importance(
            models[k], table[fold == k], fake[fold == k], scoring="roc_auc", n_repeats=20
        ).importances_mean
        for k in range(2)
    ]
    assert ours == pytest.approx(np.mean(theirs, axis=0), abs=0.05)
    assert int(np.argmax(ours)) == 0


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 10, 31, 100, 999, 5000])
def test_students_t_agrees_with_scipy(freedom):
    assert student_t_factor(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=3e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_agrees_with_a_bootstrap_over_groups(seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(150), 4)
    fake = (np.arange(600) + group) % 4 < 2
    scores = rng.normal(size=150)[group] + rng.normal(size=600) + 0.8 * fake
    ours = auc_interval(fake, scores, group)
    drawn = []
    for _ in range(300):
        places = np.concatenate([np.arange(4) + 4 * g for g in rng.integers(0, 150, 150)])
        drawn.append(roc_auc(fake[places], scores[places]))
    assert ours[1:] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_without_groups_it_is_delongs_interval():
    """The variance of DeLong, DeLong and Clarke-Pearson 1988, written out pair by pair."""
    rng = np.random.default_rng(0)
    fake = np.arange(90) % 3 == 0
    scores = rng.normal(size=90) + fake
    wins = (scores[fake][:, None] > scores[~fake][None, :]).astype(float)
    variance = wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 60
    auc = auc_interval(fake, scores, np.arange(90))
    logits = np.log(np.array(auc) / (1 - np.array(auc)))
    error = (logits[2] - logits[1]) / 2 / stats.t.ppf(0.975, 29) * auc.auc * (1 - auc.auc)
    assert error**2 == pytest.approx(variance, rel=1e-9)
