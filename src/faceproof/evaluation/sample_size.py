"""`find_caution`: when a figure rests on too few groups, and what is left out for that reason.

A metric that reads rare faces, such as the recall at 0.1 % false alarms, is *refused* if the rare
share is less than one group (`faceproof.evaluation.metrics.Metric.refusal`). Any other figure of
few groups is reported with a *caution*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from faceproof.evaluation.intervals import faces_needed
from faceproof.evaluation.metrics import METRICS, GroupNumbers, Metric
from faceproof.tables import choose

FEW_GROUPS = 30
"""With fewer groups of a required class, or of a generator among the worst, a figure is flagged."""


def find_caution(metric: Metric, numbers: GroupNumbers) -> str | None:
    """Return the warning to read with a figure of so many groups, or None.

    A tail is flagged below the number of groups that show its share without an error
    (`faceproof.evaluation.intervals.faces_needed`).

    >>> from faceproof.evaluation.metrics import count_groups
    >>> find_caution(METRICS["tpr_at_fpr_1"], count_groups([0] * 200 + [1] * 200))
    '200 groups of real faces are few for a share of 1 %; 299 or more are advised'
    """
    return next(_cautions(metric, numbers), None)


def _cautions(metric: Metric, numbers: GroupNumbers) -> Iterator[str]:
    """Yield the warnings, most serious first."""
    kinds = {"real": numbers.real, "fake": numbers.fake}
    for kind in metric.needs or tuple(kinds):
        if 0 < kinds[kind] < FEW_GROUPS:
            yield f"only {kinds[kind]} groups of {kind} faces; {FEW_GROUPS} or more are advised"
    if metric.tail:
        needed = faces_needed(metric.tail.share)
        for kind, count in metric.tail_groups(numbers).items():
            if count < needed:
                yield (
                    f"{count:,} groups of {kind} are few for a share of "
                    f"{100 * metric.tail.share:g} %; {needed:,} or more are advised"
                )
    if metric.of_worst_generator:
        yield from _small_generators(numbers)


def _small_generators(numbers: GroupNumbers) -> Iterator[str]:
    small = {name: n for name, n in numbers.by_generator.items() if n < FEW_GROUPS}
    if small:
        name = min(small, key=lambda one: small[one])
        yield (
            f"the worst generator may be so by chance: {len(small)} have fewer than {FEW_GROUPS} "
            f"groups, such as {name or 'fakes'} with {small[name]}"
        )


def refusals(metrics: Iterable[str], numbers: GroupNumbers) -> Iterator[str]:
    """Yield why each metric that cannot be computed from so many groups is left out.

    Raises:
        UnknownChoiceError: a name is not in `METRICS`.
    """
    for name in metrics:
        reason = choose(METRICS, name, what="metric").refusal(numbers)
        if reason is not None:
            yield reason
