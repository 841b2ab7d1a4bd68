"""Which faces of a picture are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from faceproof.imaging.faces import Face, FaceFinder
from faceproof.imaging.picture import Pixels
from faceproof.imaging.preprocessing import TEMPLATE_112


def _all(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return every face, the largest first."""
    return finder.find(pixels)


def _largest(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the largest face, if there is one."""
    return finder.find(pixels)[:1]


def _whole(_: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the whole picture as one face, with landmarks where an aligned crop has them."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    corner = np.array([(width - side) / 2, (height - side) / 2])
    landmarks = (TEMPLATE_112 * (side / 112) + corner).astype(np.float32)
    return [Face((0.0, 0.0, float(width), float(height)), landmarks, 1.0)]


#: Which faces of a picture are judged; `whole` takes the picture for a face crop as it is.
FACES: Mapping[str, Callable[[FaceFinder, Pixels], list[Face]]] = {
    "all": _all,
    "largest": _largest,
    "whole": _whole,
}
