"""Which split a row has already: from an older manifest, or from its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

import polars as pl

from faceproof.data.manifest import Manifest


def remembered(manifest: Manifest, older: Sequence[Manifest]) -> pl.DataFrame:
    """Return each row's split ("" where it has none) and ``conflict``, what contradicts it or "".

    An earlier one of ``older`` counts for more than a later one, and all of them for more than the
    manifest itself; a picture is known by its hash, or else by its path. Where one group or file
    would stand in two splits, only the rows of what counts for more keep theirs: of two that
    one manifest knows, that with the same hash and path.
    """
    known = manifest.table.select(split=pl.lit(""), rank=pl.lit(0))
    for rank, memory in enumerate((*older, manifest)):
        found = _looked_up(manifest, memory).select("split", rank=3 * rank + pl.col("doubt"))
        taken = (known["split"] == "") & (found["split"] != "")
        known = known.select(
            pl.when(taken).then(found[name]).otherwise(name).alias(name) for name in known.columns
        )
    table = manifest.table.select("group", "sha256").hstack(known)
    conflict = pl.coalesce(_contradicted(key) for key in ("group", "sha256")).fill_null("")
    told = table.with_columns(conflict.alias("conflict"))
    kept = pl.when(pl.col("conflict") == "").then("split").otherwise(pl.lit("")).alias("split")
    return told.select(kept, "conflict")


def _looked_up(manifest: Manifest, memory: Manifest) -> pl.DataFrame:
    """Return what ``memory`` says of each row: by its hash, or else by its path.

    ``doubt`` is 0 where both agree, 1 where it is the hash alone, 2 where it is the path.
    """
    known = memory.table.select("sha256", "split", _place(memory)).filter(pl.col("split") != "")
    rows = manifest.table.select("sha256", _place(manifest))
    by_hash, by_place = (
        rows.join(known.unique(key).select(key, "split"), on=key, how="left", maintain_order="left")
        for key in ("sha256", "place")
    )
    both = rows.join(
        known.unique(["sha256", "place"]), on=["sha256", "place"], how="left", maintain_order="left"
    )
    return pl.DataFrame({"hash": by_hash["split"], "place": by_place["split"]}).select(
        pl.coalesce("hash", "place", pl.lit("")).alias("split"),
        pl.when(both["split"].is_not_null())
        .then(0)
        .when(pl.col("hash").is_not_null())
        .then(1)
        .otherwise(2)
        .alias("doubt"),
    )


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
