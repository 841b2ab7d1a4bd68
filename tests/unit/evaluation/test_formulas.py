"""Curves by hand: ties stay together, ends are where they must be, one class is refused."""

import numpy as np
import pytest

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import precision_recall_curve, reliability, roc_curve


def test_equal_scores_are_one_point():
    curve = roc_curve([0, 1, 1, 0], [0.5, 0.5, 0.9, 0.1])
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.5, 0.1]
    assert curve.false_positive_rate.tolist() == [0, 0, 0.5, 1]
    assert curve.true_positive_rate.tolist() == [0, 0.5, 1, 1]


def test_precision_and_recall_by_hand():
    curve = precision_recall_curve([0, 1, 1, 0], [0.5, 0.5, 0.9, 0.1])
    assert curve.thresholds.tolist() == [0.9, 0.5, 0.1]
    assert curve.precision.tolist() == [1, 2 / 3, 0.5]
    assert curve.recall.tolist() == [0.5, 1, 1]


@pytest.mark.parametrize("curve", [roc_curve, precision_recall_curve])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(curve, label):
    with pytest.raises(UsageError, match="needs real and fake faces"):
        curve([label, label], [0.1, 0.9])


def test_reliability_holds_every_face_once():
    rng = np.random.default_rng(0)
    scores = np.round(rng.uniform(size=500), 2)
    bins = reliability(rng.uniform(size=500) < scores, scores, bins=10)
    assert bins.counts.sum() == 500
    assert np.average(bins.mean_probability, weights=bins.counts) == pytest.approx(scores.mean())
    assert np.all(np.diff(bins.mean_probability) > 0)


def test_reliability_leaves_empty_bins_out():
    bins = reliability([1, 1, 0], [0.7, 0.7, 0.7])
    assert bins.mean_probability.tolist() == pytest.approx([0.7])
    assert bins.share_fake.tolist() == pytest.approx([2 / 3])
    assert bins.counts.tolist() == [3]
