"""Reading findings of attacked faces: which they are, and what makes them look too good.

A condition is named by attack, budget in grey levels and steps: ``fgsm-2``, ``pgd-2x10``; the same
faces unchanged are `UNATTACKED`. `faceproof.training.optimising.attacked` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceproof.detector.findings import Finding

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
