"""The ROC-AUC over pairs within strata, and its interval."""

import numpy as np
import pytest

from faceproof.data.shortcuts.intervals import auc_interval, stratified_auc


class TestStratifiedAuc:
    def test_one_stratum_is_the_auc_and_its_interval(self):
        rng = np.random.default_rng(0)
        fake = np.arange(200) % 2 == 1
        scores, groups = rng.normal(size=200) + fake, np.arange(200) // 2
        found = stratified_auc(fake, scores, groups, np.zeros(200, np.int64))
        assert found == pytest.approx(auc_interval(fake, scores, groups), abs=2e-3)

    def test_only_pairs_of_one_stratum_count_each_by_its_weight(self):
        fake = np.array([False, True, False, True, True])
        scores = np.array([0.0, 1.0, 5.0, 4.0, 6.0])
        found = stratified_auc(fake, scores, np.arange(5), np.array([0, 0, 1, 1, 1]))
        assert found[0] == pytest.approx((1 + 0 + 1) / 3)
        assert stratified_auc(fake, scores, np.arange(5), np.arange(5)) is None
