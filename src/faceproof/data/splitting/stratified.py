"""Stratified splits: a hash of each cluster and quotas of every stratum decide.

Each cluster gets the split selected by the seeded hash of its name, unless a stratum of the cluster
has reached its quota there. So the shares are close to exact, and most clusters keep their split
when others are added, without any record of earlier splits.

Source: the quotas are those of iterative stratification (Sechidis, Tsoumakas and Vlahavas,
"On the Stratification of Multi-Label Data", ECML PKDD 2011); there the rarest label has precedence.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import SPLITS
from faceproof.errors import UsageError
from faceproof.tables import choose

DEFAULT_SHARES = {"train": 0.70, "validation": 0.06, "calibration": 0.12, "test": 0.12}


def unit_hash(text: str, seed: int) -> float:
    """Return a number in [0, 1) that depends only on text and seed."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_at(position: float, shares: Mapping[str, float]) -> str:
    """Return the split whose part of [0, 1) contains ``position``.

    >>> split_at(0.75, DEFAULT_SHARES)
    'validation'
    """
    edge = 0.0
    for name in SPLITS:
        edge += shares[name]
        if position < edge:
            return name
    return SPLITS[0]


def parse_shares(text: str) -> dict[str, float]:
    """Return the share of every split, 0 for one that is not named; their sum is 1.

    >>> parse_shares("train=0.8,test=0.2")
    {'train': 0.8, 'validation': 0.0, 'calibration': 0.0, 'test': 0.2}

    Raises:
        UsageError: a share is not a number from 0 to 1, is repeated, or the sum is not 1.
        UnknownChoiceError: there is no such split.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        choose(dict.fromkeys(SPLITS), name, what="split")
        if name in shares:
            raise UsageError(f"--shares has {name} twice")
        shares[name] = _parse_share(name, share)
    return check_shares(shares)


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the share of every split in their order, 0 for one that is not named.

    Raises:
        UsageError: the sum is not 1.
    """
    if math.isclose(total := sum(shares.values()), 1.0, abs_tol=1e-6):
        return {name: shares.get(name, 0.0) for name in SPLITS}
    named = ",".join(f"{name}={share:g}" for name, share in shares.items())
    raise UsageError(f"the sum of the shares is {total:g}, must be 1: {named}")


