"""Weights: sums by hand for small tables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from faceproof.data.preparing.spec import balanced_weights, effective_rows
from faceproof.errors import UnknownChoiceError

# 6 real of two sources; 4 fake of two generators, one of them in both sources.
ROWS = [
    *[("train", "real", "none", "photos")] * 4,
    *[("train", "real", "none", "videos")] * 2,
    *[("train", "fake", "gan", "photos")] * 2,
    *[("train", "fake", "gan", "videos")],
    *[("train", "fake", "swap", "videos")],
]
COLUMNS = ["split", "label", "generator", "source"]
TABLE = pl.DataFrame(ROWS, schema=COLUMNS, orient="row")


def sums(order: str, *by: str, table: pl.DataFrame = TABLE) -> dict[tuple[str, ...], float]:
    """Return the sum of the weights of each cell."""
    weights = pl.Series("weight", balanced_weights(table, order.split(",")))
    found = table.with_columns(weights).group_by(*by).agg(pl.col("weight").sum())
    return {tuple(key): pytest.approx(weight) for *key, weight in found.iter_rows()}


def test_each_class_weighs_the_same():
    assert sums("class", "label") == {("real",): 5.0, ("fake",): 5.0}
    weights = balanced_weights(TABLE, ["class"])
    assert weights.tolist() == pytest.approx([5 / 6] * 6 + [5 / 4] * 4)


def test_each_generator_weighs_the_same_among_the_fakes_alone():
    """Without `class` the classes keep the weight that their rows have."""
    assert sums("generator", "label", "generator") == {
        ("real", "none"): 6.0,
        ("fake", "gan"): 2.0,
        ("fake", "swap"): 2.0,
    }


def test_each_source_weighs_the_same_within_its_class():
    assert sums("source", "label", "source") == {
        ("real", "photos"): 3.0,
        ("real", "videos"): 3.0,
        ("fake", "photos"): 2.0,
        ("fake", "videos"): 2.0,
    }


def test_the_order_says_what_lies_inside_of_what():
    """Of the 5 for fakes: gan 2.5, of which each source 1.25; swap 2.5 in its only source."""
    assert sums("class,generator,source", "label", "generator", "source") == {
        ("real", "none", "photos"): 2.5,
        ("real", "none", "videos"): 2.5,
        ("fake", "gan", "photos"): 1.25,
        ("fake", "gan", "videos"): 1.25,
        ("fake", "swap", "videos"): 2.5,
    }
    assert sums("class,source,generator", "label", "generator", "source") == {
        ("real", "none", "photos"): 2.5,
        ("real", "none", "videos"): 2.5,
        ("fake", "gan", "photos"): 2.5,
        ("fake", "gan", "videos"): 1.25,
        ("fake", "swap", "videos"): 1.25,
    }


def test_the_class_comes_first_wherever_it_is_named():
    cells = ("label", "generator", "source")
    assert sums("generator,class", *cells) == sums("class,generator", *cells)


def test_splits_are_balanced_each_by_itself():
    """A second split of 3 rows changes nothing in the first; one without a name is one too."""
    rest = [("", "real", "none", "photos")] * 2 + [("", "fake", "gan", "photos")]
    both = pl.concat([TABLE, pl.DataFrame(rest, schema=COLUMNS, orient="row")])
    weights = balanced_weights(both, ["class"])
    assert weights[:10].tolist() == balanced_weights(TABLE, ["class"]).tolist()
    assert weights[10:].tolist() == pytest.approx([0.75, 0.75, 1.5])


def test_nothing_to_balance_leaves_every_row_alike():
    assert balanced_weights(TABLE, []).tolist() == pytest.approx([1.0] * 10)


def test_an_unknown_balance_names_the_nearest():
    with pytest.raises(UnknownChoiceError, match="did you mean 'source'"):
        balanced_weights(TABLE, ["sources"])


def test_effective_rows_are_all_rows_where_all_weigh_the_same():
    assert effective_rows(np.full(7, 1.0)) == pytest.approx(7.0)
    assert effective_rows(np.zeros(0)) == 0.0
