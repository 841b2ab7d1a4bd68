"""Which pictures to open: all of them, or a seeded sample that is even over what there is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl


def sample(table: pl.DataFrame, *, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return int64 places in the table, ascending: ``n`` of them, or all where that is 0 or less.

    Each class gives half as far as it has them, and within a class each generator and source
    equally many.
    """
    if n == 0 or table.height <= n:
        return np.arange(table.height)
    classes = numbered(table, "label")
    kinds = numbered(table, "label", "generator", "source")
    shuffled = np.random.default_rng(seed).permutation(table.height)
    taken = []
    for number, half in enumerate(even_shares(np.bincount(classes).tolist(), n)):
        own = shuffled[classes[shuffled] == number]
        sizes = np.bincount(kinds[own], minlength=int(kinds.max()) + 1)
        for kind, share in enumerate(even_shares(sizes.tolist(), half)):
            taken.append(own[kinds[own] == kind][:share])
    return np.sort(np.concatenate(taken))


def numbered(table: pl.DataFrame, *columns: str) -> npt.NDArray[np.int64]:
    """Return int64 [N]: for each row which combination of these columns it has, from 0."""
    ranks = table.select(pl.struct(columns).rank("dense")).to_series()
    return ranks.to_numpy().astype(np.int64) - 1


def even_shares(sizes: list[int], total: int) -> list[int]:
    """Return how many to take of each, as evenly as the sizes allow, ``total`` together.

    >>> even_shares([100, 2, 50], 40)
    [19, 2, 19]
    """
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    for rank, kind in enumerate(sorted(range(len(sizes)), key=lambda kind: sizes[kind])):
        shares[kind] = min(sizes[kind], left // (len(sizes) - rank))
        left -= shares[kind]
    return shares
