"""An update in words and tables: what was learned, what was lost, and what the gate said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from faceproof.evaluation.gate import Gate, Learned, Regression, Update
from faceproof.evaluation.paired import Change
from faceproof.reports.markup import NUMBERS, environment, listing, plain, section, table

HEAD = ("faces", "metric", "n", "groups", "old", "new", "change [95 %]")
"""The head of a table of changes; `cells` makes its rows."""

DATA_HEAD = ("pictures", "manifest", "train fakes", "train", "validation", "calibration", "test")

UNTESTED = "Not read: what is tried again after seeing test figures would have been chosen on them."


def update_page(update: Update) -> str:
    """Return the HTML of an update: one page, nothing is fetched."""
    names = {"head": HEAD, "data_head": DATA_HEAD, "untested": UNTESTED}
    page: str = (
        environment(filters={"cells": cells}, names=names)
        .get_template("update.html")
        .render(
            page=update,
            verdict=verdict(update.gate),
            rule=rule(update.gate),
            drawn=_drawn(update),
            feedback=feedback(update),
            guarded=[(one.change, one.outcome) for one in update.gate.guarded],
            others=[(change, "-") for change in update.gate.others],
            tested=[(change, "-") for change in update.tested],
            data=_data(update),
        )
    )
    return page


def update_markdown(update: Update) -> str:
    """Return the report of an update as Markdown."""
    said = "accepted" if update.accepted else "REFUSED"
    old, made = f"{update.old.name} {update.old.version}", update.candidate.version
    cautions = listing(f"**Caution:** {plain(caution)}" for caution in update.gate.cautions)
    guarded = [(*map(plain, cells(one.change)), one.outcome) for one in update.gate.guarded]
    data = [tuple(map(plain, row)) for row in _data(update)]
    parts = [
        f"# {plain(old)} to {plain(made)}: {said}",
        plain(verdict(update.gate)),
        cautions,
        section(
            "What the gate looked at", plain(rule(update.gate)), table((*HEAD, "gate"), guarded)
        ),
        section("What else changed", _changes(update.gate.others)),
        section("Test", _changes(update.tested) if update.accepted else UNTESTED),
        section("Feedback", plain(feedback(update))) if update.feedback else "",
        section("Data", table(DATA_HEAD, data), f"{update.steps:,} steps; {_drawn(update)}."),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict(gate: Gate) -> str:
    """Return in one sentence what the gate decided, and why."""
    if gate.accepted:
        unclear = len(gate.of("cannot tell"))
        held = f"{len(gate.of('held'))} of {len(gate.guarded)} guarded figures held"
        rest = f"; for {unclear} the faces are too few to tell" if unclear else ""
        return (
            f"Nothing guarded was seen to lose more than {points(gate.rule.margin)}: {held}{rest}."
        )
    bad = [*gate.of("lost"), *(gate.of("cannot tell") if gate.rule.strict else ())]
    said = "; ".join(
        f"{change.slice} {change.metric} from {share(change, change.old)} to "
        f"{share(change, change.new)} (n {change.n:,})"
        for change in bad
    )
    return f"More than {points(gate.rule.margin)} was lost or may be: {said}."


def rule(gate: Gate) -> str:
    """Return by what rule the gate decided, on which faces."""
    unclear = "is refused as well" if gate.rule.strict else "is told and accepted"
    return (
        f"On the {gate.split} split, which chose nothing, each detector at its own operating point "
        f"({gate.old_point.name}, {gate.new_point.name}). What may be lost: "
        f"{points(gate.rule.margin)}; what cannot be told {unclear}."
    )


def feedback(update: Update) -> str:
    """Return what became of feedback, nothing where none was asked."""
    told = update.feedback
    if told is None:
        return ""
    named = f": {', '.join(told.newly_wrong_names)}" if told.newly_wrong_names else ""
    return (
        f"{told.name}: {left_out(told)}. Wrong were {told.wrong_before:,} before and are "
        f"{told.wrong_after:,} now; judged rightly before and wrongly now: "
        f"{told.newly_wrong:,}{named}. These pictures were neither learned from nor chosen on. "
        f"They are no sample: somebody complained of each. The update is refused when, of the real "
        f"or of the fake ones, more than {points(update.gate.rule.feedback_margin)} are wrong now "
        "that were not before, those put right counted against it."
    )


def left_out(told: Regression) -> str:
    """Return how much feedback was judged, and why the rest was not."""
    why = {
        "told before": told.repeated,
        "called real by one and fake by another": told.contradicted,
        "without saying which of several faces": told.unclear,
        "whose picture was not found": told.not_found,
        "on pictures that are among those of the update, or nearly": told.known,
        "in which not both detectors found a face, or that cannot be read": told.not_judged,
    }
    said = [f"{count:,} {reason}" for reason, count in why.items() if count]
    return "; left out: ".join(
        [f"{told.judged:,} of {told.told:,} judged", *([", ".join(said)] if said else [])]
    )


def points(margin: float) -> str:
    """Return a margin in words.

    >>> points(0.02), points(0.01)
    ('2 percentage points', '1 percentage point')
    """
    return f"{100 * margin:g} percentage point{'' if margin == 0.01 else 's'}"


def share(change: Change, value: float) -> str:
    """Return a figure of a change, a share as a percentage.

    >>> told = {"n": 9, "groups": 9, "old": 0.5, "new": 0.5, "change": 0, "low": 0, "high": 0}
    >>> share(Change(metric="recall", **told), 0.5), share(Change(metric="roc_auc", **told), 0.5)
    ('50.0 %', '0.500')
    """
    return f"{value:.3f}" if change.metric in NUMBERS else f"{100 * value:.1f} %"


def difference(change: Change) -> str:
    """Return the change with its interval, of a share in percentage points.

    >>> told = {"n": 9, "groups": 9, "old": 0.5, "new": 0.48, "change": -0.02}
    >>> difference(Change(metric="recall", low=-0.05, high=0.01, **told))
    '-2.0 [-5.0, +1.0]'
    """
    numbers = (change.change, change.low, change.high)
    if change.metric in NUMBERS:
        middle, low, high = (f"{number:+.3f}" for number in numbers)
    else:
        middle, low, high = (f"{100 * number:+.1f}" for number in numbers)
    return f"{middle} [{low}, {high}]"


def cells(change: Change) -> tuple[str, ...]:
    """Return the cells of a change's row, as `HEAD` names them."""
    where = "" if change.condition == "clean" else f" as {change.condition}"
    return (
        f"{change.slice}{where}",
        change.metric,
        f"{change.n:,}",
        f"{change.groups:,}",
        share(change, change.old),
        share(change, change.new),
        difference(change),
    )


def _changes(changes: Iterable[Change]) -> str:
    return table(HEAD, [tuple(map(plain, cells(change))) for change in changes])


def _data(update: Update) -> list[Sequence[str]]:
    """Return the rows of the table of both sets, as `DATA_HEAD` names them."""
    rows: list[Sequence[str]] = [("new", *_row(update.new_data))]
    return [*rows, ("old", *_row(update.replay))] if update.replay else rows


def _row(learned: Learned) -> Sequence[str]:
    fakes = ", ".join(f"{count:,} {name}" for name, count in learned.training_fakes.items())
    counts = (
        f"{learned.rows.get(split, 0):,}"
        for split in ("train", "validation", "calibration", "test")
    )
    return (learned.name, fakes or "none", *counts)


def _drawn(update: Update) -> str:
    if not update.replay_share:
        return "no old picture was learned from"
    return f"{100 * update.replay_share:.0f} % of the fakes drawn were old ones"
