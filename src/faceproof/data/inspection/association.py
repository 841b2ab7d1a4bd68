"""How strongly a fact or attribute goes with the class: Cramer's V."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.inspection.record import Association, Level
from faceproof.data.inspection.rows import HAS_CLASS, IS_FAKE


def cramers_v(counts: npt.ArrayLike) -> float | None:
    """Return Cramer's V in [0, 1] of a table of counts [rows, columns], corrected for its bias.

    None where it says nothing: fewer than two rows or columns that hold anything.

    Source: Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", 2013.

    >>> cramers_v([[50, 0], [0, 50]])
    1.0
    >>> cramers_v([[50, 50], [50, 50]])
    0.0
    """
    table = np.asarray(counts, np.float64)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    n = table.sum()
    if min(table.shape) < 2 or n < 2:
        return None
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    rows, columns = table.shape
    unbiased = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    narrowest = min(size - (size - 1) ** 2 / (n - 1) for size in table.shape) - 1
    return min(1.0, math.sqrt(unbiased / narrowest)) if narrowest > 0 else None


def association(
    table: pl.DataFrame, name: str, value: pl.Expr, *, most: int = 20, by_number: bool = False
) -> Association:
    """Return how a column of text goes with the class; null and "" are unknown.

    Beyond the ``most`` frequent values, the others are one. The most frequent come first or, where
    they are told ``by_number``, the smallest.
    """
    of_class = table.filter(HAS_CLASS).select(IS_FAKE.alias("fake"), value.alias("value"))
    known = of_class.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    counted = known.group_by("value").agg(
        real=(~pl.col("fake")).sum(), fake=pl.col("fake").sum(), n=pl.len()
    )
    ranked = counted.sort("n", "value", descending=[True, False])
    levels = [Level(value=v, real=r, fake=f) for v, r, f, _ in ranked.head(most).iter_rows()]
    if by_number:
        levels.sort(key=lambda level: _number_in(level.value))
    if ranked.height > most:
        rest = ranked.slice(most)
        levels.append(_others(rest))
    return Association(
        name=name,
        v=cramers_v([(level.real, level.fake) for level in levels] or [(0, 0)]),
        n=known.height,
        unknown=of_class.height - known.height,
        levels=tuple(levels),
    )


def _number_in(value: str) -> tuple[float, str]:
    """Return the first number of a value, so that bands can be told in their order."""
    found = re.search(r"\d+(\.\d+)?", value.replace(",", ""))
    return (float(found[0]) if found else -1.0, value)


def _others(rest: pl.DataFrame) -> Level:
    """Return the rare values as one."""
    return Level(
        value=f"{rest.height} others", real=int(rest["real"].sum()), fake=int(rest["fake"].sum())
    )
