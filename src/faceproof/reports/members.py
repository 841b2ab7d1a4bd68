"""The card's section on members: what each network weighs, and what it does without the others."""

from __future__ import annotations

from collections.abc import Iterator

from faceproof.detector import DetectorSpec, Finding, Member
from faceproof.evaluation.members import CPU_MS, MEMBER
from faceproof.reports.markdown import figure, plain, section, table


def members(spec: DetectorSpec) -> str:
    """Return the section, nothing for a detector of one network that was not combined."""
    labels = _labels(spec)
    if len(spec.members) == 1 and not labels:
        return ""
    return section(
        "Members",
        "The logit is the weighted mean of the members' logits; calibration and thresholds are "
        "those of the mean. Weights were chosen on the calibration split.",
        table(
            ["member", "network", "weight", "normalised to mean; deviation"],
            [_row(spec, member) for member in spec.members],
        ),
        *_beside(spec, labels),
    )


def is_of_a_member(slice_: str) -> bool:
    """Return whether a slice is of a member alone: the tables of the whole leave it out.

    >>> is_of_a_member("member=densenet121"), is_of_a_member("all")
    (True, False)
    """
    return slice_.startswith(MEMBER)


def _labels(spec: DetectorSpec) -> list[str]:
    slices = dict.fromkeys(found.slice for found in spec.results if is_of_a_member(found.slice))
    return [name.removeprefix(MEMBER) for name in slices]


def _row(spec: DetectorSpec, member: Member) -> list[str]:
    reads = spec.preprocessing_of(member).input
    numbers = (" ".join(f"{number:.3g}" for number in part) for part in (reads.mean, reads.std))
    share = member.weight / sum(one.weight for one in spec.members)
    return [plain(member.name), plain(member.network), f"{share:.4f}", "; ".join(numbers)]


def _beside(spec: DetectorSpec, labels: list[str]) -> Iterator[str]:
    """Yield a table for each condition: each detector alone, and all together."""
    point = spec.operating_point().name
    head = [
        "on the test faces",
        "ROC-AUC",
        f"real called fake at {plain(point)}",
        f"fakes caught at {plain(point)}",
        "fakes caught at 1 % false alarms on these very faces",
        "CPU ms a face",
    ]
    if not labels:
        return
    yield (
        "Each detector that was combined, with thresholds chosen in the same way on the same "
        "calibration faces, beside the whole. Milliseconds are of processor time on one machine, "
        "one thread, from network input to logit: the median of repeats in turn."
    )
    for condition in _conditions(spec):
        rows = [_figures(spec, f"{MEMBER}{label}", condition, plain(label)) for label in labels]
        together = _figures(spec, "all", condition, "together")
        yield f"As {plain(condition)}:\n\n" + table(head, [*rows, together])


def _conditions(spec: DetectorSpec) -> list[str]:
    found = (one.condition for one in spec.results if is_of_a_member(one.slice))
    return list(dict.fromkeys(found))


def _figures(spec: DetectorSpec, slice_: str, condition: str, name: str) -> list[str]:
    """Return one row of the table; a detector's own default operating point counts."""
    found = {
        one.metric.partition("@")[0]: one
        for one in spec.results
        if (one.slice, one.condition) == (slice_, condition) and _counts(spec, one)
    }
    speed = next((o for o in spec.results if (o.metric, o.slice) == (CPU_MS, slice_)), None)
    metrics = ("roc_auc", "bpcer", "recall", "tpr_at_fpr_1")
    cells = [figure(found[metric]) if metric in found else "-" for metric in metrics]
    return [name, *cells, _milliseconds(speed)]


def _counts(spec: DetectorSpec, found: Finding) -> bool:
    _, _, point = found.metric.partition("@")
    return point in ("", spec.default_operating_point)


def _milliseconds(found: Finding | None) -> str:
    if found is None:
        return "-"
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"
