"""Four splits by group: seeded, and stable when rows are added."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace

from faceproof.data.manifest import SPLITS, Row
from faceproof.errors import UsageError
from faceproof.tables import choose

DEFAULT_SHARES = {"train": 0.70, "validation": 0.06, "calibration": 0.12, "test": 0.12}


def assign_splits(
    rows: tuple[Row, ...], *, seed: int, shares: Mapping[str, float] = DEFAULT_SHARES
) -> tuple[Row, ...]:
    """Return the rows with their split, decided by a hash of the group alone.

    A row that is added later never moves an older one, and a group is never divided.
    """
    return tuple(replace(row, split=split_at(unit_hash(row.group, seed), shares)) for row in rows)


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
