"""`decide` decides whether a new detector may replace an old one.

The gate checks the recall of each old generator and the BPCER of each source of real faces. The
rule is that of a non-inferiority trial: the allowed loss is fixed in advance, and the interval of
the change shows whether n is large enough to decide.

The rule for feedback is simpler, as its pictures are not a sample: each is a reported mistake. The
gate counts the wrong verdicts on them, and limits the increase by a margin of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pydantic import Field

from faceproof.detector.spec import OperatingPoint, Sha256, Text
from faceproof.evaluation.evaluation_record import DetectorRef
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.paired import Change, Pair, PairThresholds, error_changes, find_changes
from faceproof.records import Document, Record

_MARGIN = 0.02
"""Allowed loss of an old generator's recall or a real source's specificity: 2 of 100 faces."""

FEEDBACK = "source=feedback"
"""The slice of feedback among the checked changes."""

_ROUNDING = 1e-9

Outcome = Literal["held", "lost", "cannot tell"]


class GateRule(Record):
    """The allowed loss, as a share, and whether an undecided change is rejected.

    ``feedback_margin`` is the share of feedback pictures, real or fake, that may be wrong in
    addition to those that the old detector gets wrong.
    """

    margin: float = Field(
        default=_MARGIN, gt=0, lt=1, description="Largest loss that is allowed, as a share."
    )
    strict: bool = Field(
        default=False, description="Whether a change that cannot be decided is a reason to reject."
    )
    feedback_margin: float = Field(
        default=_MARGIN,
        ge=0,
        lt=1,
        description="Share of feedback pictures that may be wrong in addition.",
    )


class GuardedChange(Record):
    """A change that the gate checked, and its outcome."""

    change: Change = Field(description="The change.")
    outcome: Outcome = Field(description="Held, lost, or too few faces to tell.")


class Gate(Record):
    """The gate's decision, with data, operating points and reasons."""

    rule: GateRule = Field(description="The loss that is allowed.")
    data_sha256: Sha256 = Field(description="SHA-256 of the data that decided.")
    split: str = Field(description="Split that decided.")
    old_point: OperatingPoint = Field(description="Operating point of the old detector.")
    new_point: OperatingPoint = Field(description="Operating point of the candidate.")
    not_judged: int = Field(ge=0, description="Number of pictures that were not judged by both.")
    guarded: tuple[GuardedChange, ...] = Field(
        description="Changes that decide, each with its outcome."
    )
    others: tuple[Change, ...] = Field(
        description="Changes without effect: overall, new generators, every ROC-AUC."
    )
    cautions: tuple[str, ...] = Field(default=(), description="Warnings about the decision.")
    accepted: bool = Field(description="Whether the candidate may replace the old detector.")

    def with_outcome(self, outcome: Outcome) -> tuple[Change, ...]:
        """Return the checked changes with this outcome, greatest loss first."""
        found = [one.change for one in self.guarded if one.outcome == outcome]
        return tuple(sorted(found, key=lambda change: change.losses, reverse=True))


def decide(
    pair: Pair,
    old_point: OperatingPoint,
    new_point: OperatingPoint,
    rule: GateRule,
    *,
    old_generators: Collection[str],
    data_sha256: str,
    split: str,
    feedback: Pair | None = None,
    cautions: Sequence[str] = (),
    number: int = RESAMPLES,
    seed: int = 0,
) -> Gate:
    """Return the decision on whether the new detector may replace the old one.

    Rejected if any checked change is a loss; under a strict rule also if one is undecided.
    """
    at = both_thresholds(old_point, new_point)
    found = find_changes(pair, at, number=number, seed=seed)
    names = {f"generator={generator}" for generator in old_generators}
    guarded = tuple(
        GuardedChange(change=change, outcome=classify_change(change, rule.margin))
        for change in found
        if _is_guarded(change, names)
    )
    feedback_changes = () if feedback is None else tuple(_guard_feedback(feedback, at, rule))
    bad = {"lost", "cannot tell"} if rule.strict else {"lost"}
    return Gate(
        rule=rule,
        data_sha256=data_sha256,
        split=split,
        old_point=old_point,
        new_point=new_point,
        not_judged=pair.not_judged,
        guarded=(*guarded, *feedback_changes),
        others=tuple(change for change in found if not _is_guarded(change, names)),
        cautions=(*cautions, *_cautions(found, guarded, names, pair.not_judged)),
        accepted=not any(one.outcome in bad for one in (*guarded, *feedback_changes)),
    )


def classify_change(change: Change, margin: float) -> Outcome:
    """Return the outcome of a checked change.

    ``lost``: the loss exceeds the margin. If a single face is more than the margin, the whole
    interval must exceed it. ``held``: the interval excludes such a loss. Otherwise the faces are
    too few to decide.
    """
    loss, least, most = change.losses
    one_face_decides = 1 / change.n > margin + _ROUNDING
    if (least if one_face_decides else loss) > margin + _ROUNDING:
        return "lost"
    return "held" if most <= margin + _ROUNDING else "cannot tell"


