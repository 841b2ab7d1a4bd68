"""How classes, generators and sources are spread over the splits, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from faceproof.data.inspection.faults import counted, fault
from faceproof.data.inspection.record import Cell, Fault
from faceproof.data.inspection.rows import HAS_CLASS, IS_FAKE, NO_SPLIT, examples
from faceproof.data.manifest import LABELS, SPLITS

#: A class may be at most this many times as heavy as the other.
MOST_UNEVEN = 3.0


def balance(table: pl.DataFrame) -> tuple[Cell, ...]:
    """Return the number of rows and their weight for each split, class, generator and source."""
    keys = ("split", "label", "generator", "source")
    found = table.group_by(keys).agg(rows=pl.len(), weight=pl.col("weight").fill_null(1.0).sum())
    places = {split: place for place, split in enumerate(SPLITS)}
    cells = [Cell(**cell) for cell in found.iter_rows(named=True)]
    return tuple(
        sorted(
            cells,
            key=lambda cell: (
                places.get(cell.split, len(SPLITS)),
                cell.split,
                cell.label != "real",
                cell.generator,
                cell.source,
            ),
        )
    )


def balance_faults(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield what is wrong with the balance."""
    of_class = table.filter(HAS_CLASS)
    classes = of_class["label"].unique().to_list()
    if len(classes) < 2:
        yield _one_class(table, classes)
        return
    yield from _empty_classes(of_class)
    yield from _one_sided(table)
    yield from _imbalance(of_class)


def _one_class(table: pl.DataFrame, classes: list[str]) -> Fault:
    """Return the fault of a set that lacks a class, or both."""
    lacking = " and no ".join(label for label in LABELS if label not in classes)
    return fault("one-class", f"There is no {lacking} picture.", [], count=table.height)


def _empty_classes(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a fault where splits lack a class that the set has."""
    held = table.group_by("split").agg(pl.col("label").unique().sort(), pl.len()).sort("split")
    lacking = held.filter((pl.col("label").list.len() < 2) & (pl.col("split") != ""))
    if lacking.height:
        words = [
            f"{split} holds {n} {labels[0]} pictures and none of the other class"
            for split, labels, n in lacking.iter_rows()
        ]
        yield fault("empty-class", f"{'; '.join(words)}.", [], count=lacking.height)


def _one_sided(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a fault where sources hold one class only."""
    of_class = table.with_row_index("#at").filter(HAS_CLASS)
    held = of_class.group_by("source").agg(
        pl.col("label").unique(), pl.len().alias("n"), pl.col("#at").min()
    )
    sided = held.filter(pl.col("label").list.len() < 2).sort(
        "n", "source", descending=[True, False]
    )
    if sided.is_empty():
        return
    words = [f"{source} ({n} {labels[0]})" for source, labels, n, _ in sided.iter_rows()]
    more = f" and {len(words) - 6} more" if len(words) > 6 else ""
    yield fault(
        "one-sided-source",
        f"{sided.height} of {counted(held.height, 'source')} with one class only: "
        f"{', '.join(words[:6])}{more}.",
        examples(table, sided["#at"].to_list()[:20], words[:20]),
        count=sided.height,
    )


def _imbalance(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a fault where one class outweighs the other in a split."""
    weight = pl.col("weight").fill_null(1.0)
    weighed = table.group_by("split").agg(
        real=weight.filter(~IS_FAKE).sum(), fake=weight.filter(IS_FAKE).sum()
    )
    uneven = [
        f"{split or NO_SPLIT}: {real:,.0f} real, {fake:,.0f} fake"
        for split, real, fake in weighed.sort("split").iter_rows()
        if 0 < min(real, fake) * MOST_UNEVEN < max(real, fake)
    ]
    if uneven:
        yield fault("imbalance", f"By weight, {'; '.join(uneven)}.", [], count=len(uneven))
