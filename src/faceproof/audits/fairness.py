"""The audit *fairness*: whether a detector errs more for some groups of people than for others.

Groups are compared within a *population*: the real faces of one source, or the fakes of one
generator in one source. Between populations the pictures differ, not only the people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faceproof.audits.attributes import KNOWN
from faceproof.audits.context import Audit, AuditContext, AuditOutcome
from faceproof.audits.group_separation import Separation, separate
from faceproof.audits.rates import Rate, join_some, measure_rate, small_cell_words
from faceproof.detector.spec import Finding, OperatingPoint
from faceproof.evaluation.auc_tests import holm
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.formulas import Bools
from faceproof.evaluation.group_gaps import Gap, rate_gap
from faceproof.evaluation.predictions import (
    ATTRIBUTE,
    FAKE,
    REAL,
    UNSURE,
    Faces,
    Texts,
    labelled_rows,
)
from faceproof.evaluation.sample_size import FEW_GROUPS
from faceproof.messages import count_noun

_GROUPS = (
    *("class", "source", "generator", "group", "pictures", "judged", "groups"),
    *("wrong", "wrong_low", "wrong_high", "unsure", "unsure_low", "unsure_high"),
    *("no_face", "no_face_low", "no_face_high", "caution"),
)
_GROUPS_CAPTION = (
    "wrong: judged real faces called fake (false alarms), or judged fakes called real (misses); "
    "no_face: pictures without a found face, of those that could be read. Groups of fewer than "
    f"{FEW_GROUPS} people, videos or originals are not measured. Intervals are 95 %, by group."
)
_GAPS = (
    *("figure", "class", "source", "generator", "by", "compared", "highest", "lowest"),
    *("difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high"),
    *("chance", "p", "p_holm"),
)
_GAPS_CAPTION = (
    "difference: highest less lowest value; ratio: lowest over highest. A difference is never "
    "below 0. chance: the difference that is exceeded in 5 % of random sortings of the same people "
    "into groups of these sizes; p: how often one is as large as the one found; p_holm: adjusted "
    "for all gaps in this table. A ratio is not measured where few faces have the rarer outcome."
)
_REFUSED_CAPTION = "Groups without ROC-AUC and calibration, and why."

_FIGURES = {
    "false_alarms": "false alarms",
    "misses": "misses",
    "unsure": "unsure verdicts",
    "no_face": "pictures without a found face",
}
_METRICS = {"false_alarms": "bpcer", "misses": "apcer", "unsure": "unsure_rate"}


@dataclass(frozen=True)
class _Population:
    """Faces of one class and source, and of one generator, with their groups of people."""

    source: str
    generator: str
    faces: Faces
    members: dict[str, Texts]
    """For each set of columns the group of each face, "" if it is unknown."""

    @property
    def label(self) -> str:
        return "fake" if self.faces.fake[0] else "real"

    @property
    def cells(self) -> tuple[Cell, ...]:
        return self.label, self.source, self.generator

    @property
    def slice(self) -> str:
        return f"source={self.source},generator={self.generator}"

    def outcomes(self, point: OperatingPoint) -> dict[str, tuple[Bools, Bools]]:
        """Return for each figure which faces it counts, and which of these are hits; bool [N]."""
        called, status = self.faces.verdicts(point), self.faces.statuses
        judged = status == "ok"
        wrong = ("misses", REAL) if self.label == "fake" else ("false_alarms", FAKE)
        return {
            wrong[0]: (judged, called == wrong[1]),
            "unsure": (judged, called == UNSURE),
            "no_face": (judged | (status == "no_face"), status == "no_face"),
        }


@dataclass(frozen=True)
class _Group:
    """The rates of one group of people in a population."""

    population: _Population
    by: str
    name: str
    pictures: int
    rates: dict[str, Rate]
    """Also of a group that is too small, without a value."""

    @property
    def row(self) -> tuple[Cell, ...]:
        judged = next(iter(self.rates.values()))
        measured = [cell for rate in self.rates.values() for cell in rate.cells]
        small = small_cell_words(judged.groups)
        if small and judged.groups < FEW_GROUPS:
            small = f"{small}: not measured"
        return (
            *(*self.population.cells, self.name, self.pictures, judged.n, judged.groups),
            *(*measured, small),
        )


@dataclass(frozen=True)
class _FoundGap:
    """A gap, and of what it is; ``rates`` are those of its highest and lowest group."""

    figure: str
    where: tuple[Cell, ...]
    by: str
    compared: int
    n: int
    gap: Gap
    rates: tuple[Rate, Rate] | None = None
    p_holm: float = 1.0

    @property
    def row(self) -> tuple[Cell, ...]:
        gap = self.gap
        ratio = (None, None) if gap.ratio_interval is None else tuple(gap.ratio_interval)
        return (
            *(self.figure, *self.where, self.by, self.compared, gap.highest, gap.lowest),
            *(gap.difference, *gap.difference_interval, gap.ratio, *ratio),
            *(gap.chance, gap.p, self.p_holm),
        )


def run(context: AuditContext) -> AuditOutcome:
    """Return the rates of each group of people, their gaps, and the worst groups."""
    sets = context.attributes.sets
    if not sets or not context.sample("people"):
        answer = (
            f"Not measured: none of the columns {', '.join(KNOWN)} is in the data; name other "
            "attribute columns with --by."
        )
        return AuditOutcome(answer, cautions=_missing_classes(()), measured=False)
    every, members = context.faces("people"), _members(context)
    populations = list(_populations(every, members))
    groups = [one for part in populations for one in _measure_groups(context.point, part)]
    separation = separate(context, every, members)
    gaps = _adjust(
        [
            *(one for part in populations for one in _find_gaps(context, part, groups)),
            *(
                _FoundGap(metric, ("both", source, "all"), by, compared, n, gap)
                for metric, source, by, compared, n, gap in separation.gaps
            ),
        ]
    )
    tables = [
        AuditTable(
            name="groups",
            caption=_GROUPS_CAPTION,
            columns=_GROUPS,
            rows=tuple(one.row for one in groups),
        ),
        AuditTable(
            name="gaps",
            caption=_GAPS_CAPTION,
            columns=_GAPS,
            rows=tuple(one.row for one in gaps),
        ),
        separation.table,
        AuditTable(
            name="refused",
            caption=_REFUSED_CAPTION,
            columns=separation.refused_columns,
            rows=separation.refused,
        ),
    ]
    cautions = tuple(_cautions(populations, groups, gaps, separation))
    kept = tuple(one for one in tables if one.rows)
    if not any(one.rates for one in gaps):
        answer = (
            f"Not measured: no two groups of people with {FEW_GROUPS} or more people, videos or "
            "originals were judged in one source."
        )
        return AuditOutcome(answer, kept, cautions=cautions, measured=False)
    findings = (*_findings(context, groups, gaps), *separation.findings)
    answer, *details = _answers(groups, gaps)
    plots = tuple(_plots(populations, groups))
    return AuditOutcome(answer, kept, plots, cautions, findings, details=tuple(details))


def _members(context: AuditContext) -> dict[str, Texts]:
    """Return the group of each labelled face by each set of columns, str [N], "" if unknown."""
    kept = labelled_rows(context.predictions("people"))
    columns = {
        name.removeprefix(ATTRIBUTE): kept[name].to_pylist()
        for name in kept.column_names
        if name.startswith(ATTRIBUTE)
    }
    faces = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return {
        "+".join(names): np.array(
            [context.attributes.group(face, names) for face in faces], dtype=np.str_
        )
        for names in context.attributes.sets
    }


def _populations(every: Faces, members: dict[str, Texts]) -> Iterator[_Population]:
    """Yield the real faces of each source, and the fakes of each generator in each source."""
    for source in np.unique(every.sources):
        for generator in np.unique(every.generators[every.sources == source]):
            own = (every.sources == source) & (every.generators == generator)
            sorted_ = {by: names[own] for by, names in members.items()}
            yield _Population(str(source), str(generator), every.where(own), sorted_)


def _measure_groups(point: OperatingPoint, part: _Population) -> Iterator[_Group]:
    """Yield the rates of each group in a population; those of small groups have no value."""
    outcomes = part.outcomes(point)
    for by, members in part.members.items():
        for name in np.unique(members[members != ""]):
            own = members == name
            rates = {
                figure: _guard(measure_rate(hits[own & counted], part.faces.groups[own & counted]))
                for figure, (counted, hits) in outcomes.items()
            }
            yield _Group(part, by, str(name), int(own.sum()), rates)


def _guard(rate: Rate) -> Rate:
    """Return a rate without a value if its groups are too few."""
    if rate.groups >= FEW_GROUPS:
        return rate
    return replace(rate, value=None, low=None, high=None)


def _find_gaps(
    context: AuditContext, part: _Population, groups: Sequence[_Group]
) -> Iterator[_FoundGap]:
    """Yield the gap of each rate between the groups of each set that are large enough."""
    outcomes = part.outcomes(context.point)
    for by, members in part.members.items():
        own = [one for one in groups if one.population is part and one.by == by]
        for figure, (counted, hits) in outcomes.items():
            rates = {
                one.name: one.rates[figure] for one in own if one.rates[figure].value is not None
            }
            if len(rates) < 2:
                continue
            over = counted & np.isin(members, [*rates])
            gap = rate_gap(
                hits[over], members[over], part.faces.groups[over], seed=context.settings.seed
            )
            ends = rates[gap.highest], rates[gap.lowest]
            yield _FoundGap(figure, part.cells, by, len(rates), int(over.sum()), gap, ends)


def _adjust(gaps: Sequence[_FoundGap]) -> list[_FoundGap]:
    """Return the gaps with p-values adjusted for all of them."""
    adjusted = holm([one.gap.p for one in gaps]) if gaps else ()
    return [replace(one, p_holm=float(p)) for one, p in zip(gaps, adjusted, strict=True)]


def _missing_classes(populations: Sequence[_Population]) -> tuple[str, ...]:
    held = {part.label for part in populations}
    return tuple(
        f"No {kind} face of a group of people is in the data: {figure} are not measured."
        for kind, figure in (("real", "false alarms"), ("fake", "misses"))
        if kind not in held
    )


def _cautions(
    populations: Sequence[_Population],
    groups: Sequence[_Group],
    gaps: Sequence[_FoundGap],
    separation: Separation,
) -> Iterator[str]:
    """Yield which classes are missing, which groups are small, and what chance explains."""
    yield from _missing_classes(populations)
    judged = [(one, next(iter(one.rates.values())).groups) for one in groups]
    if refused := [f"{one.name} ({count})" for one, count in judged if count < FEW_GROUPS]:
        yield (
            f"Not measured, as they have fewer than {FEW_GROUPS} people, videos or originals in a "
            f"source: {count_noun(len(refused), 'group')}, such as {join_some(refused, most=3)}."
        )
    yield from _flag_small(judged)
    yield from separation.cautions
    if gaps:
        yield (
            f"{count_noun(len(gaps), 'gap')} measured. The worst of many groups is so by chance in "
            "part, and a gap is never below 0: compare it with the column chance, and read p_holm."
        )


def _flag_small(judged: Sequence[tuple[_Group, int]]) -> Iterator[str]:
    flagged = [
        f"{one.name} ({count})"
        for one, count in judged
        if count >= FEW_GROUPS and small_cell_words(count)
    ]
    if flagged:
        yield (
            f"Fewer than 300 groups (people, videos, originals) in "
            f"{count_noun(len(flagged), 'cell')}: {join_some(flagged)}. Read their intervals, not "
            "their values."
        )


def _findings(
    context: AuditContext, groups: Sequence[_Group], gaps: Sequence[_FoundGap]
) -> Iterator[Finding]:
    """Yield each rate of a group, and each gap of a rate as ``NAME_difference``."""
    data, at = context.selection.sha256, f"@{context.point.name}"

    def name(figure: str, ending: str = "") -> str:
        metric = _METRICS.get(figure)
        return f"{metric}{ending}{at}" if metric else f"{figure}_rate{ending}"

    for one in groups:
        for figure, rate in one.rates.items():
            if rate.value is not None and rate.low is not None and rate.high is not None:
                yield Finding(
                    metric=name(figure),
                    value=rate.value,
                    low=rate.low,
                    high=rate.high,
                    n=rate.n,
                    slice=f"{one.population.slice},{one.name.replace(', ', ',')}",
                    data_sha256=data,
                    caution=small_cell_words(rate.groups) or None,
                )
    for gap in (one for one in gaps if one.rates):
        _, source, generator = gap.where
        yield Finding(
            metric=name(gap.figure, "_difference"),
            value=gap.gap.difference,
            low=gap.gap.difference_interval.low,
            high=gap.gap.difference_interval.high,
            n=gap.n,
            slice=f"source={source},generator={generator},by={gap.by}",
            data_sha256=data,
        )


def _answers(groups: Sequence[_Group], gaps: Sequence[_FoundGap]) -> list[str]:
    """Return for each figure the worst group in a sentence, the first figure that differs first."""
    worst = {
        figure: max(found, key=lambda one: one.gap.difference)
        for figure in _FIGURES
        if (found := [one for one in gaps if one.figure == figure and one.rates])
    }
    figures = sorted(worst, key=lambda figure: not worst[figure].gap.difference)
    number = len({one.name for one in groups if next(iter(one.rates.values())).value is not None})
    words = [_gap_words(worst[figure], _FIGURES[figure]) for figure in figures]
    first, *others = [f"{one}." for one in words]
    lead = f"Among {count_noun(number, 'group')} of people, "
    return [lead + first, *(one[0].upper() + one[1:] for one in others)]


def _gap_words(found: _FoundGap, words: str) -> str:
    """Return the worst group for a figure, and whether chance may explain its gap."""
    highest, lowest = found.rates or (None, None)
    if highest is None or lowest is None or not found.gap.difference:
        share = "the same share" if highest is None else highest.words
        return f"no group differs in {words}: {share} in {found.gap.highest} of {found.where[1]}"
    verdict = "more than chance explains" if found.p_holm < 0.05 else "which chance may explain"
    return (
        f"{words} are most frequent for {found.gap.highest} of {found.where[1]}: {highest.words}, "
        f"against {lowest.words} for {found.gap.lowest}, {verdict} "
        f"(p {_p_words(found.p_holm)} after Holm)"
    )


def _p_words(p: float) -> str:
    """Return a p-value in words.

    >>> _p_words(0.0004), _p_words(0.25)
    ('< 0.001', '= 0.25')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _plots(populations: Sequence[_Population], groups: Sequence[_Group]) -> Iterator[AuditPlot]:
    """Yield bars of the rates of each population, by its simplest sets of columns."""
    fewest = min(one.by.count("+") for one in groups)
    for part in populations:
        own = [one for one in groups if one.population is part and one.by.count("+") == fewest]
        if not own:
            continue
        faces = "real faces" if part.label == "real" else f"fakes of {part.generator}"
        yield AuditPlot(
            name=f"{part.source}-{part.generator}",
            kind="bar",
            title=f"Verdicts on the {faces} in {part.source}, by group",
            x="group",
            y="share of faces",
            series=tuple(_series(figure, own) for figure in own[0].rates),
        )


def _series(figure: str, groups: Sequence[_Group]) -> Series:
    rates = [one.rates[figure] for one in groups]
    return Series(
        name=_FIGURES[figure],
        x=tuple(one.name for one in groups),
        y=tuple(one.value for one in rates),
        low=tuple(one.low for one in rates),
        high=tuple(one.high for one in rates),
    )


FAIRNESS = Audit(
    "Does the detector err more often for some groups of people than for others?",
    ("people",),
    run,
)
