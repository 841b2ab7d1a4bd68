"""What hangs together: clusters of bit strings that are near, however many pairs these have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from faceproof.data import hamming
from faceproof.data.hamming import Bytes, Index, Words

_MANY = 16  # strings behind one key: from here on those that are joined already are stepped over
_PENDING = 1 << 20  # pairs that are kept before they are merged


def merged(roots: Index, pairs: Index) -> Index:
    """Return the clusters, int64 [N], with those joined that ``pairs``, int64 [P, 2], connect.

    A cluster is named by its smallest member; ``np.arange(N)`` has one for each item.

    >>> merged(np.arange(4), np.array([[1, 3]])).tolist()
    [0, 1, 2, 1]
    """
    roots = roots.copy()
    one, other = pairs.T
    while (roots[one] != roots[other]).any():
        least = np.minimum(roots[one], roots[other])
        for end in (one, other):
            np.minimum.at(roots, roots[end], least)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots


def near_clusters(hashes: Bytes, roots: Index, *, distance: int) -> Index:
    """Return the clusters, int64 [N], with near ones of uint8 [N, B] joined.

    The same as merging `faceproof.data.duplicates.near_pairs`, which are not all looked at: two
    that are in one cluster already are not compared, so that ten thousand frames of one scene
    cost no hundred million comparisons.
    """
    if len(hashes) < 2:
        return roots
    bits = 8 * hashes.shape[1]
    used = hamming.plan(len(hashes), bits=bits, distance=min(distance, bits))
    keys, words = hamming.keys_of(hashes, used), hamming.words(hashes)
    roots = _neighbours(np.lexsort(words), words, roots, distance)
    for band in keys:
        roots = _neighbours(np.lexsort((roots, band)), words, roots, distance)
    for band in keys:
        roots = _strangers(band, words, roots, used, distance)
    return roots


def _neighbours(order: Index, words: Words, roots: Index, distance: int) -> Index:
    """Return the clusters with each string joined to the next in ``order``, where near."""
    near = hamming.verified(order[:-1], order[1:], words, words, distance)
    return merged(roots, np.stack(near, axis=1))


def _strangers(band: Index, words: Words, roots: Index, used: hamming.Plan, distance: int) -> Index:
    """Return the clusters with all joined that are near and have near keys in this band."""
    order = np.lexsort((roots, band))
    ordered = words[:, order]
    pending: list[Index] = []
    for i, j in _pairs_of_strangers(band[order], roots[order], used):
        near = hamming.verified(i, j, ordered, ordered, distance)
        pending.append(order[np.stack(near, axis=1)])
        if sum(map(len, pending)) > _PENDING:
            roots, pending = merged(roots, np.concatenate(pending)), []
    return merged(roots, np.concatenate([np.empty((0, 2), np.int64), *pending]))


def _pairs_of_strangers(
    keys: Index, roots: Index, used: hamming.Plan
) -> Iterator[tuple[Index, Index]]:
    """Yield positions of two clusters, in lists that are sorted by key and then by cluster."""
    place = keys * len(keys) + roots
    rows = np.arange(len(keys))
    for mask, start, stop in hamming.ranges(keys, keys, used, itself=True):
        crowded = stop - start > _MANY
        few, many = rows[~crowded], rows[crowded]
        for i, j in hamming.expanded(few, start[few], stop[few]):
            apart = roots[i] != roots[j]
            yield i[apart], j[apart]
        own = (keys[many] ^ mask) * len(keys) + roots[many]
        before, behind = (np.searchsorted(place, own, side) for side in ("left", "right"))
        yield from hamming.expanded(many, start[many], np.clip(before, start[many], stop[many]))
        yield from hamming.expanded(many, np.clip(behind, start[many], stop[many]), stop[many])
