"""What holds for the splits of any rows."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.data.splitting.stratified import assign_splits, unit_hash

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a split

groups = st.lists(st.text(min_size=1, max_size=5), max_size=40)
seeds = st.integers(0, 2**31)


def rows_of(names: list[str]) -> tuple[Row, ...]:
    return tuple(
        Row(f"{n}.jpg", "real", "none", "shop", name, hashlib.sha256(str(n).encode()).hexdigest())
        for n, name in enumerate(names)
    )


@UNHURRIED
@given(groups, seeds)
def test_a_group_never_stands_in_two_splits(names, seed):
    """`Manifest` would refuse it."""
    rows = assign_splits(rows_of(names), seed=seed)
    assert {row.split for row in rows} <= set(SPLITS)
    Manifest(rows)


@UNHURRIED
@given(groups, groups, seeds)
def test_added_rows_move_no_older_one(names, more, seed):
    before = assign_splits(rows_of(names), seed=seed)
    after = assign_splits(rows_of([*names, *more]), seed=seed)
    assert after[: len(before)] == before


@UNHURRIED
@given(st.text(), seeds)
def test_unit_hash_lies_in_0_to_1(text, seed):
    assert 0 <= unit_hash(text, seed) < 1
    assert unit_hash(text, seed) == unit_hash(text, seed)
