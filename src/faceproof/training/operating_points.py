"""Thresholds that keep a promise, chosen on the calibration split.

The upper threshold is the lowest that calls no more than the budgeted share of real faces fake
under every condition, the worst one ruling. The lower is the highest that calls no more than its
budgeted share of fakes real. Between them a detector is unsure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from faceproof.detector.verdict import ChosenOn, OperatingPoint
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation.intervals import (
    clopper_pearson_upper,
    clustered_size,
    effective_size,
    faces_needed,
    intraclass,
)
from faceproof.evaluation.predictions import Faces
from faceproof.records import Record
from faceproof.training.calibrate import require_calibration

CONDITIONS = ("clean", "jpeg-60", "resize-0.5")


class Budget(Record):
    """How often a detector may err, and over which faces that is counted.

    ``reals`` and ``fakes`` say whether the budget holds for all of them together, or for each
    source of real faces or each generator of fakes on its own.
    """

    bpcer: float = Field(gt=0, lt=1)
    apcer: float = Field(default=0.05, gt=0, lt=1)
    reals: Literal["pooled", "source"] = "pooled"
    fakes: Literal["pooled", "generator"] = "pooled"

    @property
    def name(self) -> str:
        """The operating point's name.

        >>> Budget(bpcer=0.01).name
        '1-in-100'
        """
        return f"1-in-{1 / self.bpcer:.4g}"


BUDGETS = (Budget(bpcer=0.05), Budget(bpcer=0.01), Budget(bpcer=0.005))


@dataclass(frozen=True)
class Cell:
    """The faces over which a budget holds, and what to call them."""

    name: str
    faces: Faces

    @property
    def correlation(self) -> float:
        """How alike faces of one group are, in [0, 1]."""
        return intraclass(self.faces.probabilities, self.faces.groups, self.faces.sources)


def operating_points(
    faces: Faces,
    *,
    data_sha256: str,
    budgets: Iterable[Budget] = BUDGETS,
    conditions: Sequence[str] = CONDITIONS,
) -> dict[str, OperatingPoint]:
    """Return one operating point for each budget, by name; see `operating_point`."""
    chosen = (
        operating_point(faces, budget, data_sha256=data_sha256, conditions=conditions)
        for budget in budgets
    )
    return {point.name: point for point in chosen}


def operating_point(
    faces: Faces, budget: Budget, *, data_sha256: str, conditions: Sequence[str] = CONDITIONS
) -> OperatingPoint:
    """Return the operating point that keeps ``budget`` on calibrated, judged ``faces``.

    The upper bound in its promise is exact for a threshold that is itself an order statistic of
    independent faces; groups enter through their design effect.

    Raises:
        SplitUseError: when a face is not of the calibration split.
        UsageError: when a condition is missing, or the faces are too few for the promise.
        TrainingError: when no threshold keeps it.

    Source: Wilks 1941, Annals of Mathematical Statistics 12:91 (tolerance limits).
    """
    require_calibration(faces)
    reals = list(_cells(faces.where(~faces.fake), conditions, budget.reals, "real"))
    fakes = list(_cells(faces.where(faces.fake), conditions, budget.fakes, "fake"))
    for cell, share in [(c, budget.bpcer) for c in reals] + [(c, budget.apcer) for c in fakes]:
        _refuse_too_few(cell, share)
    fake_from = max(_lowest_fake_from(cell, budget.bpcer) for cell in reals)
    real_below = min(fake_from, *(_highest_real_below(cell, budget.apcer) for cell in fakes))
    return OperatingPoint(
        name=budget.name,
        real_below=real_below,
        fake_from=fake_from,
        promise=_promise(budget, reals, fake_from, conditions),
        bpcer_budget=budget.bpcer,
        chosen_on=ChosenOn(data_sha256=data_sha256, n=min(len(cell.faces) for cell in reals)),
    )


def _cells(faces: Faces, conditions: Sequence[str], split_by: str, kind: str) -> Iterator[Cell]:
    """Yield the faces of each condition, or of each source or generator under it."""
    for condition in conditions:
        worn = faces.where(faces.conditions == condition)
        if not len(worn):
            raise UsageError(
                f"the promise covers {condition!r}, but no {kind} calibration face was judged "
                f"under it: predict with that condition"
            )
        if split_by == "pooled":
            yield Cell(condition, worn)
            continue
        names = worn.sources if split_by == "source" else worn.generators
        for name in np.unique(names):
            yield Cell(f"{condition}, {name}", worn.where(names == name))


def _refuse_too_few(cell: Cell, budget: float) -> None:
    """Refuse a promise that these faces could not show even if none of them were in error."""
    faces, needed = cell.faces, faces_needed(budget)
    worth = clustered_size(faces.groups, cell.correlation)
    if math.floor(worth) < needed:
        kind = "fake" if faces.fake.any() else "real"
        raise UsageError(
            f"the calibration split cannot support a promise of at most {budget:.2%} errors on "
            f"{kind} faces ({cell.name}): it holds {len(faces)} of them, worth {worth:.0f} "
            f"independent ones. It takes at least {needed} independent ones, about "
            f"{math.ceil(needed * len(faces) / worth)} like these; or ask for a larger budget"
        )


def _lowest_fake_from(cell: Cell, budget: float) -> float:
    """Return the threshold from which at most ``budget`` of the faces are called fake.

    It lies halfway between the last face that must not be called and the next one above.
    """
    falling = np.sort(cell.faces.probabilities)[::-1]
    last = falling[math.floor(budget * len(falling) + 1e-9)]
    if last >= 1.0:
        raise TrainingError(
            f"no threshold calls at most {budget:.2%} of the real faces fake ({cell.name}): the "
            f"detector is certain, wrongly, of {int((falling >= 1).sum())} of {len(falling)}"
        )
    return float((last + np.min(falling[falling > last], initial=1.0)) / 2)


def _highest_real_below(cell: Cell, budget: float) -> float:
    """Return the threshold below which at most ``budget`` of the faces are called real."""
    rising = np.sort(cell.faces.probabilities)
    return float(rising[math.floor(budget * len(rising) + 1e-9)])


def _promise(
    budget: Budget, reals: Sequence[Cell], fake_from: float, conditions: Sequence[str]
) -> str:
    worst = max(reals, key=lambda cell: (cell.faces.probabilities >= fake_from).mean())
    hits = worst.faces.probabilities >= fake_from
    worth = effective_size(hits, worst.faces.groups, correlation=worst.correlation)
    size = max(1, math.floor(worth))
    upper = clopper_pearson_upper(math.ceil(hits.mean() * size - 1e-9), size)
    each = {"source": " of each source", "generator": " of each generator", "pooled": ""}
    return (
        f"at most {_in_words(budget.bpcer)} real faces{each[budget.reals]} called fake, and at "
        f"most {_in_words(budget.apcer)} fakes{each[budget.fakes]} called real, on the "
        f"calibration faces as each of {', '.join(conditions)}; worst {worst.name}: "
        f"{hits.mean():.2%} of {len(hits)}, below {upper:.2%} with 95 % confidence"
    )


def _in_words(share: float) -> str:
    return f"1 in {1 / share:.4g}"
