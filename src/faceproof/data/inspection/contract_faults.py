"""Rows that break the manifest's contract, all of them, where reading stops at the first."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from faceproof.data.contract import rules
from faceproof.data.inspection.faults import MOST_EXAMPLES, counted, fault
from faceproof.data.inspection.record import Fault
from faceproof.data.inspection.rows import MISFIT, examples
from faceproof.data.manifest import LABELS, SPLITS


def contract_faults(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a fault for all rows that `read_manifest` would refuse, with what is wrong."""
    broken = broken_rows(table)
    if broken.is_empty():
        return
    kinds = broken["said"].n_unique()
    shown = broken.unique("said", keep="first", maintain_order=True).head(MOST_EXAMPLES)
    places = shown["at"].to_list()
    details = [
        said.format(**table.row(at, named=True))
        for at, said in zip(places, shown["said"].to_list(), strict=True)
    ]
    rows = broken["at"].n_unique()
    message = f"{counted(rows, 'row')} against the contract, in {counted(kinds, 'way')}."
    yield fault("contract", message, examples(table, places, details), count=rows)


def broken_rows(table: pl.DataFrame) -> pl.DataFrame:
    """Return ``at`` (place in the table) and ``said`` (what is wrong) of each broken rule."""
    misfit = (pl.col(MISFIT) != "", f"{{{MISFIT}}}")
    found = [
        table.select(rule.arg_true().alias("at")).with_columns(said=pl.lit(said))
        for rule, said in (*rules(LABELS, SPLITS), misfit)
    ]
    return pl.concat(found).sort("at", maintain_order=True)
