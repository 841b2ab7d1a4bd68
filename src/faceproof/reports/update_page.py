"""`update_page` and `update_markdown`: the report of an update and of its gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from faceproof.evaluation.gate import DataSetSummary, Gate, Regression, Update
from faceproof.evaluation.paired import Change
from faceproof.reports.markup import (
    NUMBERS,
    escape_markdown,
    listing,
    make_environment,
    section,
    table,
)

HEAD = ("faces", "metric", "n", "groups", "old", "new", "change [95 %]")
"""The header of a table of changes; `change_cells` returns its rows."""

_DATA_HEAD = ("pictures", "manifest", "train fakes", "train", "validation", "calibration", "test")

_UNTESTED = "Not read, because a retry after seeing test figures would be selected on them."


def update_page(update: Update) -> str:
    """Return the HTML of an update as one self-contained page."""
    names = {"head": HEAD, "data_head": _DATA_HEAD, "untested": _UNTESTED}
    page: str = (
        make_environment(filters={"cells": change_cells}, names=names)
        .get_template("update.html")
        .render(
            page=update,
            verdict=verdict(update.gate),
            rule=_describe_rule(update.gate),
            drawn=_describe_draws(update),
            feedback=_describe_feedback(update),
            guarded=[(one.change, one.outcome) for one in update.gate.guarded],
            others=[(change, "-") for change in update.gate.others],
            tested=[(change, "-") for change in update.tested],
            data=_data(update),
        )
    )
    return page


def update_markdown(update: Update) -> str:
    """Return the report of an update as Markdown."""
    decision = "accepted" if update.accepted else "REFUSED"
    old, made = f"{update.old.name} {update.old.version}", update.candidate.version
    cautions = listing(
        f"**Caution:** {escape_markdown(caution)}" for caution in update.gate.cautions
    )
    guarded = [
        (*map(escape_markdown, change_cells(one.change)), one.outcome)
        for one in update.gate.guarded
    ]
    data = [tuple(map(escape_markdown, row)) for row in _data(update)]
    parts = [
        f"# {escape_markdown(old)} to {escape_markdown(made)}: {decision}",
        escape_markdown(verdict(update.gate)),
        cautions,
        section(
            "Changes that the gate checked",
            escape_markdown(_describe_rule(update.gate)),
            table((*HEAD, "gate"), guarded),
        ),
        section("Other changes", _changes(update.gate.others)),
        section("Test", _changes(update.tested) if update.accepted else _UNTESTED),
        section("Feedback", escape_markdown(_describe_feedback(update))) if update.feedback else "",
        section(
            "Data", table(_DATA_HEAD, data), f"{update.steps:,} steps; {_describe_draws(update)}."
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict(gate: Gate) -> str:
    """Return one sentence with the gate's decision and its reason."""
    if gate.accepted:
        unclear = len(gate.with_outcome("cannot tell"))
        held = f"{len(gate.with_outcome('held'))} of {len(gate.guarded)} checked figures held"
        rest = f"; {unclear} undecided, with too few faces" if unclear else ""
        margin = _percentage_points(gate.rule.margin)
        return f"No checked figure lost more than {margin}: {held}{rest}."
    bad = [
        *gate.with_outcome("lost"),
        *(gate.with_outcome("cannot tell") if gate.rule.strict else ()),
    ]
    reasons = "; ".join(
        f"{change.slice} {change.metric} from {format_value(change, change.old)} to "
        f"{format_value(change, change.new)} (n {change.n:,})"
        for change in bad
    )
    return (
        f"A loss of more than {_percentage_points(gate.rule.margin)} was found or is possible: "
        f"{reasons}."
    )


def _describe_rule(gate: Gate) -> str:
    """Return the gate's rule and the faces that it used."""
    unclear = "are rejected too" if gate.rule.strict else "are reported and accepted"
    return (
        f"On the {gate.split} split, which selected nothing, each detector at its own operating "
        f"point ({gate.old_point.name}, {gate.new_point.name}). Allowed loss: "
        f"{_percentage_points(gate.rule.margin)}; undecided changes {unclear}."
    )


