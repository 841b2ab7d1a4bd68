"""Splits: decided by the group's hash alone."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from faceproof.data.manifest import SPLITS, Row
from faceproof.data.splitting.splits import DEFAULT_SHARES, assign_splits, unit_hash


def row(number: int, group: str) -> Row:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Row(f"{number}.jpg", "real", "none", "shop", group, digest)


def test_shares_are_kept_approximately():
    """Ten thousand groups: 4 standard deviations of a share of 0.7 are 0.018."""
    rows = assign_splits(tuple(row(n, f"g{n}") for n in range(10_000)), seed=0)
    counts = Counter(one.split for one in rows)
    for split, share in DEFAULT_SHARES.items():
        assert counts[split] / 10_000 == pytest.approx(share, abs=0.018)


def test_default_shares_are_whole():
    assert list(DEFAULT_SHARES) == list(SPLITS)
    assert sum(DEFAULT_SHARES.values()) == pytest.approx(1.0)


def test_another_seed_splits_otherwise():
    rows = tuple(row(n, f"g{n}") for n in range(200))
    one, other = (assign_splits(rows, seed=seed) for seed in (0, 1))
    moved = sum(a.split != b.split for a, b in zip(one, other, strict=True))
    assert 50 < moved < 150


def test_shares_can_be_chosen():
    rows = tuple(row(n, f"g{n}") for n in range(50))
    only = {"train": 0.0, "validation": 0.0, "calibration": 0.0, "test": 1.0}
    assert {one.split for one in assign_splits(rows, seed=3, shares=only)} == {"test"}


def test_it_is_frozen():
    """The shipped detector's test split hangs on it."""
    assert unit_hash("dfdc/abc.mp4", 0) == 0.78172779379028
    rows = assign_splits(tuple(row(n, f"g{n}") for n in range(12)), seed=0)
    assert "".join(one.split[0] for one in rows) == "tttttttctttv"


def test_nothing_but_the_split_changes():
    before = row(1, "g")
    (after,) = assign_splits((before,), seed=0)
    assert (after.path, after.group, after.sha256) == (before.path, before.group, before.sha256)
