"""The gate: may a detector take the place of another, or does it lose what that could do.

The share of fakes caught is guarded for each old generator, the share of real faces called fake for
each source of real faces. The rule is that of a non-inferiority trial: what is allowed to be lost
is stated before, and the interval of the change says whether n is large enough to tell.

Feedback is guarded more simply. Those pictures are no sample of anything: each is one that somebody
complained of. They are counted, and the count may not grow beyond its own margin.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pydantic import Field

from faceproof.detector.spec import OperatingPoint, Sha256, Text
from faceproof.evaluation.evaluate import Judged
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.paired import Change, Pair, Points, changes, error_changes
from faceproof.records import Document, Record

MARGIN = 0.02
"""What an old generator's recall or a real source's specificity may lose: 2 of 100 faces."""

FEEDBACK = "source=feedback"
"""The slice under which feedback stands among what is guarded."""

_ROUNDING = 1e-9

Outcome = Literal["held", "lost", "cannot tell"]


class Rule(Record):
    """What may be lost, as a share, and whether what cannot be told is refused as well.

    ``feedback_margin`` is the share of the pictures of feedback, real or fake, that may be judged
    wrongly beyond those that the old detector judges wrongly.
    """

    margin: float = Field(default=MARGIN, gt=0, lt=1)
    strict: bool = False
    feedback_margin: float = Field(default=MARGIN, ge=0, lt=1)


class Guarded(Record):
    """A change that the gate looked at, and what it found."""

    change: Change
    outcome: Outcome


class Gate(Record):
    """What the gate decided, on which data, at which operating points, and why."""

    rule: Rule
    data_sha256: Sha256
    split: str
    old_point: OperatingPoint
    new_point: OperatingPoint
    not_judged: int = Field(ge=0)
    guarded: tuple[Guarded, ...]
    others: tuple[Change, ...]
    """Changes that decide nothing: of all, of new generators, of every ROC-AUC."""
    cautions: tuple[str, ...] = ()
    accepted: bool

    def of(self, outcome: Outcome) -> tuple[Change, ...]:
        """Return the guarded changes with this outcome, the greatest loss first."""
        found = [one.change for one in self.guarded if one.outcome == outcome]
        return tuple(sorted(found, key=lambda change: change.losses, reverse=True))


def gate(
    pair: Pair,
    old_point: OperatingPoint,
    new_point: OperatingPoint,
    rule: Rule,
    *,
    old_generators: Collection[str],
    data_sha256: str,
    split: str,
    feedback: Pair | None = None,
    cautions: Sequence[str] = (),
    number: int = RESAMPLES,
    seed: int = 0,
) -> Gate:
    """Return whether the new detector may take the old one's place, and what that rests on.

    Refused when anything guarded is lost; where the rule is strict, also when nobody can tell.
    """
    at = points(old_point, new_point)
    found = changes(pair, at, number=number, seed=seed)
    names = {f"generator={generator}" for generator in old_generators}
    guarded = tuple(
        Guarded(change=change, outcome=outcome(change, rule.margin))
        for change in found
        if _is_guarded(change, names)
    )
    told = () if feedback is None else tuple(_of_feedback(feedback, at, rule))
    bad = {"lost", "cannot tell"} if rule.strict else {"lost"}
    return Gate(
        rule=rule,
        data_sha256=data_sha256,
        split=split,
        old_point=old_point,
        new_point=new_point,
        not_judged=pair.not_judged,
        guarded=(*guarded, *told),
        others=tuple(change for change in found if not _is_guarded(change, names)),
        cautions=(*cautions, *_cautions(found, guarded, names, pair.not_judged)),
        accepted=not any(one.outcome in bad for one in (*guarded, *told)),
    )


def outcome(change: Change, margin: float) -> Outcome:
    """Return what became of a guarded figure.

    ``lost``: more than the margin is gone. With so few faces that a single one is more than the
    margin, one face decides nothing: there the whole interval must lie beyond it. ``held``: the
    interval leaves no room for such a loss. Anything else nobody can tell from these faces.
    """
    loss, least, most = change.losses
    one_face_decides = 1 / change.n > margin + _ROUNDING
    if (least if one_face_decides else loss) > margin + _ROUNDING:
        return "lost"
    return "held" if most <= margin + _ROUNDING else "cannot tell"


def feedback_outcome(change: Change, margin: float) -> Outcome:
    """Return what became of feedback of one class: ``lost`` when too many more are wrong now."""
    loss, _, _ = change.losses
    return "lost" if loss > margin + _ROUNDING else "held"


def points(old: OperatingPoint, new: OperatingPoint) -> Points:
    """Return the thresholds of two operating points."""
    return Points(
        Thresholds(old.real_below, old.fake_from), Thresholds(new.real_below, new.fake_from)
    )


def _of_feedback(pair: Pair, at: Points, rule: Rule) -> Iterable[Guarded]:
    for change in error_changes(pair, at, name=FEEDBACK):
        yield Guarded(change=change, outcome=feedback_outcome(change, rule.feedback_margin))


def _is_guarded(change: Change, generators: Collection[str]) -> bool:
    if change.metric == "bpcer":
        return change.slice != "all"
    return change.metric == "recall" and change.slice in generators


def _cautions(
    found: Iterable[Change], guarded: Sequence[Guarded], names: Collection[str], not_judged: int
) -> Iterable[str]:
    """Yield what a reader must know of the decision."""
    measured = {one.change.slice for one in guarded}
    for name in sorted(set(names) - measured):
        yield (
            f"{name.partition('=')[2]}: none of its fakes was judged, so nobody knows whether it "
            "is forgotten"
        )
    if not any(one.startswith("generator=") for one in measured):
        yield "no old generator was measured: whether one is forgotten, nobody knows"
    for change in found:
        new = change.slice.startswith("generator=") and change.slice not in names
        if new and change.metric == "recall" and change.change <= 0:
            yield (
                f"{change.slice.partition('=')[2]}: no more of the new fakes are caught than "
                "before; the update taught nothing that shows at this operating point"
            )
    if not_judged:
        yield f"{not_judged} pictures were not judged by both detectors and are in no figure"


class Learned(Record):
    """A set of pictures: its manifest, its rows in each split, and its fakes to train on."""

    name: Text
    data_sha256: Sha256
    rows: dict[str, int]
    training_fakes: dict[str, int]
    """Training pictures of each generator."""


class Regression(Record):
    """Feedback in an update: how much was told, what was left out and why, and what it came to.

    It was neither learned from nor chosen on; it can refuse a candidate, and nothing else. Wrong
    is a real face called fake, or a fake one that is not, each detector at its own thresholds.
    """

    name: Text
    data_sha256: Sha256
    told: int = Field(ge=0)
    repeated: int = Field(ge=0)
    contradicted: int = Field(ge=0)
    unclear: int = Field(ge=0)
    not_found: int = Field(ge=0)
    known: int = Field(ge=0)
    judged: int = Field(ge=0)
    wrong_before: int = Field(ge=0)
    wrong_after: int = Field(ge=0)
    newly_wrong: int = Field(ge=0)
    newly_wrong_names: tuple[Text, ...] = ()
    """The first of them, as they lie in the folder of pictures; # and a number is one face."""

    @property
    def not_judged(self) -> int:
        """Cases in which a detector found no face, or that cannot be read."""
        left_out = self.repeated + self.contradicted + self.unclear + self.not_found + self.known
        return self.told - left_out - self.judged


class Update(Document):
    """One update, written as ``update.json``.

    ``tested`` compares both detectors on the test split. A refused candidate has none: what is
    tried again after seeing test figures would have been chosen on them.
    """

    schema_: Literal["faceproof.update/1"] = Field(default="faceproof.update/1", alias="schema")
    old: Judged
    candidate: Judged
    new_data: Learned
    replay: Learned | None
    replay_share: float = Field(ge=0, lt=1)
    steps: int = Field(ge=1)
    gate: Gate
    feedback: Regression | None = None
    tested: tuple[Change, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the candidate may take the old detector's place."""
        return self.gate.accepted
