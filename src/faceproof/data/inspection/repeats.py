"""Repeated pictures in a data set, and divided groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.duplicates import hash_array, near_pairs
from faceproof.data.inspection.record import (
    MOST_EXAMPLES,
    DataFault,
    Example,
    PartOverlap,
    Repeats,
    make_fault,
)
from faceproof.data.inspection.rows import OFFICIAL, part_of_rows, row_examples, row_refs
from faceproof.messages import count_noun

_Pairs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: A hash with fewer set bits than this is that of a uniform surface; others have half of 256.
_BLANK_BITS = 64

IS_PHASH = pl.col("phash").str.contains(r"^[0-9a-f]{64}$").fill_null(value=False)


@dataclass(frozen=True, eq=False)
class HashedRows:
    """The rows with perceptual hashes: places int64 [N] in the table, hashes uint8 [N, 32]."""

    places: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint8]
    blank: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _NearPairs:
    """Near-duplicates, not of the same file: places int64 [P, 2], and the rows' agreement."""

    pairs: _Pairs
    bits: npt.NDArray[np.int64]
    same_label: Flags
    same_group: Flags
    two_splits: Flags

    def select(self, chosen: Flags) -> _Pairs:
        """Return the chosen pairs, the nearest first."""
        places = np.flatnonzero(chosen)
        return self.pairs[places[np.argsort(self.bits[places], kind="stable")]]

    @property
    def leaks(self) -> _Pairs:
        """Pairs in two splits."""
        return self.select(self.two_splits)

    @property
    def conflicts(self) -> _Pairs:
        """Pairs of two labels in two groups."""
        return self.select(~self.same_label & ~self.same_group)

    @property
    def originals(self) -> _Pairs:
        """Pairs of two labels in one group: a swap and its original."""
        return self.select(~self.same_label & self.same_group)

    @property
    def others(self) -> _Pairs:
        """Pairs of one label, in two groups but not in two splits."""
        return self.select(self.same_label & ~self.same_group & ~self.two_splits)


def select_hashed(table: pl.DataFrame) -> HashedRows:
    """Return the rows with a perceptual hash, and separately those of uniform surfaces.

    If the same file repeats in the same part and group, the first row represents all.
    """
    rows = table.with_row_index("#at").filter(IS_PHASH)
    rows = rows.unique(["sha256", "split", "label", "group"], keep="first", maintain_order=True)
    places = rows["#at"].to_numpy().astype(np.int64)
    hashes = hash_array(rows["phash"])
    blank = np.bitwise_count(hashes).sum(1, dtype=np.int64) < _BLANK_BITS
    return HashedRows(places[~blank], hashes[~blank], places[blank])


def find_near_pairs(table: pl.DataFrame, compared: HashedRows, *, distance: int) -> _NearPairs:
    """Return the pairs of near-duplicate rows."""
    found = near_pairs(compared.hashes, distance=distance)
    first, second = found[:, 0], found[:, 1]
    codes = {
        name: table[name].cast(pl.Categorical).to_physical().to_numpy()[compared.places]
        for name in ("sha256", "label", "group", "split")
    }
    other = codes["sha256"][first] != codes["sha256"][second]
    first, second = first[other], second[other]
    has_split = (table["split"] != "").to_numpy()[compared.places]
    bits = np.bitwise_count(compared.hashes[first] ^ compared.hashes[second]).sum(1, dtype=np.int64)
    both_split = has_split[first] & has_split[second]
    return _NearPairs(
        pairs=np.stack([compared.places[first], compared.places[second]], axis=1),
        bits=bits,
        same_label=codes["label"][first] == codes["label"][second],
        same_group=codes["group"][first] == codes["group"][second],
        two_splits=both_split & (codes["split"][first] != codes["split"][second]),
    )


def differing_bits(first: str, second: str) -> int:
    """Return the number of differing bits of two hashes of hex digits.

    >>> differing_bits("0f", "00")
    4
    """
    return (int(first, 16) ^ int(second, 16)).bit_count()


IS_SHA256 = pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")


