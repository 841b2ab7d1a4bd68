"""The split that a group's hash proposes.

The splits of strata: shares, what is fixed, clusters of any size, and no memory needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from faceproof.data.manifest import SPLITS
from faceproof.data.splitting.stratified import (
    DEFAULT_SHARES,
    Strata,
    assign,
    check_shares,
    parse_shares,
    split_at,
    unit_hash,
)
from faceproof.errors import UnknownChoiceError, UsageError


def proposed(count: int, seed: int, shares: Mapping[str, float] = DEFAULT_SHARES) -> list[str]:
    """Return the split that each of so many groups proposes."""
    return [split_at(unit_hash(f"g{n}", seed), shares) for n in range(count)]


def test_shares_are_kept_approximately():
    """Ten thousand groups: 4 standard deviations of a share of 0.7 are 0.018."""
    counts = Counter(proposed(10_000, seed=0))
    for split, share in DEFAULT_SHARES.items():
        assert counts[split] / 10_000 == pytest.approx(share, abs=0.018)


def test_default_shares_are_whole():
    assert list(DEFAULT_SHARES) == list(SPLITS)
    assert sum(DEFAULT_SHARES.values()) == pytest.approx(1.0)


def test_another_seed_splits_otherwise():
    one, other = (proposed(200, seed=seed) for seed in (0, 1))
    moved = sum(a != b for a, b in zip(one, other, strict=True))
    assert 50 < moved < 150


def test_shares_can_be_chosen():
    only = {"train": 0.0, "validation": 0.0, "calibration": 0.0, "test": 1.0}
    assert set(proposed(50, seed=3, shares=only)) == {"test"}


def test_it_is_frozen():
    """Where a group lies depends on it, also in a later version."""
    assert unit_hash("dfdc/abc.mp4", 0) == 0.78172779379028
    assert "".join(split[0] for split in proposed(12, seed=0)) == "tttttttctttv"


SHARES = np.array([DEFAULT_SHARES[split] for split in SPLITS])


def table(count: int, seed: int = 0) -> pl.DataFrame:
    """Rows of two classes, three generators, two sources and some ages."""
    rng = np.random.default_rng(seed)
    generator = rng.choice(["none", "a", "b"], count, p=[0.5, 0.4, 0.1])
    return pl.DataFrame(
        {
            "label": np.where(generator == "none", "real", "fake"),
            "generator": generator,
            "source": rng.choice(["shop", "street"], count),
            "age": rng.integers(0, 12, count),
        }
    )


def names(count: int) -> list[str]:
    return [f"g{number}" for number in range(count)]


def place(rows: pl.DataFrame, clusters: np.ndarray | None = None, **options) -> np.ndarray:
    """Return the split of each cluster, one row each where none are given."""
    clusters = np.arange(rows.height) if clusters is None else clusters
    count = int(clusters.max()) + 1
    strata = Strata.of(rows, options.pop("by", ()))
    options = {"fixed": [-1] * count, "shares": DEFAULT_SHARES, "seed": 0} | options
    return assign(strata, clusters, names(count), **options)


class TestStrata:
    def test_they_are_named_and_counted(self):
        rows = pl.DataFrame(
            {
                "label": ["real", "fake", "fake"],
                "generator": ["none", "a", "a"],
                "source": ["shop", "shop", "street"],
                "width": [10, None, 12],
            }
        )
        strata = Strata.of(rows, ["width"])
        counts = dict(zip(strata.names, strata.counts(np.array([0, 3, -1])).tolist(), strict=True))
        assert counts == {
            "label=real": [1, 0, 0, 0],
            "label=fake": [0, 0, 0, 1],
            "generator=none": [1, 0, 0, 0],
            "generator=a": [0, 0, 0, 1],
            "label=real, source=shop": [1, 0, 0, 0],
            "label=fake, source=shop": [0, 0, 0, 1],
            "label=fake, source=street": [0, 0, 0, 0],
            "label=real, width=10": [1, 0, 0, 0],
            "label=fake, width=": [0, 0, 0, 1],
            "label=fake, width=12": [0, 0, 0, 0],
        }

    def test_no_row_has_none(self):
        strata = Strata.of(table(0))
        assert strata.names == ()
        assert strata.counts(np.empty(0, np.int64)).shape == (0, 4)


class TestShares:
    @pytest.mark.parametrize("count", [1000, 5000])
    def test_every_stratum_has_its_shares(self, count):
        """By hash alone, 0.7 of 400 rows would be off by 18 in one case of twenty."""
        rows = table(count)
        strata = Strata.of(rows, ["age"])
        counts = strata.counts(place(rows, by=["age"]))
        off = np.abs(counts - counts.sum(axis=1, keepdims=True) * SHARES)
        of_class = [
            name.startswith(("label", "generator")) and "," not in name for name in strata.names
        ]
        assert off[of_class].max() <= 5
        assert off.max() <= 12

    def test_one_stratum_is_exact(self):
        rows = pl.DataFrame({"label": ["real"] * 100, "generator": "none", "source": "shop"})
        assert np.bincount(place(rows), minlength=4).tolist() == [70, 6, 12, 12]

    def test_a_share_of_zero_takes_nothing(self):
        shares = {"train": 0.8, "validation": 0.0, "calibration": 0.0, "test": 0.2}
        counts = np.bincount(place(table(500), shares=shares), minlength=4)
        assert counts[[1, 2]].tolist() == [0, 0]
        assert counts[3] == pytest.approx(100, abs=4)

    @pytest.mark.parametrize("only", SPLITS)
    def test_one_split_may_take_all(self, only):
        shares = check_shares({only: 1.0})
        assert set(place(table(50), shares=shares).tolist()) == {SPLITS.index(only)}

    def test_a_value_that_each_row_has_to_itself_disturbs_nothing(self):
        rows = table(1000).with_columns(name=pl.int_range(1000))
        counts = np.bincount(place(rows, by=["name"]), minlength=4)
        assert counts == pytest.approx(1000 * SHARES, abs=6)

    def test_clusters_of_many_rows_are_packed(self):
        """Videos of 1 to 60 frames: no split is off by more than half of the longest."""
        rng = np.random.default_rng(2)
        clusters = np.repeat(np.arange(200), rng.integers(1, 61, 200))
        rows = pl.DataFrame({"label": ["fake"] * len(clusters), "generator": "a", "source": "s"})
        counts = np.bincount(place(rows, clusters)[clusters], minlength=4)
        assert counts == pytest.approx(len(clusters) * SHARES, abs=30)

    @pytest.mark.parametrize("seed", range(8))
    def test_a_large_cluster_finds_its_place_first(self, seed):
        clusters = np.concatenate([np.arange(40), np.full(60, 40)])
        rows = pl.DataFrame({"label": ["real"] * 100, "generator": "none", "source": "s"})
        found = place(rows, clusters, seed=seed)[clusters]
        assert np.bincount(found, minlength=4).tolist() == [70, 6, 12, 12]

    def test_one_cluster_goes_where_it_does_least_harm(self):
        rows = pl.DataFrame({"label": ["real"] * 10, "generator": "none", "source": "s"})
        assert place(rows, np.zeros(10, np.int64)).tolist() == [0]


class TestFixed:
    def test_what_is_fixed_stays_and_counts(self):
        """Train holds more than its share already: what is new goes elsewhere."""
        rows = pl.DataFrame({"label": ["real"] * 100, "generator": "none", "source": "shop"})
        found = place(rows, fixed=[0] * 80 + [-1] * 20)
        assert found[:80].tolist() == [0] * 80
        assert 0 not in found[80:]

    def test_a_split_without_a_share_keeps_what_it_has(self):
        shares = check_shares({"train": 1.0})
        assert place(table(4), fixed=[3, -1, -1, 1], shares=shares).tolist() == [3, 0, 0, 1]

    def test_a_row_of_no_cluster_counts_nowhere(self):
        rows = pl.DataFrame({"label": ["real"] * 1100, "generator": "none", "source": "shop"})
        clusters = np.concatenate([np.full(1000, -1), np.arange(100)])
        counts = np.bincount(place(rows, clusters), minlength=4)
        assert counts.tolist() == [70, 6, 12, 12]


class TestHash:
    def test_most_stay_where_they_are_without_memory(self):
        rows = table(3000)
        before, after = place(rows[:2500], by=["age"]), place(rows, by=["age"])
        assert (before == after[:2500]).mean() > 0.93

    def test_the_order_of_rows_does_not_matter(self):
        rows = table(400)
        turned = np.arange(400)[::-1]
        strata = Strata.of(rows)
        found = assign(strata, turned, names(400), [-1] * 400, shares=DEFAULT_SHARES, seed=0)
        again = Strata.of(rows[turned.tolist()])
        expected = assign(
            again, np.arange(400), names(400), [-1] * 400, shares=DEFAULT_SHARES, seed=0
        )
        assert found.tolist() == expected.tolist()

    def test_another_seed_splits_otherwise(self):
        rows = table(400)
        assert 0.3 < (place(rows) != place(rows, seed=1)).mean() < 0.7

    def test_it_is_frozen(self):
        """Splits that nobody remembers hang on it."""
        letters = "".join(SPLITS[split][1] for split in place(table(40)))
        assert letters == "rrreraraarrerrerrrarrrrrrraerrerrrrararr"


class TestShareNames:
    def test_what_is_not_named_has_none(self):
        assert parse_shares(" train = 0.75 ,test=0.25") == {
            **dict.fromkeys(SPLITS, 0.0),
            "train": 0.75,
            "test": 0.25,
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("train=0.7", "sum of the shares is 0.7, must be 1"),
            ("train=0.7,test=0.4", "the sum of the shares is 1.1"),
            ("train=1,train=0", "twice"),
            ("train=1.5,test=-0.5", "from 0 to 1"),
            ("train=nan", "from 0 to 1"),
            ("train", "from 0 to 1"),
            ("train=a", "'a'"),
        ],
    )
    def test_wrong_ones_are_named(self, text, message):
        with pytest.raises(UsageError, match=message):
            parse_shares(text)

    def test_an_unknown_split_is_named_with_the_nearest(self):
        with pytest.raises(UnknownChoiceError, match="did you mean 'validation'"):
            parse_shares("train=0.7,valdation=0.3")
