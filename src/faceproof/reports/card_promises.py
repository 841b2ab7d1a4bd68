"""The card's operating points: what each promises, in what sense, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from faceproof.detector import DetectorSpec, Finding, OperatingPoint
from faceproof.reports.markdown import figure, listing, plain, section, table

IN_THIS_SECTION = ("real_coverage", "fake_coverage")
"""The metrics that are shown here alone: elsewhere they repeat what BPCER and APCER say."""


@dataclass(frozen=True)
class _Share:
    """A share of faces at an operating point, and the end that was promised for it."""

    metric: str
    kind: str
    error: bool = True
    fakes: bool = False

    def promised(self, point: OperatingPoint) -> float | None:
        """Return the promised end of the share, or None where nothing was promised."""
        budget = point.apcer_budget if self.fakes else point.bpcer_budget
        if budget is None or "unsure" in self.metric:
            return None
        return budget if self.error else 1 - budget

    def broken(self, point: OperatingPoint, found: Finding) -> bool:
        """Return whether not even the kinder end of the interval keeps the promise."""
        promised = self.promised(point)
        return self.error and promised is not None and found.low > promised

    def in_words(self, point: OperatingPoint) -> str:
        """Return what was promised for a cell of the table."""
        promised = self.promised(point)
        if promised is None:
            return "-"
        return f"{'at most' if self.error else 'at least'} {100 * promised:.2f} %"


_SHARES = (
    _Share("bpcer", "real called fake"),
    _Share("real_unsure_rate", "real, unsure"),
    _Share("real_coverage", "real not called fake (coverage)", error=False),
    _Share("apcer", "fake called real", fakes=True),
    _Share("fake_unsure_rate", "fake, unsure", fakes=True),
    _Share("fake_coverage", "fake not called real (coverage)", error=False, fakes=True),
)


def promises(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return the section on operating points, measured under ``conditions`` where it was."""
    default = spec.operating_point()
    head = ["operating point", "real below", "fake from", "promise", "chosen on"]
    points = spec.operating_points.values()
    return section(
        "Operating points",
        "`fake` from the upper threshold on, `real` below the lower, `unsure` between. Error rates "
        "are 30107-3-style: BPCER is the share of real faces called fake, APCER the share of fake "
        "faces called real.",
        table(head, [_point(point, default) for point in points]),
        listing(
            f"{plain(point.name)}, on new faces: {plain(point.basis)}."
            for point in points
            if point.basis
        ),
        _unsupported(spec),
        _measured(spec, conditions),
        _broken(spec, conditions),
    )


def _point(point: OperatingPoint, default: OperatingPoint) -> list[str]:
    name = plain(point.name) + (" (default)" if point.name == default.name else "")
    groups = f", {point.chosen_on.groups:,} groups" if point.chosen_on.groups else ""
    on = f"{point.chosen_on.n:,} real faces of {point.chosen_on.split}{groups}"
    thresholds = [f"{point.real_below:.4g}", f"{point.fake_from:.4g}"]
    return [name, *thresholds, plain(point.promise), on]


def _unsupported(spec: DetectorSpec) -> str:
    """Return the promises that were left out, and what each would take, or nothing."""
    if not spec.unsupported:
        return ""
    lines = listing(f"{plain(one.name)}: {plain(one.reason)}." for one in spec.unsupported)
    return f"### Promises that the data cannot support\n\n{lines}"


def _measured(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return what each promise came to on the test faces of all sources together."""
    rows = [
        [plain(point.name), share.kind, share.in_words(point), *cells]
        for point in spec.operating_points.values()
        for share in _SHARES
        if any(cells := [_cell(spec, f"{share.metric}@{point.name}", one) for one in conditions])
    ]
    if not rows:
        return "The promises were not tested on other faces."
    text = "On the test faces of all sources together, intervals over groups of faces:"
    head = ["operating point", "share", "promised", *map(plain, conditions)]
    return f"### Promised and measured\n\n{text}\n\n" + table(
        head, [[cell or "-" for cell in row] for row in rows]
    )


def _cell(spec: DetectorSpec, metric: str, condition: str) -> str:
    key = (metric, "all", condition)
    found = (one for one in spec.results if (one.metric, one.slice, one.condition) == key)
    return next((figure(finding) for finding in found), "")


def _broken(spec: DetectorSpec, conditions: list[str]) -> str:
    """Return where the whole interval lies beyond a promise, of all faces and of each source."""
    lines = [
        f"{plain(point.name)}, {plain(found.slice)}, {plain(found.condition)}: {share.kind} "
        f"{figure(found)}, promised {share.in_words(point)}"
        for point, share, found in _held_against(spec)
        if found.condition in conditions and share.broken(point, found)
    ]
    if not lines:
        return ""
    return (
        "Beyond a promise, with the whole interval. Promises are made for all sources together: "
        f"one source may be harder than the mix.\n\n{listing(lines)}"
    )


def _held_against(spec: DetectorSpec) -> Iterator[tuple[OperatingPoint, _Share, Finding]]:
    """Yield what was measured on all faces and on each source, with the promise about it."""
    for point in spec.operating_points.values():
        for share in _SHARES:
            for found in spec.results:
                about = found.slice == "all" or found.slice.startswith("source=")
                if about and found.metric == f"{share.metric}@{point.name}":
                    yield point, share, found
