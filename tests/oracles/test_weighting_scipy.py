"""Weights that may not be negative, against scipy's bounded optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from faceproof.training.members import fit_nonnegative_logistic


def cross_entropy(at, inputs, targets, weights):
    logits = inputs @ at
    loss = weights @ (np.logaddexp(0, logits) - targets * logits)
    return loss, inputs.T @ (weights * (1 / (1 + np.exp(-logits)) - targets))


def case(seed):
    """Correlated members of different use and scale: some get no weight."""
    rng = np.random.default_rng(seed)
    count, members = int(rng.integers(30, 300)), int(rng.integers(1, 6))
    fake = rng.random(count) < 0.5
    common = rng.normal(size=count) * rng.uniform(0, 3)
    columns = [
        np.where(fake, 1, -1) * rng.normal(0.3, 1)
        + common * rng.normal(0.5, 1)
        + rng.normal(size=count) * rng.uniform(0.05, 3)
        for _ in range(members)
    ]
    logits = np.stack(columns, axis=1) * 10 ** rng.uniform(-1, 1, members)
    return logits, np.where(fake, 0.99, 0.01), rng.uniform(0.1, 3, count)


@pytest.mark.parametrize("seed", range(40))
def test_no_coefficients_do_better(seed):
    logits, targets, weights = case(seed)
    coefficients, intercept = fit_nonnegative_logistic(logits, targets, weights)
    assert (coefficients >= 0).all()

    scale = np.abs(logits).max(axis=0)
    inputs = np.column_stack([logits / scale, np.ones(len(logits))])
    best = minimize(
        cross_entropy,
        np.zeros(inputs.shape[1]),
        (inputs, targets, weights),
        jac=True,
        bounds=[(0, None)] * logits.shape[1] + [(None, None)],
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9},
    )
    ours, _ = cross_entropy(np.append(coefficients * scale, intercept), inputs, targets, weights)
    assert ours <= best.fun * (1 + 1e-9)


def test_the_cases_hold_members_without_weight():
    weightless = [
        seed for seed in range(40) if (fit_nonnegative_logistic(*case(seed))[0] == 0).any()
    ]
    assert 5 < len(weightless) < 40
