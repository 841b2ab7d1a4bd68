"""Four splits by group: seeded, and stable when rows are added."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from faceproof.data.manifest import SPLITS, Row

DEFAULT_SHARES = {"train": 0.70, "validation": 0.06, "calibration": 0.12, "test": 0.12}


def assign_splits(
    rows: tuple[Row, ...], *, seed: int, shares: Mapping[str, float] = DEFAULT_SHARES
) -> tuple[Row, ...]:
    """Return the rows with their split, decided by a hash of the group alone.

    A row that is added later never moves an older one, and a group is never divided.
    """
    return tuple(replace(row, split=_split(unit_hash(row.group, seed), shares)) for row in rows)


def unit_hash(text: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on text and seed alone."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _split(position: float, shares: Mapping[str, float]) -> str:
    """Return the split whose slice of [0, 1) holds ``position``."""
    edge = 0.0
    for name in SPLITS:
        edge += shares[name]
        if position < edge:
            return name
    return SPLITS[0]
