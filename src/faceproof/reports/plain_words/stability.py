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
    said = "; ".join(f"{condition_words(one.condition)}: {_became(one)}" for one in changed)
    return (
        f"The verdict stayed the same in {len(same)} of {len(resaved)} ways of saving it again. "
        f"It changed when the picture was {said}."
    )


def _became(one: Resaved) -> str:
    return one.verdict or {"no_face": "no face found"}.get(one.status, "not readable")
