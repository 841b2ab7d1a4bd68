"""The metrics that torchmetrics has, against torchmetrics; left out where it is not installed."""

import numpy as np
import pytest

pytest.importorskip("torchmetrics")

from faceproof.evaluation.formulas import Thresholds
from support.metric_values import metric_values

pytestmark = pytest.mark.train

AT = Thresholds(0.6, 0.6)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_torchmetrics(seed):
    import torch
    from torchmetrics.functional import classification as oracle

    rng = np.random.default_rng(seed)
    n = (300, 3000)[seed % 2]
    fake = rng.uniform(size=n) < 0.4
    logits = rng.normal(size=n) * 2 + 3 * (fake - 0.5)
    scores = np.round(1 / (1 + np.exp(-logits)), 2 if seed > 1 else 6).astype(np.float32)
    ours = metric_values(fake, scores.astype(np.float64), AT)
    p, y = torch.tensor(scores), torch.tensor(fake.astype(int))
    at = {"threshold": float(np.nextafter(np.float32(0.6), np.float32(0)))}  # theirs is exclusive
    theirs = {
        "roc_auc": oracle.binary_auroc(p, y),
        "partial_auc_5": oracle.binary_auroc(p, y, max_fpr=0.05),
        "average_precision": oracle.binary_average_precision(p, y),
        "accuracy": oracle.binary_accuracy(p, y, **at),
        "precision": oracle.binary_precision(p, y, **at),
        "recall": oracle.binary_recall(p, y, **at),
        "f1": oracle.binary_f1_score(p, y, **at),
        "bpcer": 1 - oracle.binary_specificity(p, y, **at),
        "apcer": 1 - oracle.binary_recall(p, y, **at),
    }
    for share, name in ((0.05, "5"), (0.01, "1"), (0.005, "0_5"), (0.001, "0_1")):
        theirs[f"tpr_at_fpr_{name}"] = oracle.binary_sensitivity_at_specificity(
            p, y, min_specificity=1 - share - 1e-6
        )[0]
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value), abs=2e-5), name
