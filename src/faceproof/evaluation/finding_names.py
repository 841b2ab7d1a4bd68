"""Findings of a detector's record by name: about heat maps, and about attacked faces.

A condition is named by attack, budget in grey levels and steps: ``fgsm-2``, ``pgd-2x10``; the same
faces unchanged are `UNATTACKED`. `faceproof.training.attack_report` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceproof.detector.spec import Finding

RELIABLE = "heatmap_reliable"
"""The share of faces at which deleting the hottest fifth lowers the logit most of five places."""
BEATS_RANDOM = "heatmap_beats_random"
"""The share at which it lowers the logit more than the other four places do on average."""
HOTTEST = "heatmap_hottest_deleted"
"""The mean change of the logit when the hottest fifth is deleted."""
RANDOM = "heatmap_random_deleted"
"""The mean change of the logit when a fifth of the same shape is deleted elsewhere."""
CORRELATION = "heatmap_rank_correlation"
"""The mean rank correlation of maps with those of the network whose weights were shuffled."""

_ANOTHER, _SHUFFLED = "map=another face's", "map=shuffled "


def another() -> str:
    """Return the slice of pictures tested with the map of another one."""
    return _ANOTHER


def shuffled(member: str, stage: str = "") -> str:
    """Return the slice of a network's maps, its weights shuffled down to a stage, or all of them.

    >>> shuffled("densenet121", "head.logit"), shuffled("densenet121")
    ('map=shuffled densenet121 from the logit to head.logit', 'map=shuffled densenet121')
    """
    return f"{_SHUFFLED}{member}{f' from the logit to {stage}' if stage else ''}"


def is_of_heatmaps(metric: str) -> bool:
    """Return whether a finding is about heat maps.

    >>> is_of_heatmaps("heatmap_reliable"), is_of_heatmaps("apcer")
    (True, False)
    """
    return metric.startswith("heatmap_")


UNATTACKED = "unattacked"
"""The condition of the very faces that were attacked, unchanged; `clean` is of the whole split."""

_ATTACK = re.compile(r"(?P<kind>fgsm|pgd)-(?P<budget>[\d.e+-]+)(?:x(?P<steps>\d+))?")


def is_attack(condition: str) -> bool:
    """Return whether findings under this condition are of attacked faces, or of their originals.

    >>> [is_attack(name) for name in ("unattacked", "fgsm-2", "pgd-0.5x10", "clean", "jpeg-60")]
    [True, True, True, False, False]
    """
    return condition == UNATTACKED or _ATTACK.fullmatch(condition) is not None


def cautions(found: Sequence[Finding]) -> Iterator[str]:
    """Yield in words what makes the accuracy under attack look better than it is.

    A network whose gradients lead nowhere fools an attack and not an attacker: many steps then do
    less than one, or the widest budget does nothing. Both are told where they exceed the interval.

    Source:
        Masked gradients: A. Athalye, N. Carlini, D. Wagner, 2018, arXiv:1802.00420, section 3.1.
    """
    rates = [
        one
        for one in found
        if one.metric.partition("@")[0] == "accuracy" and is_attack(one.condition)
    ]
    for metric in dict.fromkeys(one.metric for one in rates):
        at = {one.condition: one for one in rates if one.metric == metric}
        yield from _overtaken(at)
        yield from _unmoved(list(at.values()))


def _overtaken(at: dict[str, Finding]) -> Iterator[str]:
    """Yield what is to be said of each attack of many steps that does less than one step does."""
    for name, many in at.items():
        attack = _ATTACK.fullmatch(name)
        single = at.get(f"fgsm-{attack['budget']}") if attack and attack["steps"] else None
        if single and many.low > single.value:
            yield (
                f"{many.metric}: {many.value:.3f} under {name} but {single.value:.3f} under "
                f"{single.condition}: many steps do less than one, so that gradients are masked "
                "and neither figure shows what an attacker can do"
            )


def _unmoved(rates: list[Finding]) -> Iterator[str]:
    """Yield what is to be said where not even the last, widest attack does anything."""
    before, last = rates[0], rates[-1]
    if before.condition == UNATTACKED and last is not before and last.value >= before.low:
        yield (
            f"{last.metric}: {last.value:.3f} under {last.condition}, the widest attack tried, and "
            f"{before.value:.3f} without: look for gradients that are 0 before calling it robust"
        )