def find_same_files(table: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each repeated file: ``at`` (places), ``rows`` and their differences.

    ``labels`` and ``splits`` count the distinct ones; an empty split is not counted.
    """
    rows = table.select("sha256", "label", "split").with_row_index("#at").filter(IS_SHA256)
    several = rows.filter(pl.col("sha256").is_duplicated())
    split = pl.col("split")
    return (
        several.group_by("sha256")
        .agg(
            at=pl.col("#at"),
            rows=pl.len(),
            labels=pl.col("label").n_unique(),
            splits=split.filter(split != "").n_unique(),
        )
        .sort(pl.col("at").list.first())
    )


def count_repeats(
    table: pl.DataFrame, same: pl.DataFrame, found: _NearPairs, *, near_bits: int
) -> Repeats:
    """Return the repeated pictures, and the overlaps of the parts of the data."""
    return Repeats(
        compared=int(table.select(IS_PHASH.sum()).item()),
        not_compared=int(table.select((~IS_PHASH).sum()).item()),
        near_bits=near_bits,
        extra_copies=int((same["rows"] - 1).sum()),
        near_pairs=len(found.pairs),
        parts=_part_overlaps(table, found),
    )


def repeat_faults(
    table: pl.DataFrame, compared: HashedRows, same: pl.DataFrame, found: _NearPairs
) -> Iterator[DataFault]:
    """Yield the faults of repeated pictures."""
    reporter = _FaultReporter(table, found)
    leaks, conflicts = same.filter(pl.col("splits") > 1), same.filter(pl.col("labels") > 1)
    yield from reporter.report_all("leak", leaks, found.leaks, "in two splits")
    yield from reporter.report_all("conflict", conflicts, found.conflicts, "under two labels")
    harmless = same.filter((pl.col("splits") < 2) & (pl.col("labels") < 2))
    yield from _duplicate_faults(reporter, harmless)
    yield from reporter.report_pairs("near-duplicate", found.others, "of one class in two groups")
    yield from reporter.report_pairs(
        "pair", found.originals, "of a real and a fake picture in one group"
    )
    yield from _uncompared_faults(table, compared)


def official_faults(table: pl.DataFrame, parts: Sequence[PartOverlap]) -> Iterator[DataFault]:
    """Yield a fault if official splits share pictures, for rows without another split."""
    if OFFICIAL not in table.columns or (table["split"] != "").any():
        return
    divided = [one for one in parts if _split_of(one.first) != _split_of(one.second)]
    if divided:
        words = [
            f"{one.first} and {one.second} share {one.same:,} files and {one.near:,} pairs of "
            "near-duplicates"
            for one in divided
        ]
        count = sum(one.same + one.near for one in divided)
        yield make_fault("official-leak", f"{'; '.join(words)}.", [], count=count)


def _split_of(part: str) -> str:
    return part.rpartition(" / ")[0]


def group_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault if groups are in two splits."""
    rows = table.with_row_index("#at").filter((pl.col("split") != "") & (pl.col("group") != ""))
    held = rows.group_by("group").agg(
        pl.col("split").unique().sort(), pl.col("#at").first(), pl.len()
    )
    divided = held.filter(pl.col("split").list.len() > 1).sort("#at")
    if divided.is_empty():
        return
    shown = divided.head(MOST_EXAMPLES)
    words = [
        f"group {group}, {count} rows in {' and '.join(splits)}"
        for group, splits, _, count in shown.iter_rows()
    ]
    message = f"{divided.height:,} of {count_noun(held.height, 'group')} in two splits or more."
    where = row_examples(table, shown["#at"].to_list(), words)
    yield make_fault("group", message, where, count=divided.height)


@dataclass(frozen=True)
class _FaultReporter:
    """Builds the faults of files and pairs, with examples."""

    table: pl.DataFrame
    found: _NearPairs

    def report_all(
        self, kind: str, same: pl.DataFrame, pairs: _Pairs, where: str
    ) -> Iterator[DataFault]:
        """Yield one fault for files and near-duplicates."""
        if same.is_empty() and not len(pairs):
            return
        pictures = count_noun(same.height, "file")
        message = f"{pictures} and {count_noun(len(pairs), 'pair')} of near-duplicates {where}."
        shown = [*self.file_examples(same), *self._pair_examples(pairs)]
        yield make_fault(
            kind, message, _merge_examples(shown, same.height), count=same.height + len(pairs)
        )

    def report_pairs(self, kind: str, pairs: _Pairs, what: str) -> Iterator[DataFault]:
        """Yield a fault for near-duplicates."""
        if len(pairs):
            message = f"{count_noun(len(pairs), 'pair')} of near-duplicates {what}."
            yield make_fault(kind, message, self._pair_examples(pairs), count=len(pairs))

    def file_examples(self, same: pl.DataFrame) -> list[Example]:
        """Return an example for each file: the two rows that differ most."""
        return [
            Example(
                rows=tuple(row_refs(self.table, _differing_places(self.table, at))),
                detail="the same file",
            )
            for at in same["at"].head(MOST_EXAMPLES).to_list()
        ]

    def _pair_examples(self, pairs: _Pairs) -> list[Example]:
        """Return an example for each pair."""
        shown = pairs[:MOST_EXAMPLES].tolist()
        hashes = [self.table["phash"][list(pair)].to_list() for pair in shown]
        return [
            Example(
                rows=tuple(row_refs(self.table, pair)),
                detail=f"{differing_bits(*two)} of 256 bits differ",
            )
            for pair, two in zip(shown, hashes, strict=True)
        ]


def _differing_places(table: pl.DataFrame, places: Sequence[int]) -> list[int]:
    """Return two of the places: the first, and the first that differs in label or split."""
    rows = table.select("label", "split")[list(places)].rows()
    other = next(
        (place for place, row in zip(places, rows, strict=True) if row != rows[0]), places[1]
    )
    return [places[0], other]


def _merge_examples(shown: list[Example], files: int) -> list[Example]:
    """Return the examples, beginning with the first of files and the first of pairs."""
    files = min(files, MOST_EXAMPLES)
    return (
        [*shown[:1], *shown[files : files + 1], *shown[1:files], *shown[files + 1 :]]
        if files
        else shown
    )


def _duplicate_faults(reporter: _FaultReporter, same: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault for copies that are neither a leak nor a conflict."""
    if same.is_empty():
        return
    extra = int((same["rows"] - 1).sum())
    message = f"{count_noun(extra, 'row')} too many: copies of {count_noun(same.height, 'file')}."
    yield make_fault("duplicate", message, reporter.file_examples(same), count=extra)


def _uncompared_faults(table: pl.DataFrame, compared: HashedRows) -> Iterator[DataFault]:
    """Yield faults for rows that could not be compared."""
    if len(compared.blank):
        blank = compared.blank.tolist()
        message = (
            f"{count_noun(len(blank), 'picture')} of a flat surface, not compared with others."
        )
        yield make_fault(
            "blank", message, row_examples(table, blank[:MOST_EXAMPLES]), count=len(blank)
        )
    without = table.select((~IS_PHASH).arg_true().alias("at"))["at"].to_list()
    if without:
        message = (
            f"{len(without):,} of {count_noun(table.height, 'row')} without a perceptual hash."
        )
        where = row_examples(table, without[:MOST_EXAMPLES])
        yield make_fault("not-compared", message, where, count=len(without))


def _part_overlaps(table: pl.DataFrame, found: _NearPairs) -> tuple[PartOverlap, ...]:
    """Return the overlap of every two parts of the data, if there is any."""
    parts = part_of_rows(table)
    own = pl.DataFrame({"sha256": table["sha256"], "part": parts}).filter(IS_SHA256)
    held = own.group_by("sha256", "part").len()
    copies = held.filter(pl.col("len") > 1).select(
        first="part", second="part", same=(pl.col("len") - 1).cast(pl.Int64)
    )
    both = held.join(held, on="sha256", suffix="_2").filter(pl.col("part") < pl.col("part_2"))
    across = both.select(first="part", second="part_2", same=pl.lit(1, pl.Int64))
    pairs = _parts_of_pairs(parts, found)
    whole = pl.concat([copies, across, pairs], how="diagonal").fill_null(0)
    shared = whole.group_by("first", "second").agg(
        pl.col("same").sum(), pl.col("near").sum(), pl.col("near_in_group").sum()
    )
    return tuple(PartOverlap(**row) for row in shared.sort("first", "second").iter_rows(named=True))


def _parts_of_pairs(parts: pl.Series, found: _NearPairs) -> pl.DataFrame:
    """Return for each pair of near-duplicates its parts."""
    one, two = (parts[found.pairs[:, side]] for side in (0, 1))
    return pl.DataFrame({"one": one, "two": two, "in_group": found.same_group}).select(
        first=pl.min_horizontal("one", "two"),
        second=pl.max_horizontal("one", "two"),
        near=pl.lit(1, pl.Int64),
        near_in_group=pl.col("in_group").cast(pl.Int64),
    )
