"""What a "fake" verdict is worth where fakes are as rare as they are: Bayes' rule."""

from __future__ import annotations

from dataclasses import dataclass

from faceproof.detector import DetectorSpec, Finding
from faceproof.reports.plain_words.budgets import budget
from faceproof.reports.plain_words.shares import number, share

HOW = (
    "By Bayes' rule from the measured shares of fakes caught and of real faces called fake. The "
    "bracket takes both 95 % intervals at their worse ends at once and then at their better ends, "
    "which covers at least 90 %; it holds for faces like those of the test alone."
)
"""How `worth` is computed, for readers."""


@dataclass(frozen=True)
class Worth:
    """The share of "fake" verdicts that are right, with its interval, and the same in words.

    The numbers are None where nothing was measured, or where no "fake" verdict is ever given.
    ``short`` is `text` without its condition, for a table.
    """

    value: float | None
    low: float | None
    high: float | None
    text: str
    short: str


def worth(
    spec: DetectorSpec, point: str | None, base_rate: float, *, condition: str = "clean"
) -> Worth:
    """Return what a "fake" verdict is worth where ``base_rate`` of all faces are fake.

    Raises:
        UnknownChoiceError: there is no such operating point.
        ValueError: the base rate is not in [0, 1].
    """
    if not 0.0 <= base_rate <= 1.0:
        raise ValueError(f"a base rate of {base_rate} is not a share")
    told = budget(spec, point, condition=condition)
    if told.caught is None or told.false_alarms is None:
        text = "What a “fake” verdict is worth was not measured."
        return Worth(None, None, None, text, "not measured")
    if base_rate in {0.0, 1.0}:
        return _certain(base_rate)
    return _between(told.caught, told.false_alarms, base_rate)


def predictive_value(caught: float, false_alarms: float, base_rate: float) -> float | None:
    """Return the share of "fake" verdicts that are right, in [0, 1]; None where none is given.

    >>> predictive_value(0.5, 0.01, 0.01)
    0.33557046979865773
    >>> predictive_value(0.5, 0.0, 0.01), predictive_value(0.0, 0.0, 0.5)
    (1.0, None)
    """
    right, wrong = base_rate * caught, (1 - base_rate) * false_alarms
    return right / (right + wrong) if right + wrong > 0 else None


def rarity_words(base_rate: float) -> str:
    """Return a base rate in words.

    >>> [rarity_words(rate) for rate in (0.01, 0.5, 0.1, 0.35, 0.0005)]
    ['1 in 100', '1 in 2', '1 in 10', '35 in 100', '1 in 2000']
    """
    one_in = _one_in(base_rate)
    return f"1 in {number(one_in)}" if one_in else f"{round(100 * base_rate, 6):g} in 100"


def _one_in(base_rate: float) -> int | None:
    """Return N where the base rate is 1 in N."""
    if base_rate <= 0:
        return None
    one_in = 1 / base_rate
    return round(one_in) if abs(one_in - round(one_in)) < 1e-9 * one_in else None


def _certain(base_rate: float) -> Worth:
    """Return the answer where there is only one class, whatever the detector says."""
    if base_rate == 0:
        return Worth(0.0, 0.0, 0.0, "Where no face is fake, every “fake” verdict is wrong.", "none")
    return Worth(1.0, 1.0, 1.0, "Where every face is fake, every “fake” verdict is right.", "all")


def _between(caught: Finding, alarms: Finding, base_rate: float) -> Worth:
    value = predictive_value(caught.value, alarms.value, base_rate)
    low = predictive_value(caught.low, alarms.high, base_rate)
    high = predictive_value(caught.high, alarms.low, base_rate)
    if value is None or low is None or high is None:
        text = "No “fake” verdict was given in the tests, so that its worth is not known."
        return Worth(value, low, high, text, "not known")
    told = share(value, low, high, base=100)
    few = "is" if _one_in(base_rate) else "are"
    text = (
        f"Where {rarity_words(base_rate)} faces {few} fake, {told.about} {told.of} “fake” verdicts "
        f"are right{told.between}."
    )
    return Worth(value, low, high, text, f"{told.about} {told.of}{told.between}")
