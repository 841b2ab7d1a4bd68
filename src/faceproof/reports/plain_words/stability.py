"""What saving a picture again does to its verdict, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from faceproof.reports.plain_words.conditions import condition_words

if TYPE_CHECKING:
    from faceproof.results import CheckResult, Resaved


def stability_words(result: CheckResult, resaved: Sequence[Resaved]) -> str:
    """Return how the verdict held when the picture was saved again, as `resaved` found."""
    if not resaved:
        return "How the verdict holds when the picture is saved again was not tried."
    if result.verdict is None:
        return "There is no verdict that could change when the picture is saved again."
    same = [one for one in resaved if one.verdict == result.verdict]
    changed = [one for one in resaved if one.verdict != result.verdict]
    if not changed:
        return f"The verdict stayed the same in all {len(resaved)} ways of saving it again."
    became: dict[str, list[str]] = {}
    for one in changed:
        became.setdefault(_outcome(one), []).append(condition_words(one.condition))
    said = "; ".join(f"{outcome} when {_either(ways)}" for outcome, ways in became.items())
    return (
        f"The verdict stayed the same in {len(same)} of {len(resaved)} ways of saving it again. "
        f"It became {said}."
    )


def _outcome(one: Resaved) -> str:
    if one.verdict:
        return f"“{one.verdict}”"
    return (
        "none, as no face was found," if one.status == "no_face" else "none, as it was unreadable,"
    )


def _either(ways: Sequence[str]) -> str:
    return " or ".join(filter(None, ["; ".join(ways[:-1]), ways[-1]]))
