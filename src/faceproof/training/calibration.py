"""`fit` calibrates logits to probabilities on the calibration split only.

Each candidate is cross-validated over folds of groups, by log loss with the Brier score as a check,
and the best one is fitted again on all faces. Real and fake have equal weight, and so have the
sources within each class: the probability assumes equal numbers of both, whatever the data's mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceproof.detector.calibration import Calibration, Isotonic, Platt, Temperature
from faceproof.detector.calibration import calibrate as apply
from faceproof.errors import SplitUseError, TrainingError, UsageError
from faceproof.evaluation.formulas import Floats, brier, count_scores, log_loss
from faceproof.evaluation.predictions import Faces
from faceproof.statistics import sigmoid
from faceproof.tables import choose

ISOTONIC_GROUPS = 500
"""Minimum number of groups per class for isotonic regression, which overfits with fewer than about
a thousand in total (Niculescu-Mizil and Caruana 2005, ICML)."""

_EQUAL = 1e-12
"""Steps closer than this are merged, as they differ only by rounding."""


class _Blocks(NamedTuple):
    """An increasing step function: value, weight and start of each step; all [B]."""

    values: Floats
    weights: Floats
    starts: NDArray[np.int64]


def pool_adjacent_violators(values: Floats, weights: Floats) -> _Blocks:
    """Return the increasing step function nearest to ``values`` [N] in weighted squares.

    It is also the nearest in weighted log loss. The steps increase strictly.

    Source: pool adjacent violators, Ayer et al. 1955, Annals of Mathematical Statistics 26:641.
    """
    blocks: list[tuple[float, float, int]] = []
    for start, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        while blocks and blocks[-1][0] >= value - _EQUAL:
            before, mass, start = blocks.pop()  # noqa: PLW2901 - the block grows to the left
            weight += mass  # noqa: PLW2901
            value += (before - value) * (mass / weight)  # noqa: PLW2901
        blocks.append((value, weight, start))
    steps, masses, starts = zip(*blocks, strict=True)
    return _Blocks(np.asarray(steps), np.asarray(masses), np.asarray(starts))


def fit_isotonic_curve(
    logits: Floats, targets: Floats, weights: Floats, *, slope: float
) -> Isotonic:
    """Return the curve with one knot per block, at its mean logit and the log-odds of its value.

    One face of the other class is added at either end, so that no block is certain, and small
    blocks are less certain than large ones. ``slope`` extrapolates beyond the outermost knots,
    where there is only one class.

    Source: Vovk and Petej 2014, Venn-Abers predictors, UAI, also add one face of each class for the
    next one, but at its own logit.
    """
    ends = np.array([logits.min(), logits.max()])
    places, index = np.unique(np.append(logits, ends), return_inverse=True)
    mass = np.bincount(index, weights=np.append(weights, [1.0, 1.0]))
    hits = np.bincount(index, weights=np.append(weights * targets, [1.0, 0.0]))
    blocks = pool_adjacent_violators(
        np.asarray(hits / mass, np.float64), np.asarray(mass, np.float64)
    )
    centres = np.add.reduceat(mass * places, blocks.starts) / blocks.weights
    odds = np.log(blocks.values) - np.log1p(-blocks.values)
    rising = np.append(True, (np.diff(centres) > 0) & (np.diff(odds) > 0))  # but for rounding
    return Isotonic(
        logits=tuple(centres[rising].tolist()),
        calibrated=tuple(odds[rising].tolist()),
        slope=slope,
    )


FOLDS = 5
_STEPS = 100


@dataclass(frozen=True)
class _FittedCalibration:
    """The chosen calibration, with each candidate's scores on unseen groups."""

    calibration: Calibration
    losses: dict[str, float]
    """Log loss in nats per face."""
    briers: dict[str, float] = field(default_factory=dict)
    """Mean squared error of the probability."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Candidates that were not tried, with the reason."""

    def __str__(self) -> str:
        """Return one line with the choice, the scores and the candidates not tried."""
        scores = ", ".join(
            f"{name} {self.losses[name]:.4f} (Brier {self.briers[name]:.4f})"
            for name in self.losses
        )
        reasons = "".join(f"; {reason}" for reason in self.left_out.values())
        return f"{self.calibration.method}, by log loss on unseen groups: {scores}{reasons}"


