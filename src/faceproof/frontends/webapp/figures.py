"""What a detector's record says, gathered into figures: names, values and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faceproof.detector import DetectorSpec, Finding
from faceproof.reports.plain_words import condition_words
from faceproof.reports.plain_words.measured import conditions, measured, named


@dataclass(frozen=True)
class Bar:
    """One measured share: its name, and the finding."""

    name: str
    finding: Finding


@dataclass(frozen=True)
class Figure:
    """Shares to compare, in the order of the record; ``promise`` is a line not to be passed."""

    title: str
    about: str
    axis: str
    bars: tuple[Bar, ...]
    promise: float | None = None

    def table(self) -> dict[str, list[str]]:
        """Return the figure as the columns of a table."""
        found = [bar.finding for bar in self.bars]
        return {
            "": [bar.name for bar in self.bars],
            self.axis: [_percent(one.value) for one in found],
            "95 % interval": [f"{_percent(one.low)} to {_percent(one.high)}" for one in found],
            "faces": [f"{one.n:,}" for one in found],
        }

    def words(self) -> str:
        """Return the figure in a sentence, for those who do not see it."""
        told = "; ".join(f"{bar.name} {_percent(bar.finding.value)}" for bar in self.bars)
        return f"{self.title}. {self.axis}: {told}."


def false_alarms_by_source(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of real faces called fake, by where they come from (BPCER)."""
    return Figure(
        "False alarms, by where the real faces come from",
        "Real faces of the tests that were called fake at this setting, pictures as they were. The "
        "line is what was promised for all real faces together.",
        "real faces called fake",
        tuple(_sliced(spec, f"bpcer@{point}", "source=")),
        spec.operating_point(point).bpcer_budget,
    )


def misses_by_generator(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes called real, by what made them (APCER)."""
    return Figure(
        "Misses, by what made the fakes",
        "Fakes of the tests that were called real at this setting, pictures as they were. Fakes "
        "that were left unsure are not in it.",
        "fakes called real",
        tuple(_sliced(spec, f"apcer@{point}", "generator=")),
    )


def caught_by_generator(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes called fake, by what made them."""
    return Figure(
        "Caught, by what made the fakes",
        "Fakes of the tests that were called fake at this setting, pictures as they were.",
        "fakes called fake",
        tuple(_sliced(spec, f"recall@{point}", "generator=")),
    )


def false_alarms_by_condition(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of real faces called fake, by how their pictures were worn."""
    return Figure(
        "False alarms, when the pictures are saved again or made smaller",
        "The same real faces, their pictures worn in several ways before they were judged.",
        "real faces called fake",
        tuple(_worn(spec, f"bpcer@{point}")),
        spec.operating_point(point).bpcer_budget,
    )


def caught_by_condition(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes called fake, by how their pictures were worn."""
    return Figure(
        "Caught, when the pictures are saved again or made smaller",
        "The same fakes, their pictures worn in several ways before they were judged.",
        "fakes called fake",
        tuple(_worn(spec, f"recall@{point}")),
    )


#: The figures in the order of the page.
FIGURES: tuple[Callable[[DetectorSpec, str], Figure], ...] = (
    false_alarms_by_source,
    false_alarms_by_condition,
    caught_by_generator,
    misses_by_generator,
    caught_by_condition,
)


def _sliced(spec: DetectorSpec, metric: str, kind: str) -> Iterator[Bar]:
    for name in named(spec, kind):
        if found := measured(spec, metric, slice_=f"{kind}{name}"):
            yield Bar(name, found)


def _worn(spec: DetectorSpec, metric: str) -> Iterator[Bar]:
    for condition in conditions(spec):
        if found := measured(spec, metric, condition=condition):
            yield Bar(condition_words(condition), found)


def _percent(share: float) -> str:
    """Return a share as a percentage.

    >>> _percent(0.0041)
    '0.4 %'
    """
    return f"{100 * share:.1f} %"
