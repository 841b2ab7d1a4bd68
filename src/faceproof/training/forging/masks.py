"""The inner face as a soft mask: outlines over five landmarks, bent at random.

Source: Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020;
Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from faceproof.imaging.preprocessing import TEMPLATE_112, similarity
from faceproof.tables import choose

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Masks are drawn and bent on a small canvas in the template's frame, then moved to the picture:
# their cost does not grow with the face.
_MARGIN = 24.0
_CANVAS = 128
_UNIT = _CANVAS / (112 + 2 * _MARGIN)
_FROM_CANVAS = np.array([[1 / _UNIT, 0, -_MARGIN], [0, 1 / _UNIT, -_MARGIN], [0, 0, 1]])
_GRID = np.stack(np.meshgrid(np.arange(_CANVAS), np.arange(_CANVAS)), axis=-1).astype(np.float32)
# A face of 4 px is nothing to blend.
_SMALLEST_SCALE = 4 / 112


def _mirror_outline(*half: tuple[float, float]) -> Matrix:
    """Return the closed polygon [2N, 2] of a half, given as (distance from the midline, y)."""
    right = [(56 + dx, y) for dx, y in half]
    left = [(56 - dx, y) for dx, y in reversed(half)]
    return np.array(right + left, np.float64)


#: Polygons in the 112 px frame of `TEMPLATE_112`.
OUTLINES: dict[str, Matrix] = {
    "face": _mirror_outline((10, 31), (27, 36), (33, 47), (34, 66), (31, 84), (23, 100), (10, 112)),
    "forehead": _mirror_outline(
        (10, 14), (27, 21), (34, 40), (35, 66), (32, 84), (23, 101), (10, 113)
    ),
    "features": _mirror_outline(
        (8, 40), (24, 41), (29, 50), (26, 70), (24, 92), (17, 102), (7, 105)
    ),
    "eyes": _mirror_outline((8, 37), (26, 37), (33, 46), (32, 60), (20, 68), (8, 79)),
    "lower": _mirror_outline((5, 62), (18, 66), (29, 76), (29, 88), (22, 101), (10, 112)),
}
_CHANCES = {"face": 0.4, "forehead": 0.15, "features": 0.25, "eyes": 0.1, "lower": 0.1}


@dataclass(frozen=True)
class Patch:
    """The part of a picture that a mask touches: its corner and its weights float32 [h, w]."""

    left: int
    top: int
    weights: Weights

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.weights.shape[1], self.weights.shape[0]

    def view_of(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return the view of an array [H, W, ...] that lies under the patch."""
        width, height = self.size
        return array[self.top : self.top + height, self.left : self.left + width]


def face_mask(
    landmarks: Points,
    size: tuple[int, int],
    rng: Generator | None = None,
    *,
    outline: str | None = None,
) -> Weights:
    """Return the weight of the inner face, float32 [H, W] in [0, 1].

    ``landmarks`` are float32 [5, 2] in pixels, ``size`` is (height, width). Without ``rng`` the
    outline ("face" unless named) is drawn as it is; with it, one of `OUTLINES` is chosen, bent,
    grown or shrunk, and blurred. Landmarks that lie on one spot, outside of the picture or
    nowhere (NaN) give a mask of zeros.

    Raises:
        UnknownChoiceError: there is no such outline.

    >>> points = np.float32([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]])
    >>> mask = face_mask(points, (112, 112))
    >>> float(mask[72, 56]), float(mask[0, 0])
    (1.0, 0.0)
    """
    mask = np.zeros(size, np.float32)
    patch = face_patch(landmarks, size, rng, outline=outline)
    if patch is not None:
        patch.view_of(mask)[:] = patch.weights
    return mask


def face_patch(
    landmarks: Points,
    size: tuple[int, int],
    rng: Generator | None = None,
    *,
    outline: str | None = None,
) -> Patch | None:
    """Return `face_mask` where it may be above zero; None when it is zero all over."""
    canvas = _plain_canvas(outline or "face") if rng is None else _random_canvas(rng, outline)
    if not is_face(landmarks):
        return None
    to_picture = fit_affine(TEMPLATE_112, landmarks) @ _FROM_CANVAS
    box = _clipped_box(canvas, to_picture, size)
    if box is None:
        return None
    left, top, right, bottom = box
    moved = cv2.warpAffine(
        canvas, shift_to_origin(to_picture, left, top), (right - left, bottom - top)
    )
    return Patch(left, top, np.asarray(np.clip(moved, 0, 1), np.float32))


def is_face(landmarks: Points) -> bool:
    """Return whether five landmarks are finite and span more than a few pixels."""
    if not np.isfinite(landmarks).all():
        return False
    return _spread(landmarks) >= _SMALLEST_SCALE * _spread(TEMPLATE_112)


