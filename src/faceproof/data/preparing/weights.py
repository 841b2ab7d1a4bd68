"""Balance by weights: no picture is copied, none is thrown away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.tables import choose

#: What can be balanced, and the column that says it.
BALANCES: dict[str, str] = {"class": "label", "generator": "generator", "source": "source"}

#: A row that counts more often than this is seen so often that it is learned by heart.
MOST_WEIGHT = 20.0


def balanced_weights(table: pl.DataFrame, order: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the weight of each row, float64 [N]: their mean is 1 within each split.

    The formula: within a split of n rows, a row weighs n * share / size, where ``share`` is the
    share of its cell and ``size`` the number of rows in it. The classes come first: with ``class``
    each has the same share, without it the share that it has of the rows. Inside of each class,
    ``generator`` and ``source`` divide the share evenly among the values that stand there, one
    inside of the other in the order given. (Real rows have one generator, ``none``.)

    Raises:
        UnknownChoiceError: something else is to be balanced.
    """
    columns = [choose(BALANCES, name, what="balance") for name in dict.fromkeys(order)]
    rows, cell = pl.len().over("split"), ["split", "label"]
    share = 1 / pl.col("label").n_unique().over("split")
    if "label" not in columns:
        share = pl.len().over(cell) / rows
    for column in (name for name in columns if name != "label"):
        share = share / pl.col(column).n_unique().over(cell)
        cell = [*cell, column]
    weights = table.select((rows * share / pl.len().over(cell)).alias("weight"))["weight"]
    return weights.cast(pl.Float64).to_numpy()


def effective_rows(weights: npt.NDArray[np.float64]) -> float:
    """Return how many equally weighted rows vary as much as these do.

    Source: Kish, "Survey Sampling", 1965.

    >>> effective_rows(np.array([1.0, 1.0, 0.0, 2.0])).__round__(3)
    2.667
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0
