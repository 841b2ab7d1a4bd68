"""Curves against scikit-learn, with and without ties."""

import numpy as np
import pytest
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from faceproof.evaluation.formulas import precision_recall_curve, reliability, roc_curve
from faceproof.evaluation.metrics import METRICS


@pytest.fixture(params=range(6))
def faces(request):
    """Labels and scores, with many ties for odd seeds."""
    rng = np.random.default_rng(request.param)
    n = (8, 300, 1500)[request.param % 3]
    fake = rng.uniform(size=n) < 0.4
    fake[:2] = False, True
    scores = 1 / (1 + np.exp(-rng.normal(size=n) - 2 * fake + 1))
    return fake, np.round(scores, 2 if request.param % 2 else 9)


def test_roc_curve(faces):
    false, true, thresholds = oracle.roc_curve(*faces, drop_intermediate=False)
    curve = roc_curve(*faces)
    np.testing.assert_allclose(curve.false_positive_rate, false)
    np.testing.assert_allclose(curve.true_positive_rate, true)
    np.testing.assert_allclose(curve.thresholds, thresholds)
    assert oracle.auc(curve.false_positive_rate, curve.true_positive_rate) == pytest.approx(
        METRICS["roc_auc"](*faces)
    )


def test_precision_recall_curve(faces):
    precision, recall, thresholds = oracle.precision_recall_curve(*faces)
    curve = precision_recall_curve(*faces)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
    np.testing.assert_allclose(curve.thresholds[::-1], thresholds)


def test_reliability_where_no_score_repeats():
    rng = np.random.default_rng(7)
    scores = rng.uniform(size=1500)
    fake = rng.uniform(size=1500) < scores**2
    share, mean = calibration_curve(fake, scores, n_bins=15, strategy="quantile")
    bins = reliability(fake, scores, bins=15)
    np.testing.assert_allclose(bins.mean_probability, mean, atol=2e-3)
    np.testing.assert_allclose(bins.share_fake, share, atol=0.02)


def test_reliability_adds_up_to_ece(faces):
    bins = reliability(*faces)
    gaps = np.abs(bins.mean_probability - bins.share_fake) * bins.counts
    assert gaps.sum() / bins.counts.sum() == pytest.approx(METRICS["ece"](*faces))
