"""The parts of an inspection that compute: association, sample, faces in a small copy, speed."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from skimage import data

from faceproof.data.inspection.composition import (
    association,
    attribute_associations,
    cramers_v,
    spreads,
)
from faceproof.data.inspection.inspect import InspectSpec, inspect
from faceproof.data.inspection.pictures import FIRST_SIDE, even_shares, find_faces, sample
from faceproof.data.inspection.rows import InputManifest, concatenate_manifests
from faceproof.imaging.faces import YuNet


def test_cramers_v_is_that_of_bergsma_by_hand():
    """n = 100, phi squared 0.16; corrected by 1/99, over 2 - 1/99 - 1."""
    assert cramers_v([[35, 15], [15, 35]]) == pytest.approx(((0.16 - 1 / 99) / (1 - 1 / 99)) ** 0.5)


def test_chance_is_no_association():
    rng = np.random.default_rng(0)
    found = [cramers_v(rng.multinomial(60, [0.05] * 20).reshape(2, 10)) for _ in range(200)]
    assert np.mean(found) < 0.15


@pytest.mark.parametrize("counts", [[[5, 5]], [[5, 0], [5, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
def test_one_class_or_one_value_says_nothing(counts):
    assert cramers_v(counts) is None


def classes(**columns: object) -> pl.DataFrame:
    """Return 40 rows of two classes with more columns, as an inspection sees them."""
    fixed = dict.fromkeys(("path", "source", "split", "group", "sha256"), "x")
    table = pl.DataFrame({"label": ["real", "fake"] * 20, "generator": ["none", "g"] * 20})
    table = table.with_columns(**{name: pl.lit(value) for name, value in fixed.items()})
    more = [pl.Series(name, values) for name, values in columns.items()]
    return concatenate_manifests([InputManifest("m", table.with_columns(more), None, "")])


def test_rare_values_are_told_as_one():
    table = classes(tag=[f"t{n // 2}" for n in range(40)])
    found = association(table, "tag", pl.col("tag"), most=3)
    assert [(one.value, one.real, one.fake) for one in found.levels][-1] == ("17 others", 17, 17)
    assert (found.n, found.v) == (40, 0.0)


def test_unknown_values_are_counted_apart():
    found = association(classes(tag=["", "a", None, "b"] * 10), "tag", pl.col("tag"))
    assert (found.n, found.unknown, found.v) == (20, 20, None)


def test_ages_are_banded_and_in_order():
    found = attribute_associations(classes(age=[str(n * 3) for n in range(40)]))
    assert [level.value for level in found[0].levels] == [
        *(f"{low} to {low + 9}" for low in range(0, 80, 10)),
        "80 and older",
    ]


def test_attributes_of_many_values_are_left_out():
    names = [f"person {n}" for n in range(40)]
    found = attribute_associations(classes(name=names, take=["1", "2"] * 20, sex=["f", "m"] * 20))
    assert [one.name for one in found] == ["sex", "take"]


def test_quartiles_are_those_of_each_class():
    found = spreads(classes(bytes=list(range(40))))
    fake = next(one for one in found if one.label == "fake")
    assert (fake.n, fake.low, fake.middle, fake.high) == (20, 1, 21, 39)


@pytest.mark.parametrize("n", [0, 40, 100])
def test_a_sample_of_enough_is_all(n):
    assert sample(classes(), n=n, seed=0).tolist() == list(range(40))


def test_a_sample_is_even_seeded_and_of_the_size_asked_for():
    table = pl.DataFrame(
        {
            "label": ["real"] * 900 + ["fake"] * 100,
            "generator": ["none"] * 900 + ["a"] * 90 + ["b"] * 10,
            "source": ["web"] * 880 + ["press"] * 20 + ["shop"] * 100,
        }
    )
    taken = sample(table, n=100, seed=1)
    assert table[taken].group_by("generator", "source").len().sort("generator", "len").rows() == [
        ("a", "shop", 40),
        ("b", "shop", 10),
        ("none", "press", 20),
        ("none", "web", 30),
    ]
    assert taken.tolist() == sorted(set(taken.tolist()))
    assert sample(table, n=100, seed=1).tolist() == taken.tolist()
    assert sample(table, n=100, seed=2).tolist() != taken.tolist()


def test_shares_use_all_that_there_is():
    assert even_shares([3, 1], 10) == [3, 1]
    assert sum(even_shares([7, 8, 9], 11)) == 11


def test_a_face_found_in_a_small_copy_stands_where_it_does_at_full_size():
    pixels = np.ascontiguousarray(data.astronaut()[:256, 90:346])
    finder = YuNet()
    small, full = find_faces(pixels, finder)[0], finder.find(pixels)[0]
    assert np.abs(small.landmarks - full.landmarks).max() < 256 / FIRST_SIDE * 4
    assert np.abs(np.array(small.box) - full.box).max() < 256 / FIRST_SIDE * 4


def test_a_small_face_is_looked_for_at_full_size():
    """In the small copy it is under the 32 px that are looked for."""
    pixels = np.full((900, 900, 3), 90, np.uint8)
    pixels[300:556, 300:556] = data.astronaut()[:256, 90:346]
    assert len(find_faces(pixels, YuNet())) == 1


def test_a_large_table_is_inspected_in_seconds():
    """100,000 rows; a million take ten times as long."""
    n = 100_000
    numbers = np.arange(n)
    table = pl.DataFrame(
        {
            "path": pl.Series(numbers).cast(pl.String) + ".jpg",
            "label": np.where(numbers % 2, "fake", "real"),
            "generator": np.where(numbers % 2, "faceswap", "none"),
            "source": "s",
            "split": "train",
            "group": (pl.Series(numbers) // 10).cast(pl.String),
            "sha256": pl.Series(numbers).cast(pl.String).str.zfill(64),
        }
    )
    begun = time.process_time()
    found = inspect([InputManifest("m", table, None, "")], InspectSpec(sample=None))
    assert time.process_time() - begun < 3
    assert [fault.kind for fault in found.faults] == ["not-compared"]
