"""Which pictures to open: all of them, or a seeded sample that is even over what there is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl


def sample(table: pl.DataFrame, *, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return int64 places in the table, ascending: ``n`` of them, or all where that is 0 or less.

    Every class and generator gives equally many, as far as it has them.
    """
    if n == 0 or table.height <= n:
        return np.arange(table.height)
    kinds = table.select(pl.struct("label", "generator").rank("dense")).to_series().to_numpy() - 1
    shares = even_shares(np.bincount(kinds).tolist(), n)
    shuffled = np.random.default_rng(seed).permutation(table.height)
    taken = [shuffled[kinds[shuffled] == kind][:share] for kind, share in enumerate(shares)]
    return np.sort(np.concatenate(taken))


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
