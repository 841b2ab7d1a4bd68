"""What every row of a manifest must hold to; a million rows are looked at in a second."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

_ABSOLUTE = r"^([/\\]|[A-Za-z]:[/\\])"
_UPWARDS = r"(^|[/\\])\.\.([/\\]|$)"


def broken_row(
    table: pl.DataFrame, *, labels: tuple[str, ...], splits: tuple[str, ...]
) -> str | None:
    """Return what is wrong with the first row that breaks the contract, or None."""
    found = [
        (number, said.format(**table.row(number, named=True)))
        for rule, said in rules(labels, splits)
        if (number := _first(table, rule)) is not None
    ]
    if not found:
        return None
    number, said = min(found, key=lambda item: item[0])
    return f"row {number + 1} ({table['path'][number]}): {said}"


def split_twice(table: pl.DataFrame, key: str) -> str | None:
    """Return which value of ``key`` stands in two splits, or None; no split is none."""
    standing = table.lazy().filter(pl.col("split") != "").group_by(key)
    twice = standing.agg(pl.col("split").unique()).filter(pl.col("split").list.len() > 1)
    found = twice.collect().sort(key).head(1)
    if found.is_empty():
        return None
    where = " and ".join(sorted(found["split"][0]))
    return f"{key} {found[key][0]} stands in {where}; keep it in one"


def rules(labels: tuple[str, ...], splits: tuple[str, ...]) -> Iterable[tuple[pl.Expr, str]]:
    """Yield what must not be, and how it is told; earlier rules are told first."""
    label, split, path = pl.col("label"), pl.col("split"), pl.col("path")
    unfilled = pl.any_horizontal(pl.col("group", "source") == "")
    is_hash = pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")
    yield ~label.is_in(labels), f"label is {{label!r}}, must be one of {', '.join(labels)}"
    yield (
        (label == "real") != (pl.col("generator") == "none"),
        "a row is real exactly when its generator is 'none'; it says {generator!r}",
    )
    yield pl.col("generator") == "", "generator must be filled"
    yield (
        ~split.is_in(("", *splits)),
        f"split is {{split!r}}, must be one of {', '.join(splits)}",
    )
    yield unfilled | ~is_hash, "sha256 (64 hex digits), group and source must be filled"
    yield (
        (path == "") | path.str.contains(_ABSOLUTE) | path.str.contains(_UPWARDS),
        "the path must stay inside of the data folder; write it relative to that, without '..'",
    )


def _first(table: pl.DataFrame, rule: pl.Expr) -> int | None:
    """Return the number of the first row that a rule holds for."""
    number: int | None = table.select(rule.arg_true().first().alias("n"))["n"][0]
    return number
