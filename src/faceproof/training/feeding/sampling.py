"""Which picture comes next: the chances of sources, classes and generators, as the recipe asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Row
from faceproof.data.preparing.weights import balanced_weights
from faceproof.errors import TrainingError
from faceproof.training.recipe import DataRecipe

Numbers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]
Pools = dict[tuple[str, str], Numbers]
Draw = Callable[[np.random.Generator], int]


def drawing(data: DataRecipe, rows: tuple[Row, ...]) -> Draw:
    """Return what draws the number of a row: as ``balance`` says, by shares, or by weights.

    Raises:
        TrainingError: both ``balance`` and the shares of ``sources`` say how often a source comes.
    """
    shares = {name: source.share for name, source in data.sources.items()}
    if data.balance:
        return Weighted(balance(rows, data.balance, shares))
    return BySource(pools_of(rows), shares) if shares else ByWeight(rows)


def balance(
    rows: tuple[Row, ...], order: Sequence[str], shares: Mapping[str, float] | None = None
) -> Weights:
    """Return the weight of each row, float64 [N], as `balanced_weights` divides them in ``order``.

    Where sources have ``shares``, these come first, and the order holds inside of each source.

    Raises:
        TrainingError: the order names the source although sources have shares.
    """
    if not shares:
        return balanced_weights(_table(rows, ["train"] * len(rows)), order)
    if "source" in order:
        raise TrainingError(
            'data.balance names "source", and data.sources gives each source its share: '
            'take "source" out of data.balance'
        )
    # A source in the place of a split: the weights are balanced within each, their mean is 1.
    sources = [row.source for row in rows]
    within = balanced_weights(_table(rows, sources), order)
    sizes = {name: sources.count(name) for name in set(sources)}
    return np.asarray(within * [shares[name] / sizes[name] for name in sources], np.float64)


def balanced(rows: tuple[Row, ...], count: int, seed: int) -> tuple[Row, ...]:
    """Return at most ``count`` rows, as evenly over source and class as they allow."""
    rng = np.random.default_rng(seed)
    pools = {key: list(rng.permutation(pool)) for key, pool in sorted(pools_of(rows).items())}
    chosen: list[int] = []
    while pools and len(chosen) < count:
        for key in list(pools):
            chosen.append(int(pools[key].pop()))
            if not pools[key]:
                del pools[key]
    return tuple(rows[index] for index in sorted(chosen[:count]))


class Weighted:
    """Draws a row by its weight, whatever it is."""

    def __init__(self, weights: Weights) -> None:
        self._edges = np.cumsum(weights)

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        return _place(self._edges, rng)


class BySource:
    """Draws a row: the source by its share, then the class, then any picture of it."""

    def __init__(self, pools: Pools, shares: Mapping[str, float]) -> None:
        self._pools = pools
        self._sources = sorted({source for source, _ in pools})
        weights = np.array([shares[name] for name in self._sources])
        self._chances = weights / weights.sum()

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        source = self._sources[int(rng.choice(len(self._sources), p=self._chances))]
        labels = [label for label in ("real", "fake") if (source, label) in self._pools]
        pool = self._pools[source, labels[int(rng.integers(len(labels)))]]
        return int(pool[int(rng.integers(len(pool)))])


class ByWeight:
    """Draws a row: the class evenly, then a picture by the weight that `data prepare` gave it."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._pools: list[Numbers] = []
        self._edges: list[Weights] = []
        weights = np.array([float(row.attributes.get("weight", 1.0)) for row in rows])
        fake = np.array([row.is_fake for row in rows], np.bool_)
        for pool in (np.flatnonzero(~fake), np.flatnonzero(fake)):
            if weights[pool].sum() > 0:
                self._pools.append(pool)
                self._edges.append(np.cumsum(weights[pool]))

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        label = int(rng.integers(len(self._pools)))
        return int(self._pools[label][_place(self._edges[label], rng)])


def pools_of(rows: tuple[Row, ...]) -> Pools:
    """Return the row numbers of each source and class."""
    pools: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        pools[row.source, row.label].append(index)
    return {key: np.array(pool) for key, pool in pools.items()}


def _place(edges: Weights, rng: np.random.Generator) -> int:
    """Return the number of the weight, of which ``edges`` are the sums, that a draw falls on."""
    place = int(np.searchsorted(edges, rng.random() * edges[-1], "right"))
    # The product may round up to the last edge.
    return min(place, len(edges) - 1)


def _table(rows: tuple[Row, ...], splits: Sequence[str]) -> pl.DataFrame:
    """Return what balance is made of: split, label, generator and source of each row."""
    facts = [(row.label, row.generator, row.source) for row in rows]
    names = ("label", "generator", "source")
    columns = zip(*facts, strict=True)
    return pl.DataFrame({"split": splits, **dict(zip(names, columns, strict=True))})
