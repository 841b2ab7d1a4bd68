"""DeLong's covariance from its definition, its coverage, groups, and Holm's adjustment."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy")

from faceproof.errors import UsageError
from faceproof.evaluation.auc_tests import delong, holm


def by_definition(fake, scores, groups):
    """Return the ROC-AUCs and their covariance by the kernel of each pair, group by group."""
    x, y = scores[:, fake], scores[:, ~fake]
    kernel = (x[:, :, None] > y[:, None, :]) + (x[:, :, None] == y[:, None, :]) / 2
    aucs = kernel.mean(axis=(1, 2))
    of_fakes, of_reals = kernel.mean(axis=2), kernel.mean(axis=1)
    names, d = sorted(set(groups)), len(scores)
    sums = {name: (np.zeros(d), np.zeros(d)) for name in names}
    for i, name in enumerate(groups[fake]):
        sums[name][0][:] += of_fakes[:, i] - aucs
    for j, name in enumerate(groups[~fake]):
        sums[name][1][:] += of_reals[:, j] - aucs
    m, n = fake.sum(), (~fake).sum()
    i10, i01, i = len(set(groups[fake])), len(set(groups[~fake])), len(names)
    covariance = np.zeros((d, d))
    for r, s in itertools.product(range(d), repeat=2):
        s10 = i10 / ((i10 - 1) * m) * sum(a[r] * a[s] for a, _ in sums.values())
        s01 = i01 / ((i01 - 1) * n) * sum(b[r] * b[s] for _, b in sums.values())
        s11 = [
            i / (i - 1) * sum(a[p] * b[q] for a, b in sums.values()) for p, q in ((r, s), (s, r))
        ]
        covariance[r, s] = s10 / m + s01 / n + sum(s11) / (m * n)
    return aucs, covariance


def test_by_hand():
    """Components 1/2 and 1 of the fakes, 1 and 1/2 of the reals: 1/8 / 2 + 1/8 / 2."""
    found = delong([0, 0, 1, 1], [[0.1, 0.6, 0.4, 0.9]])
    assert found.aucs.tolist() == [0.75]
    assert found.covariance.tolist() == [[pytest.approx(0.125)]]


@pytest.mark.parametrize("seed", range(6))
def test_equals_its_definition_with_ties_and_groups_of_both_classes(seed):
    rng = np.random.default_rng(seed)
    fake = np.arange(60) % 3 == 0
    scores = np.round(rng.normal(size=(3, 60)) + fake, 1)
    groups = np.arange(60) if seed % 2 else rng.integers(0, 17, 60)
    found = delong(fake, scores, groups)
    aucs, covariance = by_definition(fake, scores, groups)
    np.testing.assert_allclose(found.aucs, aucs)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-15)


def test_the_area_agrees_with_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    fake, scores = rng.random(200) < 0.4, np.round(rng.random(200), 2)
    assert delong(fake, scores).aucs[0] == pytest.approx(roc_auc_score(fake, scores))


def test_the_p_value_holds_its_level_also_for_groups():
    """Two detectors with the same truth: p is below 0.05 in about 5 % of the samples."""
    rng, rejected, naive, repeats = np.random.default_rng(1), 0, 0, 150
    for _ in range(repeats):
        groups, fake = np.arange(80).repeat(5), np.arange(400) < 200
        shared, own = rng.normal(size=(2, 80)).repeat(5, axis=1), rng.normal(size=(2, 400))
        scores = 0.8 * shared + 0.6 * own + fake
        rejected += delong(fake, scores, groups).p_value(0, 1) < 0.05
        naive += delong(fake, scores).p_value(0, 1) < 0.05
    assert rejected / repeats < 0.1
    assert naive / repeats > 0.2


def test_equal_and_opposite_detectors():
    fake, scores = np.array([0, 0, 1, 1], bool), np.array([0.1, 0.2, 0.8, 0.9])
    assert delong(fake, [scores, scores]).p_value(0, 1) == 1
    assert delong(fake, [scores, scores**2]).p_value(0, 1) == 1
    assert delong(fake, [scores, -scores]).p_value(0, 1) is None


@pytest.mark.parametrize(
    ("labels", "scores", "groups", "message"),
    [
        ([0, 0], [[0.1, 0.2]], None, "two groups of real and of fake"),
        ([0, 0, 1, 1], [[0.1, 0.2, 0.3, 0.4]], ["a", "b", "c", "c"], "two groups of real and"),
        ([0, 0, 1, 1], [[0.1, np.nan, 0.3, 0.4]], None, "not a finite number"),
        ([0, 0, 1], [[0.1, 0.2, 0.3, 0.4]], None, "must agree"),
    ],
)
def test_what_cannot_be_tested_is_refused(labels, scores, groups, message):
    with pytest.raises(UsageError, match=message):
        delong(labels, scores, groups)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []
    with pytest.raises(UsageError, match="outside"):
        holm([0.1, np.nan])


def test_holm_rejects_what_its_steps_reject():
    """Reject the smallest p-values, one after another, while p <= a / (those that are left)."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(7) ** 4
        rejected = np.zeros(7, bool)
        for left, at in zip(range(7, 0, -1), np.argsort(p), strict=True):
            if p[at] > 0.05 / left:
                break
            rejected[at] = True
        assert ((holm(p) <= 0.05) == rejected).all()
