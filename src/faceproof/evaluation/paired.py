"""`find_changes`: paired comparison of two detectors on the same faces, with intervals.

Faces that are hard for one detector are mostly hard for the other. The change is therefore
measured face by face, and its interval is narrower than for unpaired figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from faceproof.detector.spec import Text
from faceproof.errors import DataError
from faceproof.evaluation.formulas import Bools, Floats, Thresholds, count_scores, roc_auc
from faceproof.evaluation.intervals import (
    RESAMPLES,
    clustered_size,
    intraclass_correlation,
    rate_interval,
    resamples,
)
from faceproof.evaluation.metrics import METRICS
from faceproof.evaluation.predictions import Faces, all_faces, labelled_rows, origin_of
from faceproof.records import Record
from faceproof.statistics import CONFIDENCE, Interval, wilson

if TYPE_CHECKING:
    import pyarrow as pa


class Change(Record):
    """A metric of the old and the new detector, and its change with an interval.

    ``change`` is new minus old; ``n`` faces of the slice in ``groups`` groups were judged by both.
    """

    metric: Text = Field(description="Name of the metric.")
    slice: Text = Field(default="all", description="Faces that it is of, such as generator=sdxl.")
    condition: Text = Field(default="clean", description="Condition of the pictures.")
    n: int = Field(ge=1, description="Number of faces that both judged.")
    groups: int = Field(ge=1, description="Number of groups of these faces.")
    old: float = Field(description="Value of the old detector.")
    new: float = Field(description="Value of the candidate.")
    change: float = Field(description="New minus old.")
    low: float = Field(description="Lower end of the 95 % interval of the change.")
    high: float = Field(description="Upper end of the 95 % interval of the change.")

    @property
    def losses(self) -> tuple[float, float, float]:
        """The loss and the ends of its interval, ascending; a gain is a negative loss.

        >>> told = {"n": 9, "groups": 9, "old": 0.0, "new": 0.1, "change": 0.1}
        >>> Change(metric="bpcer", low=0.0, high=0.2, **told).losses
        (0.1, 0.0, 0.2)
        """
        if METRICS[self.metric].higher_is_better:
            return -self.change, -self.high, -self.low
        return self.change, self.low, self.high


@dataclass(frozen=True)
class Pair:
    """Predictions of two detectors for the same N faces, row by row, all judged by both."""

    old: Faces
    new: Faces
    not_judged: int

    def where(self, mask: Bools) -> Pair:
        """Return the faces for which ``mask`` bool [N] is true."""
        return Pair(self.old.where(mask), self.new.where(mask), 0)


class PairThresholds(NamedTuple):
    """The thresholds of each detector."""

    old: Thresholds
    new: Thresholds


def pair_predictions(old: pa.Table, new: pa.Table) -> Pair:
    """Align two predictions tables row by row; count faces that either did not judge.

    Raises:
        DataError: their data, pictures or conditions differ.
    """
    if origin_of(old, name="old").data_sha256 != origin_of(new, name="new").data_sha256:
        raise DataError(
            "the two predictions tables have different data: predict the same manifest "
            "with both detectors"
        )
    old, new = labelled_rows(old), labelled_rows(new)
    here, there = row_numbers(old), row_numbers(new)
    if differing := here.keys() ^ there.keys():
        raise DataError(
            f"the two predictions tables differ in {len(differing)} pictures or conditions, such "
            f"as {min(differing)}: predict the same rows with both detectors"
        )
    before = all_faces(old)
    after = all_faces(new.take([there[key] for key in here]))
    both = (before.statuses == "ok") & (after.statuses == "ok")
    return Pair(before.where(both), after.where(both), int((~both).sum()))


def find_changes(
    pair: Pair, at: PairThresholds, *, number: int = RESAMPLES, seed: int = 0
) -> list[Change]:
    """Return the changes for each condition: overall, by real source and by generator.

    Overall: recall, BPCER and ROC-AUC. By source: BPCER. By generator: recall, and ROC-AUC
    against the real faces of all sources.
    """
    found: list[Change] = []
    for condition in dict.fromkeys(pair.old.conditions.tolist()):
        degraded = pair.where(pair.old.conditions == condition)
        for name, metric, part in _comparisons(degraded):
            made = _make_change(metric, part, at, number=number, seed=seed)
            if made is not None:
                found.append(made.model_copy(update={"slice": name, "condition": condition}))
    return found


def error_changes(pair: Pair, at: PairThresholds, *, name: str) -> list[Change]:
    """Return the changes of recall and BPCER on all faces of a pair, as the slice ``name``."""
    parts = {"recall": pair.where(pair.old.fake), "bpcer": pair.where(~pair.old.fake)}
    found = [_make_change(metric, part, at, number=0, seed=0) for metric, part in parts.items()]
    return [one.model_copy(update={"slice": name}) for one in found if one is not None]


def rate_change(old: Bools, new: Bools, groups: ArrayLike, *, correlation: float = 1.0) -> Interval:
    """Return the interval of the change of a share, from hits bool [N] before and after.

    The change is the share of faces gained minus the share lost. Each has Wilson's interval at the
    effective size of the groups, with ``correlation`` as in `rate_interval`; so it does not
    shrink to a point if no face changed.

    Source: Zou and Donner 2008, Statistics in Medicine 27:1693 (limits of a difference from the
    limits of its parts, which exclude one another here).

    >>> few = np.zeros(50, bool)
    >>> [round(end, 3) for end in rate_change(few, few, np.arange(50))]
    [-0.071, 0.071]
    """
    parts = (new & ~old, old & ~new)
    won, lost = (float(part.mean()) for part in parts)
    gain, loss = (rate_interval(part, groups, correlation=correlation) for part in parts)
    rest = (1 - won) * (1 - lost)
    together = -math.sqrt(won * lost / rest) if rest > 0 else -1.0
    down = _combine_margins(won - gain.low, loss.high - lost, together)
    up = _combine_margins(gain.high - won, lost - loss.low, together)
    return Interval(max(-1.0, won - lost - down), min(1.0, won - lost + up))


def _combine_margins(one: float, other: float, correlation: float) -> float:
    """Return the margin of a difference from the margins of its two parts."""
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))


def auc_change(
    old: Faces, new: Faces, *, number: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, Interval]:
    """Return both ROC-AUCs and the interval of the change: bootstrap percentiles over groups.

    If all resamples agree, as when both separate perfectly, the fallback is Wilson's interval of
    no error over the groups of the rarer class.
    """
    drawn = [
        roc_auc(count_scores(new.fake, new.probabilities, weights))
        - roc_auc(count_scores(old.fake, old.probabilities, weights))
        for weights in resamples(old.fake, old.groups, number=number, seed=seed)
    ]
    before, after = (
        float(roc_auc(count_scores(one.fake, one.probabilities))[0]) for one in (old, new)
    )
    return before, after, _percentiles(np.concatenate(drawn), old)


def _percentiles(drawn: Floats, of: Faces) -> Interval:
    """Return the central interval of drawn changes [B]."""
    if drawn.std() < 1e-12:
        kinds = (of.groups[of.fake], of.groups[~of.fake])
        reach = wilson(0, min(clustered_size(groups, 1.0) for groups in kinds)).high
        return Interval(float(drawn[0]) - reach, float(drawn[0]) + reach)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


#: A picture, a condition and the number of the face in the picture.
RowKey = tuple[str, str, int]


def row_numbers(predictions: pa.Table) -> dict[RowKey, int]:
    """Return the row of each labelled face under each condition; see `labelled_rows`."""
    columns = (predictions[name].to_pylist() for name in ("path", "condition", "face"))
    return {key: row for row, key in enumerate(zip(*columns, strict=True))}


def _comparisons(degraded: Pair) -> Iterator[tuple[str, str, Pair]]:
    """Yield slice, metric and faces of each comparison under one condition."""
    real, fake = ~degraded.old.fake, degraded.old.fake
    yield "all", "roc_auc", degraded
    yield "all", "recall", degraded.where(fake)
    yield "all", "bpcer", degraded.where(real)
    for source in np.unique(degraded.old.sources[real]):
        yield f"source={source}", "bpcer", degraded.where(real & (degraded.old.sources == source))
    for generator in np.unique(degraded.old.generators[fake]):
        of_it = fake & (degraded.old.generators == generator)
        yield f"generator={generator}", "recall", degraded.where(of_it)
        yield f"generator={generator}", "roc_auc", degraded.where(of_it | real)


def _make_change(
    metric: str, part: Pair, at: PairThresholds, *, number: int, seed: int
) -> Change | None:
    """Return the change of one metric, None if it cannot be computed."""
    if not len(part.old) or METRICS[metric].missing_class(part.old.fake):
        return None
    outcome = METRICS[metric].outcome
    if outcome is None:
        old, new, interval = auc_change(part.old, part.new, number=number, seed=seed)
    else:
        hits = _hits(outcome, part.old, at.old), _hits(outcome, part.new, at.new)
        old, new = (float(one.mean()) for one in hits)
        interval = rate_change(*hits, part.old.groups, correlation=_change_correlation(part))
    change = new - old
    return Change(
        metric=metric,
        n=len(part.old),
        groups=len(np.unique(part.old.groups)),
        old=old,
        new=new,
        change=change,
        low=min(interval.low, change),
        high=max(interval.high, change),
    )


def _change_correlation(part: Pair) -> float:
    """Return the correlation of changes within groups, in [0, 1]."""
    return intraclass_correlation(
        part.new.logits - part.old.logits, part.old.groups, part.old.sources
    )


def _hits(
    outcome: Callable[[Bools, Floats, Thresholds], Bools], of: Faces, at: Thresholds
) -> Bools:
    return outcome(of.fake, *of.scores_at(at))
