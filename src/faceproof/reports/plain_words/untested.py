"""What a detector was not tested on, from its own record alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceproof.detector import DetectorSpec
from faceproof.evaluation.under_attack import is_attack
from faceproof.reports.plain_words.conditions import condition_words
from faceproof.reports.plain_words.measured import conditions, named, tests

_GROUPS = re.compile(r"\b(age|gender|ethnicity)=")


def untested(spec: DetectorSpec) -> list[str]:
    """Return in sentences what this detector was not tested on; its maker's notes come last."""
    return [*_tested(spec), *_groups(spec), *_attacks(spec), *spec.notes]


def _tested(spec: DetectorSpec) -> Iterator[str]:
    if not any(True for _ in tests(spec)):
        yield "This detector was not tested at all: nothing is known about how often it errs."
        yield _learned(spec)
        return
    generators, sources = named(spec, "generator="), named(spec, "source=")
    yield (
        f"Fakes made in other ways than those of the test: {_these(generators)}. "
        "New generators and other kinds of manipulation may be missed."
    )
    unseen = [one for one in spec.generators_seen if one not in {*generators, "none"}]
    if unseen:
        yield f"Learned from, but not tested on: fakes of {_these(unseen)}."
    yield f"Pictures from other sources than those of the test: {_these(sources)}."
    ways = _these([condition_words(name) for name in conditions(spec)])
    yield f"Pictures worn in other ways than these: {ways}."


def _learned(spec: DetectorSpec) -> str:
    known = _these([one for one in spec.generators_seen if one != "none"])
    return f"Learned from fakes of: {known}."


def _groups(spec: DetectorSpec) -> Iterator[str]:
    if not any(_GROUPS.search(one.slice) for one in tests(spec)):
        yield "Whether it errs more often on some groups of people: not measured."


def _attacks(spec: DetectorSpec) -> Iterator[str]:
    if not any(is_attack(one.condition) for one in tests(spec)):
        yield "Pictures made to deceive this very detector: not measured."


def _these(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
