"""Files that stand in several rows, which say different things of the person they show."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from faceproof.data.inspection.facts import is_demographic
from faceproof.data.inspection.faults import MOST_EXAMPLES, counted, fault
from faceproof.data.inspection.record import Example, Fault
from faceproof.data.inspection.repeats import IS_SHA256
from faceproof.data.inspection.rows import attribute_columns, refs


def contradiction_faults(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a fault where the rows of one file differ in age, gender or the like."""
    names = [name for name in attribute_columns(table) if is_demographic(name)]
    rows = table.select("sha256", *names).with_row_index("#at").filter(IS_SHA256)
    several = rows.filter(pl.col("sha256").is_duplicated())
    found = pl.concat([_differing(several, name) for name in names]) if names else pl.DataFrame()
    if found.is_empty():
        return
    files = found["sha256"].n_unique()
    counts = found["name"].value_counts(sort=True).rows()
    message = (
        f"{counted(files, 'file')} with rows that contradict each other: "
        f"{', '.join(f'{name} of {count:,}' for name, count in counts)}."
    )
    shown = found.sort("first").head(MOST_EXAMPLES).iter_rows(named=True)
    yield fault("contradiction", message, [_example(table, one) for one in shown], count=files)


def _differing(several: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return for each file of which ``name`` differs: two rows that do, and what they say."""
    known = several.filter(pl.col(name) != "").group_by("sha256").agg("#at", name)
    first, last = (pl.col(name).list.get(pl.col(name).list.arg_min()), pl.col(name).list.max())
    place = [pl.col("#at").list.get(pl.col(name).list.arg_min())]
    place.append(pl.col("#at").list.get(pl.col(name).list.arg_max()))
    return known.filter(pl.col(name).list.n_unique() > 1).select(
        "sha256",
        name=pl.lit(name),
        first=place[0],
        last=place[1],
        says=pl.format("{}: {} and {}", pl.lit(name), first, last),
    )


def _example(table: pl.DataFrame, one: dict[str, object]) -> Example:
    """Return the two rows and what they say."""
    places = [int(str(one["first"])), int(str(one["last"]))]
    return Example(rows=tuple(refs(table, places)), detail=str(one["says"]))
