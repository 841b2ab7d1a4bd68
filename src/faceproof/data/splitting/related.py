"""Which pictures belong together: the same group, the same file, or near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.components import merged, near_clusters
from faceproof.data.duplicates import hash_array

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Related:
    """Clusters of N rows, int64 [N] each: a cluster is named by the first row in it.

    ``stated`` joins groups and equal files, ``joined`` near-duplicates too;
    ``without_hash`` rows could not be compared.
    """

    stated: Index
    joined: Index
    without_hash: int

    @property
    def rows_joined(self) -> int:
        """The number of rows in clusters that only near-duplicates hold together."""
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


def related(table: pl.DataFrame, *, near_bits: int) -> Related:
    """Return the clusters of a manifest's rows.

    Raises:
        ManifestError: a perceptual hash is none.
    """
    alone = np.arange(table.height)
    stated = merged(alone, np.concatenate([_equal(table, "group"), _equal(table, "sha256")]))
    hashed = _with_hash(table)
    if not len(hashed):
        return Related(stated, stated, table.height)
    near = near_clusters(
        hash_array(table["phash"].gather(hashed)), _roots(stated[hashed]), distance=near_bits
    )
    links = np.stack([hashed, hashed[near]], axis=1)
    return Related(stated, merged(stated, links), table.height - len(hashed))


def _equal(table: pl.DataFrame, column: str) -> Index:
    """Return int64 [N, 2]: each row beside the first one of the same value."""
    rows = table.select(column).with_row_index("row").cast({"row": pl.Int64})
    return rows.select(pl.col("row").first().over(column).alias("first"), "row").to_numpy()


def _with_hash(table: pl.DataFrame) -> Index:
    """Return the numbers of the rows that have a perceptual hash."""
    if "phash" not in table.columns:
        return np.empty(0, np.int64)
    filled = table["phash"].fill_null("") != ""
    return np.flatnonzero(filled.to_numpy())


def _roots(labels: Index) -> Index:
    """Return the clusters of equal labels, named by their first member."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[which], np.int64)
