"""Sections of a card: operating points, members, heat maps and adversarial pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faceproof.detector import DetectorSpec, Finding, Member, OperatingPoint
from faceproof.evaluation.finding_names import (
    BEATS_RANDOM,
    CORRELATION,
    HOTTEST,
    RANDOM,
    RELIABLE,
    attack_cautions,
    is_attack,
    is_of_heatmaps,
)
from faceproof.evaluation.findings import CPU_MS, MEMBER
from faceproof.reports.markup import escape_markdown, figure, listing, section, table

IN_THIS_SECTION = ("real_coverage", "fake_coverage")
"""The metrics shown only here: elsewhere they repeat BPCER and APCER."""


@dataclass(frozen=True)
class _PromisedShare:
    """A share of faces at an operating point, and its promised bound."""

    metric: str
    kind: str
    error: bool = True
    fakes: bool = False

    def bound(self, point: OperatingPoint) -> float | None:
        """Return the promised bound of the share, or None without a promise."""
        budget = point.apcer_budget if self.fakes else point.bpcer_budget
        if budget is None or "unsure" in self.metric:
            return None
        return budget if self.error else 1 - budget

    def is_broken(self, point: OperatingPoint, found: Finding) -> bool:
        """Return whether even the better end of the interval breaks the promise."""
        promised = self.bound(point)
        return self.error and promised is not None and found.low > promised

    def describe(self, point: OperatingPoint) -> str:
        """Return the promise for a cell of the table."""
        promised = self.bound(point)
        if promised is None:
            return "-"
        return f"{'at most' if self.error else 'at least'} {100 * promised:.2f} %"


_SHARES = (
    _PromisedShare("bpcer", "real called fake"),
    _PromisedShare("real_unsure_rate", "real, unsure"),
    _PromisedShare("real_coverage", "real not called fake (coverage)", error=False),
    _PromisedShare("apcer", "fake called real", fakes=True),
    _PromisedShare("fake_unsure_rate", "fake, unsure", fakes=True),
    _PromisedShare("fake_coverage", "fake not called real (coverage)", error=False, fakes=True),
)


def promise_section(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return the section on operating points, with results under ``conditions`` if measured."""
    default = spec.operating_point()
    head = ["operating point", "real below", "fake from", "promise", "chosen on"]
    points = spec.operating_points.values()
    return section(
        "Operating points",
        "`fake` at or above the upper threshold, `real` below the lower, `unsure` between. Error "
        "rates are 30107-3-style: BPCER is the share of real faces called fake, APCER the share of "
        "fake faces called real.",
        table(head, [_point(point, default) for point in points]),
        listing(
            f"{escape_markdown(point.name)}, on new faces: {escape_markdown(point.basis)}."
            for point in points
            if point.basis
        ),
        _unsupported_promises(spec),
        _measured_promises(spec, conditions),
        _broken_promises(spec, conditions),
    )


def _point(point: OperatingPoint, default: OperatingPoint) -> list[str]:
    name = escape_markdown(point.name) + (" (default)" if point.name == default.name else "")
    groups = f", {point.chosen_on.groups:,} groups" if point.chosen_on.groups else ""
    on = f"{point.chosen_on.n:,} real faces of {point.chosen_on.split}{groups}"
    thresholds = [f"{point.real_below:.4g}", f"{point.fake_from:.4g}"]
    return [name, *thresholds, escape_markdown(point.promise), on]


def _unsupported_promises(spec: DetectorSpec) -> str:
    """Return the unsupported promises and the data that each needs, or an empty string."""
    if not spec.unsupported:
        return ""
    lines = listing(
        f"{escape_markdown(one.name)}: {escape_markdown(one.reason)}." for one in spec.unsupported
    )
    return f"### Promises that the data cannot support\n\n{lines}"


