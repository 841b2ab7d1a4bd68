"""`near_pairs`: near-duplicate pictures, their perceptual hashes and clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.data import hamming
from faceproof.data.hamming import Bytes, Index, Words
from faceproof.errors import ManifestError

if TYPE_CHECKING:
    import polars as pl


_MANY = 16  # strings of one key: above this number, strings already joined are skipped
_PENDING = 1 << 20  # pairs in memory before they are merged


def merge_clusters(roots: Index, pairs: Index) -> Index:
    """Return the clusters, int64 [N], joined along ``pairs``, int64 [P, 2].

    A cluster is named by its smallest member; ``np.arange(N)`` has one for each item.

    >>> merge_clusters(np.arange(4), np.array([[1, 3]])).tolist()
    [0, 1, 2, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = roots[pairs.T]
    links = coo_array((np.ones(len(pairs), bool), (one, other)), shape=(len(roots),) * 2)
    count, part = connected_components(links, directed=False)
    least = np.empty(count, np.int64)
    least[part[::-1]] = np.arange(len(roots))[::-1]  # the last of equal places stays
    return np.asarray(least[part[roots]])


def merge_near_clusters(hashes: Bytes, roots: Index, *, distance: int) -> Index:
    """Return the clusters, int64 [N], with near ones of uint8 [N, B] joined.

    The same result as merging `faceproof.data.duplicates.near_pairs`, without all comparisons: two
    strings of one cluster are not compared. Ten thousand frames of one scene thus do not cost a
    hundred million comparisons.
    """
    if len(hashes) < 2:
        return roots
    bits = 8 * hashes.shape[1]
    used = hamming.choose_plan(len(hashes), bits=bits, distance=min(distance, bits))
    keys, words = hamming.band_keys(hashes, used), hamming.pack_words(hashes)
    roots = _join_neighbours(np.lexsort(words), words, roots, distance)
    for band in keys:
        roots = _join_neighbours(np.lexsort((roots, band)), words, roots, distance)
    for band in keys:
        roots = _join_band(band, words, roots, used, distance)
    return roots


def _join_neighbours(order: Index, words: Words, roots: Index, distance: int) -> Index:
    """Return the clusters with each string joined to the next in ``order`` if near."""
    near = hamming.verify_pairs(order[:-1], order[1:], words, words, distance)
    return merge_clusters(roots, np.stack(near, axis=1))


def _join_band(
    band: Index, words: Words, roots: Index, used: hamming.BandPlan, distance: int
) -> Index:
    """Return the clusters after joining all near strings with near keys in this band."""
    order = np.lexsort((roots, band))
    ordered = words[:, order]
    pending: list[Index] = []
    for i, j in _cross_cluster_pairs(band[order], roots[order], used):
        near = hamming.verify_pairs(i, j, ordered, ordered, distance)
        pending.append(order[np.stack(near, axis=1)])
        if sum(map(len, pending)) > _PENDING:
            roots, pending = merge_clusters(roots, np.concatenate(pending)), []
    return merge_clusters(roots, np.concatenate([np.empty((0, 2), np.int64), *pending]))


def _cross_cluster_pairs(
    keys: Index, roots: Index, used: hamming.BandPlan
) -> Iterator[tuple[Index, Index]]:
    """Yield positions of two clusters, in lists that are sorted by key and then by cluster."""
    place = keys * len(keys) + roots
    rows = np.arange(len(keys))
    for mask, start, stop in hamming.matching_ranges(keys, keys, used, itself=True):
        crowded = stop - start > _MANY
        few, many = rows[~crowded], rows[crowded]
        for i, j in hamming.expand_ranges(few, start[few], stop[few]):
            apart = roots[i] != roots[j]
            yield i[apart], j[apart]
        own = (keys[many] ^ mask) * len(keys) + roots[many]
        before, behind = (np.searchsorted(place, own, side) for side in ("left", "right"))
        yield from hamming.expand_ranges(
            many, start[many], np.clip(before, start[many], stop[many])
        )
        yield from hamming.expand_ranges(many, np.clip(behind, start[many], stop[many]), stop[many])


_HASH_BYTES = 32
#: Two pictures whose 256-bit hashes differ in at most this many bits are near-duplicates.
NEAR_BITS = 31
#: If more hashes than this are equal (blank pictures, say), one represents the others.
MOST_ALIKE = 64


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the 256-bit DCT hash of uint8 [H, W, 3] sRGB pixels, as 32 bytes.

    A bit is 1 if one of the 16 x 16 lowest frequencies of a 64 x 64 grey copy is above their
    median, row by row, most significant first. Frequencies constant along a side are excluded.

    Source: the cosine transform of Meta's PDQ, "The TMK+PDQF Video-Hashing Algorithm and the PDQ
    Image-Hashing Algorithm", 2019; that page asks for 31 bits at most, too.
    """
    low = _frequencies(pixels, 64)[1:17, 1:17]
    return np.packbits(low > np.median(low)).tobytes()


def hash_array(column: pl.Series) -> Bytes:
    """Return a column of hashes, written as 64 hexadecimal digits, as uint8 [N, 32].

    Raises:
        ManifestError: a row has no hash, or an invalid one.
    """
    wrong = column.filter(~column.str.contains("^[0-9a-f]{64}$").fill_null(value=False))
    if len(wrong):
        raise ManifestError(
            f"phash {wrong[0]!r} is not a perceptual hash: expected 64 hexadecimal digits; "
            "import the pictures again, or drop the column"
        )
    joined = bytes.fromhex("".join(column.to_list()))
    return np.frombuffer(joined, np.uint8).reshape(-1, _HASH_BYTES)


def near_pairs(hashes: Bytes, *, distance: int) -> Index:
    """Return int64 [P, 2], sorted, i < j: the rows of uint8 [N, B] that differ in few bits.

    These are all pairs with at most ``distance`` differing bits, with one exception to bound their
    number: if more than 64 hashes are equal, the first represents the others, and is paired with
    each of them. Every row with a near row is in some pair, and the clusters are those of all
    pairs.

    >>> near_pairs(np.array([[0b0001], [0b1111], [0b0011]], np.uint8), distance=1).tolist()
    [[0, 2]]
    """
    same = _EqualRuns.of(hashes)
    several = np.flatnonzero(same.size > 1)
    alike = _member_pairs(np.stack([several, several], axis=1), same, same)
    near = hamming.pairs_within(hashes[same.first], distance)
    return _sort_pairs(
        [alike[alike[:, 0] < alike[:, 1]], *(_ascending_pairs(p, same) for p in near)]
    )


def near_pairs_between(first: Bytes, second: Bytes, *, distance: int) -> Index:
    """Return int64 [P, 2], sorted: row of first, row of second, that differ in few bits.

    Equal hashes are treated as in `near_pairs`.

    >>> one, other = np.array([[0], [255]], np.uint8), np.array([[254]], np.uint8)
    >>> near_pairs_between(one, other, distance=1).tolist()
    [[1, 0]]
    """
    one, other = _EqualRuns.of(first), _EqualRuns.of(second)
    near = hamming.pairs_between(first[one.first], second[other.first], distance)
    return _sort_pairs([_member_pairs(pairs, one, other) for pairs in near])


@dataclass(frozen=True, slots=True)
class _EqualRuns:
    """The rows in an order with equal hashes adjacent, and the bounds of each run."""

    order: Index
    start: Index
    size: Index

    @classmethod
    def of(cls, hashes: Bytes) -> _EqualRuns:
        words = hamming.pack_words(hashes)
        order = np.lexsort(words) if len(hashes) else np.empty(0, np.int64)
        runs = words[:, order]
        new = np.append(True, (runs[:, 1:] != runs[:, :-1]).any(axis=0))[: len(order)]
        start = np.flatnonzero(new)
        return cls(order, start, np.diff(np.append(start, len(order))))

    @property
    def first(self) -> Index:
        """Return the first row of each run; rows within a run ascend."""
        return self.order[self.start]


def _ascending_pairs(pairs: Index, same: _EqualRuns) -> Index:
    """Return the pairs of rows for pairs of runs, the smaller row first."""
    return np.sort(_member_pairs(pairs, same, same), axis=1)


def _member_pairs(pairs: Index, one: _EqualRuns, other: _EqualRuns) -> Index:
    """Return the pairs of rows for pairs of runs: each row with each.

    For large runs, only the first row of either run with each row of the other.
    """
    high, wide = one.size[pairs[:, 0]], other.size[pairs[:, 1]]
    full = high * wide <= MOST_ALIKE**2
    count = np.where(full, high * wide, high + wide - 1)
    of = np.repeat(np.arange(len(pairs)), count)
    number = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    full, high, wide = full[of], high[of], wide[of]
    i = np.where(full, number // wide, np.where(number < high, number, 0))
    j = np.where(full, number % wide, np.where(number < high, 0, number - high + 1))
    rows = one.order[one.start[pairs[of, 0]] + i]
    return np.stack([rows, other.order[other.start[pairs[of, 1]] + j]], axis=1)


def _sort_pairs(found: list[Index]) -> Index:
    """Return all pairs in order."""
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _frequencies(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """Return the cosine transform, float32 [side, side], of a small grey copy."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small.astype(np.float32)))
