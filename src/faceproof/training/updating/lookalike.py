"""Whether two cut-out faces show the same picture, though their cuts lie a few pixels apart.

A face that is found again in a picture that was saved again is cut a little otherwise, and a
perceptual hash does not bear that: of 30 prepared faces at 0.7 of their size and JPEG quality 60
none came near itself by its hash, and 29 did once one cut was moved onto the other.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.data.duplicates import NEAR_BITS, Bytes, perceptual_hash

Pixels = npt.NDArray[np.uint8]

CANDIDATES = 50
"""How many of the known faces, the nearest by their hashes, are looked at."""

_SIDE, _RIM = 96, 8
_STEPS, _ENOUGH = 60, 1e-5
_BLUR = 5


def candidates(look: bytes, known: Bytes) -> list[int]:
    """Return the rows of uint8 [N, 32] whose hashes are nearest to one, the nearest first."""
    differing = np.bitwise_count(known ^ np.frombuffer(look, np.uint8)).sum(axis=1)
    return [int(row) for row in np.argsort(differing, kind="stable")[:CANDIDATES]]


def same_face(one: Pixels, other: Pixels) -> bool:
    """Return whether two cuts show the same picture, once one is moved onto the other.

    Source: Evangelidis and Psarakis 2008, IEEE TPAMI 30:1858 (enhanced correlation coefficient).
    """
    first, second = _small(one), _small(other)
    start = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _ENOUGH)
    try:
        _, move = cv2.findTransformECC(
            first, second, start, cv2.MOTION_AFFINE, stop, np.array([]), _BLUR
        )
    except cv2.error:  # nothing in common to move along
        return False
    moved = cv2.warpAffine(
        second,
        move,
        (_SIDE, _SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _differing_bits(_inner(first), _inner(moved)) <= NEAR_BITS


def _small(pixels: Pixels) -> npt.NDArray[np.uint8]:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _inner(grey: npt.ArrayLike) -> Pixels:
    """Return what lies inside of the rim, where nothing was made up, as colour."""
    inside = np.asarray(grey, np.uint8)[_RIM:-_RIM, _RIM:-_RIM]
    return np.repeat(inside[:, :, None], 3, axis=2)


def _differing_bits(one: Pixels, other: Pixels) -> int:
    first, second = (int.from_bytes(perceptual_hash(pixels), "big") for pixels in (one, other))
    return (first ^ second).bit_count()
