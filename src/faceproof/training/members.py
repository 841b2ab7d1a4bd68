"""`fit_weights` and `merge_members`: weights and record of a combined detector's members.

Each weighting is cross-validated over folds of groups by its log loss after Platt calibration, and
the best one is fitted again on all faces. Classes have equal weight, and so have sources within a
class, as in calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.data.manifest import Manifest
from faceproof.detector import Bundle, Detector, DetectorSpec, Identity, Member, TrainingData
from faceproof.detector.calibration import calibrate as apply
from faceproof.detector.detector import crop_difference
from faceproof.detector.scorers import member_onnx
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation.formulas import Bools, Floats, count_scores, log_loss
from faceproof.evaluation.predictions import Faces
from faceproof.export import refer_to_weights
from faceproof.statistics import sigmoid
from faceproof.training.calibration import (
    balancing_weights,
    fit_platt,
    group_folds,
    require_calibration,
    smooth_targets,
)

_STEPS = 200
_DIGITS = 4
_AS_GOOD = 1e-6  # nats per face


@dataclass(frozen=True)
class Weighting:
    """The chosen weights, with each candidate's log loss (nats per face) on unseen groups."""

    name: str
    weights: tuple[float, ...]
    """One for each member, nonnegative, with sum 1 up to rounding."""
    losses: dict[str, float]


