"""How well numbers that know nothing of faces predict the label, and which of them do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faceproof.data.shortcuts.features import FAMILIES
from faceproof.data.shortcuts.folds import fold_of, numbered, sample
from faceproof.data.shortcuts.intervals import Flags, Floats, Integers, auc_interval
from faceproof.data.shortcuts.model import (
    fit,
    held_out_scores,
    importance,
    one_thread,
    out_of_fold,
)
from faceproof.data.shortcuts.result import GUILTY_FROM, FamilyResult, Guilty, ProbeResult
from faceproof.data.shortcuts.words import describe

#: More pictures than this make the interval little narrower and the probe slower.
MOST = 4000


@dataclass(frozen=True, eq=False)
class _Set:
    """What is probed: classes, groups and folds of the pictures, all of length N."""

    fake: Flags
    groups: Integers
    fold: Integers
    seed: int

    def scored(self, scores: Floats) -> dict[str, float]:
        """Return AUC and interval of scores as the fields of a record."""
        return auc_interval(self.fake, scores, self.groups, mutual=1.0)._asdict()

    def alone(self, table: Floats) -> dict[str, float]:
        """Return AUC and interval of what these columns predict without others."""
        return self.scored(out_of_fold(table, self.fake, self.fold, seed=self.seed))


def probe(
    table: Floats,
    names: Sequence[str],
    is_fake: Sequence[bool] | Flags,
    groups: Sequence[str] | npt.NDArray[np.generic],
    *,
    floor: Floats | None = None,
    most: int = MOST,
    seed: int = 0,
) -> ProbeResult:
    """Return how well a table of features, float64 [N, F] with NaN, predicts the label.

    ``names`` are those of its columns, from `FAMILIES`; ``floor`` is float64 [N, 5], in the order
    of `FLOOR`. At most ``most`` pictures are looked at.

    Raises:
        DataError: too few pictures or groups of a class to tell.
    """
    fake, numbers = np.asarray(is_fake, np.bool_), numbered(groups)
    taken = sample(fake, most=most, seed=seed)
    fake, numbers = fake[taken], numbered(numbers[taken])
    data = _Set(fake, numbers, fold_of(fake, numbers, seed=seed), seed)
    with one_thread():
        return _probe(data, _varying(table[taken], names), None if floor is None else floor[taken])


def _probe(data: _Set, columns: dict[str, Floats], floor: Floats | None) -> ProbeResult:
    table = np.column_stack([*columns.values()] or [np.zeros(len(data.fake))])
    models = fit(table, data.fake, data.fold, seed=data.seed)
    families = sorted(_families(data, columns), key=lambda family: -family.auc)
    guilty = [found for family in families for found in _guilty(data, columns, family, models)]
    return ProbeResult(
        **data.scored(held_out_scores(models, table, data.fold)),
        n_real=int((~data.fake).sum()),
        n_fake=int(data.fake.sum()),
        groups=int(data.groups.max()) + 1,
        folds=int(data.fold.max()) + 1,
        seed=data.seed,
        families=tuple(families),
        guilty=tuple(sorted(guilty, key=lambda found: -found.auc)),
        floor=None if floor is None else _family(data, "floor", floor),
    )


def _varying(table: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Return the columns that are not the same for all pictures, by name."""
    filled = np.nan_to_num(table, nan=np.inf)
    varies = (filled != filled[:1]).any(axis=0)
    return {name: table[:, i] for i, name in enumerate(names) if varies[i]}


def _families(data: _Set, columns: dict[str, Floats]) -> Iterator[FamilyResult]:
    """Yield what each family predicts alone; one in which nothing varies is left out."""
    for name, features in FAMILIES.items():
        own = [columns[feature] for feature in features if feature in columns]
        if own:
            yield _family(data, name, np.column_stack(own))


def _family(data: _Set, name: str, table: Floats) -> FamilyResult:
    return FamilyResult(name=name, features=table.shape[1], **data.alone(table))


def _guilty(
    data: _Set, columns: dict[str, Floats], family: FamilyResult, models: list[Any]
) -> Iterator[Guilty]:
    """Yield the features of a guilty family that tell alone, or the family where none does."""
    if family.low <= GUILTY_FROM:
        return
    alone = {
        name: data.alone(columns[name][:, None])
        for name in FAMILIES[family.name]
        if name in columns
    }
    found = {name: auc for name, auc in alone.items() if auc["low"] > GUILTY_FROM}
    if not found:
        yield _together(family)
    table = np.column_stack([*columns.values()])
    for name, auc in found.items():
        place = list(columns).index(name)
        lost = importance(models, table, data.fake, data.fold, column=place, seed=data.seed)
        fakes, reals = (columns[name][kind] for kind in (data.fake, ~data.fake))
        says = describe(name, fakes, reals)
        yield Guilty(feature=name, family=family.name, importance=lost, says=says, **auc)


def _together(family: FamilyResult) -> Guilty:
    """Return the entry of a family whose features tell together and not alone."""
    return Guilty(
        **family.model_dump(include={"auc", "low", "high"}),
        feature="",
        family=family.name,
        importance=0.0,
        says=f"the {family.features} features of {family.name} tell together, none of them alone",
    )
