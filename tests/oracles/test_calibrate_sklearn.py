"""The calibrations against scikit-learn: logistic regression without a penalty, and isotonic."""

import numpy as np
import pytest

from faceproof.detector import calibrated_logits
from faceproof.training.calibration import (
    fit_isotonic_curve,
    fit_platt,
    fit_temperature,
    pool_adjacent_violators,
)

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


def drawn(seed, *, ties):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=500) * 3
    logits = logits.round(1 if ties else 12)
    fake = rng.uniform(size=500) < 1 / (1 + np.exp(-logits))
    return logits, fake.astype(float), rng.uniform(0.1, 3, size=500)


@pytest.mark.parametrize("seed", range(4))
def test_pooled_steps_are_those_of_isotonic_regression(seed):
    from sklearn.isotonic import isotonic_regression

    _, values, weights = drawn(seed, ties=False)
    blocks = pool_adjacent_violators(values, weights)
    sizes = np.diff(np.append(blocks.starts, len(values)))
    oracle = isotonic_regression(values, sample_weight=weights)
    np.testing.assert_allclose(np.repeat(blocks.values, sizes), oracle, atol=1e-12)
    assert blocks.weights.sum() == pytest.approx(weights.sum())
    assert np.all(np.diff(blocks.values) > 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [True, False])
def test_the_curve_goes_through_the_steps_of_isotonic_regression(seed, ties):
    """Scikit-learn given the same faces, and the two that stand in for what was not seen."""
    from sklearn.isotonic import IsotonicRegression

    logits, targets, weights = drawn(seed, ties=ties)
    ours = fit_isotonic_curve(logits, targets, weights, slope=1.0)
    oracle = IsotonicRegression().fit(
        np.append(logits, [logits.min(), logits.max()]),
        np.append(targets, [1.0, 0.0]),
        sample_weight=np.append(weights, [1.0, 1.0]),
    )
    knots = np.asarray(ours.logits)
    steps = 1 / (1 + np.exp(-np.asarray(ours.calibrated)))
    np.testing.assert_allclose(steps, np.unique(oracle.y_thresholds_.round(12)), atol=1e-9)
    np.testing.assert_allclose(calibrated_logits(knots, ours), ours.calibrated, atol=1e-12)
    # Each knot lies inside of its step, which a step function need not be rising to find.
    assert np.abs(oracle.predict(knots) - steps).max() < 0.05
