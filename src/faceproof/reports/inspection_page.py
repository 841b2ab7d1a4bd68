"""`inspection_page`: an inspection as one HTML page with embedded pictures, no scripts."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faceproof.data.inspection.record import Association, BalanceCell, Inspection, RowRef
from faceproof.data.manifest import SPLITS
from faceproof.reports.markup import make_environment

_VERDICTS = {
    "error": "Do not train or measure on this data set before its errors are fixed.",
    "warning": "Usable with care: no errors, but there are warnings.",
    "note": "No problem was found in this data set.",
}


@dataclass(frozen=True, slots=True)
class _BalanceRow:
    """One source, class and generator: rows by split and in total."""

    source: str
    label: str
    generator: str
    counts: tuple[int, ...]
    rows: int
    weight: float


@dataclass(frozen=True, slots=True)
class _ValueShare:
    """One value of a fact or attribute with its share of each class, in percent."""

    value: str
    real: int
    fake: int
    real_percent: float
    fake_percent: float


def inspection_page(inspection: Inspection, pictures: Mapping[RowRef, bytes]) -> str:
    """Return the HTML of an inspection; ``pictures`` are WebP thumbnails of the sheets' tiles."""
    template = make_environment(
        filters={"percent": _format_percent},
        names={"where": _describe_row, "shares": value_shares, "strength": strength},
    ).get_template("inspection.html")
    splits = _split_names(inspection.balance)
    page: str = template.render(
        page=inspection,
        severity=_worst_severity(inspection),
        verdict=_VERDICTS[_worst_severity(inspection)],
        splits=splits,
        balance=balance_rows(inspection.balance, splits),
        totals=_count_totals(inspection.balance),
        weighted=any(cell.weight != cell.rows for cell in inspection.balance),
        spreads=_spreads_by_name(inspection),
        data_uris={ref: _data_uri(data) for ref, data in pictures.items()},
    )
    return page


def _worst_severity(inspection: Inspection) -> str:
    """Return the highest severity, "note" without faults."""
    held = {fault.severity for fault in inspection.faults}
    return next((name for name in ("error", "warning") if name in held), "note")


def balance_rows(cells: tuple[BalanceCell, ...], splits: list[str]) -> list[_BalanceRow]:
    """Return a row for each source, class and generator, with its count in each split."""
    held: dict[tuple[str, str, str], dict[str, BalanceCell]] = defaultdict(dict)
    for cell in cells:
        held[cell.source, cell.label, cell.generator][cell.split] = cell
    ordered = sorted(held.items(), key=lambda item: (item[0][0], item[0][1] != "real", item[0][2]))
    return [
        _BalanceRow(
            *key,
            counts=tuple(of[split].rows if split in of else 0 for split in splits),
            rows=sum(cell.rows for cell in of.values()),
            weight=sum(cell.weight for cell in of.values()),
        )
        for key, of in ordered
    ]


def value_shares(found: Association) -> list[_ValueShare]:
    """Return the values with their shares of each class."""
    real, fake = (sum(getattr(one, name) for one in found.levels) for name in ("real", "fake"))
    return [
        _ValueShare(
            one.value,
            one.real,
            one.fake,
            100 * one.real / real if real else 0.0,
            100 * one.fake / fake if fake else 0.0,
        )
        for one in found.levels
    ]


def _describe_row(inspection: Inspection, ref: RowRef) -> str:
    """Return a row's description: its number, and its manifest if there are several."""
    if len(inspection.manifests) == 1:
        return f"row {ref.row:,}"
    return f"row {ref.row:,} of {inspection.manifests[ref.manifest].name}"


def strength(v: float | None) -> str:
    """Return Cramer's V as a word.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, for two classes.

    >>> strength(0.05), strength(0.2), strength(0.4), strength(0.7), strength(None)
    ('negligible', 'weak', 'clear', 'strong', 'nothing to compare')
    """
    if v is None:
        return "nothing to compare"
    words = ((0.5, "strong"), (0.3, "clear"), (0.1, "weak"))
    return next((word for from_, word in words if v >= from_), "negligible")


def _split_names(cells: tuple[BalanceCell, ...]) -> list[str]:
    """Return the splits with rows, in order."""
    held = {cell.split for cell in cells}
    return [*(split for split in SPLITS if split in held), *sorted(held - set(SPLITS))]


def _count_totals(cells: tuple[BalanceCell, ...]) -> dict[tuple[str, str], int]:
    """Return (split, label) -> rows, with "all" for all splits."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for cell in cells:
        totals[cell.split, cell.label] += cell.rows
        totals["all", cell.label] += cell.rows
    return totals


def _spreads_by_name(inspection: Inspection) -> dict[str, list[Any]]:
    """Return the spreads by name of their quantity."""
    named: dict[str, list[Any]] = defaultdict(list)
    for spread in inspection.spreads:
        named[spread.name].append(spread)
    return dict(named)


def _data_uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def _format_percent(number: float) -> str:
    return f"{number:.1f} %" if 0 < number < 10 else f"{number:.0f} %"
