"""`divide`: assign the rows of a manifest to four splits, keeping related pictures together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from faceproof.data.duplicates import NEAR_BITS, hash_array, merge_clusters, merge_near_clusters
from faceproof.data.manifest import CONTRACT, SPLITS, Manifest
from faceproof.data.splitting.stratified import DEFAULT_SHARES, Strata, assign, check_shares
from faceproof.errors import UsageError
from faceproof.records import Record
from faceproof.tables import did_you_mean

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _RelatedRows:
    """Clusters of N rows, int64 [N] each: a cluster is named by the first row in it.

    ``stated`` joins groups and equal files, ``joined`` also near-duplicates;
    ``without_hash`` rows could not be compared.
    """

    stated: Index
    joined: Index
    without_hash: int

    @property
    def rows_joined(self) -> int:
        """The number of rows in clusters joined only by near-duplicates."""
        parts = np.bincount(self.joined[np.unique(self.stated)], minlength=len(self.joined))
        return int((parts[self.joined] > 1).sum())

    @property
    def count(self) -> int:
        """The number of clusters."""
        return len(np.unique(self.joined))

    @property
    def largest(self) -> int:
        """The number of rows in the largest cluster."""
        return int(np.bincount(self.joined).max(initial=0))


def _find_related(table: pl.DataFrame, *, near_bits: int) -> _RelatedRows:
    """Return the clusters of a manifest's rows.

    Raises:
        ManifestError: a perceptual hash is none.
    """
    alone = np.arange(table.height)
    stated = merge_clusters(
        alone, np.concatenate([_equal_rows(table, "group"), _equal_rows(table, "sha256")])
    )
    hashed = _hashed_rows(table)
    if not len(hashed):
        return _RelatedRows(stated, stated, table.height)
    near = merge_near_clusters(
        hash_array(table["phash"].gather(hashed)), _roots(stated[hashed]), distance=near_bits
    )
    links = np.stack([hashed, hashed[near]], axis=1)
    return _RelatedRows(stated, merge_clusters(stated, links), table.height - len(hashed))


def _equal_rows(table: pl.DataFrame, column: str) -> Index:
    """Return int64 [N, 2]: each row with the first row of the same value."""
    rows = table.select(column).with_row_index("row").cast({"row": pl.Int64})
    return rows.select(pl.col("row").first().over(column).alias("first"), "row").to_numpy()


def _hashed_rows(table: pl.DataFrame) -> Index:
    """Return the numbers of the rows that have a perceptual hash."""
    if "phash" not in table.columns:
        return np.empty(0, np.int64)
    filled = table["phash"].fill_null("") != ""
    return np.flatnonzero(filled.to_numpy())


def _roots(labels: Index) -> Index:
    """Return the clusters of equal labels, named by their first member."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[which], np.int64)


def _recall_splits(manifest: Manifest, older: Sequence[Manifest]) -> pl.DataFrame:
    """Return each row's split ("" without one) and ``conflict``, its contradiction or "".

    An earlier one of ``older`` takes precedence over a later one, and all of them over the manifest
    itself; a picture is identified by its hash, or else by its path. If one group or file would be
    in two splits, only the rows of the higher precedence keep theirs. Of two rows known to one
    manifest, the one with the same hash and path takes precedence.
    """
    known = manifest.table.select(split=pl.lit(""), rank=pl.lit(0))
    for rank, memory in enumerate((*older, manifest)):
        found = _look_up(manifest, memory).select("split", rank=3 * rank + pl.col("doubt"))
        taken = (known["split"] == "") & (found["split"] != "")
        known = known.select(
            pl.when(taken).then(found[name]).otherwise(name).alias(name) for name in known.columns
        )
    table = manifest.table.select("group", "sha256").hstack(known)
    conflict = pl.coalesce(_contradiction(key) for key in ("group", "sha256")).fill_null("")
    with_conflicts = table.with_columns(conflict.alias("conflict"))
    kept = pl.when(pl.col("conflict") == "").then("split").otherwise(pl.lit("")).alias("split")
    return with_conflicts.select(kept, "conflict")


def _look_up(manifest: Manifest, memory: Manifest) -> pl.DataFrame:
    """Return the split of each row in ``memory``: by its hash, or else by its path.

    ``doubt`` is 0 if both agree, 1 if only the hash matches, 2 if only the path matches.
    """
    known = memory.table.select("sha256", "split", _picture_place(memory)).filter(
        pl.col("split") != ""
    )
    rows = manifest.table.select("sha256", _picture_place(manifest))
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


