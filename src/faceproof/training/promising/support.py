"""Which faces a promise is about, and whether they are enough to make it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from faceproof.errors import UsageError
from faceproof.evaluation.intervals import clustered_size, intraclass
from faceproof.evaluation.predictions import Faces
from faceproof.training.promising.conformal import first_kept, groups_needed
from faceproof.training.promising.promises import least_faces


@dataclass(frozen=True)
class Cell:
    """The faces of one class over which a share of errors is promised, and what to call them."""

    name: str
    faces: Faces
    share: float

    @property
    def kind(self) -> str:
        """Whether they are real or fake."""
        return "fake" if self.faces.fake.any() else "real"

    @property
    def groups(self) -> int:
        """How many groups they are of."""
        return len(np.unique(self.faces.groups))

    @cached_property
    def correlation(self) -> float:
        """How alike faces of one group are, in [0, 1]."""
        return intraclass(self.faces.probabilities, self.faces.groups, self.faces.sources)

    @property
    def worth(self) -> float:
        """How many independent faces they are worth."""
        return clustered_size(self.faces.groups, self.correlation)

    @cached_property
    def first_kept(self) -> float:
        """The probability of the first face, from the wrong end, that must not be misjudged."""
        towards_error = -1.0 if self.kind == "fake" else 1.0
        danger = towards_error * self.faces.probabilities
        kept = first_kept(danger, self.faces.groups, alpha=self.share, worth=self.worth)
        return towards_error * kept


def cells(faces: Faces, conditions: Sequence[str], split_by: str, share: float) -> Iterator[Cell]:
    """Yield the faces of each condition, or of each source, family or generator under it.

    The sources of ``faces`` are families where these are asked for (`in_families`).

    Raises:
        UsageError: under a condition there is no face.
    """
    for condition in conditions:
        worn = faces.where(faces.conditions == condition)
        if not len(worn):
            kind = "fake" if faces.fake.any() else "real"
            raise UsageError(
                f"the promise covers {condition!r}, but no {kind} calibration face was judged "
                f"under it: predict with that condition"
            )
        if split_by == "pooled":
            yield Cell(condition, worn, share)
            continue
        names = worn.generators if split_by == "generator" else worn.sources
        for name in np.unique(names):
            yield Cell(f"{condition}, {name}", worn.where(names == name), share)


def in_families(faces: Faces, families: Mapping[str, Sequence[str]]) -> Faces:
    """Return the faces with the family of each real face as its source.

    Raises:
        UsageError: a real face is of a source that no family holds.
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


def too_few(cell: Cell) -> str | None:
    """Return why these faces could not show the promise even if none of them were in error."""
    needed, groups = least_faces(cell.share), groups_needed(cell.share)
    said = (
        f"the calibration split cannot support a promise of at most {cell.share:.2%} errors on "
        f"{cell.kind} faces ({cell.name}): it holds {len(cell.faces):,} of them, worth "
        f"{cell.worth:,.0f} independent ones"
    )
    if math.floor(cell.worth) < needed:
        like_these = math.ceil(needed * len(cell.faces) / cell.worth)
        takes = f"at least {needed:,} independent ones, about {like_these:,} like these"
    elif cell.groups < groups:
        takes = f"{groups:,} groups or more, and these are {cell.groups:,}"
    else:
        return None
    return f"{said}. It takes {takes}"


def certain(cell: Cell) -> str | None:
    """Return why no threshold keeps the promise, where the detector is certain and wrong."""
    if cell.kind == "fake" or cell.first_kept < 1.0:
        return None
    wrong = int((cell.faces.probabilities >= 1).sum())
    return (
        f"no threshold calls at most {cell.share:.2%} of the real faces fake ({cell.name}): the "
        f"detector is certain, wrongly, of {wrong} of {len(cell.faces)}"
    )