def fit_platt(logits: Floats, targets: Floats, weights: Floats) -> Platt:
    """Return the weighted logistic regression of ``targets`` float64 [N] on ``logits`` [N].

    Raises:
        TrainingError: the best slope is not positive: the network does not separate the classes.

    Source: Platt 1999; Newton's method after Lin, Lin and Weng 2007, Machine Learning 68:267.
    """
    slope, intercept = _fit_newton(
        np.stack([logits, np.ones_like(logits)], axis=1), targets, weights
    )
    if not slope > 1e-6:
        raise TrainingError(
            f"the calibration's slope is {slope:.3g}: higher logits do not mean fake. Check the "
            "labels of the calibration split, and the validation results of the training"
        )
    return Platt(slope=float(slope), intercept=float(intercept))


def fit_temperature(logits: Floats, targets: Floats, weights: Floats) -> Temperature:
    """Return the divisor of ``logits`` [N] that minimises the weighted log loss.

    Raises:
        TrainingError: no positive temperature lowers the loss.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    (slope,) = _fit_newton(logits[:, None], targets, weights)
    if not slope > 1e-6:
        raise TrainingError(
            f"no temperature lowers the loss (slope {slope:.3g}): higher logits do not mean fake. "
            "Check the labels of the calibration split, and the validation results of the training"
        )
    return Temperature(temperature=float(1 / slope))


def _fit_isotonic(logits: Floats, targets: Floats, weights: Floats) -> Isotonic:
    """Return the isotonic regression of ``targets`` on ``logits`` [N], extended by Platt's slope.

    Raises:
        TrainingError: Platt's slope is not positive: the network does not separate the classes.
    """
    slope = fit_platt(logits, targets, weights).slope
    return fit_isotonic_curve(logits, targets, weights, slope=slope)


CALIBRATIONS: dict[str, Callable[[Floats, Floats, Floats], Calibration]] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": _fit_isotonic,
}
"""The calibrations by number of parameters: one, two, many."""


def fit(faces: Faces, *, method: str = "best", seed: int = 0) -> _FittedCalibration:
    """Return the calibration called ``method``, or the best of `CALIBRATIONS` on unseen groups.

    The lowest log loss wins. If another has the lowest Brier score, the one with fewer parameters
    is used. Isotonic regression needs `ISOTONIC_GROUPS` groups of each class.

    Raises:
        SplitUseError: a face is not from the calibration split.
        TrainingError: a class is missing, no calibration separates the classes, or there are
            too few faces for ``method``.
        UnknownChoiceError: ``method`` is unknown.

    Source: log loss and Brier score are proper: Gneiting and Raftery 2007, JASA 102:359.
    """
    require_calibration(faces)
    left_out = _methods_left_out(faces)
    if method in left_out:
        raise TrainingError(f"{left_out[method]}; or set calibration.method to 'best'")
    tried = [name for name in CALIBRATIONS if name not in left_out]
    names = tried if method == "best" else [method]
    weights = balancing_weights(faces)
    tallies = {
        name: count_scores(faces.fake, out_of_fold_probabilities(faces, name, seed=seed), weights)
        for name in names
    }
    losses = {name: float(log_loss(one)[0]) for name, one in tallies.items()}
    briers = {name: float(brier(one)[0]) for name, one in tallies.items()}
    chosen = CALIBRATIONS[_choose_best(losses, briers)]
    return _FittedCalibration(
        chosen(faces.logits, smooth_targets(faces), weights), losses, briers, left_out
    )


def _choose_best(losses: dict[str, float], briers: dict[str, float]) -> str:
    """Return the best by log loss; if the Brier score disagrees, the one with fewer parameters."""
    best = {min(scores, key=lambda name: scores[name]) for scores in (losses, briers)}
    return next(name for name in CALIBRATIONS if name in best)


def _methods_left_out(faces: Faces) -> dict[str, str]:
    """Return the calibrations with too few groups, and the number that each needs."""
    kinds = (("real", ~faces.fake), ("fake", faces.fake))
    groups, kind = min((len(np.unique(faces.groups[of])), kind) for kind, of in kinds)
    if groups >= ISOTONIC_GROUPS:
        return {}
    message = f"isotonic needs {ISOTONIC_GROUPS} groups of each class, found {groups} of {kind}"
    return {"isotonic": f"{message} faces"}


def require_calibration(faces: Faces) -> None:
    """Reject faces of another split, faces without a verdict, and a missing class."""
    others = sorted(set(faces.splits.tolist()) - {"calibration"})
    if others:
        raise SplitUseError(
            f"calibration and thresholds need faces of the calibration split, got faces of "
            f"{', '.join(others)}: predict with purpose='calibration'"
        )
    if not np.isfinite(faces.logits).all():
        raise UsageError("calibration needs judged faces only: use predictions.judged")
    for kind, there in (("real", ~faces.fake), ("fake", faces.fake)):
        if not there.any():
            raise TrainingError(f"the calibration split has no judged {kind} face")


def balancing_weights(faces: Faces) -> Floats:
    """Return weights float64 [N] with mean 1, equal over classes and over sources in a class."""
    cells = np.char.add(faces.sources, np.where(faces.fake, "\x1ffake", "\x1freal"))
    _, index, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    weights = 1.0 / sizes[index]
    for kind in (faces.fake, ~faces.fake):
        weights[kind] *= len(weights) / 2 / weights[kind].sum()
    return np.asarray(weights)


def smooth_targets(faces: Faces) -> Floats:
    """Return targets float64 [N] slightly off 0 and 1, to keep perfect separation finite.

    Source: Platt 1999, section 2.2.
    """
    fakes, reals = int(faces.fake.sum()), int((~faces.fake).sum())
    return np.where(faces.fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def _fit_newton(inputs: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the coefficients [K] of a weighted logistic regression on ``inputs`` [N, K]."""
    scale = np.maximum(np.abs(inputs).max(axis=0), 1e-12)
    scaled, beta = inputs / scale, np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(scaled @ beta)
        gradient = scaled.T @ (weights * (p - targets))
        curvature = scaled.T @ (scaled * (weights * p * (1 - p))[:, None])
        step = np.linalg.solve(curvature + 1e-10 * np.eye(len(beta)), gradient)
        beta = beta - _shorten_step(step, beta, scaled, targets, weights)
        if np.abs(step).max() < 1e-10:
            break
    return np.asarray(beta / scale)


