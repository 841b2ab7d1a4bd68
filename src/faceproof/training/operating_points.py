"""`make_operating_point`: thresholds that keep an error budget, chosen on the calibration split.

The upper threshold is the lowest at which at most the budgeted share of real faces is called fake
under every condition. The lower threshold is the highest at which at most the budgeted share of
fakes is called real. Between them the verdict is unsure. Both are corrected for the size of the
split (`faceproof.training.promises`), so that the budgets hold for new faces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from faceproof.detector.spec import ChosenOn, OperatingPoint, Unsupported
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation.intervals import (
    clopper_pearson_upper,
    clustered_size,
    effective_size,
    intraclass_correlation,
)
from faceproof.evaluation.predictions import Faces
from faceproof.training.calibration import require_calibration
from faceproof.training.promises import (
    Budget,
    default_share,
    describe_share,
    groups_needed,
    highest_error_danger,
    least_faces,
)
from faceproof.training.recipe import CalibrationRecipe


@dataclass(frozen=True)
class _CalibrationCell:
    """The faces of one class for which an error budget is promised, and their name."""

    name: str
    faces: Faces
    share: float

    @property
    def kind(self) -> str:
        """The class, "real" or "fake"."""
        return "fake" if self.faces.fake.any() else "real"

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(np.unique(self.faces.groups))

    @cached_property
    def correlation(self) -> float:
        """Correlation within groups, in [0, 1]."""
        return intraclass_correlation(
            self.faces.probabilities, self.faces.groups, self.faces.sources
        )

    @property
    def worth(self) -> float:
        """Effective number of independent faces."""
        return clustered_size(self.faces.groups, self.correlation)

    @cached_property
    def first_kept(self) -> float:
        """The probability of the first face, from the wrong end, that must be judged correctly."""
        towards_error = -1.0 if self.kind == "fake" else 1.0
        danger = towards_error * self.faces.probabilities
        kept = highest_error_danger(danger, self.faces.groups, alpha=self.share, worth=self.worth)
        return towards_error * kept


def _calibration_cells(
    faces: Faces, conditions: Sequence[str], split_by: str, share: float
) -> Iterator[_CalibrationCell]:
    """Yield the faces of each condition, split by source, family or generator if requested.

    For families, the sources of ``faces`` are the families (`group_by_family`).

    Raises:
        UsageError: a condition has no faces.
    """
    for condition in conditions:
        degraded = faces.where(faces.conditions == condition)
        if not len(degraded):
            kind = "fake" if faces.fake.any() else "real"
            raise UsageError(
                f"the promise covers {condition!r}, but no {kind} calibration face was judged "
                f"under it: add that condition to the predictions"
            )
        if split_by == "pooled":
            yield _CalibrationCell(condition, degraded, share)
            continue
        names = degraded.generators if split_by == "generator" else degraded.sources
        for name in np.unique(names):
            yield _CalibrationCell(f"{condition}, {name}", degraded.where(names == name), share)


def group_by_family(faces: Faces, families: Mapping[str, Sequence[str]]) -> Faces:
    """Return the faces with the family of each real face as its source.

    Raises:
        UsageError: the source of a real face is in no family.
    """
    family_of = {source: name for name, sources in families.items() for source in sources}
    unknown = sorted(set(faces.sources[~faces.fake].tolist()) - set(family_of))
    if unknown:
        raise UsageError(
            f"calibration.families: the source {unknown[0]!r} has real calibration faces and is in "
            "no family; add it to one"
        )
    named = [
        source if fake else family_of[source]
        for source, fake in zip(faces.sources.tolist(), faces.fake.tolist(), strict=True)
    ]
    return replace(faces, sources=np.asarray(named, np.str_))


def _too_few_reason(cell: _CalibrationCell) -> str | None:
    """Return why these faces cannot support the promise even without errors, or None."""
    needed, groups = least_faces(cell.share), groups_needed(cell.share)
    message = (
        f"the calibration split cannot support a promise of at most {cell.share:.2%} errors on "
        f"{cell.kind} faces ({cell.name}): it has {len(cell.faces):,} of them, worth "
        f"{cell.worth:,.0f} independent ones"
    )
    if math.floor(cell.worth) < needed:
        like_these = math.ceil(needed * len(cell.faces) / cell.worth)
        takes = f"at least {needed:,} independent ones, about {like_these:,} like these"
    elif cell.groups < groups:
        takes = f"at least {groups:,} groups, and these are {cell.groups:,}"
    else:
        return None
    return f"{message}. It needs {takes}"


def _certain_error_reason(cell: _CalibrationCell) -> str | None:
    """Return why no threshold keeps the promise (certain but wrong scores), or None."""
    if cell.kind == "fake" or cell.first_kept < 1.0:
        return None
    wrong = int((cell.faces.probabilities >= 1).sum())
    return (
        f"no threshold calls at most {cell.share:.2%} of the real faces fake ({cell.name}): the "
        f"detector is certain but wrong for {wrong} of {len(cell.faces)}"
    )


CONDITIONS = ("clean", "jpeg-60", "resize-0.5")
_EVEN = 0.5


@dataclass(frozen=True)
class _BudgetOffer:
    """A budget with the cells of real and fake faces that it covers."""

    budget: Budget
    conditions: tuple[str, ...]
    reals: tuple[_CalibrationCell, ...]
    fakes: tuple[_CalibrationCell, ...]
    left_out: tuple[str, ...] = ()

    def refusal(self) -> str | None:
        """Return why these faces cannot support the budget and what is needed, or None."""
        for cell in (*self.reals, *self.fakes):
            if reason := _too_few_reason(cell) or _certain_error_reason(cell):
                return reason
        return None

    def point(self, data_sha256: str) -> OperatingPoint:
        """Return the operating point of a supported offer."""
        real_below, fake_from = _order_thresholds(
            min(cell.first_kept for cell in self.fakes), max(map(_lowest_fake_from, self.reals))
        )
        return OperatingPoint(
            name=self.budget.name,
            real_below=real_below,
            fake_from=fake_from,
            promise=_promise_words(self, fake_from),
            bpcer_budget=self.budget.bpcer,
            apcer_budget=self.budget.apcer,
            basis=_basis_words(self),
            chosen_on=ChosenOn(
                data_sha256=data_sha256,
                n=min(len(cell.faces) for cell in self.reals),
                groups=min(cell.groups for cell in self.reals),
            ),
        )


def make_operating_points(
    faces: Faces,
    *,
    data_sha256: str,
    budgets: Iterable[Budget],
    conditions: Sequence[str] = CONDITIONS,
) -> dict[str, OperatingPoint]:
    """Return one operating point for each budget, by name; see `make_operating_point`."""
    chosen = (
        make_operating_point(faces, budget, data_sha256=data_sha256, conditions=conditions)
        for budget in budgets
    )
    return {point.name: point for point in chosen}


def make_operating_point(
    faces: Faces, budget: Budget, *, data_sha256: str, conditions: Sequence[str] = CONDITIONS
) -> OperatingPoint:
    """Return the operating point that keeps ``budget`` on calibrated, judged ``faces``.

    The upper bound in its promise is exact for a threshold that is itself an order statistic of
    independent faces; groups enter through their design effect.

    Raises:
        SplitUseError: a face is not from the calibration split.
        UsageError: a condition is missing, or there are too few faces for the promise.
        TrainingError: no threshold keeps it.

    Source: Wilks 1941, Annals of Mathematical Statistics 12:91 (tolerance limits).
    """
    offer = _make_offer(faces, budget, conditions)
    for cell in (*offer.reals, *offer.fakes):
        if reason := _too_few_reason(cell):
            raise UsageError(f"{reason}; or use a larger budget")
        if reason := _certain_error_reason(cell):
            raise TrainingError(reason)
    return offer.point(data_sha256)


def supported_points(
    faces: Faces,
    *,
    data_sha256: str,
    budgets: Iterable[Budget],
    conditions: Sequence[str] = CONDITIONS,
) -> tuple[dict[str, OperatingPoint], tuple[Unsupported, ...]]:
    """Return operating points for the supported budgets, and the unsupported budgets.

    Raises:
        SplitUseError: a face is not from the calibration split.
        UsageError: a condition is missing.
    """
    points, left_out = {}, []
    for budget in budgets:
        offer = _make_offer(faces, budget, conditions)
        if reason := offer.refusal():
            left_out.append(Unsupported(name=budget.name, bpcer_budget=budget.bpcer, reason=reason))
        else:
            points[budget.name] = offer.point(data_sha256)
    return points, tuple(left_out)


@dataclass(frozen=True)
class KeptPromises:
    """The operating points of a recipe, the default one, and the unsupported budgets."""

    points: dict[str, OperatingPoint]
    default: str
    unsupported: tuple[Unsupported, ...]


def keep_promises(faces: Faces, promised: CalibrationRecipe, *, data_sha256: str) -> KeptPromises:
    """Return the operating points of a recipe: required budgets, and others if supported.

    If none is, and none was required, those of the recipe's fallback.

    Raises:
        UsageError, TrainingError: ``faces`` do not support a required budget, or any budget.
    """
    conditions = promised.conditions
    reals: Literal["pooled", "family"] = "pooled"
    if promised.families:
        faces, reals = group_by_family(faces, promised.families), "family"
    named = [Budget(bpcer=share, reals=reals) for share in promised.required]
    points = make_operating_points(
        faces, data_sha256=data_sha256, budgets=named, conditions=conditions
    )
    rest = [share for share in promised.asked if share not in promised.required]
    unsupported: tuple[Unsupported, ...] = ()
    for shares in (rest, promised.fallback):
        if shares is rest or not points:
            budgets = [Budget(bpcer=share, reals=reals) for share in shares]
            more, left_out = supported_points(
                faces, data_sha256=data_sha256, budgets=budgets, conditions=conditions
            )
            points, unsupported = {**points, **more}, (*left_out, *unsupported)
    if not points:
        raise UsageError(f"{unsupported[0].reason}; or set larger calibration.budgets")
    made = {Budget(bpcer=share).name: share for share in (*promised.fallback, *promised.asked)}
    made = {name: share for name, share in made.items() if name in points}
    default = promised.default_budget or default_share(made.values())
    ordered = {name: points[name] for name in made}
    return KeptPromises(ordered, Budget(bpcer=default).name, unsupported)


def _make_offer(faces: Faces, budget: Budget, conditions: Sequence[str]) -> _BudgetOffer:
    require_calibration(faces)
    reals, fakes = faces.where(~faces.fake), faces.where(faces.fake)
    found = tuple(_calibration_cells(reals, conditions, budget.reals, budget.bpcer))
    small: tuple[_CalibrationCell, ...] = ()
    if budget.reals == "family":
        small = tuple(cell for cell in found if _too_few_reason(cell))
        small = () if len(small) == len(found) else small
    left_out = sorted({cell.name.rpartition(", ")[2] for cell in small})
    kept = tuple(cell for cell in found if cell.name.rpartition(", ")[2] not in left_out)
    return _BudgetOffer(
        budget,
        tuple(conditions),
        kept,
        tuple(_calibration_cells(fakes, conditions, budget.fakes, budget.apcer)),
        tuple(left_out),
    )


def _lowest_fake_from(cell: _CalibrationCell) -> float:
    """Return the threshold midway between the first face not to be called fake and the next."""
    probabilities, kept = cell.faces.probabilities, cell.first_kept
    following = np.min(probabilities[probabilities > kept], initial=1.0)
    return float(max((kept + following) / 2, np.nextafter(kept, 1.0)))


def _order_thresholds(real_below: float, fake_from: float) -> tuple[float, float]:
    """Return ordered thresholds; if they cross, one threshold between them.

    It is the one nearest to 0.5, so that verdicts agree with the probability.
    """
    if real_below <= fake_from:
        return real_below, fake_from
    both = min(max(_EVEN, fake_from), real_below)
    return both, both


def _promise_words(offer: _BudgetOffer, fake_from: float) -> str:
    worst = max(offer.reals, key=lambda cell: (cell.faces.probabilities >= fake_from).mean())
    hits = worst.faces.probabilities >= fake_from
    worth = effective_size(hits, worst.faces.groups, correlation=worst.correlation)
    size = max(1, math.floor(worth))
    upper = clopper_pearson_upper(math.ceil(hits.mean() * size - 1e-9), size)
    return (
        f"at most {_share_words(offer.budget)}, on the calibration faces as each of "
        f"{', '.join(offer.conditions)}; worst {worst.name}: {hits.mean():.2%} of {len(hits)}, "
        f"below {upper:.2%} with 95 % confidence{_unsupported_families(offer)}"
    )


def _unsupported_families(offer: _BudgetOffer) -> str:
    """Return which families have too few calibration faces for the promise."""
    if not offer.left_out:
        return ""
    return f"; not promised, for too few calibration faces: {', '.join(offer.left_out)}"


def _basis_words(offer: _BudgetOffer) -> str:
    reals, fakes = (min(cell.groups for cell in cells) for cells in (offer.reals, offer.fakes))
    return (
        f"conformal risk control, each class apart: over the draw of the calibration split, the "
        "expected share in a new group of faces like these is at most "
        f"{_share_words(offer.budget)}, "
        f"as each of {', '.join(offer.conditions)}; from {reals:,} groups of real and {fakes:,} "
        f"of fake faces"
    )


def _share_words(budget: Budget) -> str:
    each = {
        "family": " of each family",
        "source": " of each source",
        "generator": " of each generator",
        "pooled": "",
    }
    return (
        f"{describe_share(budget.bpcer)} real faces{each[budget.reals]} called fake, and at most "
        f"{describe_share(budget.apcer)} fakes{each[budget.fakes]} called real"
    )
