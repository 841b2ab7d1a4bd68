"""`heat_overlay`: a heat map blended over its picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.preprocessing import CropSpec, Points, crop_matrix

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_FINE = 64
"""Pixels a side to which a coarse map is interpolated before it is warped to the picture."""
COLOURS = cv2.COLORMAP_INFERNO
"""Dark to light in even steps, blue to yellow: readable with any kind of colour vision."""
_CLEAR = 2.0
"""Smallest sum of a map's cells, all equal, that gives full colour.

A map of weak evidence therefore has weak colours: it is not normalised to its maximum.
"""


def crop_corners(shape: tuple[int, ...], landmarks: Points | None, spec: CropSpec) -> Floats:
    """Return the corners of a face's crop in the picture, float64 [4, 2], in pixels (x, y).

    Clockwise from the crop's own upper left, at the outer edges of its pixels; they may lie outside
    the picture, whose ``shape`` is [H, W, ...]. ``landmarks`` are None if the whole picture is the
    crop.
    """
    matrix = crop_matrix(shape, landmarks, spec)
    low, high = -0.5, spec.size - 0.5
    edges = np.array([[low, low], [high, low], [high, high], [low, high]])
    return np.asarray((edges - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)


def heat_overlay(
    pixels: Pixels,
    values: npt.ArrayLike,
    corners: npt.ArrayLike,
    *,
    opacity: float = 0.6,
    full: float | None = None,
) -> Pixels:
    """Return the picture with the evidence for fake coloured, uint8 [H, W, 3].

    ``values`` [h, w] cover the crop whose ``corners`` [4, 2] `crop_corners` returns. The opacity of
    the colour rises with the value, up to ``opacity`` at ``full``. None for ``full`` is the highest
    value, or `_CLEAR` divided by the number of cells if that is higher. Pixels without evidence for
    fake do not change.
    """
    heat = np.maximum(np.asarray(values, np.float64), 0)
    top = max(heat.max(initial=0), _CLEAR / heat.size) if full is None else full
    places, laid = np.asarray(corners, np.float64), pixels.copy()
    part, corner = _covered_region(places, pixels.shape)
    if laid[part].size:
        laid[part] = _colour_region(laid[part], np.minimum(heat / top, 1), places - corner, opacity)
    return laid


def _covered_region(corners: Floats, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Floats]:
    """Return the part of a picture that a map covers, and the place of its upper left pixel."""
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, [shape[1], shape[0]]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, low, [shape[1], shape[0]]).astype(int)
    return (slice(low[1], high[1]), slice(low[0], high[0])), low.astype(np.float64)


def _colour_region(part: Pixels, heat: Floats, corners: Floats, opacity: float) -> Pixels:
    """Return the pixels blended with a map of values in [0, 1]."""
    placed = _warp_map(heat, corners, part.shape)
    colours = cv2.applyColorMap(np.round(255 * placed).astype(np.uint8), COLOURS)[..., ::-1]
    share = (np.clip(opacity, 0, 1) * placed)[..., None]
    return np.asarray(np.round(part + share * (colours - part.astype(np.float64))), np.uint8)


def _warp_map(heat: Floats, corners: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the map warped to the picture, float64 [H, W] in [0, 1], 0 outside the crop."""
    fine = cv2.resize(heat, (_FINE, _FINE), interpolation=cv2.INTER_LINEAR)
    edges = np.array([[-0.5, -0.5], [_FINE - 0.5, -0.5], [_FINE - 0.5, _FINE - 0.5]], np.float32)
    matrix = cv2.getAffineTransform(edges, corners[:3].astype(np.float32))
    return np.asarray(
        cv2.warpAffine(fine, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR), np.float64
    )