def _shorten_step(
    step: Floats, at: Floats, inputs: Floats, targets: Floats, weights: Floats
) -> Floats:
    """Return the Newton step, halved until the loss does not increase."""
    start = _cross_entropy(inputs @ at, targets, weights)
    for _ in range(30):
        if _cross_entropy(inputs @ (at - step), targets, weights) <= start:
            return step
        step = step / 2
    return np.zeros_like(step)


def _cross_entropy(logits: Floats, targets: Floats, weights: Floats) -> float:
    return float((weights * (np.logaddexp(0, logits) - targets * logits)).sum())


def out_of_fold_probabilities(faces: Faces, method: str, *, seed: int = 0) -> Floats:
    """Return the probability float64 [N] of each face under a fit on other groups.

    Raises:
        UnknownChoiceError: ``method`` is unknown.
    """
    one = choose(CALIBRATIONS, method, what="calibration")
    weights, targets = balancing_weights(faces), smooth_targets(faces)
    folds, found = group_folds(faces, seed=seed), np.empty(len(faces))
    for fold in range(FOLDS):
        out, rest = folds == fold, folds != fold
        calibration = one(faces.logits[rest], targets[rest], weights[rest])
        found[out] = apply(faces.logits[out], calibration)
    return found


def group_folds(faces: Faces, *, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the fold int64 [N] of each face, with whole groups and even classes.

    Raises:
        TrainingError: a class has fewer groups than folds.
    """
    names, index = np.unique(faces.groups, return_inverse=True)
    has_fake = np.bincount(index, weights=faces.fake, minlength=len(names)) > 0
    rng, folds = np.random.default_rng(seed), np.empty(len(names), dtype=np.int64)
    for kind in (has_fake, ~has_fake):
        members = rng.permutation(np.flatnonzero(kind))
        folds[members] = np.arange(len(members)) % FOLDS
    for label, of in (("fake", faces.fake), ("real", ~faces.fake)):
        if len(np.unique(folds[index[of]])) < 2:
            raise TrainingError(
                f"the calibration split has {len(np.unique(index[of]))} groups of {label} faces, "
                f"too few for cross-validation over groups"
            )
    return folds[index]
