"""What an operating point means, from what was measured: false alarms and fakes caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from faceproof.detector import DetectorSpec, Finding
from faceproof.reports.plain_words.conditions import condition_words
from faceproof.reports.plain_words.measured import ALL, measured, worst
from faceproof.reports.plain_words.shares import Share, number, share


class _Worst(NamedTuple):
    """A share of faces, and among which slices its worst value is looked for."""

    words: str
    metric: str
    faces: str
    choose: Callable[..., Finding]
    slices: str


_WORST = (
    _Worst("Most false alarms", "bpcer", "real faces", max, ALL),
    _Worst("Fewest caught", "recall", "fakes", min, ALL),
    _Worst("Most false alarms of a source", "bpcer", "real faces", max, "source="),
    _Worst("Fewest caught of a generator", "recall", "such fakes", min, "generator="),
)


@dataclass(frozen=True)
class Budget:
    """The findings behind an operating point's sentence; None where it was not measured.

    ``false_alarms`` is the share of real faces called fake (BPCER), ``caught`` that of fakes
    called fake, ``missed`` that of fakes called real (APCER), all faces as they were.
    """

    point: str
    false_alarms: Finding | None
    caught: Finding | None
    missed: Finding | None
    real_unsure: Finding | None
    fake_unsure: Finding | None


def budget(spec: DetectorSpec, point: str | None = None, *, condition: str = "clean") -> Budget:
    """Return what was measured at an operating point on all test faces under a condition.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    name = spec.operating_point(point).name
    metrics = ("bpcer", "recall", "apcer", "real_unsure_rate", "fake_unsure_rate")
    return Budget(
        name, *(measured(spec, f"{metric}@{name}", condition=condition) for metric in metrics)
    )


def budget_words(spec: DetectorSpec, point: str | None = None) -> str:
    """Return in one sentence what an operating point means, with 95 % intervals in brackets.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    told = budget(spec, point)
    parts = [_false_alarms(told.false_alarms), _caught(told)]
    known = [part for part in parts if part]
    if not known:
        return (
            "How many real faces would be called fake and how many fakes are caught was not "
            f"measured for this detector. It is set so that this holds: {_promise(spec, point)}."
        )
    said = f"{_capital('; '.join(known))}, on our tests."
    missing = ["How often real faces are called fake", "How many fakes are caught"]
    return " ".join(
        [
            said,
            *(
                f"{what} was not measured."
                for what, part in zip(missing, parts, strict=True)
                if not part
            ),
        ]
    )


def budget_details(spec: DetectorSpec, point: str | None = None) -> tuple[str, ...]:
    """Return the sentences that go with `budget_words`: who is left unsure, and the worst cases.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    return tuple(_details(spec, budget(spec, point)))


def many_faces_words(spec: DetectorSpec, point: str | None, faces: int) -> str:
    """Return what several real faces in one picture mean for its false alarms; nothing for one.

    The share of pictures with a false alarm is at most the sum over their faces (Boole).
    """
    found = budget(spec, point).false_alarms
    if faces < 2 or found is None:
        return ""
    most = min(1.0, faces * found.high)
    told = share(most, most, most)
    return (
        f"With {faces} faces there are {faces} chances of a "
        f"false alarm: {told.of} such pictures with real faces only, up to "
        f"{number(told.high)} could be called fake."
    )


def shared(finding: Finding) -> Share:
    """Return a finding that is a share as whole faces of 1000 or more."""
    return share(finding.value, finding.low, finding.high)


def _details(spec: DetectorSpec, told: Budget) -> Iterator[str]:
    kinds = (("real faces", told.real_unsure), ("fakes", told.fake_unsure))
    unsure = [_counted(kind, found) for kind, found in kinds if found]
    if unsure:
        yield f"Left unsure: {' and '.join(unsure)}."
    if told.missed:
        yield f"Called real: {_counted('fakes', told.missed)}."
    yield from _worst_cases(spec, told.point)
    if told.false_alarms and told.caught:
        yield (
            f"Counted over {told.false_alarms.n:,} real and {told.caught.n:,} fake test faces, "
            "which the detector had never seen. Brackets hold 95 % intervals; faces of "
            "other kinds can do worse."
        )


def _worst_cases(spec: DetectorSpec, point: str) -> Iterator[str]:
    """Yield the worst that was measured, of all test faces and of a part of them."""
    for case in _WORST:
        found = worst(spec, f"{case.metric}@{point}", case.choose, kind=case.slices)
        if found:
            name = "" if case.slices == ALL else f", {found.slice.removeprefix(case.slices)}"
            way = condition_words(found.condition)
            yield f"{case.words}{name}, pictures {way}: {_counted(case.faces, found)}."


def _counted(kind: str, found: Finding) -> str:
    """Return a share of faces of a kind with its interval."""
    one = shared(found)
    return f"{one.of} {kind} {one.about}{one.between}"


def _false_alarms(found: Finding | None) -> str:
    if found is None:
        return ""
    one = shared(found)
    return f"{one.of} real faces {one.about} would be called fake{one.between}"


def _caught(told: Budget) -> str:
    if told.caught:
        one = shared(told.caught)
        return f"{one.of} fakes {one.about} are caught{one.between}"
    if told.missed:
        one = shared(told.missed)
        return f"{one.of} fakes {one.about} would be called real{one.between}"
    return ""


def _promise(spec: DetectorSpec, point: str | None) -> str:
    return spec.operating_point(point).promise.rstrip(".")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
