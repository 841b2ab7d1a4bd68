"""May a new detector replace the one that ships: its false alarms, family by family.

A real face called fake is the worst error. A new default must not make more of them than the old
one on any family of real faces, as any condition. Both detectors judge the same validation faces,
each at its own default operating point, and the change is measured face by face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from faceproof.detector.spec import OperatingPoint
from faceproof.errors import TrainingError
from faceproof.evaluation.gate import both_thresholds
from faceproof.evaluation.paired import Change, Pair, find_changes, pair_predictions
from faceproof.training.operating_points import group_by_family

if TYPE_CHECKING:
    import pyarrow as pa


def compare_false_alarms(
    old: pa.Table,
    new: pa.Table,
    old_point: OperatingPoint,
    new_point: OperatingPoint,
    families: Mapping[str, Sequence[str]],
) -> list[Change]:
    """Return the change of BPCER of each family and condition, new minus old, with its interval.

    Raises:
        DataError: the two tables are not of the same pictures and conditions.
        UsageError: a real face is of a source that no family holds.
    """
    pair = pair_predictions(old, new)
    pooled = Pair(
        group_by_family(pair.old, families), group_by_family(pair.new, families), pair.not_judged
    )
    found = find_changes(pooled, both_thresholds(old_point, new_point))
    return [
        one.model_copy(update={"slice": one.slice.replace("source=", "family=", 1)})
        for one in found
        if one.metric == "bpcer" and one.slice.startswith("source=")
    ]


def refuse_more_false_alarms(found: Sequence[Change]) -> None:
    """Refuse a detector whose false alarms rose: the whole interval of a change is above zero.

    Raises:
        TrainingError: naming each family and condition, both rates and the interval.
    """
    worse = [one for one in found if one.low > 0]
    if not worse:
        return
    message = "; ".join(
        f"{one.slice.removeprefix('family=')} as {one.condition}: {one.old:.2%} to {one.new:.2%} "
        f"[{one.low:+.2%}, {one.high:+.2%}] of {one.n}"
        for one in worse
    )
    raise TrainingError(
        f"the new detector calls more real faces fake than the one it replaces ({message}): train "
        "longer or with more such faces, or choose a stricter calibration.default_budget"
    )
