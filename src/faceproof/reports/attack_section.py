"""The section of a card about pictures made to deceive the detector."""

from __future__ import annotations

from collections.abc import Sequence

from faceproof.detector.findings import Finding
from faceproof.evaluation.under_attack import cautions, is_attack
from faceproof.reports.markdown import figure, listing, plain, section, table

_COLUMNS = {
    "accuracy": "accuracy",
    "recall": "fake faces called fake",
    "bpcer": "real faces called fake",
}


def attack_section(results: Sequence[Finding], point: str) -> str:
    """Return the section at an operating point; empty where nothing was attacked."""
    told = [one for one in results if is_attack(one.condition)]
    found = {(one.condition, one.metric): one for one in told}
    conditions = list(dict.fromkeys(one.condition for one in told))
    rows = [
        [plain(name), *(_cell(found.get((name, f"{metric}@{point}"))) for metric in _COLUMNS)]
        for name in conditions
    ]
    if not rows:
        return ""
    return section(
        "Under attack",
        "The same test faces unchanged, and changed by an attacker who knows the network, by at "
        "most as many grey levels of 255 a pixel as the name says: `fgsm-2` in one step, "
        f"`pgd-2x10` in ten. At {plain(point)}. A better attack can only lower these figures.",
        table(["faces", *_COLUMNS.values()], rows),
        listing(plain(caution) for caution in cautions(told)),
    )


def _cell(finding: Finding | None) -> str:
    return figure(finding) if finding else "-"
