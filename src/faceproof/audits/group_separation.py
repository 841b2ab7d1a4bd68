"""`separate`: ROC-AUC and calibration of groups of people, within one source only.

Both figures compare real faces with fakes. If those of a group are of different sources, they
differ in their cameras, sizes and files too, and the figure compares data sets, not people. Such
groups are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from faceproof.audits.context import AuditContext
from faceproof.audits.rates import join_some
from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import AuditTable, Cell
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.formulas import Bools
from faceproof.evaluation.group_gaps import Gap, metric_gap
from faceproof.evaluation.metrics import count_groups
from faceproof.evaluation.predictions import Faces, Texts
from faceproof.evaluation.sample_size import FEW_GROUPS
from faceproof.messages import count_noun

_METRICS = ("roc_auc", "ece", "brier")
_COMPARED = ("roc_auc", "ece")
_COLUMNS = (
    *("source", "group", "real", "fake", "roc_auc", "roc_auc_low", "roc_auc_high"),
    *("ece", "ece_low", "ece_high", "brier", "brier_low", "brier_high"),
)
_CAPTION = (
    "Real faces and fakes of one source. ece: calibration error, equal mass; it is larger in "
    "small groups by chance, and depends on the share of fakes, as brier does."
)


@dataclass(frozen=True)
class Separation:
    """ROC-AUC and calibration of groups, their gaps, and the groups that are refused."""

    table: AuditTable
    refused: tuple[tuple[Cell, ...], ...]
    gaps: tuple[tuple[str, str, str, int, int, Gap], ...]
    """Metric, source, set of columns, number of groups, number of faces, and the gap."""
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]

    refused_columns = ("group", "real_faces_of", "fakes_of", "reason")


def separate(context: AuditContext, every: Faces, members: Mapping[str, Texts]) -> Separation:
    """Return ROC-AUC and calibration of each group with both classes in one source.

    ``members`` str [N] are the groups of the faces by each set of columns, "" if unknown.
    """
    judged = every.statuses == "ok"
    rows: list[tuple[Cell, ...]] = []
    gaps: list[tuple[str, str, str, int, int, Gap]] = []
    findings: list[Finding] = []
    refused: list[tuple[Cell, ...]] = []
    for by, names in members.items():
        measured: set[str] = set()
        for source in np.unique(every.sources).tolist():
            here = judged & (every.sources == source)
            groups = [one for one in _names(names[here]) if _has_both(every, here & (names == one))]
            for name in groups:
                found = _measure(
                    context, f"source={source},{name}", every.where(here & (names == name))
                )
                findings += found
                rows.append(_row(source, name, every.where(here & (names == name)), found))
            measured |= set(groups)
            if len(groups) > 1:
                own = here & np.isin(names, groups)
                found_gaps = _gaps(every.where(own), names[own], seed=context.settings.seed)
                gaps += [
                    (metric, source, by, len(groups), int(own.sum()), gap)
                    for metric, gap in found_gaps
                ]
        refused += [
            _refuse(every, judged & (names == name), name)
            for name in _names(names[judged])
            if name not in measured
        ]
    return Separation(
        table=AuditTable(name="separation", caption=_CAPTION, columns=_COLUMNS, rows=tuple(rows)),
        refused=tuple(refused),
        gaps=tuple(gaps),
        findings=tuple(findings),
        cautions=tuple(_cautions(refused)),
    )


def _names(names: Texts) -> list[str]:
    return [str(one) for one in np.unique(names[names != ""])]


def _has_both(every: Faces, own: Bools) -> bool:
    """Return whether the faces have enough groups of both classes."""
    numbers = count_groups(every.fake[own], every.groups[own])
    return min(numbers.real, numbers.fake) >= FEW_GROUPS


def _measure(context: AuditContext, name: str, faces: Faces) -> list[Finding]:
    return slice_findings(
        name,
        "clean",
        faces,
        [],
        counted=None,
        data_sha256=context.selection.sha256,
        metrics=_METRICS,
        seed=context.settings.seed,
    )


def _row(source: str, name: str, faces: Faces, found: list[Finding]) -> tuple[Cell, ...]:
    by_name = {one.metric: one for one in found}
    fake = int(faces.fake.sum())
    values = [by_name[metric] for metric in _METRICS]
    cells = [cell for one in values for cell in (one.value, one.low, one.high)]
    return (source, name, len(faces) - fake, fake, *cells)


def _gaps(faces: Faces, names: Texts, *, seed: int) -> Iterator[tuple[str, Gap]]:
    """Yield the metrics compared between groups, and their gaps."""
    for metric in _COMPARED:
        gap = metric_gap(
            metric,
            faces.fake,
            faces.probabilities,
            names,
            faces.groups,
            number=_RESAMPLES,
            seed=seed,
        )
        yield metric, gap


_RESAMPLES = 300
"""Fewer than for rates: each resample sorts the scores of each group."""


def _refuse(every: Faces, own: Bools, name: str) -> tuple[Cell, ...]:
    """Return a refused group, the sources of its real faces and of its fakes, and the reason."""
    real, fake = (
        [str(one) for one in np.unique(every.sources[own & kind])]
        for kind in (~every.fake, every.fake)
    )
    if not real or not fake:
        reason = f"no {'fake' if real else 'real'} face: both classes are needed"
    elif shared := sorted(set(real) & set(fake)):
        reason = (
            f"in {join_some(shared)}, which has both classes, one has fewer than {FEW_GROUPS} "
            "people, videos or originals"
        )
    else:
        reason = _OTHER_SOURCES
    return name, join_some(real), join_some(fake), reason


_OTHER_SOURCES = (
    "real faces and fakes are of different sources: the figure would compare data sets, not people"
)


def _cautions(refused: list[tuple[Cell, ...]]) -> Iterator[str]:
    apart = [str(name) for name, *_, reason in refused if reason == _OTHER_SOURCES]
    if apart:
        yield (
            f"ROC-AUC and calibration are refused for {count_noun(len(apart), 'group')}, such as "
            f"{join_some(apart, most=3)}: their {_OTHER_SOURCES}."
        )
    if others := len(refused) - len(apart):
        yield (
            f"ROC-AUC and calibration are refused for {count_noun(others, 'group')} without enough "
            "faces of both classes in one source."
        )