def _parse_share(name: str, text: str) -> float:
    """Return one share."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if 0 <= share <= 1:
        return share
    raise UsageError(f"--shares: {name} is {text!r}, must be a number from 0 to 1")


Index = npt.NDArray[np.int64]
#: Number of rows in each stratum of a cluster.
Load = Sequence[tuple[int, int]]

#: A single row fits until the share is reached, also if that is less than one row.
_SLACK_ROWS = 0.5 - 1e-9


@dataclass(frozen=True, slots=True)
class Strata:
    """The strata of N rows in D dimensions: their names, and int64 [N, D] into these."""

    names: tuple[str, ...]
    codes: Index

    @classmethod
    def of(cls, table: pl.DataFrame, by: Sequence[str] = ()) -> Strata:
        """Return the strata: class, generator, then source and each of ``by`` within its class."""
        dimensions = [("label",), ("generator",), *(("label", name) for name in ("source", *by))]
        names: list[str] = []
        codes = np.empty((table.height, len(dimensions)), np.int64)
        for place, columns in enumerate(dimensions):
            text = table.select(pl.concat_str(map(_label_values, columns), separator=", "))
            column = text.to_series()
            known = column.unique().sort()
            codes[:, place] = column.cast(pl.Enum(known)).to_physical().to_numpy()
            codes[:, place] += len(names)
            names += known.to_list()
        return cls(tuple(names), codes)

    def counts(self, splits: npt.NDArray[np.int64]) -> Index:
        """Return the rows as int64 [strata, splits]; a row with split -1 is not counted."""
        placed = splits >= 0
        cells = self.codes[placed] * len(SPLITS) + splits[placed, None]
        found = np.bincount(cells.ravel(), minlength=len(self.names) * len(SPLITS))
        return found.reshape(-1, len(SPLITS))


def assign(
    strata: Strata,
    clusters: Index,
    names: Sequence[str],
    fixed: Sequence[int],
    *,
    shares: Mapping[str, float],
    seed: int,
) -> Index:
    """Return int64 [C]: for each of the clusters the number of its split.

    ``clusters``, int64 [N], is the cluster of each row (-1: none, the row is ignored); ``names``
    are the inputs of the hash; ``fixed`` is the existing split of each cluster, -1 for none.
    """
    loads = list(_loads(strata, clusters, len(names)))
    ledger = _Ledger.of(strata, clusters, [shares[split] for split in SPLITS])
    chosen = list(fixed)
    for cluster, split in enumerate(fixed):
        if split >= 0:
            ledger.add(split, loads[cluster])
    for cluster in _sort_clusters(
        [c for c, split in enumerate(fixed) if split < 0], names, loads, seed
    ):
        proposed = SPLITS.index(split_at(unit_hash(names[cluster], seed), shares))
        chosen[cluster] = ledger.choose(proposed, loads[cluster])
        ledger.add(chosen[cluster], loads[cluster])
    return np.array(chosen, np.int64)


@dataclass(frozen=True, slots=True)
class _Ledger:
    """The rows of each stratum in each split, and the quotas."""

    count: list[list[int]]
    quota: list[list[float]]
    open: list[int]

    @classmethod
    def of(cls, strata: Strata, clusters: Index, shares: Sequence[float]) -> _Ledger:
        """Return a ledger without entries; a split without a share is never chosen."""
        rows = strata.codes[clusters >= 0].ravel()
        totals = np.bincount(rows, minlength=len(strata.names)).tolist()
        return cls(
            count=[[0] * len(shares) for _ in totals],
            quota=[[share * total for share in shares] for total in totals],
            open=[split for split, share in enumerate(shares) if share > 0],
        )

    def add(self, split: int, load: Load) -> None:
        """Add a cluster."""
        for stratum, rows in load:
            self.count[stratum][split] += rows

    def choose(self, proposed: int, load: Load) -> int:
        """Return the proposed split, or, if it is full, the one furthest below its quota."""
        if proposed in self.open and self._fits(proposed, load):
            return proposed
        return min(self.open, key=lambda split: self._reluctance(split, load))

    def _fits(self, split: int, load: Load) -> bool:
        """Return whether every stratum gets nearer to its quota; a single row may complete it."""
        return all(
            self.count[stratum][split] + rows / 2 < self.quota[stratum][split] + _SLACK_ROWS
            for stratum, rows in load
        )

    def _reluctance(self, split: int, load: Load) -> tuple[bool, float, float]:
        """Return a sort key, least for the split that fits best and is furthest below its quota."""
        fits = self._fits(split, load)
        cells = [(self.quota[s][split], self.count[s][split], rows) for s, rows in load]
        harm = sum(max(0.0, had + rows - max(quota, had)) for quota, had, rows in cells)
        filled = sum(had for _, had, _ in cells) / sum(quota for quota, _, _ in cells)
        return not fits, 0.0 if fits else harm, filled


def _loads(strata: Strata, clusters: Index, count: int) -> Iterator[Load]:
    """Yield each cluster's load."""
    placed = clusters >= 0
    cells = clusters[placed, None] * len(strata.names) + strata.codes[placed]
    found, rows = np.unique(cells, return_counts=True)
    edges = np.searchsorted(found, np.arange(count + 1) * len(strata.names))
    pairs = list(zip((found % max(1, len(strata.names))).tolist(), rows.tolist(), strict=True))
    for start, stop in pairwise(edges.tolist()):
        yield pairs[start:stop]


def _sort_clusters(
    clusters: list[int], names: Sequence[str], loads: Sequence[Load], seed: int
) -> list[int]:
    """Return the clusters, large ones first (they are hardest to fit), equal sizes by hash."""

    def place(cluster: int) -> tuple[int, float]:
        size = max(rows for _, rows in loads[cluster])
        return -size.bit_length(), unit_hash(f"order of {names[cluster]}", seed)

    return sorted(clusters, key=place)


def _label_values(column: str) -> pl.Expr:
    """Return ``column=value`` of each row."""
    return pl.concat_str(pl.lit(f"{column}="), pl.col(column).cast(pl.String).fill_null(""))
