"""Names of findings on heat maps and on attacked faces.

A condition is named by attack, budget in grey levels and steps: ``fgsm-2``, ``pgd-2x10``; under
``pgd-l2-1x10`` the budget is the root mean square, under ``square-8x100`` the steps are queries.
The same faces unchanged are `UNATTACKED`. `faceproof.training.attack_report` and
`faceproof.audits.attacks` compute the findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceproof.detector.spec import Finding

RELIABLE = "heatmap_reliable"
"""Share of faces for which deleting the hottest fifth lowers the logit most of all fifths."""
BEATS_RANDOM = "heatmap_beats_random"
"""Share of faces for which it lowers the logit more than the mean of the other fifths."""
HOTTEST = "heatmap_hottest_deleted"
"""The mean change of the logit when the hottest fifth is deleted."""
RANDOM = "heatmap_random_deleted"
"""The mean change of the logit when a fifth of the same shape is deleted elsewhere."""
CORRELATION = "heatmap_rank_correlation"
"""The mean rank correlation of maps with those of the network whose weights were shuffled."""

_ANOTHER, _SHUFFLED = "map=another face's", "map=shuffled "


def other_map_slice() -> str:
    """Return the slice of pictures tested with another picture's map."""
    return _ANOTHER


def shuffled_slice(member: str, stage: str = "") -> str:
    """Return the slice of maps of a network with weights shuffled down to a stage (or all).

    >>> shuffled_slice("densenet121", "head.logit"), shuffled_slice("densenet121")
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
"""Condition of the attacked faces before the attack; `clean` covers the whole split."""

_ATTACK = re.compile(r"(?P<kind>fgsm|pgd|pgd-l2|square)-(?P<budget>[\d.e+-]+)(?:x(?P<steps>\d+))?")


def is_attack(condition: str) -> bool:
    """Return whether the condition is an attack, or the originals of attacked faces.

    >>> [is_attack(name) for name in ("unattacked", "fgsm-2", "pgd-l2-0.5x10", "clean", "jpeg-60")]
    [True, True, True, False, False]
    """
    return condition == UNATTACKED or _ATTACK.fullmatch(condition) is not None


def attack_cautions(found: Sequence[Finding]) -> Iterator[str]:
    """Yield warnings about masked gradients, which overstate the accuracy under attack.

    A network with masked gradients defeats an attack but not an attacker: many steps then do less
    than one, or the widest budget has no effect. Both are reported if they exceed the interval.

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
        yield from _weak_attack_cautions(at)
        yield from _no_effect_cautions(list(at.values()))


def _weak_attack_cautions(at: dict[str, Finding]) -> Iterator[str]:
    """Yield a warning for each attack of many steps that is weaker than one step."""
    for name, many in at.items():
        attack = _ATTACK.fullmatch(name)
        single = at.get(f"fgsm-{attack['budget']}") if attack and attack["kind"] == "pgd" else None
        if single and many.low > single.value:
            yield (
                f"{many.metric}: {many.value:.3f} under {name} but {single.value:.3f} under "
                f"{single.condition}: many steps do less than one, so the gradients are masked "
                "and both figures understate an attacker"
            )


def _no_effect_cautions(rates: list[Finding]) -> Iterator[str]:
    """Yield a warning if even the widest attack by gradients has no effect."""
    attacks = [(one, _ATTACK.fullmatch(one.condition)) for one in rates]
    reach = [
        (float(attack["budget"]), int(attack["steps"] or 1), one)
        for one, attack in attacks
        if attack and attack["kind"] in {"fgsm", "pgd"}
    ]
    before = rates[0]
    if before.condition != UNATTACKED or not reach:
        return
    last = max(reach, key=lambda one: one[:2])[2]
    if last.value >= before.low:
        yield (
            f"{last.metric}: {last.value:.3f} under {last.condition}, the widest attack tried, and "
            f"{before.value:.3f} without: check for zero gradients before you call it robust"
        )