def _measured_promises(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return the table of each promise against the test faces of all sources."""
    rows = [
        [escape_markdown(point.name), share.kind, share.describe(point), *cells]
        for point in spec.operating_points.values()
        for share in _SHARES
        if any(cells := [_cell(spec, f"{share.metric}@{point.name}", one) for one in conditions])
    ]
    if not rows:
        return "The promises were not tested on other faces."
    text = "On the test faces of all sources together, intervals over groups of faces:"
    head = ["operating point", "share", "promised", *map(escape_markdown, conditions)]
    return f"### Promised and measured\n\n{text}\n\n" + table(
        head, [[cell or "-" for cell in row] for row in rows]
    )


def _cell(spec: DetectorSpec, metric: str, condition: str) -> str:
    key = (metric, "all", condition)
    found = (one for one in spec.results if (one.metric, one.slice, one.condition) == key)
    return next((figure(finding) for finding in found), "")


def _broken_promises(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return the list of broken promises, overall and by source."""
    lines = [
        f"{escape_markdown(point.name)}, {escape_markdown(found.slice)}, "
        f"{escape_markdown(found.condition)}: {share.kind} "
        f"{figure(found)}, promised {share.describe(point)}"
        for point, share, found in _promises_with_findings(spec)
        if found.condition in conditions and share.is_broken(point, found)
    ]
    if not lines:
        return ""
    return (
        "The whole interval exceeds the promise. Promises cover all sources together: "
        f"one source may be harder than the mix.\n\n{listing(lines)}"
    )


def _promises_with_findings(
    spec: DetectorSpec,
) -> Iterator[tuple[OperatingPoint, _PromisedShare, Finding]]:
    """Yield each promise with its findings, overall and by source."""
    for point in spec.operating_points.values():
        for share in _SHARES:
            for found in spec.results:
                about = found.slice == "all" or found.slice.startswith("source=")
                if about and found.metric == f"{share.metric}@{point.name}":
                    yield point, share, found


def member_section(spec: DetectorSpec) -> str:
    """Return the section on members, or an empty string for a single network."""
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
        *_member_tables(spec, labels),
    )


def is_of_a_member(slice_: str) -> bool:
    """Return whether a slice is of a single member, which other tables exclude.

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
    return [
        escape_markdown(member.name),
        escape_markdown(member.network),
        f"{share:.4f}",
        "; ".join(numbers),
    ]


def _member_tables(spec: DetectorSpec, labels: list[str]) -> Iterator[str]:
    """Yield a table for each condition: each member and the combination."""
    point = spec.operating_point().name
    head = [
        "on the test faces",
        "ROC-AUC",
        f"real called fake at {escape_markdown(point)}",
        f"fakes caught at {escape_markdown(point)}",
        "fakes caught at 1 % false alarms on the same faces",
        "CPU ms a face",
    ]
    if not labels:
        return
    yield (
        "Each member with thresholds chosen in the same way on the same calibration faces, next "
        "to the combination. Milliseconds are processor time on one machine and one thread, "
        "from network input to logit: the median of alternating repeats."
    )
    for condition in _conditions(spec):
        rows = [
            _figures(spec, f"{MEMBER}{label}", condition, escape_markdown(label))
            for label in labels
        ]
        together = _figures(spec, "all", condition, "together")
        yield f"As {escape_markdown(condition)}:\n\n" + table(head, [*rows, together])


def _conditions(spec: DetectorSpec) -> list[str]:
    found = (one.condition for one in spec.results if is_of_a_member(one.slice))
    return list(dict.fromkeys(found))


def _figures(spec: DetectorSpec, slice_: str, condition: str, name: str) -> list[str]:
    """Return one row of the table, at the detector's default operating point."""
    found = {
        one.metric.partition("@")[0]: one
        for one in spec.results
        if (one.slice, one.condition) == (slice_, condition) and _is_shown(spec, one)
    }
    speed = next((o for o in spec.results if (o.metric, o.slice) == (CPU_MS, slice_)), None)
    metrics = ("roc_auc", "bpcer", "recall", "tpr_at_fpr_1")
    cells = [figure(found[metric]) if metric in found else "-" for metric in metrics]
    return [name, *cells, _milliseconds(speed)]


