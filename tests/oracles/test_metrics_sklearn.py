"""Every metric against scikit-learn: ties, weights, generators, few and many faces."""

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


def by_sklearn(name, fake, scores, weights, generators):
    from sklearn import metrics as oracle

    called = scores >= AT.fake_from
    w = {"sample_weight": weights}
    kinds = np.unique(generators[fake & (weights > 0)])

    def unsure_share(of):
        undecided = (scores >= AT.real_below) & ~called
        return oracle.accuracy_score(
            undecided[of], np.ones(of.sum(), bool), sample_weight=weights[of]
        )

    def missed(kind):
        own = fake & (generators == kind)
        kept = scores[own] >= AT.real_below
        return 1 - oracle.recall_score(fake[own], kept, sample_weight=weights[own])

    def false_alarms_at(limit):
        """Return the highest of the BPCERs at which each generator keeps the limit."""
        found = []
        for kind in kinds:
            some = ~fake | (generators == kind)
            alarms, caught, _ = oracle.roc_curve(
                fake[some], scores[some], drop_intermediate=False, sample_weight=weights[some]
            )
            found.append(alarms[1 - caught <= limit + 1e-12].min())
        return max(found)

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
        "partial_auc_5": lambda: oracle.roc_auc_score(fake, scores, max_fpr=0.05, **w),
        "unsure_rate": lambda: unsure_share(np.ones_like(fake)),
        "real_unsure_rate": lambda: unsure_share(~fake),
        "fake_unsure_rate": lambda: unsure_share(fake),
        "worst_apcer": lambda: max(map(missed, kinds)),
        "acer": lambda: (
            (max(map(missed, kinds)) + 1 - oracle.recall_score(~fake, ~called, **w)) / 2
        ),
    }
    curve = {"drop_intermediate": False}
    for limit in (5, 1, 0.5, 0.1):
        false, true, _ = oracle.roc_curve(fake, scores, **curve, **w)
        table[f"tpr_at_fpr_{limit:g}".replace(".", "_")] = lambda f=false, t=true, at=limit: t[
            f <= at / 100 + 1e-12
        ].max()
    for parts in (10, 20, 100):
        table[f"bpcer{parts}"] = lambda limit=1 / parts: false_alarms_at(limit)
    return table[name]()


def crossing(false, true):
    """Return the rate where the joined ROC curve meets 1 - true = false."""
    from scipy.optimize import brentq

    return brentq(lambda x: 1 - x - np.interp(x, *vertical_last(false, true)), 0, 1)


def vertical_last(false, true):
    """Return the curve with vertical steps tilted by nothing that can be measured."""
    return false + np.arange(len(false)) * 1e-13, true


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"ece"}))
@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_scikit_learn(name, seed):
    fake, scores, weights = faces(seed)
    generators = np.where(
        fake, np.array(["gan", "swap", "diffusion"])[np.arange(len(fake)) % 3], ""
    )
    counts = count_scores(fake, scores, weights, generators=generators)
    ours = METRICS[name].formula(counts, AT)[0]
    assert ours == pytest.approx(by_sklearn(name, fake, scores, weights, generators), abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_confusion_agrees_with_scikit_learn(seed):
    from sklearn.metrics import confusion_matrix

    fake, scores, _ = faces(seed)
    theirs = confusion_matrix(fake, scores >= AT.fake_from)
    ours = count_verdicts(fake, scores, AT)
    assert np.stack([ours[:, :2].sum(axis=1), ours[:, 2]], axis=1).tolist() == theirs.tolist()


@pytest.mark.parametrize("n", [150, 1500, 4500])
def test_calibration_error_agrees_with_scikit_learns_quantile_bins(n):
    """Without ties and with a whole number of faces a bin, the two cut the same bins."""
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(n)
    scores = rng.beta(0.5, 0.8, size=n)
    fake = rng.uniform(size=n) < scores**2
    share, mean = calibration_curve(fake, scores, n_bins=15, strategy="quantile")
    ours = METRICS["ece"].formula(count_scores(fake, scores), AT)[0]
    assert ours == pytest.approx(np.abs(share - mean).mean(), abs=1e-9)
