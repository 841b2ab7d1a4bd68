"""Multi-index hashing: all pairs of bit strings that differ in few bits, in bounded memory.

The bits are split into disjoint bands. If two strings differ in at most ``distance`` bits, some
band of them differs in at most ``distance // bands``. So only strings with near keys in some band
are compared in full, and a table finds those.

Source: Norouzi, Punjani and Fleet, "Fast Exact Search in Hamming Space With Multi-Index Hashing",
TPAMI 36(6), 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]

_WIDEST = 22  # bits of a band, whose table then has 2^22 entries
_LARGEST_RADIUS = 2
_CANDIDATES = 1 << 20  # compared at once: about 50 MB
_STEP = 2000  # cost of one pass over all strings besides its comparisons, in comparisons
_ORDER_SEED = 0


@dataclass(frozen=True, slots=True)
class BandPlan:
    """Number of bands, their width in bits, and how many of these may differ."""

    bands: int
    width: int
    radius: int

    def masks(self) -> list[int]:
        """Return the XOR masks that reach every key within the radius; 0 comes first."""
        return [
            sum(1 << bit for bit in bits)
            for count in range(self.radius + 1)
            for bits in combinations(range(self.width), count)
        ]

    def cost(self, count: int) -> float:
        """Return the expected work for one of ``count`` random strings, in comparisons."""
        steps = self.bands * len(self.masks())
        return steps * (_STEP / max(count, 1) + 0.5 + count / (1 << self.width))


#: One bit that may differ: the best for a few hundred strings.
_EACH_WITH_EACH = BandPlan(bands=1, width=1, radius=1)


def choose_plan(count: int, *, bits: int, distance: int) -> BandPlan:
    """Return the cheapest exact plan.

    >>> choose_plan(100_000, bits=256, distance=31)
    BandPlan(bands=16, width=16, radius=1)
    """
    plans = [
        BandPlan(bands, min(bits // bands, _WIDEST), radius)
        for radius in range(_LARGEST_RADIUS + 1)
        if (bands := distance // (radius + 1) + 1) <= bits
    ]
    return min([_EACH_WITH_EACH, *plans], key=lambda one: one.cost(count))


def pack_words(hashes: Bytes) -> Words:
    """Return uint8 [N, B] as uint64 [K, N]: the same bits, padded with zeros."""
    filled = np.zeros((len(hashes), -(-hashes.shape[1] // 8) * 8), np.uint8)
    filled[:, : hashes.shape[1]] = hashes
    return np.ascontiguousarray(filled.view(np.uint64).T)


def pairs_within(hashes: Bytes, distance: int) -> Iterator[Index]:
    """Yield int64 [P, 2] of row numbers: all near pairs of uint8 [N, B], each pair once."""
    yield from _join_bands(hashes, hashes, distance, itself=True)


def pairs_between(first: Bytes, second: Bytes, distance: int) -> Iterator[Index]:
    """Yield int64 [P, 2], row of first and row of second: all near pairs, each pair once."""
    yield from _join_bands(first, second, distance, itself=False)


def _join_bands(first: Bytes, second: Bytes, distance: int, *, itself: bool) -> Iterator[Index]:
    """Yield the near pairs, band by band; each pair only in the first band that finds it."""
    if not len(first) or not len(second):
        return
    bits = 8 * first.shape[1]
    used = choose_plan(len(second), bits=bits, distance=min(distance, bits))
    own, others = band_keys(first, used), band_keys(second, used)
    own_words, other_words = pack_words(first), pack_words(second)
    for band in range(used.bands):
        rows = np.argsort(own[band], kind="stable")
        columns = rows if itself else np.argsort(others[band], kind="stable")
        # Sorted by key, strings that are compared are adjacent in memory.
        sorted_words = own_words[:, rows], other_words[:, columns]
        sorted_keys = own[band][rows], others[band][columns]
        for _, start, stop in matching_ranges(*sorted_keys, used, itself=itself):
            for i, j in expand_ranges(np.arange(len(rows)), start, stop):
                near_i, near_j = verify_pairs(i, j, *sorted_words, distance)
                pairs = np.stack([rows[near_i], columns[near_j]], axis=1)
                yield pairs[~_found_in_earlier_band(pairs, own[:band], others[:band], used.radius)]


def band_keys(hashes: Bytes, used: BandPlan) -> Index:
    """Return int64 [bands, N]: the key of each string in each band.

    Neighbouring bits of a perceptual hash are correlated, so bands take bits from all parts.
    """
    order = np.random.default_rng(_ORDER_SEED).permutation(8 * hashes.shape[1])
    bits = np.unpackbits(hashes, axis=1)
    keys = np.zeros((used.bands, len(hashes)), np.int64)
    for band in range(used.bands):
        for bit in order[band * used.width : (band + 1) * used.width]:
            keys[band] = 2 * keys[band] + bits[:, bit]
    return keys


def matching_ranges(
    own: Index, others: Index, used: BandPlan, *, itself: bool
) -> Iterator[tuple[int, Index, Index]]:
    """Yield each mask, and the range in the sorted ``others`` with the masked key.

    If a list is compared with ``itself``, each pair comes once, from the smaller of the two keys.
    """
    edges = np.zeros(2**used.width + 1, np.int64)
    np.cumsum(np.bincount(others, minlength=2**used.width), out=edges[1:])
    for mask in used.masks():
        start, stop = edges[own ^ mask], edges[(own ^ mask) + 1]
        if itself and mask == 0:
            start = np.arange(1, len(own) + 1)
        elif itself:
            start = np.where(own < own ^ mask, start, stop)
        yield mask, start, stop


def expand_ranges(rows: Index, start: Index, stop: Index) -> Iterator[tuple[Index, Index]]:
    """Yield each row with every position from its start to its stop, a chunk at a time."""
    some = np.flatnonzero(stop > start)
    rows, start, count = rows[some], start[some], (stop - start)[some]
    done = np.cumsum(count)
    chunks = done // _CANDIDATES
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(chunks)) + 1):
        if not len(part):
            continue
        many = count[part]
        offset = start[part] - (np.cumsum(many) - many)
        yield np.repeat(rows[part], many), np.arange(many.sum()) + np.repeat(offset, many)


def verify_pairs(
    i: Index, j: Index, own: Words, others: Words, distance: int
) -> tuple[Index, Index]:
    """Return those candidates that differ in at most ``distance`` bits."""
    differing = np.zeros(len(i), np.uint16)
    for one, other in zip(own, others, strict=True):
        differing += np.bitwise_count(one[i] ^ other[j])
        kept = np.flatnonzero(differing <= distance)
        i, j, differing = i[kept], j[kept], differing[kept]
    return i, j


def _found_in_earlier_band(
    pairs: Index, own: Index, others: Index, radius: int
) -> npt.NDArray[np.bool_]:
    """Return bool [P]: whether an earlier band has found the pair already."""
    seen = np.zeros(len(pairs), bool)
    for one, other in zip(own, others, strict=True):
        seen |= np.bitwise_count(one[pairs[:, 0]] ^ other[pairs[:, 1]]) <= radius
    return seen