def _classify_feedback_change(change: Change, margin: float) -> Outcome:
    """Return the outcome of feedback of one class: ``lost`` if too many more are wrong."""
    loss, _, _ = change.losses
    return "lost" if loss > margin + _ROUNDING else "held"


def both_thresholds(old: OperatingPoint, new: OperatingPoint) -> PairThresholds:
    """Return the thresholds of two operating points."""
    return PairThresholds(
        Thresholds(old.real_below, old.fake_from), Thresholds(new.real_below, new.fake_from)
    )


def _guard_feedback(pair: Pair, at: PairThresholds, rule: GateRule) -> Iterable[GuardedChange]:
    for change in error_changes(pair, at, name=FEEDBACK):
        yield GuardedChange(
            change=change, outcome=_classify_feedback_change(change, rule.feedback_margin)
        )


def _is_guarded(change: Change, generators: Collection[str]) -> bool:
    if change.metric == "bpcer":
        return change.slice != "all"
    return change.metric == "recall" and change.slice in generators


def _cautions(
    found: Iterable[Change],
    guarded: Sequence[GuardedChange],
    names: Collection[str],
    not_judged: int,
) -> Iterable[str]:
    """Yield warnings about the decision."""
    measured = {one.change.slice for one in guarded}
    for name in sorted(set(names) - measured):
        yield (
            f"{name.partition('=')[2]}: none of its fakes was judged, so forgetting cannot be "
            "ruled out"
        )
    if not any(one.startswith("generator=") for one in measured):
        yield "no old generator was measured, so forgetting cannot be ruled out"
    for change in found:
        new = change.slice.startswith("generator=") and change.slice not in names
        if new and change.metric == "recall" and change.change <= 0:
            yield (
                f"{change.slice.partition('=')[2]}: recall of the new fakes did not rise; "
                "the update has no effect at this operating point"
            )
    if not_judged:
        yield f"{not_judged} pictures were not judged by both detectors and are excluded"


class DataSetSummary(Record):
    """A data set of an update: its manifest, rows by split, and fakes for training."""

    name: Text = Field(description="Name of the manifest.")
    data_sha256: Sha256 = Field(description="SHA-256 of the data.")
    rows: dict[str, int] = Field(description="Number of rows by split.")
    training_fakes: dict[str, int] = Field(
        description="Number of fakes for training, by generator."
    )


class Regression(Record):
    """Feedback in an update: number of entries, exclusions and outcome.

    Feedback is used neither for training nor for selection; it can only reject a candidate. Wrong
    is a real face called fake, or a fake one not called fake, at each detector's own thresholds.
    """

    name: Text = Field(description="Name of the feedback.")
    data_sha256: Sha256 = Field(description="SHA-256 of the feedback.")
    told: int = Field(ge=0, description="Number of entries.")
    repeated: int = Field(ge=0, description="Entries that repeat another one.")
    contradicted: int = Field(
        ge=0, description="Entries on faces that were reported as real and as fake."
    )
    unclear: int = Field(ge=0, description="Entries that do not say which face they are of.")
    not_found: int = Field(ge=0, description="Entries whose picture is not in the folder.")
    known: int = Field(
        ge=0, description="Entries on pictures that the training of the update used."
    )
    judged: int = Field(ge=0, description="Cases that both detectors judged.")
    wrong_before: int = Field(ge=0, description="Cases that the old detector gets wrong.")
    wrong_after: int = Field(ge=0, description="Cases that the candidate gets wrong.")
    newly_wrong: int = Field(ge=0, description="Cases that only the candidate gets wrong.")
    newly_wrong_names: tuple[Text, ...] = Field(
        default=(), description="The first of them, by path; # and a number select one face."
    )

    @property
    def not_judged(self) -> int:
        """Number of cases without a face or with an unreadable picture."""
        left_out = self.repeated + self.contradicted + self.unclear + self.not_found + self.known
        return self.told - left_out - self.judged


class Update(Document):
    """One update, written as ``update.json``.

    ``tested`` compares both detectors on the test split. A rejected candidate has none, because a
    retry after seeing test figures would be selected on them.
    """

    schema_: Literal["faceproof.update/1"] = Field(
        default="faceproof.update/1", alias="schema", description="Name and version of this format."
    )
    old: DetectorRef = Field(description="The detector that was updated.")
    candidate: DetectorRef = Field(description="The detector that the update made.")
    new_data: DataSetSummary = Field(description="The new pictures.")
    replay: DataSetSummary | None = Field(
        description="The old pictures; null where there were none."
    )
    replay_share: float = Field(
        ge=0, lt=1, description="Share of old fakes among the fakes drawn in training."
    )
    steps: int = Field(ge=1, description="Number of training steps.")
    gate: Gate = Field(description="The decision, with its reasons.")
    feedback: Regression | None = Field(
        default=None, description="Outcome on feedback; null where none was given."
    )
    tested: tuple[Change, ...] = Field(
        default=(),
        description="Both detectors on the test split; empty if the candidate was rejected.",
    )

    @property
    def accepted(self) -> bool:
        """Whether the candidate may replace the old detector."""
        return self.gate.accepted
