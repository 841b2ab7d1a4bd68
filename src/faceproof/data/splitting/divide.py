"""A manifest divided into four splits, so that nothing that belongs together stands in two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from faceproof.data.duplicates import NEAR_BITS
from faceproof.data.manifest import CONTRACT, SPLITS, Manifest
from faceproof.data.splitting.related import Related, related
from faceproof.data.splitting.remembered import remembered
from faceproof.data.splitting.splits import DEFAULT_SHARES, checked_shares
from faceproof.data.splitting.stratified import Strata, assign
from faceproof.errors import UsageError
from faceproof.records import Record
from faceproof.tables import nearest

Index = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: A cluster larger than this share of the set is worth a look: near-duplicates may have chained.
CHAINED_SHARE = 0.05
_MOST_NAMED = 10


class SplitSpec(Record):
    """What decides the splits, together with the rows and the splits they have already."""

    shares: dict[str, float] = DEFAULT_SHARES
    seed: int = 0
    by: tuple[str, ...] = ()
    near_bits: int = Field(default=NEAR_BITS, ge=0, le=256)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that stays without a split, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Divided:
    """The manifest with its splits, and what is to be told of it.

    ``strata`` and ``counts``, int64 [strata, 4], say where the rows of each stratum went; ``kept``
    rows had their split before.
    """

    manifest: Manifest
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    related: Related
    kept: int
    strata: tuple[str, ...]
    counts: Index


def divide(manifest: Manifest, spec: SplitSpec, *, older: Sequence[Manifest] = ()) -> Divided:
    """Return the manifest with every row in a split, but for those that would join two.

    A row that has a split, in ``older`` manifests or its own, keeps it. The rows of a cluster are
    of one group then; ``group_before`` names the one they were of.

    Raises:
        UsageError: there is no such column to stratify by, or the shares are not 1 together.
        ManifestError: a perceptual hash is none.
    """
    shares = checked_shares(spec.shares)
    _refuse_unknown(manifest, spec.by)
    table, memory = manifest.table, remembered(manifest, older)
    had = _numbers(memory["split"])
    found = related(table, near_bits=spec.near_bits)
    units, torn = _units(found.joined, had, (memory["conflict"] != "").to_numpy())
    names, strata = _names(table, units), Strata.of(table, spec.by)
    fixed = _touched(units, had)
    of_unit = assign(strata, units, names, _only(fixed), shares=shares, seed=spec.seed)
    # The last entry is that of the rows without a unit.
    split = np.append(of_unit, -1)[units]
    counts = strata.counts(split)
    return Divided(
        manifest.with_table(_filled(table, split, units, names, torn)),
        tuple(_left_out(table["path"], memory["conflict"], split, found, had)),
        tuple(_warnings(table, spec, found, had, torn))
        + tuple(_empty(strata.names, counts, shares)),
        found,
        int((had >= 0).sum()),
        strata.names,
        counts,
    )


def _refuse_unknown(manifest: Manifest, by: Sequence[str]) -> None:
    """Refuse a column that the manifest lacks, or that is no attribute."""
    known = [name for name in manifest.table.columns if name not in CONTRACT]
    for name in by:
        if name not in known:
            raise UsageError(
                f"--by names {name!r}{nearest(name, known)}, "
                f"must be one of {', '.join(known) or '(the manifest has no attributes)'}"
            )


def _numbers(splits: pl.Series) -> Index:
    """Return int64 [N]: the number of each split, -1 for none."""
    numbers = {name: number for number, name in enumerate(SPLITS)}
    return splits.replace_strict(numbers, default=-1, return_dtype=pl.Int64).to_numpy()


def _touched(units: Index, had: Index) -> Flags:
    """Return bool [U, 4]: in which splits each unit has rows already."""
    touched = np.zeros((units.max(initial=-1) + 1, len(SPLITS)), bool)
    old = (had >= 0) & (units >= 0)
    touched[units[old], had[old]] = True
    return touched


def _only(touched: Flags) -> list[int]:
    """Return the one split that each unit has rows in, -1 where it has none."""
    only = np.where(touched.any(axis=1), touched.argmax(axis=1), -1)
    return [int(split) for split in only]


def _units(clusters: Index, had: Index, conflict: Flags) -> tuple[Index, Flags]:
    """Return what is given a split together, int64 [N], and bool [N]: what is torn between two.

    Of a torn cluster, the rows of each split stay together and new ones are in no unit (-1).
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    torn = (_touched(cluster, had).sum(axis=1) > 1)[cluster]
    key = cluster * (len(SPLITS) + 1) + np.where(torn, had + 1, 0)
    placed = ~(torn & (had < 0)) & ~conflict
    units = np.full(len(clusters), -1)
    units[placed] = np.unique(key[placed], return_inverse=True)[1]
    return units, torn


def _names(table: pl.DataFrame, units: Index) -> list[str]:
    """Return the smallest group of each unit: what is hashed, and what its group is called."""
    groups = table.select("group", unit=pl.Series(units)).filter(pl.col("unit") >= 0)
    return groups.group_by("unit").agg(pl.col("group").min()).sort("unit")["group"].to_list()


def _filled(
    table: pl.DataFrame, split: Index, units: Index, names: list[str], torn: Flags
) -> pl.DataFrame:
    """Return the table with split and group, and with the group of before where that changed."""
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


def _left_out(
    paths: pl.Series, conflicts: pl.Series, split: Index, found: Related, had: Index
) -> Iterator[LeftOut]:
    """Yield the rows without a split, and why."""
    touched = _touched(found.joined, had)
    for row in np.flatnonzero(split < 0):
        if conflict := conflicts[int(row)]:
            yield LeftOut(paths[int(row)], f"{conflict}: left out")
        else:
            splits = " and ".join(np.array(SPLITS)[touched[found.joined[row]]])
            yield LeftOut(paths[int(row)], f"bridges {splits}: left out")


def _warnings(
    table: pl.DataFrame, spec: SplitSpec, found: Related, had: Index, torn: Flags
) -> Iterator[str]:
    """Yield what one should know of the clusters."""
    if found.without_hash:
        yield (
            f"{found.without_hash} rows have no perceptual hash (column phash): "
            "they are joined by group and equal files alone"
        )
    if found.largest > max(1, CHAINED_SHARE * table.height):
        yield (
            f"the largest cluster holds {found.largest} of {table.height} rows: near-duplicates "
            "may have chained; look at it, or lower --near-bits"
        )
    old = np.flatnonzero(torn & (had >= 0))
    among = related(table[old], near_bits=spec.near_bits).joined
    leaking = (_touched(among, had[old]).sum(axis=1) > 1)[among]
    if leaking.any():
        yield (
            f"{leaking.sum()} rows already leak: near-duplicates of theirs stand in another split; "
            "they stay where they are, --anew would move them"
        )


def _empty(names: Sequence[str], counts: Index, shares: Mapping[str, float]) -> Iterator[str]:
    """Yield which strata have no row in some split, the largest strata first."""
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    wanted = [number for number, split in enumerate(SPLITS) if shares[split] > 0]
    empty = [(stratum, n) for stratum in order for n in wanted if not counts[stratum, n]]
    for stratum, number in empty[:_MOST_NAMED]:
        rows = counts[stratum].sum()
        yield f"no row in {SPLITS[number]} of {names[stratum]} ({rows} rows)"
    if len(empty) > _MOST_NAMED:
        yield f"and {len(empty) - _MOST_NAMED} more strata without a row in some split"