def _is_shown(spec: DetectorSpec, found: Finding) -> bool:
    _, _, point = found.metric.partition("@")
    return point in ("", spec.default_operating_point)


def _milliseconds(found: Finding | None) -> str:
    if found is None:
        return "-"
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


_TESTED = {"all": "all faces", "label=real": "real faces", "label=fake": "fake faces"}


def heatmap_section(results: Sequence[Finding]) -> str:
    """Return the section on heat maps, empty without findings on them."""
    tested = [one for one in results if is_of_heatmaps(one.metric)]
    if not tested:
        return ""
    return section(
        "Heat maps",
        "Grad-CAM at the last feature map, before its ReLU: the contribution of each cell of a "
        "coarse grid over the face to the logit. It shows what influenced this network, not "
        "where a face was changed.",
        "Deletion: the hottest fifth of the crop is blurred, and so are four other fifths of the "
        "same shape, one at a time. A map is reliable if the hottest fifth lowers the logit most "
        "of the five; a random map passes one time in five.",
        _deletion_table(tested),
        _cascade_table(tested),
    )


def _deletion_table(tested: Sequence[Finding]) -> str:
    """Return the table of deletions: with the pictures' own maps, then with control maps."""
    head = [
        "maps",
        "lowers the logit most of five",
        "lowers it more than the mean of the others",
        "change of the logit, hottest deleted",
        "change of the logit, another fifth deleted",
    ]
    slices = dict.fromkeys(one.slice for one in tested if one.metric == RELIABLE)
    found = {(one.slice, one.metric): one for one in tested}
    rows = [
        [
            _TESTED.get(name, escape_markdown(name.removeprefix("map="))),
            *(_share(found.get((name, metric))) for metric in (RELIABLE, BEATS_RANDOM)),
            *(_number(found.get((name, metric))) for metric in (HOTTEST, RANDOM)),
        ]
        for name in slices
    ]
    return table(head, rows)


def _cascade_table(tested: Sequence[Finding]) -> str:
    """Return the table of rank correlations by stage, or an empty string."""
    rows = [
        [escape_markdown(one.slice.removeprefix("map=")), _number(one)]
        for one in tested
        if one.metric == CORRELATION
    ]
    if not rows:
        return ""
    return (
        "Randomisation: the network's weights are shuffled stage by stage from the logit down. 1 "
        "means the same order of cells, 0 no correlation.\n\n"
    ) + table(["network", "rank correlation with its own maps"], rows)


def _share(finding: Finding | None) -> str:
    return figure(finding) if finding else "-"


def _number(finding: Finding | None) -> str:
    """Return a number (not a share, may be negative) with its interval and its n."""
    if finding is None:
        return "-"
    value, low, high = (f"{one:+.3f}" for one in (finding.value, finding.low, finding.high))
    return f"{value} [{low}, {high}], n {finding.n:,}"


_COLUMNS = {
    "accuracy": "accuracy",
    "recall": "fake faces called fake",
    "bpcer": "real faces called fake",
}


def attack_section(results: Sequence[Finding], point: str) -> str:
    """Return the section on attacks at an operating point, empty without findings."""
    tested = [one for one in results if is_attack(one.condition)]
    found = {(one.condition, one.metric): one for one in tested}
    conditions = list(dict.fromkeys(one.condition for one in tested))
    rows = [
        [
            escape_markdown(name),
            *(_attack_cell(found.get((name, f"{metric}@{point}"))) for metric in _COLUMNS),
        ]
        for name in conditions
    ]
    if not rows:
        return ""
    return section(
        "Under attack",
        "The same test faces unchanged, and changed by an attacker with the network's weights. "
        "The name gives the budget in grey levels of 255 per pixel: `fgsm-2` in one step, "
        f"`pgd-2x10` in ten. At {escape_markdown(point)}. A better attack can only lower these "
        "figures.",
        table(["faces", *_COLUMNS.values()], rows),
        listing(escape_markdown(caution) for caution in attack_cautions(tested)),
    )


def _attack_cell(finding: Finding | None) -> str:
    return figure(finding) if finding else "-"
