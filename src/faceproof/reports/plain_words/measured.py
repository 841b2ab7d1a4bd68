"""What a detector's own record says was measured: looked up here, worded by its siblings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from faceproof.detector import DetectorSpec, Finding
from faceproof.evaluation.heatmaps import is_of_heatmaps
from faceproof.evaluation.under_attack import is_attack

# Named in `faceproof.evaluation` as well, whose modules need polars: the page has none of it, and
# a test compares the two.
COMPOSITION = "pictures"
MEMBER = "member="

CLEAN = "clean"
ALL = "all"


def measured(
    spec: DetectorSpec, metric: str, *, condition: str = CLEAN, slice_: str = ALL
) -> Finding | None:
    """Return the finding of a metric, or None where it was not measured."""
    key = (metric, condition, slice_)
    found = (one for one in spec.results if (one.metric, one.condition, one.slice) == key)
    return next(found, None)


def worst(
    spec: DetectorSpec, metric: str, choose: Callable[..., Finding], *, kind: str = ALL
) -> Finding | None:
    """Return the ``max`` or ``min`` finding of a metric, of all faces or of slices of a kind.

    Pictures made to deceive the detector are another question and left out.
    """
    found = [
        one
        for one in tests(spec)
        if one.metric == metric
        and not is_attack(one.condition)
        and (one.slice == ALL if kind == ALL else one.slice.startswith(kind))
    ]
    return choose(found, key=lambda one: one.value) if found else None


def tests(spec: DetectorSpec) -> Iterator[Finding]:
    """Yield the findings on verdicts of the whole detector: no counts, maps or single member."""
    for one in spec.results:
        about_verdicts = one.metric != COMPOSITION and not is_of_heatmaps(one.metric)
        if about_verdicts and not one.slice.startswith(MEMBER):
            yield one


def conditions(spec: DetectorSpec) -> list[str]:
    """Return the conditions that the detector was tested under, attacks apart, in order."""
    return [
        name for name in dict.fromkeys(one.condition for one in tests(spec)) if not is_attack(name)
    ]


def named(spec: DetectorSpec, kind: str) -> list[str]:
    """Return the names in tested slices of a kind ("source=", "generator="), in order."""
    slices = dict.fromkeys(one.slice for one in tests(spec))
    return [name.removeprefix(kind) for name in slices if name.startswith(kind)]
