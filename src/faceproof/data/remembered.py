"""Which split a row has already: from an older manifest, or from its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

import polars as pl

from faceproof.data.manifest import Manifest


def remembered(manifest: Manifest, older: Sequence[Manifest]) -> pl.DataFrame:
    """Return each row's split ("" where it has none) and ``conflict``, what contradicts it or "".

    An earlier one of ``older`` counts for more than a later one, and all of them for more than the
    manifest itself; a picture is known by its hash, or else by its path. Where two of them put
    one group or file into two splits, only the rows of the one that counts for more keep theirs.
    """
    columns = [pl.Series("split", [""] * len(manifest)), pl.Series("rank", [0] * len(manifest))]
    known = pl.DataFrame(columns, schema={"split": pl.String, "rank": pl.Int64})
    for rank, memory in enumerate((*older, manifest)):
        found = _looked_up(manifest, memory)
        taken = (known["split"] == "") & (found != "")
        known = known.select(
            pl.when(taken).then(found).otherwise("split").alias("split"),
            pl.when(taken).then(pl.lit(rank)).otherwise("rank").alias("rank"),
        )
    table = manifest.table.select("group", "sha256").hstack(known)
    conflict = pl.coalesce(_contradicted(key) for key in ("group", "sha256")).fill_null("")
    told = table.with_columns(conflict.alias("conflict"))
    kept = pl.when(pl.col("conflict") == "").then("split").otherwise(pl.lit("")).alias("split")
    return told.select(kept, "conflict")


def _looked_up(manifest: Manifest, memory: Manifest) -> pl.Series:
    """Return what ``memory`` says of each row: by its hash, or else by its path."""
    known = memory.table.select("sha256", "split", _place(memory)).filter(pl.col("split") != "")
    rows = manifest.table.select("sha256", _place(manifest))
    by_hash, by_place = (
        rows.join(known.unique(key).select(key, "split"), on=key, how="left", maintain_order="left")
        for key in ("sha256", "place")
    )
    return by_hash["split"].fill_null(by_place["split"]).fill_null("")


def _place(manifest: Manifest) -> pl.Expr:
    """Return where each picture lies; its path where the data folder is not known."""
    root = "" if manifest.root is None else f"{os.path.abspath(manifest.root)}/"  # noqa: PTH100
    return pl.concat_str(pl.lit(root), "path").alias("place")


def _contradicted(key: str) -> pl.Expr:
    """Return what is said of a row whose ``key`` stands in another split with more weight."""
    placed = pl.when(pl.col("split") != "")
    best = placed.then("split").sort_by(placed.then("rank"), nulls_last=True).first().over(key)
    said = pl.format(f"its {key} stands in {{}}, it itself in {{}}", best, "split")
    return placed.then(pl.when(pl.col("split") != best).then(said))