def _describe_feedback(update: Update) -> str:
    """Return the outcome on feedback, an empty string without feedback."""
    regression = update.feedback
    if regression is None:
        return ""
    named = f": {', '.join(regression.newly_wrong_names)}" if regression.newly_wrong_names else ""
    return (
        f"{regression.name}: {_describe_excluded(regression)}. Wrong before: "
        f"{regression.wrong_before:,}; wrong now: "
        f"{regression.wrong_after:,}; right before and wrong now: "
        f"{regression.newly_wrong:,}{named}. These pictures were used neither for training nor for "
        f"selection. They are not a sample: each is a reported mistake. The update is refused if "
        "the net increase of wrong verdicts exceeds "
        f"{_percentage_points(update.gate.rule.feedback_margin)} "
        "of the real or of the fake pictures."
    )


def _describe_excluded(regression: Regression) -> str:
    """Return the number of judged feedback entries, and of those excluded for each reason."""
    why = {
        "told before": regression.repeated,
        "reported as both real and fake": regression.contradicted,
        "without a face index among several faces": regression.unclear,
        "without a local picture": regression.not_found,
        "on pictures of the update or near-duplicates of them": regression.known,
        "without a face for both detectors, or unreadable": regression.not_judged,
    }
    parts = [f"{count:,} {reason}" for reason, count in why.items() if count]
    return "; excluded: ".join(
        [
            f"{regression.judged:,} of {regression.told:,} judged",
            *([", ".join(parts)] if parts else []),
        ]
    )


def _percentage_points(margin: float) -> str:
    """Return a margin in percentage points, as text.

    >>> _percentage_points(0.02), _percentage_points(0.01)
    ('2 percentage points', '1 percentage point')
    """
    return f"{100 * margin:g} percentage point{'' if margin == 0.01 else 's'}"


def format_value(change: Change, value: float) -> str:
    """Return a value of a change, a share as a percentage.

    >>> told = {"n": 9, "groups": 9, "old": 0.5, "new": 0.5, "change": 0, "low": 0, "high": 0}
    >>> format_value(Change(metric="recall", **told), 0.5), format_value(
    ...     Change(metric="roc_auc", **told), 0.5
    ... )
    ('50.0 %', '0.500')
    """
    return f"{value:.3f}" if change.metric in NUMBERS else f"{100 * value:.1f} %"


def format_difference(change: Change) -> str:
    """Return the change with its interval, for a share in percentage points.

    >>> told = {"n": 9, "groups": 9, "old": 0.5, "new": 0.48, "change": -0.02}
    >>> format_difference(Change(metric="recall", low=-0.05, high=0.01, **told))
    '-2.0 [-5.0, +1.0]'
    """
    numbers = (change.change, change.low, change.high)
    if change.metric in NUMBERS:
        middle, low, high = (f"{number:+.3f}" for number in numbers)
    else:
        middle, low, high = (f"{100 * number:+.1f}" for number in numbers)
    return f"{middle} [{low}, {high}]"


def change_cells(change: Change) -> tuple[str, ...]:
    """Return the cells of a change's row, in the order of `HEAD`."""
    where = "" if change.condition == "clean" else f" as {change.condition}"
    return (
        f"{change.slice}{where}",
        change.metric,
        f"{change.n:,}",
        f"{change.groups:,}",
        format_value(change, change.old),
        format_value(change, change.new),
        format_difference(change),
    )


def _changes(changes: Iterable[Change]) -> str:
    return table(HEAD, [tuple(map(escape_markdown, change_cells(change))) for change in changes])


def _data(update: Update) -> list[Sequence[str]]:
    """Return the rows of the table of both data sets, in the order of `_DATA_HEAD`."""
    rows: list[Sequence[str]] = [("new", *_row(update.new_data))]
    return [*rows, ("old", *_row(update.replay))] if update.replay else rows


def _row(learned: DataSetSummary) -> Sequence[str]:
    fakes = ", ".join(f"{count:,} {name}" for name, count in learned.training_fakes.items())
    counts = (
        f"{learned.rows.get(split, 0):,}"
        for split in ("train", "validation", "calibration", "test")
    )
    return (learned.name, fakes or "none", *counts)


def _describe_draws(update: Update) -> str:
    if not update.replay_share:
        return "no old pictures were used for training"
    return f"{100 * update.replay_share:.0f} % of the fakes drawn were old ones"
