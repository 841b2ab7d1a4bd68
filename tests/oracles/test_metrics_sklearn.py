"""Every metric that scikit-learn has, against scikit-learn: ties, weights, few and many faces."""

import numpy as np
import pytest

from faceproof.evaluation.formulas import Thresholds, count_scores
from faceproof.evaluation.metrics import METRICS, count_verdicts

pytestmark = pytest.mark.train

AT = Thresholds(real_below=0.3, fake_from=0.6)


def faces(seed):
    """Return labels, scores (with many ties for odd seeds) and whole-number weights."""
    rng = np.random.default_rng(seed)
    n = (5, 12, 300, 1500)[seed % 4]
    fake = rng.uniform(size=n) < 0.2 + 0.15 * (seed % 5)
    fake[:2] = False, True
    scores = 1 / (1 + np.exp(-rng.normal(size=n) * 2 - 3 * (fake - 0.5)))
    weights = rng.integers(0, 4, size=n).astype(float)
    weights[:2] = 1
    return fake, np.round(scores, 2 if seed % 2 else 9), weights


def by_sklearn(name, fake, scores, weights):
    from sklearn import metrics as oracle

    called = scores >= AT.fake_from
    w = {"sample_weight": weights}
    table = {
        "roc_auc": lambda: oracle.roc_auc_score(fake, scores, **w),
        "average_precision": lambda: oracle.average_precision_score(fake, scores, **w),
        "accuracy": lambda: oracle.accuracy_score(fake, called, **w),
        "balanced_accuracy": lambda: oracle.balanced_accuracy_score(fake, called, **w),
        "precision": lambda: oracle.precision_score(fake, called, zero_division=0, **w),
        "recall": lambda: oracle.recall_score(fake, called, **w),
        "f1": lambda: oracle.f1_score(fake, called, zero_division=0, **w),
        "bpcer": lambda: 1 - oracle.recall_score(~fake, ~called, **w),
        "apcer": lambda: 1 - oracle.recall_score(fake, scores >= AT.real_below, **w),
        "real_coverage": lambda: oracle.recall_score(~fake, ~called, **w),
        "fake_coverage": lambda: oracle.recall_score(fake, scores >= AT.real_below, **w),
        "brier": lambda: oracle.brier_score_loss(fake, scores, **w),
        "log_loss": lambda: oracle.log_loss(fake, np.clip(scores, 1e-15, 1 - 1e-15), **w),
        "eer": lambda: crossing(*oracle.roc_curve(fake, scores, drop_intermediate=False, **w)[:2]),
        "tpr_at_fpr_1": lambda: reach(
            *oracle.roc_curve(fake, scores, drop_intermediate=False, **w)[:2]
        ),
    }
    return table[name]()


def crossing(false, true):
    """Return the rate where the joined ROC curve meets 1 - true = false."""
    from scipy.optimize import brentq

    return brentq(lambda x: 1 - x - np.interp(x, *vertical_last(false, true)), 0, 1)


def vertical_last(false, true):
    """Return the curve with vertical steps tilted by nothing that can be measured."""
    return false + np.arange(len(false)) * 1e-13, true


def reach(false, true):
    return true[false <= 0.01 + 1e-12].max()


KNOWN = sorted(set(METRICS) - {"ece", "unsure_rate", "real_unsure_rate", "fake_unsure_rate"})


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_scikit_learn(name, seed):
    fake, scores, weights = faces(seed)
    ours = METRICS[name].formula(count_scores(fake, scores, weights), AT)[0]
    assert ours == pytest.approx(by_sklearn(name, fake, scores, weights), abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_confusion_agrees_with_scikit_learn(seed):
    from sklearn.metrics import confusion_matrix

    fake, scores, _ = faces(seed)
    theirs = confusion_matrix(fake, scores >= AT.fake_from)
    ours = count_verdicts(fake, scores, AT)
    assert np.stack([ours[:, :2].sum(axis=1), ours[:, 2]], axis=1).tolist() == theirs.tolist()


def test_calibration_error_agrees_with_scikit_learns_quantile_bins():
    """Without ties and with a whole number of faces a bin, the two cut the same bins."""
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(3)
    scores = rng.permutation((np.arange(1500) + 0.5) / 1500)
    fake = rng.uniform(size=1500) < scores**2
    share, mean = calibration_curve(fake, scores, n_bins=15, strategy="quantile")
    ours = METRICS["ece"].formula(count_scores(fake, scores), AT)[0]
    assert ours == pytest.approx(np.abs(share - mean).mean(), abs=1e-9)