def _spread(points: npt.NDArray[np.floating]) -> float:
    """Return how far points [N, 2] lie from their middle, as a root of summed squares."""
    exact = points.astype(np.float64)
    return float(np.linalg.norm(exact - exact.mean(axis=0)))


def fit_affine(source: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> Matrix:
    """Return the least-squares affine map [3, 3] between point sets [N, 2].

    Where it would mirror the face or flatten it to less than 0.4 of its side, the similarity.
    """
    start, end = source.astype(np.float64), target.astype(np.float64)
    solved = np.linalg.lstsq(np.column_stack([start, np.ones(len(start))]), end)[0]
    stretch = np.linalg.svd(solved[:2], compute_uv=False)
    if stretch[1] < 0.4 * stretch[0] or np.linalg.det(solved[:2]) <= 0:
        return to_square(similarity(start, end))
    return to_square(np.asarray(solved.T, np.float64))


def to_square(matrix: Matrix) -> Matrix:
    """Return a map [2, 3] as [3, 3], so that maps can be chained."""
    return np.vstack([matrix, [0, 0, 1]])


def shift_to_origin(matrix: Matrix, left: float, top: float) -> Matrix:
    """Return the upper two rows of a map, (left, top) of what it maps to becoming (0, 0)."""
    return np.asarray(matrix[:2] - np.array([[0, 0, left], [0, 0, top]]), np.float64)


def scale_of(matrix: Matrix) -> float:
    """Return how many pixels one pixel becomes, along a side."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def _plain_canvas(outline: str) -> Weights:
    """Return the outline, filled and softly edged, float32 [128, 128] in [0, 1]."""
    return _clear_edges(
        cv2.GaussianBlur(_fill_polygon(choose(OUTLINES, outline, what="outline")), (0, 0), 2)
    )


def _random_canvas(rng: Generator, outline: str | None) -> Weights:
    """Return an outline bent, grown or shrunk, and blurred, float32 [128, 128] in [0, 1]."""
    drawn = outline or str(rng.choice(list(_CHANCES), p=list(_CHANCES.values())))
    filled = _bend(_fill_polygon(choose(OUTLINES, drawn, what="outline")), rng)
    # A blurred shape cut at another level than a half is the shape shrunk or grown.
    blurred = cv2.GaussianBlur(filled, (0, 0), rng.uniform(2, 5))
    cut = (blurred > rng.uniform(0.15, 0.85)).astype(np.float32)
    soft = cv2.GaussianBlur(cut, (0, 0), rng.uniform(0.6, 6))
    full = float(soft.max()) or 1.0
    return _clear_edges(soft * np.float32(rng.choice([1, 1, 1, 0.85, 0.7]) / full))


def _fill_polygon(polygon: Matrix) -> Weights:
    """Return the polygon as ones on zeros, float32 [128, 128]."""
    canvas = np.zeros((_CANVAS, _CANVAS), np.float32)
    corners = np.rint((polygon + _MARGIN) * _UNIT * 16).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 1.0, lineType=cv2.LINE_8, shift=4)
    return canvas


def _bend(canvas: Weights, rng: Generator) -> Weights:
    """Return the canvas under a smooth random displacement of a few pixels."""
    knots = rng.normal(0, rng.uniform(1, 4), (5, 5, 2)).astype(np.float32)
    shift = cv2.resize(knots, (_CANVAS, _CANVAS), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.remap(canvas, _GRID + shift, None, cv2.INTER_LINEAR), np.float32)


def _clear_edges(canvas: Weights) -> Weights:
    """Return the canvas with an edge of zeros and nothing fainter than half a grey level."""
    kept = np.where(canvas < 0.5 / 255, 0, canvas).astype(np.float32)
    kept[[0, -1], :] = 0
    kept[:, [0, -1]] = 0
    return kept


def _clipped_box(
    canvas: Weights, to_picture: Matrix, size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of what is drawn, in the picture; None when outside."""
    x, y, width, height = cv2.boundingRect((canvas > 0).astype(np.uint8))
    right, bottom = x + width, y + height
    corners = np.array(
        [[x - 1, y - 1, 1], [right, y - 1, 1], [x - 1, bottom, 1], [right, bottom, 1]]
    )
    moved = corners @ to_picture[:2].T
    limits = [size[1], size[0]]
    low = np.clip(np.floor(moved.min(axis=0)), 0, limits).astype(int)
    high = np.clip(np.ceil(moved.max(axis=0)) + 1, 0, limits).astype(int)
    if (low >= high).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
