"""What can be measured in pixels without knowing that a face is there.

Large pictures are reduced to 512 px first; the 8-px grid alone is looked for in a piece of the
picture as it is.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.degradations import reduce_to

Pixels = npt.NDArray[np.uint8]

#: Pictures are reduced to this side before their pixels are measured.
LARGEST_SIDE = 512

_GRID = 8
_RING = 0.02
_BLACK, _WHITE = 8, 247
_DARK, _BRIGHT = 3, 252
_SMALL = 64
_FLAT = 3
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def appearance(pixels: Pixels) -> dict[str, float]:
    """Return sharpness, brightness and borders of uint8 [H, W, 3] sRGB pixels, by name."""
    small = reduce_to(pixels, LARGEST_SIDE)
    luma = grey(small)
    return {
        **_sharpness(luma),
        **blockiness(pixels, luma if small is pixels else None),
        **_brightness(small, luma),
        **_borders(luma),
        **constant_corners(luma),
    }


def _sharpness(luma: Pixels) -> dict[str, float]:
    return {
        "laplacian": log_laplacian(luma),
        "high_frequency": high_frequency_share(luma),
        "noise": noise_level(luma),
    }


def _brightness(small: Pixels, luma: Pixels) -> dict[str, float]:
    """Return means, contrast, saturation and clipped shares."""
    mean, deviation = cv2.meanStdDev(luma)
    red, green, blue, _ = cv2.mean(small)
    return {
        "luma": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "saturation": mean_saturation(small),
        "red": red,
        "green": green,
        "blue": blue,
        "clipped_dark": float(np.count_nonzero(luma <= _DARK) / luma.size),
        "clipped_bright": float(np.count_nonzero(luma >= _BRIGHT) / luma.size),
    }


def _borders(luma: Pixels) -> dict[str, float]:
    """Return grey and spread of the outer 2 % on each side, black and white shares of all."""
    depth = max(1, round(_RING * min(luma.shape)))
    sides = {
        "top": luma[:depth],
        "bottom": luma[-depth:],
        "left": luma[:, :depth],
        "right": luma[:, -depth:],
    }
    ring = np.concatenate([side.ravel() for side in sides.values()])
    means = {f"{name}_luma": float(side.mean()) for name, side in sides.items()}
    spreads = {f"{name}_spread": float(side.std()) for name, side in sides.items()}
    shares = {
        "black_border": float(np.mean(ring <= _BLACK)),
        "white_border": float(np.mean(ring >= _WHITE)),
    }
    return {**means, **spreads, **shares}


def grey(pixels: Pixels) -> Pixels:
    """Return the luma uint8 [H, W] of uint8 [H, W, 3] sRGB pixels."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def log_laplacian(luma: Pixels) -> float:
    """Return the natural logarithm of the Laplacian's variance, at least that of 0.001."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return math.log(float(deviation[0, 0]) ** 2 + 1e-3)


def high_frequency_share(luma: Pixels) -> float:
    """Return the share of the spectrum above half of the highest frequency, in [0, 1]; 0 if flat.

    Of the magnitudes of a cosine transform, whose mirrored edges add no frequency of their own.
    Magnitudes and not energies: nearly all of the energy is that of a few slow waves, whatever
    became of the fast ones.
    """
    even = luma[: luma.shape[0] // 2 * 2, : luma.shape[1] // 2 * 2]
    if even.size == 0:
        return 0.0
    waves = cv2.dct(cv2.subtract(even, cv2.mean(even)[0], dtype=cv2.CV_32F))
    waves[0, 0] = 0
    total = float(cv2.norm(waves, cv2.NORM_L1))
    return float(cv2.norm(waves, cv2.NORM_L1, _high(even.shape))) / total if total > 0 else 0.0


def mean_saturation(pixels: Pixels) -> float:
    """Return the mean of HSV's saturation, 0 to 255."""
    return float(cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))[1])


def noise_level(luma: Pixels) -> float:
    """Return the standard deviation of the noise in grey levels, as if all of it were Gaussian.

    Source: Immerkaer 1996, Computer Vision and Image Understanding 64:300.
    """
    grains = cv2.filter2D(luma, cv2.CV_16S, _NOISE_MASK)
    return math.sqrt(math.pi / 2) / 6 * float(cv2.norm(grains, cv2.NORM_L1)) / luma.size


def blockiness(pixels: Pixels, luma: Pixels | None = None) -> dict[str, float]:
    """Return how much larger steps are at an 8-px grid than between its lines, as a logarithm.

    ``blockiness`` is that of the grid that begins in the corner, where a JPEG's blocks lie;
    ``blockiness_off_grid`` the largest of other grids: the blocks of a JPEG that was cut later.
    Of a large picture a piece from the middle is measured, at its own size.
    """
    height, width = (side // _GRID * _GRID for side in pixels.shape[:2])
    if min(height, width) < 2 * _GRID:
        return {"blockiness": math.nan, "blockiness_off_grid": math.nan}
    piece = (_middle(height), _middle(width))
    seen = grey(pixels[piece]) if luma is None else luma[piece]
    down, across = _steps(seen[:-1], seen[1:], axis=1), _steps(seen[:, :-1], seen[:, 1:], axis=0)
    off_grid = max(float(down[:-1].max()), float(across[:-1].max()))
    return {"blockiness": float(down[-1] + across[-1]) / 2, "blockiness_off_grid": off_grid}


def _middle(side: int) -> slice:
    """Return the middle of a side that is a multiple of 8 px, beginning on the grid."""
    start = max(0, side - LARGEST_SIDE) // 2 // _GRID * _GRID
    return slice(start, min(start + LARGEST_SIDE, side))


def _steps(before: Pixels, after: Pixels, *, axis: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of the mean step at each of 8 phases over the median of all phases.

    The last phase is the one between two blocks of a JPEG.
    """
    steps = cv2.reduce(cv2.absdiff(before, after), axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    phases = np.array([steps[phase::_GRID].mean() for phase in range(_GRID)]) + 1e-6
    return np.asarray(np.log(phases / np.median(phases)))


@lru_cache(maxsize=16)
def _high(shape: tuple[int, int]) -> Pixels:
    """Return 1 where an entry of a cosine transform is above half of the highest frequency."""
    down, across = (np.arange(side) / side for side in shape)
    return np.asarray(np.hypot(down[:, None], across[None, :]) > 0.5, np.uint8)


def constant_corners(luma: Pixels) -> dict[str, float]:
    """Return the shares of the picture in areas of one grey that begin in a corner.

    ``constant_corners`` is of any grey, ``black_wedge`` of black: what a turned or padded picture
    has. Looked for in a copy of 64 px a side.
    """
    small = cv2.resize(luma, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    seen = np.zeros((_SMALL + 2, _SMALL + 2), np.uint8)
    black = 0
    last = _SMALL - 1
    for corner in ((0, 0), (last, 0), (0, last), (last, last)):
        grey = int(small[corner[1], corner[0]])
        if not seen[corner[1] + 1, corner[0] + 1]:
            flags = 4 | 1 << 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
            filled = cv2.floodFill(small, seen, corner, 0, _FLAT, _FLAT, flags)[0]
            black += filled if grey <= _BLACK else 0
    inside = seen[1:-1, 1:-1]
    return {"constant_corners": float(inside.mean()), "black_wedge": black / small.size}
