"""Pictures that look nearly the same, within one set of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.duplicates import hash_array, near_pairs

Pairs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: A hash of fewer set bits than this is that of an even surface; others have half of 256.
BLANK_BITS = 64

IS_PHASH = pl.col("phash").str.contains(r"^[0-9a-f]{64}$").fill_null(value=False)


@dataclass(frozen=True, eq=False)
class Hashed:
    """The rows that can be compared by looks: places int64 [N] in the table, uint8 [N, 32]."""

    places: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint8]
    blank: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Near-duplicates, not of the same file: places int64 [P, 2], and what their rows share."""

    pairs: Pairs
    bits: npt.NDArray[np.int64]
    same_label: Flags
    same_group: Flags
    two_splits: Flags

    def at(self, chosen: Flags) -> Pairs:
        """Return the chosen pairs, the nearest first."""
        places = np.flatnonzero(chosen)
        return self.pairs[places[np.argsort(self.bits[places], kind="stable")]]

    @property
    def leaks(self) -> Pairs:
        """Pairs that stand in two splits."""
        return self.at(self.two_splits)

    @property
    def conflicts(self) -> Pairs:
        """Pairs of two labels in two groups."""
        return self.at(~self.same_label & ~self.same_group)

    @property
    def originals(self) -> Pairs:
        """Pairs of two labels in one group: a swap and its original."""
        return self.at(~self.same_label & self.same_group)

    @property
    def others(self) -> Pairs:
        """Pairs of one label, in two groups but not in two splits."""
        return self.at(self.same_label & ~self.same_group & ~self.two_splits)


def hashed(table: pl.DataFrame) -> Hashed:
    """Return the rows that have a perceptual hash, those of even surfaces apart.

    Of the same file in the same part and group, the first row stands for all.
    """
    rows = table.with_row_index("#at").filter(IS_PHASH)
    rows = rows.unique(["sha256", "split", "label", "group"], keep="first", maintain_order=True)
    places = rows["#at"].to_numpy().astype(np.int64)
    hashes = hash_array(rows["phash"])
    blank = np.bitwise_count(hashes).sum(1, dtype=np.int64) < BLANK_BITS
    return Hashed(places[~blank], hashes[~blank], places[blank])


def near(table: pl.DataFrame, compared: Hashed, *, distance: int) -> NearPairs:
    """Return the pairs of rows that look nearly the same."""
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
    return NearPairs(
        pairs=np.stack([compared.places[first], compared.places[second]], axis=1),
        bits=bits,
        same_label=codes["label"][first] == codes["label"][second],
        same_group=codes["group"][first] == codes["group"][second],
        two_splits=both_split & (codes["split"][first] != codes["split"][second]),
    )


def differing_bits(first: str, second: str) -> int:
    """Return in how many bits two hashes of hex digits differ.

    >>> differing_bits("0f", "00")
    4
    """
    return (int(first, 16) ^ int(second, 16)).bit_count()
