"""Near-duplicate pictures: perceptual hashes and the clusters that they form."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> int:
    """Return the 64-bit DCT hash of uint8 [H, W, 3] sRGB pixels.

    Bit i says whether the i-th of the 8 x 8 lowest frequencies (of a 32 x 32 grey copy) lies
    above their median.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010.
    """
    grey = cv2.resize(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA
    )
    low = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: Hashes, *, distance: int) -> Iterator[tuple[int, int]]:
    """Yield index pairs i < j whose hashes differ in at most ``distance`` bits.

    Compares each hash with all that follow: time grows with the square of their number, and
    50,000 take seconds.
    """
    for start in range(len(hashes)):
        differing = np.bitwise_count(hashes[start + 1 :] ^ hashes[start])
        for offset in np.flatnonzero(differing <= distance):
            yield start, start + 1 + int(offset)


def clusters(count: int, pairs: Iterator[tuple[int, int]]) -> list[int]:
    """Return for each of ``count`` items the smallest index it is connected to.

    >>> clusters(4, iter([(1, 3)]))
    [0, 1, 2, 1]
    """
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(item) for item in range(count)]
