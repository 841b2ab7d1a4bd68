"""The calibrations against scikit-learn's logistic regression without a penalty."""

import numpy as np
import pytest

from faceproof.training.calibrate import fit_platt, fit_temperature

pytestmark = pytest.mark.train


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("intercept", [True, False])
def test_agrees_with_logistic_regression(seed, intercept):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    fake = rng.uniform(size=400) < 0.4
    logits, weights = rng.normal(size=400) * 3 + 2 * fake, rng.uniform(0.1, 3, size=400)
    oracle = LogisticRegression(C=np.inf, fit_intercept=intercept, tol=1e-10, max_iter=1000)
    oracle.fit(logits[:, None], fake, sample_weight=weights)
    ours = (fit_platt if intercept else fit_temperature)(logits, fake.astype(float), weights)
    assert ours.line == pytest.approx((oracle.coef_[0, 0], float(oracle.intercept_[0])), abs=1e-5)
