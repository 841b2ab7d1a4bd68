"""`make_report`: an evaluation, with the audits of the same detector where there are any."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from faceproof.detector.spec import DetectorSpec, Finding, OperatingPoint
from faceproof.evaluation.audit_result import AuditResult, AuditTable
from faceproof.evaluation.audit_result import Cell as PlainCell
from faceproof.evaluation.evaluation_record import DatasetRef, DetectorRef, Evaluation
from faceproof.evaluation.findings import REPORTED
from faceproof.evaluation.metrics import METRICS
from faceproof.evaluation.predictions import origin_of
from faceproof.messages import count_noun
from faceproof.reports.card import TITLES
from faceproof.reports.headline import statements, untested
from faceproof.reports.markup import NUMBERS
from faceproof.reports.plots import audit_plot, draw_plots, slug
from faceproof.reports.report import (
    Cell,
    Figure,
    Kind,
    Report,
    ReportTable,
    Section,
)
from faceproof.reports.worst_errors import worst_errors

if TYPE_CHECKING:
    import pyarrow as pa

MAIN = ("roc_auc", "accuracy", "bpcer", "apcer", "unsure_rate")
"""The metrics compared between slices, in the tables of report and terminal."""

SHORT = {
    "roc_auc": "ROC-AUC",
    "accuracy": "accuracy",
    "bpcer": "BPCER",
    "apcer": "APCER",
    "unsure_rate": "unsure",
}

_HOW_TO_READ = (
    "Fake is the positive class. BPCER is the share of real faces called fake, APCER the share of "
    "fakes called real (30107-3-style). A face between the two thresholds is unsure and counts as "
    "neither. Accuracy, precision, recall and F1 count unsure as real. Precision, F1, accuracy, "
    "average precision and calibration depend on the mix of classes. If fakes are rarer, more of "
    "the faces called fake are real."
)
_SHARES = re.compile(
    r"(^|_)(rate|share|coverage|recall|precision|accuracy|flips?|once|unsure)(_|$)"
)


def evaluation_report(
    evaluation: Evaluation, predictions: pa.Table, spec: DetectorSpec | None = None
) -> Report:
    """Return the report of an evaluation; plots are drawn from its predictions.

    The table also names the generators that the detector was trained on; where it does not, as one
    of an earlier version, ``spec``, the detector's own record, does.
    """
    scoring = origin_of(predictions).scoring
    seen = scoring.generators_seen if scoring else None
    if seen is None and spec is not None:
        seen = spec.generators_seen
    return Report(
        faceproof=version("faceproof"),
        command="faceproof evaluate",
        detector=evaluation.detector,
        data=evaluation.data,
        operating_point=evaluation.operating_point,
        faces=evaluation.faces,
        intervals=f"{evaluation.resamples:,} resamples of groups, seed {evaluation.seed}, or "
        "Wilson's at the effective size",
        statements=statements(evaluation, ()),
        not_tested=untested(evaluation, (), seen or ()),
        cautions=evaluation.cautions,
        sections=tuple(_evaluation_sections(evaluation, predictions)),
        worst_errors=worst_errors(predictions, evaluation),
    )


def audit_report(
    audits: Sequence[AuditResult],
    spec: DetectorSpec,
    point: OperatingPoint,
    measured: tuple[Evaluation, pa.Table] | None = None,
) -> Report:
    """Return the report of audits, with the figures of their sample if they were ``measured``.

    The audits share their settings.
    """
    settings = audits[0].settings
    evaluation, predictions = measured or (None, None)
    shared = _shared_cautions(audits)
    sections = [
        *(_evaluation_sections(evaluation, predictions) if evaluation else ()),
        *(audit_section(one, shared) for one in audits),
    ]
    sample = "all pictures" if settings.most is None else f"at most {settings.most:,} per cell"
    return Report(
        faceproof=settings.faceproof,
        command="faceproof audit",
        detector=DetectorRef(
            name=settings.detector,
            version=settings.detector_version,
            sha256=settings.detector_sha256,
        ),
        data=DatasetRef(
            name=settings.data,
            sha256=settings.data_sha256,
            split=settings.split,
            rows=settings.rows,
        ),
        operating_point=point,
        faces=settings.faces,
        intervals=f"resamples of groups, seed {settings.seed}, or Wilson's at the effective size; "
        f"pictures: {sample}",
        statements=statements(evaluation, audits),
        not_tested=untested(evaluation, audits, spec.generators_seen),
        cautions=tuple(dict.fromkeys((*(evaluation.cautions if evaluation else ()), *shared))),
        sections=tuple(sections),
        worst_errors=worst_errors(predictions, evaluation) if evaluation else (),
    )


def _shared_cautions(audits: Sequence[AuditResult]) -> list[str]:
    """Return the cautions of the data of all audits, which are at the head of the report."""
    own = {caution for one in audits for caution in one.own_cautions}
    first, *others = audits
    shared = (one for one in first.cautions if all(one in other.cautions for other in others))
    return [one for one in shared if one not in own]


def _evaluation_sections(evaluation: Evaluation, predictions: pa.Table) -> Iterator[Section]:
    yield Section(
        name="figures",
        title="Figures",
        text=_HOW_TO_READ,
        tables=(figures_table(evaluation), confusion_table(evaluation)),
    )
    if plots := draw_plots(evaluation, predictions):
        yield Section(name="plots", title="Plots", plots=plots)
    for name, title, caption in (
        ("source", "Sources", "Figures of each source"),
        ("generator", "Generators", "Fakes of each generator against all real faces"),
    ):
        if table := slice_table(evaluation, name, caption):
            yield Section(name=f"by-{name}", title=title, tables=(table,))
    yield Section(name="not-judged", title="Not judged", tables=(coverage_table(evaluation),))
    if evaluation.left_out:
        yield Section(
            name="left-out",
            title="Metrics not computed",
            text="These need more groups of faces, or a class that is missing.",
            tables=(
                ReportTable(
                    name="left-out",
                    caption="Metrics not computed, by slice and condition",
                    columns=("metric and reason",),
                    rows=tuple((reason,) for reason in evaluation.left_out),
                ),
            ),
        )


def figures_table(evaluation: Evaluation) -> ReportTable:
    """Return all metrics over all judged faces, by condition."""
    heads = [head for name in evaluation.conditions for head in (name, f"n, {name}")]
    rows = []
    for name in REPORTED:
        found = [evaluation.find(name, "all", one) for one in evaluation.conditions]
        if any(found):
            cells = [cell for one in found for cell in _with_count(one)]
            rows.append((TITLES[name], *cells))
    gone = "".join(
        f". Not judged, {one}: {coverage.describe()}"
        for one in evaluation.conditions
        if (coverage := evaluation.find_coverage("all", one))
    )
    return ReportTable(
        name="figures",
        caption="All judged faces, by condition; brackets contain 95 % intervals, n is the number "
        f"of faces counted{gone}",
        columns=("figure", *heads),
        rows=tuple(rows),
    )


def _with_count(found: Finding | None) -> tuple[Cell, Cell]:
    return (Figure.of(found), found.n) if found else (None, 0)


def confusion_table(evaluation: Evaluation) -> ReportTable:
    """Return the counts of faces by condition, class and verdict."""
    return ReportTable(
        name="confusion",
        caption=f"Judged faces by class and verdict at {evaluation.operating_point.name}",
        columns=("condition", "class", "called real", "called unsure", "called fake"),
        rows=tuple(
            (one.condition, label, *counts)
            for one in evaluation.confusion
            for label, counts in (("real", one.real), ("fake", one.fake))
        ),
    )


def slice_table(evaluation: Evaluation, kind: str, caption: str) -> ReportTable | None:
    """Return the main figures of each slice of a kind under each condition, None without one."""
    metrics = [
        name for name in MAIN if any(_is_of(one.metric, name) for one in evaluation.findings)
    ]
    rows: list[tuple[Cell, ...]] = []
    for name in evaluation.slices:
        if not name.startswith(f"{kind}="):
            continue
        for condition in evaluation.conditions:
            coverage = evaluation.find_coverage(name, condition)
            found = [evaluation.find(metric, name, condition) for metric in metrics]
            rows.append(
                (
                    name.removeprefix(f"{kind}="),
                    condition,
                    *evaluation.count_judged(name, condition),
                    coverage.describe() if coverage else None,
                    *(Figure.of(one) if one else None for one in found),
                )
            )
    if not rows:
        return None
    return ReportTable(
        name=f"by-{kind}",
        caption=f"{caption}; brackets contain 95 % intervals. BPCER counts the judged real faces, "
        "APCER the judged fakes, all others both",
        columns=(
            *(kind, "condition", "n real", "n fake", "not judged"),
            *(SHORT[name] for name in metrics),
        ),
        rows=tuple(rows),
    )


def coverage_table(evaluation: Evaluation) -> ReportTable:
    """Return the pictures of each condition by status, with the reasons of those not judged."""
    rows = []
    for one in evaluation.answered:
        coverage = evaluation.find_coverage("all", one.condition)
        reasons = coverage.describe() if coverage else None
        rows.append((one.condition, one.ok, one.no_face, one.error, reasons))
    return ReportTable(
        name="not-judged",
        caption="Pictures by status; those without a verdict are in the predictions table and "
        "excluded from the figures",
        columns=("condition", "judged", "no face found", "not readable", "not judged, and why"),
        rows=tuple(rows),
    )


def _is_of(metric: str, name: str) -> bool:
    return metric.partition("@")[0] == name


def audit_section(found: AuditResult, shared: Sequence[str] = ()) -> Section:
    """Return the result of an audit: its question, answer, tables, plots, and cautions.

    ``shared`` cautions are at the head of the report.
    """
    return Section(
        name=slug(found.name),
        title=f"{found.name.capitalize()}: {found.question}",
        text=f"{found.answer} ({count_noun(found.pictures, 'picture')}.)",
        details=found.details,
        measured=found.measured,
        cautions=tuple(one for one in found.cautions if one not in shared),
        tables=tuple(audit_table(found.name, table) for table in found.tables),
        plots=tuple(audit_plot(found.name, plot) for plot in found.plots),
    )


def audit_table(audit: str, table: AuditTable) -> ReportTable:
    """Return a table of an audit, each value with its interval in one cell.

    The cell of the column ``caution``, the flag of a row, goes with the row's name.
    """
    ends = {f"{name}_{end}" for name in table.columns for end in ("low", "high")}
    shown = [name for name in table.columns if name not in ends]
    places = {name: at for at, name in enumerate(table.columns)}

    def cell(row: tuple[PlainCell, ...], name: str) -> Cell:
        value = row[places[name]]
        if isinstance(value, str | int) or value is None:
            return value
        low, high = (
            row[at] if (at := places.get(f"{name}_{end}")) is not None else None
            for end in ("low", "high")
        )
        return Figure(
            value=value,
            low=low if isinstance(low, float) else None,
            high=high if isinstance(high, float) else None,
            kind=column_kind(name),
        )

    return ReportTable(
        name=slug(f"{audit}-{table.name}"),
        caption=table.caption,
        columns=tuple(name.replace("_", " ") for name in shown),
        rows=tuple(tuple(cell(row, name) for name in shown) for row in table.rows),
    )


def column_kind(name: str) -> Kind:
    """Return whether a column of an audit holds shares of faces, which are shown as percentages.

    >>> column_kind("flip_rate"), column_kind("bpcer"), column_kind("roc_auc")
    ('share', 'share', 'number')
    """
    if name in NUMBERS:
        return "number"
    return "share" if name in METRICS or _SHARES.search(name) else "number"
