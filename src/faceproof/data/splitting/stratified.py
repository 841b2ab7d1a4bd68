"""Four splits with the wanted share of every stratum: a hash proposes, quotas dispose.

Each cluster proposes the split that the seeded hash of its name falls into, and has it while no
stratum of its has its share there. So the shares come out close to exact, and most clusters
stay where they are when others are added, even if nobody remembers where they were.

Source: the quotas are those of iterative stratification (Sechidis, Tsoumakas and Vlahavas,
"On the Stratification of Multi-Label Data", ECML PKDD 2011); there the rarest label chooses.
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
    """Return a number in [0, 1) that depends on text and seed alone."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_at(position: float, shares: Mapping[str, float]) -> str:
    """Return the split whose slice of [0, 1) holds ``position``.

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
    """Return the share of every split, 0 for one that is not named; together they are 1.

    >>> parse_shares("train=0.8,test=0.2")
    {'train': 0.8, 'validation': 0.0, 'calibration': 0.0, 'test': 0.2}

    Raises:
        UsageError: a share is no number from 0 to 1, stands twice, or their sum is not 1.
        UnknownChoiceError: there is no such split.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        choose(dict.fromkeys(SPLITS), name, what="split")
        if name in shares:
            raise UsageError(f"--shares names {name} twice")
        shares[name] = _share(name, share)
    return checked_shares(shares)


def checked_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the share of every split in their order, 0 for one that is not named.

    Raises:
        UsageError: they are not 1 together.
    """
    if math.isclose(total := sum(shares.values()), 1.0, abs_tol=1e-6):
        return {name: shares.get(name, 0.0) for name in SPLITS}
    named = ",".join(f"{name}={share:g}" for name, share in shares.items())
    raise UsageError(f"the shares are {total:g} together, must be 1: {named}")


def _share(name: str, text: str) -> float:
    """Return one share."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if 0 <= share <= 1:
        return share
    raise UsageError(f"--shares: {name} is {text!r}, must be a number from 0 to 1")


Index = npt.NDArray[np.int64]
#: How many rows of which strata: what a cluster brings to a split.
Load = Sequence[tuple[int, int]]

#: So a single row has a place until the share is reached, also where that is less than one row.
SLACK_ROWS = 0.5 - 1e-9


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
            text = table.select(pl.concat_str(map(_named, columns), separator=", "))
            column = text.to_series()
            known = column.unique().sort()
            codes[:, place] = column.cast(pl.Enum(known)).to_physical().to_numpy()
            codes[:, place] += len(names)
            names += known.to_list()
        return cls(tuple(names), codes)

    def counts(self, splits: npt.NDArray[np.int64]) -> Index:
        """Return int64 [strata, splits] of rows; a row whose split is -1 is in none."""
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

    ``clusters``, int64 [N], says which of them a row belongs to (-1: none, it counts nowhere);
    ``names`` are what is hashed; ``fixed`` says which split a cluster has already, -1 for none.
    """
    loads = list(_loads(strata, clusters, len(names)))
    ledger = _Ledger.of(strata, clusters, [shares[split] for split in SPLITS])
    chosen = list(fixed)
    for cluster, split in enumerate(fixed):
        if split >= 0:
            ledger.add(split, loads[cluster])
    for cluster in _order([c for c, split in enumerate(fixed) if split < 0], names, loads, seed):
        proposed = SPLITS.index(split_at(unit_hash(names[cluster], seed), shares))
        chosen[cluster] = ledger.choose(proposed, loads[cluster])
        ledger.add(chosen[cluster], loads[cluster])
    return np.array(chosen, np.int64)


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What each split holds of each stratum, and what it should."""

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
        """Enter a cluster."""
        for stratum, rows in load:
            self.count[stratum][split] += rows

    def choose(self, proposed: int, load: Load) -> int:
        """Return the proposed split, or where it is full, the one that lacks most."""
        if proposed in self.open and self._fits(proposed, load):
            return proposed
        return min(self.open, key=lambda split: self._reluctance(split, load))

    def _fits(self, split: int, load: Load) -> bool:
        """Return whether every stratum comes nearer to its quota; a single row may fill it up."""
        return all(
            self.count[stratum][split] + rows / 2 < self.quota[stratum][split] + SLACK_ROWS
            for stratum, rows in load
        )

    def _reluctance(self, split: int, load: Load) -> tuple[bool, float, float]:
        """Return what is least where a cluster fits, does least harm, and is missed most."""
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


def _order(
    clusters: list[int], names: Sequence[str], loads: Sequence[Load], seed: int
) -> list[int]:
    """Return the clusters, large ones first (they fit least), those of like size by hash."""

    def place(cluster: int) -> tuple[int, float]:
        size = max(rows for _, rows in loads[cluster])
        return -size.bit_length(), unit_hash(f"order of {names[cluster]}", seed)

    return sorted(clusters, key=place)


def _named(column: str) -> pl.Expr:
    """Return ``column=value`` of each row."""
    return pl.concat_str(pl.lit(f"{column}="), pl.col(column).cast(pl.String).fill_null(""))
