"""From a probability to a verdict: two thresholds and the promise they were chosen for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from faceproof.detector.findings import Sha256, Text
from faceproof.records import Grown, Record

Verdict = Literal["real", "fake", "unsure"]
Probability = Annotated[float, Field(ge=0, le=1)]


class ChosenOn(Grown):
    """The data that thresholds were chosen on; never the test split."""

    LATER = frozenset({"groups"})
    data_sha256: Sha256
    split: Literal["calibration", "validation"] = "calibration"
    n: int = Field(ge=1)
    groups: int | None = Field(default=None, ge=1)
    """Of how many groups the faces are, None where it was not said."""


class OperatingPoint(Grown):
    """Two thresholds, the promise in words, its budget and the data behind it.

    ``bpcer_budget`` is the promised share of real faces called fake (BPCER in the sense
    of ISO/IEC 30107-3), or None where the promise is of another kind; ``apcer_budget`` that of
    fakes called real. ``basis`` says in what sense the promise holds for new faces.
    """

    LATER = frozenset({"apcer_budget", "basis"})
    name: Text
    real_below: Probability
    fake_from: Probability
    promise: Text
    bpcer_budget: Probability | None = None
    apcer_budget: Probability | None = None
    basis: Text | None = None
    chosen_on: ChosenOn

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> Self:
        if self.real_below > self.fake_from:
            raise ValueError(f"real_below {self.real_below} is above fake_from {self.fake_from}")
        return self


class Unsupported(Record):
    """A promise that the calibration split cannot support, and what it would take."""

    name: Text
    bpcer_budget: Probability
    reason: Text


def decide(fake_probability: float, point: OperatingPoint) -> Verdict:
    """Return fake from the upper threshold on, real below the lower one, else unsure.

    Raises:
        ValueError: the number is no probability.
    """
    if not 0.0 <= fake_probability <= 1.0:
        raise ValueError(f"{fake_probability} is not a probability")
    if fake_probability >= point.fake_from:
        return "fake"
    return "real" if fake_probability < point.real_below else "unsure"


def picture_probability(face_probabilities: Sequence[float]) -> float | None:
    """Return the picture's probability of fake, that of its most fake face; None without a face.

    >>> picture_probability([0.1, 0.9, 0.3])
    0.9
    >>> picture_probability([]) is None
    True

    Raises:
        ValueError: one of the numbers is not a number.
    """
    if any(math.isnan(p) for p in face_probabilities):
        raise ValueError("a face's probability is not a number")
    return max(face_probabilities, default=None)