def _picture_place(manifest: Manifest) -> pl.Expr:
    """Return each picture's absolute path, or its relative one without a data folder."""
    root = "" if manifest.root is None else f"{os.path.abspath(manifest.root)}/"  # noqa: PTH100
    return pl.concat_str(pl.lit(root), "path").alias("place")


def _contradiction(key: str) -> pl.Expr:
    """Return the message for a row whose ``key`` is in another split with precedence."""
    placed = pl.when(pl.col("split") != "")
    best = placed.then("split").sort_by(placed.then("rank"), nulls_last=True).first().over(key)
    message = pl.format(f"its {key} is in {{}}, the row itself in {{}}", best, "split")
    return placed.then(pl.when(pl.col("split") != best).then(message))


Flags = npt.NDArray[np.bool_]

#: A cluster larger than this share of the set is reported: near-duplicates may have chained.
_CHAINED_SHARE = 0.05
_MOST_NAMED = 10


class SplitSpec(Record):
    """The options that determine the splits, together with the rows and their earlier splits."""

    shares: dict[str, float] = DEFAULT_SHARES
    seed: int = 0
    by: tuple[str, ...] = ()
    near_bits: int = Field(default=NEAR_BITS, ge=0, le=256)


@dataclass(frozen=True, slots=True)
class _LeftOutRow:
    """A row without a split, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The manifest with its splits, and facts for the report.

    ``strata`` and ``counts``, int64 [strata, 4], are the rows of each stratum in each split;
    ``kept`` rows had their split before.
    """

    manifest: Manifest
    left_out: tuple[_LeftOutRow, ...]
    warnings: tuple[str, ...]
    related: _RelatedRows
    kept: int
    strata: tuple[str, ...]
    counts: Index


def divide(manifest: Manifest, spec: SplitSpec, *, older: Sequence[Manifest] = ()) -> SplitResult:
    """Return the manifest with every row in a split, except rows that would connect two splits.

    A row with a split, in ``older`` manifests or its own, keeps it. The rows of a cluster then have
    one group; ``group_before`` is their earlier one.

    Raises:
        UsageError: a column to stratify by is missing, or the shares do not sum to 1.
        ManifestError: a perceptual hash is invalid.
    """
    shares = check_shares(spec.shares)
    _refuse_unknown(manifest, spec.by)
    table, memory = manifest.table, _recall_splits(manifest, older)
    had = _numbers(memory["split"])
    found = _find_related(table, near_bits=spec.near_bits)
    units, torn = _units(found.joined, had, (memory["conflict"] != "").to_numpy())
    names, strata = _names(table, units), Strata.of(table, spec.by)
    fixed = _splits_touched(units, had)
    of_unit = assign(strata, units, names, _only_split(fixed), shares=shares, seed=spec.seed)
    # The last entry is that of the rows without a unit.
    split = np.append(of_unit, -1)[units]
    counts = strata.counts(split)
    return SplitResult(
        manifest.with_table(_fill_columns(table, split, units, names, torn)),
        tuple(_rows_left_out(table["path"], memory["conflict"], split, found, had)),
        tuple(_warnings(table, spec, found, had, torn))
        + tuple(_empty_strata_warnings(strata.names, counts, shares)),
        found,
        int((had >= 0).sum()),
        strata.names,
        counts,
    )


def _refuse_unknown(manifest: Manifest, by: Sequence[str]) -> None:
    """Reject a column that the manifest lacks, or that is not an attribute."""
    known = [name for name in manifest.table.columns if name not in CONTRACT]
    for name in by:
        if name not in known:
            raise UsageError(
                f"--by has {name!r}{did_you_mean(name, known)}, "
                f"must be one of {', '.join(known) or '(the manifest has no attributes)'}"
            )


def _numbers(splits: pl.Series) -> Index:
    """Return int64 [N]: the number of each split, -1 without one."""
    numbers = {name: number for number, name in enumerate(SPLITS)}
    return splits.replace_strict(numbers, default=-1, return_dtype=pl.Int64).to_numpy()


def _splits_touched(units: Index, had: Index) -> Flags:
    """Return bool [U, 4]: whether each unit already has rows in each split."""
    touched = np.zeros((units.max(initial=-1) + 1, len(SPLITS)), bool)
    old = (had >= 0) & (units >= 0)
    touched[units[old], had[old]] = True
    return touched


