"""The Record of a shortcut probe's result, and its severity."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from faceproof.records import Record

Severity = Literal["none", "unsure", "note", "warning", "severe"]

#: A family or feature is guilty if the lower end of its own AUC is above this.
GUILTY_FROM = 0.55

#: The lower end of the AUC from which a severity applies, worst first, and its meaning.
SEVERITIES: tuple[tuple[float, Severity, str], ...] = (
    (0.75, "severe", "a detector can cheat with this: it need not look at a face to score well"),
    (0.60, "warning", "a part of what a detector learns from this set may be the file, not a face"),
    (GUILTY_FROM, "note", "a weak shortcut: a detector must do clearly better than this"),
)
_UNSURE = "too few pictures to tell: the interval reaches from harmless to severe"
_NONE = "no shortcut of any use was found among what was measured"


class ScoredResult(Record):
    """How well one input predicts the label: ROC-AUC with its 95 % interval."""

    auc: float = Field(ge=0, le=1, description="ROC-AUC on held-out rows.")
    low: float = Field(ge=0, le=1, description="Lower end of its 95 % interval.")
    high: float = Field(ge=0, le=1, description="Upper end of its 95 % interval.")


class FamilyResult(ScoredResult):
    """The prediction of one family of features on its own; ``features`` are those that vary."""

    name: str = Field(description="Name of the family of features.")
    features: int = Field(description="Number of its features that vary.")


class GuiltyFeature(ScoredResult):
    """A feature that separates the classes on its own, with a description.

    ``importance`` is the loss of AUC of the probe of all features when this one is shuffled; it is
    small if other features are correlated. ``feature`` is "" if a family predicts the label, but
    none of its features does on its own.
    """

    feature: str = Field(
        description="Name of the feature; empty if only the family predicts the label."
    )
    family: str = Field(description="Its family.")
    importance: float = Field(description="Loss of the probe's AUC when this feature is shuffled.")
    says: str = Field(description="What it means, in a sentence.")


class ProbeResult(ScoredResult):
    """How well files and frames, without the faces, predict the label.

    ``families`` and ``guilty`` are sorted by strength. ``floor`` is the prediction of five trivial
    statistics after a common re-encoding. ``unreadable`` counts the excluded files, by code.
    """

    n_real: int = Field(description="Number of real rows.")
    n_fake: int = Field(description="Number of fake rows.")
    groups: int = Field(description="Number of groups that the folds keep together.")
    folds: int = Field(description="Number of folds of the cross-validation.")
    seed: int = Field(description="Random seed of folds and bootstrap.")
    families: tuple[FamilyResult, ...] = Field(
        description="Each family of features on its own, the strongest first."
    )
    guilty: tuple[GuiltyFeature, ...] = Field(
        description="Features that separate the classes alone, the strongest first."
    )
    floor: FamilyResult | None = Field(
        default=None,
        description="Five trivial statistics after a common re-encoding; null if not measured.",
    )
    unreadable: dict[str, int] = Field(
        default_factory=dict, description="Number of excluded files by error code."
    )

    @property
    def severity(self) -> Severity:
        """The severity, by the lower end of the interval: see `SEVERITIES`."""
        return severity(self)[0]

    @property
    def says(self) -> str:
        """The meaning of the severity, in a sentence."""
        return severity(self)[1]


def severity(scored: ScoredResult) -> tuple[Severity, str]:
    """Return the severity of an AUC by the lower end of its interval, and its meaning.

    >>> severity(ScoredResult(auc=0.9, low=0.85, high=0.95))[0]
    'severe'
    >>> severity(ScoredResult(auc=0.6, low=0.4, high=0.8))[0]
    'unsure'
    """
    for from_, name, meaning in SEVERITIES:
        if scored.low >= from_:
            return name, meaning
    worst = SEVERITIES[0][0]
    return ("unsure", _UNSURE) if scored.high >= worst else ("none", _NONE)
