"""How much each member of a detector counts: chosen on the calibration split alone.

Each way of weighting is judged by its log loss, as calibrated by Platt's line, on folds of groups
that it was not fitted on; the best one is fitted again on everything. Classes weigh the same, and
sources within a class, as they do when probabilities are calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from faceproof.detector.calibration import calibrate as apply
from faceproof.detector.calibration import sigmoid
from faceproof.errors import TrainingError
from faceproof.evaluation.formulas import log_loss
from faceproof.evaluation.predictions import Faces
from faceproof.evaluation.tally import Bools, Floats, tally
from faceproof.training.promising.calibrate import (
    balance,
    fit_platt,
    group_folds,
    require_calibration,
    smoothed,
)

_STEPS = 200
_DIGITS = 4
_AS_GOOD = 1e-6  # nats a face


@dataclass(frozen=True)
class Weighting:
    """The chosen weights, and each candidate's log loss (nats a face) on unseen groups."""

    name: str
    weights: tuple[float, ...]
    """One for each member, none negative, of sum 1 but for their rounding."""
    losses: dict[str, float]


def equal(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the same weight for each of K members, float64 [K] of sum 1, from ``logits`` [N, K].

    >>> equal(np.zeros((3, 2)), np.zeros(3), np.ones(3)).tolist()
    [0.5, 0.5]
    """
    del targets, weights
    return np.full(logits.shape[1], 1 / logits.shape[1])


def even(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the same weight for each member's own calibrated logits, float64 [K] of sum 1.

    A member that exaggerates counts no more than one that does not.
    """
    slopes = [nonnegative_logistic(one[:, None], targets, weights)[0][0] for one in logits.T]
    return _shares(np.array(slopes))


def fitted(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the weights of a logistic regression that are not negative, float64 [K] of sum 1."""
    return _shares(nonnegative_logistic(logits, targets, weights)[0])


WEIGHTINGS: Mapping[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "equal": equal,
    "even": even,
    "fitted": fitted,
}
"""The simplest first: where two are as good, it is taken."""


def fit_weights(faces: Faces, logits: Floats, *, seed: int = 0) -> Weighting:
    """Return the best of `WEIGHTINGS` for K members with these ``logits`` float64 [N, K].

    ``faces`` are the N judged faces; their own logits are not looked at.

    Raises:
        SplitUseError: when a face is not of the calibration split.
        TrainingError: when a class is missing, or no member tells real from fake.
    """
    require_calibration(faces)
    targets, weights = smoothed(faces), balance(faces)
    losses: dict[str, float] = {}
    for name, one in WEIGHTINGS.items():
        try:
            losses[name] = _unseen_loss(one, faces, logits, targets, weights, seed=seed)
        except TrainingError as error:  # a member that tells nothing spoils some ways, not all
            useless = error
    if not losses:
        raise useless
    best = next(name for name in losses if losses[name] <= min(losses.values()) + _AS_GOOD)
    chosen = np.round(WEIGHTINGS[best](logits, targets, weights), _DIGITS)
    return Weighting(best, tuple(chosen.tolist()), losses)


def _unseen_loss(
    one: Callable[[Floats, Floats, Floats], Floats],
    faces: Faces,
    logits: Floats,
    targets: Floats,
    weights: Floats,
    *,
    seed: int,
) -> float:
    """Return the weighted log loss of each face under weights and a line of the other folds."""
    folds, unseen = group_folds(faces, seed=seed), np.empty(len(faces))
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        shares = one(logits[rest], targets[rest], weights[rest])
        line = fit_platt(logits[rest] @ shares, targets[rest], weights[rest])
        unseen[out] = apply(logits[out] @ shares, line)
    return float(log_loss(tally(faces.fake, unseen, weights))[0])


def nonnegative_logistic(logits: Floats, targets: Floats, weights: Floats) -> tuple[Floats, float]:
    """Return coefficients float64 [K], none negative, and intercept of a logistic regression.

    Projected Newton steps: coefficients that rest at zero and would go below stay out of the step.

    Source: Bertsekas 1982, SIAM Journal on Control and Optimization 20:221.
    """
    scale = np.maximum(np.abs(logits).max(axis=0), 1e-12)
    regression = _Regression(
        np.column_stack([logits / scale, np.ones(len(logits))]),
        targets,
        weights,
        np.arange(logits.shape[1] + 1) < logits.shape[1],
    )
    at = np.zeros(logits.shape[1] + 1)
    for _ in range(_STEPS):
        moved = regression.after(at, regression.step(at))
        done, at = np.abs(moved - at).max() < 1e-10, moved
        if done:
            break
    return np.asarray(at[:-1] / scale), float(at[-1])


@dataclass(frozen=True)
class _Regression:
    """A weighted logistic regression on ``inputs`` [N, K]; those that are ``bounded`` stay >= 0."""

    inputs: Floats
    targets: Floats
    weights: Floats
    bounded: Bools

    def loss(self, at: Floats) -> float:
        """Return the cross entropy of coefficients [K]."""
        logits = self.inputs @ at
        return float((self.weights * (np.logaddexp(0, logits) - self.targets * logits)).sum())

    def step(self, at: Floats) -> Floats:
        """Return the Newton step [K] of the coefficients that are free to move."""
        p = sigmoid(self.inputs @ at)
        gradient = self.inputs.T @ (self.weights * (p - self.targets))
        free = ~(self.bounded & (at <= 0) & (gradient >= 0))
        part = self.inputs[:, free]
        curvature = part.T @ (part * (self.weights * p * (1 - p))[:, None])
        step = np.zeros_like(at)
        step[free] = np.linalg.solve(curvature + 1e-9 * np.eye(len(curvature)), gradient[free])
        return step

    def after(self, at: Floats, step: Floats) -> Floats:
        """Return where the step leads, halved until the loss does not rise; never below zero."""
        start = self.loss(at)
        for _ in range(40):
            moved = np.where(self.bounded, np.maximum(at - step, 0), at - step)
            if self.loss(moved) <= start:
                return moved
            step = step / 2
        return at


def _shares(coefficients: Floats) -> Floats:
    """Return the coefficients as shares of their sum."""
    total = float(coefficients.sum())
    if not total > 1e-6:
        raise TrainingError(
            "no member tells real from fake on the calibration split: higher logits do not mean "
            "fake. Check its labels, and what each member was trained on"
        )
    return coefficients / total
