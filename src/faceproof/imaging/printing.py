"""COPIES: a photograph as fax, photocopier, print and few colours show it.

No training picture looks like these. They test the caution `not_continuous_tone`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

# Screen angles of cyan, magenta and yellow as prints have them, in degrees.
_ANGLES = (15.0, 75.0, 0.0)


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _as_rgb(dots: npt.NDArray[np.bool_]) -> Pixels:
    """Return a bilevel picture [H, W] as black and white RGB."""
    return np.repeat(np.where(dots, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def threshold(pixels: Pixels) -> Pixels:
    """Return black and white at the threshold that separates the two best.

    Source: Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979.
    """
    best, _ = cv2.threshold(_grey(pixels), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return _as_rgb(_grey(pixels) > best)


def diffuse_error(pixels: Pixels) -> Pixels:
    """Return black and white dots that spread each pixel's error over its neighbours.

    Source: Floyd and Steinberg, "An Adaptive Algorithm for Spatial Greyscale", 1976.
    """
    return np.asarray(Image.fromarray(pixels).convert("1").convert("RGB"), np.uint8)


def dither(pixels: Pixels, side: int) -> Pixels:
    """Return black and white dots by an ordered matrix of ``side``, a power of two.

    Source: Bayer, "An optimum method for two-level rendition of continuous-tone pictures", 1973.
    """
    matrix = np.zeros((1, 1))
    while len(matrix) < side:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    levels = (matrix + 0.5) / matrix.size * 255
    height, width = pixels.shape[:2]
    tiled = np.tile(levels, (height // side + 1, width // side + 1))[:height, :width]
    return _as_rgb(_grey(pixels) > tiled)


def halftone(pixels: Pixels, cell: float) -> Pixels:
    """Return round black dots on a screen of 45 degrees, ``cell`` pixels apart."""
    return _as_rgb(_grey(pixels) > _screen(pixels.shape, cell, 45.0))


def colour_halftone(pixels: Pixels, cell: float) -> Pixels:
    """Return round dots of three inks, each on a screen of its own, ``cell`` pixels apart."""
    screens = np.stack([_screen(pixels.shape, cell, angle) for angle in _ANGLES], axis=2)
    return np.where(pixels > screens, 255, 0).astype(np.uint8)


def posterise(pixels: Pixels, levels: int) -> Pixels:
    """Return the picture with ``levels`` values for each channel."""
    step = 255 / (levels - 1)
    return np.rint(np.rint(pixels / step) * step).astype(np.uint8)


def _screen(shape: tuple[int, ...], cell: float, degrees: float) -> npt.NDArray[np.float64]:
    """Return the thresholds, [H, W], of a screen of round dots."""
    down, across = np.mgrid[: shape[0], : shape[1]]
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    along = 2 * np.pi / cell * (across * cosine + down * sine)
    beside = 2 * np.pi / cell * (down * cosine - across * sine)
    return np.asarray((np.cos(along) + np.cos(beside) + 2) / 4 * 255)


#: Copies that have two values for each channel.
COPIES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "threshold": threshold,
    "error diffusion": diffuse_error,
    **{f"dither {side}": partial(dither, side=side) for side in (2, 4, 8)},
    **{f"halftone {cell}": partial(halftone, cell=cell) for cell in (4, 6, 8, 12)},
    **{f"colour halftone {cell}": partial(colour_halftone, cell=cell) for cell in (4, 6)},
}
#: Copies with few values for each channel.
POSTERISED: Mapping[str, Callable[[Pixels], Pixels]] = {
    f"{levels} levels": partial(posterise, levels=levels) for levels in (2, 3, 4, 6)
}