def _weigh_equally(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return equal weights for K members, float64 [K] with sum 1, from ``logits`` [N, K].

    >>> _weigh_equally(np.zeros((3, 2)), np.zeros(3), np.ones(3)).tolist()
    [0.5, 0.5]
    """
    del targets, weights
    return np.full(logits.shape[1], 1 / logits.shape[1])


def _weigh_calibrated_equally(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return equal weights for the members' own calibrated logits, float64 [K] with sum 1.

    An overconfident member has no more weight than others.
    """
    slopes = [fit_nonnegative_logistic(one[:, None], targets, weights)[0][0] for one in logits.T]
    return _normalise(np.array(slopes))


def _weigh_by_regression(logits: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return nonnegative weights of a logistic regression, float64 [K] with sum 1."""
    return _normalise(fit_nonnegative_logistic(logits, targets, weights)[0])


WEIGHTINGS: Mapping[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "equal": _weigh_equally,
    "even": _weigh_calibrated_equally,
    "fitted": _weigh_by_regression,
}
"""Simplest first: it wins ties."""


def fit_weights(faces: Faces, logits: Floats, *, seed: int = 0) -> Weighting:
    """Return the best of `WEIGHTINGS` for K members with these ``logits`` float64 [N, K].

    ``faces`` are the N judged faces; their own logits are ignored.

    Raises:
        SplitUseError: a face is not from the calibration split.
        TrainingError: a class is missing, or no member separates real from fake.
    """
    require_calibration(faces)
    targets, weights = smooth_targets(faces), balancing_weights(faces)
    losses: dict[str, float] = {}
    for name, one in WEIGHTINGS.items():
        try:
            losses[name] = _unseen_loss(one, faces, logits, targets, weights, seed=seed)
        except TrainingError as error:  # an uninformative member breaks some weightings, not all
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
    """Return the weighted log loss of each face under weights and Platt line of other folds."""
    folds, unseen = group_folds(faces, seed=seed), np.empty(len(faces))
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        shares = one(logits[rest], targets[rest], weights[rest])
        line = fit_platt(logits[rest] @ shares, targets[rest], weights[rest])
        unseen[out] = apply(logits[out] @ shares, line)
    return float(log_loss(count_scores(faces.fake, unseen, weights))[0])


def fit_nonnegative_logistic(
    logits: Floats, targets: Floats, weights: Floats
) -> tuple[Floats, float]:
    """Return nonnegative coefficients float64 [K] and the intercept of a logistic regression.

    It uses projected Newton steps: coefficients at zero that would become negative stay fixed.

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
        moved = regression.take_step(at, regression.step(at))
        done, at = np.abs(moved - at).max() < 1e-10, moved
        if done:
            break
    return np.asarray(at[:-1] / scale), float(at[-1])


@dataclass(frozen=True)
class _Regression:
    """A weighted logistic regression on ``inputs`` [N, K]; ``bounded`` coefficients stay >= 0."""

    inputs: Floats
    targets: Floats
    weights: Floats
    bounded: Bools

    def loss(self, at: Floats) -> float:
        """Return the cross-entropy of coefficients [K]."""
        logits = self.inputs @ at
        return float((self.weights * (np.logaddexp(0, logits) - self.targets * logits)).sum())

    def step(self, at: Floats) -> Floats:
        """Return the Newton step [K] of the free coefficients."""
        p = sigmoid(self.inputs @ at)
        gradient = self.inputs.T @ (self.weights * (p - self.targets))
        free = ~(self.bounded & (at <= 0) & (gradient >= 0))
        part = self.inputs[:, free]
        curvature = part.T @ (part * (self.weights * p * (1 - p))[:, None])
        step = np.zeros_like(at)
        step[free] = np.linalg.solve(curvature + 1e-9 * np.eye(len(curvature)), gradient[free])
        return step

    def take_step(self, at: Floats, step: Floats) -> Floats:
        """Return the projected end of the step, halved until the loss does not increase."""
        start = self.loss(at)
        for _ in range(40):
            moved = np.where(self.bounded, np.maximum(at - step, 0), at - step)
            if self.loss(moved) <= start:
                return moved
            step = step / 2
        return at


def _normalise(coefficients: Floats) -> Floats:
    """Return the coefficients as shares of their sum."""
    total = float(coefficients.sum())
    if not total > 1e-6:
        raise TrainingError(
            "no member separates real from fake on the calibration split: higher logits do not "
            "mean fake. Check its labels, and the training data of each member"
        )
    return coefficients / total


_LONGEST = 60  # of 64 characters of a name: the rest is for a number that makes it unique


@dataclass(frozen=True)
class MemberSource:
    """A detector to combine: its label and its record.

    ``names`` are its members' names in the combination. A detector that is itself a combination
    contributes all its members, which keep their shares of its weight.
    """

    label: str
    names: tuple[str, ...]
    detector: Detector
    spec: DetectorSpec


def label_sources(detectors: Sequence[Detector]) -> list[MemberSource]:
    """Return the detectors with unique labels and unique names of members."""
    taken: set[str] = set()
    return [_label_source(detector, taken) for detector in detectors]


def _label_source(detector: Detector, taken: set[str]) -> MemberSource:
    names = tuple(_unique_name(member.name, taken) for member in detector.spec.members)
    label = names[0] if len(names) == 1 else _unique_name(detector.spec.name, taken)
    return MemberSource(label, names, detector, detector.spec)


def _unique_name(name: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken (ignoring case), and record it."""
    wanted, number = name, 1
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{name[:_LONGEST]}-{number}"
    taken.add(wanted.casefold())
    return wanted


def refuse_unfit(
    sources: Sequence[MemberSource], manifest: Manifest, *, allow_other_data: bool
) -> tuple[str, ...]:
    """Return warnings about the members' data; reject incompatible members.

    Raises:
        UsageError: fewer than two detectors, a duplicate, another crop; or, unless allowed,
            training data other than ``manifest``.
    """
    if len(sources) < 2:
        raise UsageError("a combination needs at least two detectors: add another one")
    _refuse_repeated(sources)
    for source in sources[1:]:
        _refuse_another_crop(sources[0], source)
    strangers = [s for s in sources if s.spec.trained_on.data_sha256 != manifest.sha256]
    if strangers and not allow_other_data:
        raise UsageError(_other_data_message(strangers[0], manifest))
    return tuple(_other_data_caution(source) for source in strangers)


def _refuse_repeated(sources: Sequence[MemberSource]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if (twin := seen.setdefault(source.detector.sha256, source.label)) != source.label:
            raise UsageError(
                f"{twin} and {source.label} are the same detector "
                f"({source.detector.bundle.folder.name}): list each once"
            )


def _refuse_another_crop(first: MemberSource, other: MemberSource) -> None:
    crop = first.spec.preprocessing.crop
    if differs := crop_difference(other.spec.preprocessing.crop, crop):
        raise UsageError(
            f"members need the same crop, but that of {other.label} differs from "
            f"{first.label}: {differs}. Train it again with network.preprocessing.crop = "
            f'{{ method = "{crop.method}", size = {crop.size}, margin = {crop.margin}, '
            f"fill = {list(crop.fill)} }}"
        )


def _other_data_message(source: MemberSource, manifest: Manifest) -> str:
    return (
        f"{source.label} was trained on other data (SHA-256 "
        f"{source.spec.trained_on.data_sha256[:12]}...) than this ({manifest.sha256[:12]}...), and "
        "may have seen faces of this calibration or test split. Set --data to the training data of "
        "all members. If you know that none of them has seen these faces, use --allow-other-data"
    )


def _other_data_caution(source: MemberSource) -> str:
    return (
        f"{source.label} was trained on other data (SHA-256 "
        f"{source.spec.trained_on.data_sha256}) than these calibration and test faces. If it "
        "has seen any of them, weights, thresholds and results are biased in its favour"
    )


def merge_members(
    sources: Sequence[MemberSource],
    weighting: Weighting,
    manifest: Manifest,
    *,
    name: str,
    version: str,
    cautions: Sequence[str] = (),
) -> tuple[DetectorSpec, dict[str, bytes]]:
    """Return the uncalibrated record and the files of the combined detector.

    A member of weight 0 is excluded, with a note.
    """
    specs = [source.spec for source in sources]
    files: dict[str, bytes] = {}
    members: list[Member] = []
    for source, weight in zip(sources, weighting.weights, strict=True):
        if weight > 0:
            for member, contents in _rename_members(source, weight, specs[0]):
                members.append(member)
                files |= contents
    spec = DetectorSpec(
        name=name,
        version=version,
        members=tuple(members),
        preprocessing=specs[0].preprocessing,
        calibration=Identity(),
        operating_points=specs[0].operating_points,
        default_operating_point=specs[0].default_operating_point,
        trained_on=TrainingData(data_sha256=manifest.sha256, rows=manifest.counts()),
        generators_seen=tuple(sorted({name for one in specs for name in one.generators_seen})),
        started_from=tuple(dict.fromkeys(start for one in specs for start in one.started_from)),
        licence=" AND ".join(dict.fromkeys(one.licence for one in specs)),
        notes=(*_notes(sources, weighting), *cautions, *_own_notes(sources)),
    )
    return spec, files


def _rename_members(
    source: MemberSource, weight: float, first: DetectorSpec
) -> Iterator[tuple[Member, dict[str, bytes]]]:
    """Yield one detector's members as members of the combination, with their file contents."""
    bundle, total = source.detector.bundle, sum(member.weight for member in source.spec.members)
    for name, member in zip(source.names, source.spec.members, strict=True):
        reads = source.spec.preprocessing_of(member).input
        weights = member.weights.model_copy(update={"name": f"{name}.safetensors"})
        onnx = member.onnx.model_copy(update={"name": f"{name}.onnx"})
        own = {
            "name": name,
            "weight": weight * member.weight / total,
            "weights": weights,
            "onnx": onnx,
            "input": None if reads == first.preprocessing.input else reads,
        }
        contents = {
            weights.name: bundle.read_file(member.weights),
            onnx.name: _rename_weights(bundle, member, weights.name),
        }
        yield Member.model_validate({**dict(member), **own}), contents


def _rename_weights(bundle: Bundle, member: Member, weights_name: str) -> bytes:
    """Return a member's ONNX file for a safetensors file of another name."""
    stored = bundle.read_file(member.onnx)
    whole = member_onnx(bundle, member)
    if whole == stored:
        return stored
    return refer_to_weights(whole, bundle.read_file(member.weights), weights_name)


def _notes(sources: Sequence[MemberSource], weighting: Weighting) -> Iterator[str]:
    """Yield notes on the choice of the weights and on each detector."""
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in weighting.losses.items())
    yield (
        f"Weights of members: {weighting.name}, the best on unseen groups of the calibration "
        f"split by log loss in nats per face ({losses})."
    )
    for source, weight in zip(sources, weighting.weights, strict=True):
        spec = source.spec
        part = f"weight {weight:g}" if weight else "excluded: weight 0"
        yield (
            f"{source.label} is the detector {spec.name} {spec.version} (detector.json SHA-256 "
            f"{source.detector.sha256}), {part}."
        )


def _own_notes(sources: Sequence[MemberSource]) -> Iterator[str]:
    """Yield the notes of each detector's own record."""
    for source in sources:
        yield from (f"{source.label}: {note}" for note in source.spec.notes)