def _only_split(touched: Flags) -> list[int]:
    """Return the only split with rows of each unit, -1 if there is none."""
    only = np.where(touched.any(axis=1), touched.argmax(axis=1), -1)
    return [int(split) for split in only]


def _units(clusters: Index, had: Index, conflict: Flags) -> tuple[Index, Flags]:
    """Return the units that get one split, int64 [N], and bool [N]: rows torn between two.

    In a torn cluster, the rows of each split stay together and new rows have no unit (-1).
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    torn = (_splits_touched(cluster, had).sum(axis=1) > 1)[cluster]
    key = cluster * (len(SPLITS) + 1) + np.where(torn, had + 1, 0)
    placed = ~(torn & (had < 0)) & ~conflict
    units = np.full(len(clusters), -1)
    units[placed] = np.unique(key[placed], return_inverse=True)[1]
    return units, torn


def _names(table: pl.DataFrame, units: Index) -> list[str]:
    """Return the smallest group of each unit: the input of the hash, and the name of its group."""
    groups = table.select("group", unit=pl.Series(units)).filter(pl.col("unit") >= 0)
    return groups.group_by("unit").agg(pl.col("group").min()).sort("unit")["group"].to_list()


def _fill_columns(
    table: pl.DataFrame, split: Index, units: Index, names: list[str], torn: Flags
) -> pl.DataFrame:
    """Return the table with split and group, and the previous group if that changed."""
    joined = pl.Series("joined", [*names, ""], dtype=pl.String).gather(
        np.where(units < 0, len(names), units)
    )
    whole = pl.Series(~torn & (units >= 0))
    group = table.select(pl.when(whole).then(joined).otherwise("group").alias("g")).to_series()
    filled = table.with_columns(
        pl.Series("split", [*SPLITS, ""]).gather(np.where(split < 0, len(SPLITS), split))
    )
    if (group == table["group"]).all():
        return filled
    known = pl.col("group_before") if "group_before" in table.columns else pl.lit("")
    first = pl.when(known != "").then(known).otherwise("group")
    before = pl.when(pl.col("group") != group).then(first).otherwise(known)
    return filled.with_columns(before.alias("group_before"), group.alias("group"))


def _rows_left_out(
    paths: pl.Series, conflicts: pl.Series, split: Index, found: _RelatedRows, had: Index
) -> Iterator[_LeftOutRow]:
    """Yield the rows without a split, and why."""
    touched = _splits_touched(found.joined, had)
    for row in np.flatnonzero(split < 0):
        if conflict := conflicts[int(row)]:
            yield _LeftOutRow(paths[int(row)], f"{conflict}: excluded")
        else:
            splits = " and ".join(np.array(SPLITS)[touched[found.joined[row]]])
            yield _LeftOutRow(paths[int(row)], f"connects {splits}: excluded")


def _warnings(
    table: pl.DataFrame, spec: SplitSpec, found: _RelatedRows, had: Index, torn: Flags
) -> Iterator[str]:
    """Yield warnings about the clusters."""
    if found.without_hash:
        yield (
            f"{found.without_hash} rows have no perceptual hash (column phash): "
            "they are joined only by group and equal files"
        )
    if found.largest > max(1, _CHAINED_SHARE * table.height):
        yield (
            f"the largest cluster has {found.largest} of {table.height} rows: near-duplicates "
            "may have chained; inspect it, or lower --near-bits"
        )
    old = np.flatnonzero(torn & (had >= 0))
    among = _find_related(table[old], near_bits=spec.near_bits).joined
    leaking = (_splits_touched(among, had[old]).sum(axis=1) > 1)[among]
    if leaking.any():
        yield (
            f"{leaking.sum()} rows already leak: near-duplicates of them are in another split; "
            "they keep their split, --anew would move them"
        )


def _empty_strata_warnings(
    names: Sequence[str], counts: Index, shares: Mapping[str, float]
) -> Iterator[str]:
    """Yield warnings for strata without a row in some split, the largest strata first."""
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    wanted = [number for number, split in enumerate(SPLITS) if shares[split] > 0]
    empty = [(stratum, n) for stratum in order for n in wanted if not counts[stratum, n]]
    for stratum, number in empty[:_MOST_NAMED]:
        rows = counts[stratum].sum()
        yield f"no row in {SPLITS[number]} of {names[stratum]} ({rows} rows)"
    if len(empty) > _MOST_NAMED:
        yield f"and {len(empty) - _MOST_NAMED} more strata without a row in some split"
