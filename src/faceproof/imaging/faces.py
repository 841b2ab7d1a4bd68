"""Face: a detected face with its box, five landmarks and detection score."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.face_network import FaceNetwork
from faceproof.imaging.preprocessing import TEMPLATE_112

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

#: Faces with a shorter side in the picture than this are ignored: verdicts are not reliable.
SMALLEST_FACE_PX = 32
#: Up to this many pixels, a picture is searched at its own size for faces of `SMALLEST_FACE_PX`;
#: a larger one is reduced to it.
MOST_SEARCHED_PIXELS = 24_000_000

# A face of this share of the picture's shorter side makes it a portrait: no search in tiles.
_PORTRAIT = 1 / 6
_TILE, _OVERLAP = 1280, 128  # pixels; a face up to the overlap lies whole in one tile
_SAME_FACE = 0.3  # share of the smaller box that two boxes of one face have in common
_SAME_SIZE = np.ones(2, np.float32)
_UPRIGHT_SCORE = 0.9
_TURN_GAIN = 0.03


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the upright picture.

    Landmarks are float32 [5, 2]: eye and mouth corner on the left of the picture come first:
    eye, eye, nose tip, mouth corner, mouth corner.
    """

    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32]
    detection_score: float

    @property
    def side_px(self) -> float:
        """Shorter side of the box in pixels."""
        return min(self.box[2], self.box[3])


def whole_picture_face(pixels: Pixels) -> Face:
    """Return the whole picture as one face, with landmarks where an aligned crop has them."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    corner = np.array([(width - side) / 2, (height - side) / 2])
    landmarks = (TEMPLATE_112 * (side / 112) + corner).astype(np.float32)
    return Face((0.0, 0.0, float(width), float(height)), landmarks, 1.0)


class FaceFinder(Protocol):
    """A face detector for uint8 [H, W, 3] sRGB pixels."""

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces, the largest first; an empty list when there is none."""
        ...


class YuNet:
    """The YuNet face detector (2023mar); thread-safe.

    The picture is reduced so that a 40 px face keeps about 12 px, never below 640 px a side.
    An upright face nearly always scores above 0.9. If the best score is lower, the three other
    quarter turns are tried too and the orientation with the highest score is used (for a picture on
    its side). If no face is found, a small padded copy is searched (for a face that fills the
    frame). Unless it is a portrait, a reduced picture is also searched in tiles, at its own
    size, for small faces.

    Source: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023.
    """

    def __init__(self, *, threshold: float = 0.7) -> None:
        self._network = FaceNetwork(threshold)

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces of uint8 [H, W, 3] sRGB pixels, the largest first."""
        faces, turns = self._search(pixels), 0
        if _best_score(faces) < _UPRIGHT_SCORE:
            faces, turns = self._best_turn(pixels, faces)
            faces = faces or _look_padded(pixels, self._search)
        if _coarse_scale(pixels.shape) < 1.0 and not _is_portrait(pixels.shape, faces):
            found = _look_turned(pixels, turns, self._search_tiles)
            faces = [*faces, *(face for face in found if not _is_among(face, faces))]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])

    def _best_turn(self, pixels: Pixels, upright: list[Face]) -> tuple[list[Face], int]:
        """Return the faces of the orientation with the highest score, and its quarter turns.

        Upright, 0 turns, for a tie.
        """
        turned = {turns: _look_turned(pixels, turns, self._search) for turns in (1, 2, 3)}
        surest = max(turned, key=lambda turns: _best_score(turned[turns]))
        if _best_score(turned[surest]) > _best_score(upright) + _TURN_GAIN:
            return turned[surest], surest
        return upright, 0

    def _search(self, pixels: Pixels) -> list[Face]:
        """Find faces in one orientation, at a size that keeps large 40 px faces."""
        return self._search_at(pixels, _coarse_scale(pixels.shape))

    def _search_at(self, pixels: Pixels, scale: float) -> list[Face]:
        """Find faces in the picture reduced by ``scale``."""
        height, width = pixels.shape[:2]
        small = pixels if scale == 1.0 else _resize(pixels, scale)
        found = self._network.find(small)
        ratio = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        faces = [_parse_face(row, ratio) for row in found]
        return [face for face in faces if face.side_px >= SMALLEST_FACE_PX]

    def _search_tiles(self, pixels: Pixels) -> list[Face]:
        """Find small faces in one orientation, in overlapping tiles, each face once."""
        scale = _fine_scale(pixels.shape)
        side = round(_TILE / scale)
        step = side - round(_OVERLAP / scale)
        faces: list[Face] = []
        height, width = pixels.shape[:2]
        for top in range(0, max(height - _OVERLAP, 1), step):
            for left in range(0, max(width - _OVERLAP, 1), step):
                tile = np.ascontiguousarray(pixels[top : top + side, left : left + side])
                corner = np.array([left, top], np.float32)
                found = (_place_face(one, corner) for one in self._search_at(tile, scale))
                faces += [face for face in found if not _is_among(face, faces)]
        return faces


FACE_FINDERS: dict[str, Callable[[], FaceFinder]] = {"yunet": YuNet}

_Search = Callable[[Pixels], list[Face]]


def _best_score(faces: list[Face]) -> float:
    """Return the highest detection score, 0 without faces."""
    return max((face.detection_score for face in faces), default=0.0)


def smallest_face(shape: tuple[int, ...]) -> int:
    """Return the side in pixels of the smallest faces that `YuNet` finds in a picture [H, W, ...].

    In a portrait, where one face fills a sixth of the shorter side, smaller ones are not looked
    for; this is of other pictures.
    """
    return math.ceil(SMALLEST_FACE_PX / _fine_scale(shape))


def _coarse_scale(shape: tuple[int, ...]) -> float:
    """Return the scale of the first search, which finds all but small faces."""
    longest = max(shape[:2])
    return min(1.0, max(640.0, 0.3 * longest) / longest)


def _fine_scale(shape: tuple[int, ...]) -> float:
    """Return the scale of the search for small faces."""
    return min(1.0, math.sqrt(MOST_SEARCHED_PIXELS / (shape[0] * shape[1])))


def _is_portrait(shape: tuple[int, ...], faces: list[Face]) -> bool:
    """Return whether one of the faces is large in the picture."""
    return any(face.side_px >= _PORTRAIT * min(shape[:2]) for face in faces)


def _is_among(face: Face, others: list[Face]) -> bool:
    """Return whether another box is of the same face."""
    return any(_common_share(face.box, other.box) > _SAME_FACE for other in others)


def _common_share(one: Box, other: Box) -> float:
    """Return the area that two boxes (x, y, width, height) share, as part of the smaller one's."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    smaller = min(one[2] * one[3], other[2] * other[3])
    return max(across, 0.0) * max(down, 0.0) / smaller if smaller > 0 else 0.0


def _look_padded(pixels: Pixels, search: _Search) -> list[Face]:
    """Search a copy of at most 256 px with a border of a quarter, for faces that fill it."""
    height, width = pixels.shape[:2]
    scale = min(1.0, 256 / max(height, width))
    small = pixels if scale == 1.0 else _resize(pixels, scale)
    border = max(small.shape[:2]) // 4
    padded = cv2.copyMakeBorder(
        small, border, border, border, border, cv2.BORDER_CONSTANT, value=(124, 116, 104)
    )
    ratio = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    corner = -border * ratio
    return [_place_face(one, corner, ratio) for one in search(np.asarray(padded, np.uint8))]


def _place_face(
    face: Face, corner: npt.NDArray[np.float32], ratio: npt.NDArray[np.float32] = _SAME_SIZE
) -> Face:
    """Return a face found in a part in the picture's coordinates.

    ``corner`` is where the part's origin lies in the picture, (x, y); ``ratio`` is pixels of the
    picture for each pixel of the part.
    """
    x, y, width, height = face.box
    (left, top), (wide, high) = np.array([x, y]) * ratio + corner, (width, height) * ratio
    points = (face.landmarks * ratio + corner).astype(np.float32)
    return Face((float(left), float(top), float(wide), float(high)), points, face.detection_score)


def _look_turned(pixels: Pixels, turns: int, search: _Search) -> list[Face]:
    """Search the picture rotated by ``turns`` quarters counter-clockwise."""
    height, width = pixels.shape[:2]
    if turns == 0:
        return search(pixels)
    turned = np.ascontiguousarray(np.rot90(pixels, turns))
    return [_turn_back(face, turns, (height, width)) for face in search(turned)]


def _turn_back(face: Face, turns: int, shape: tuple[int, int]) -> Face:
    """Return a face found in a rotated picture in the coordinates of the original picture."""
    x, y, width, height = face.box
    corners = _unturn(np.array([[x, y], [x + width, y + height]], np.float32), turns, shape)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    box = (float(left), float(top), float(right - left), float(bottom - top))
    return Face(box, _unturn(face.landmarks, turns, shape), face.detection_score)


def _unturn(
    points: npt.NDArray[np.float32], turns: int, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Return points [N, 2] of ``np.rot90(picture, turns)`` in the coordinates of the picture.

    Whole numbers are the centres of pixels, as for `crop_face`: the last column is width - 1.
    """
    right, bottom = shape[1] - 1, shape[0] - 1
    x, y = points[:, 0], points[:, 1]
    back = {1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}[turns]
    return np.stack(back, axis=1).astype(np.float32)


def _resize(pixels: Pixels, scale: float) -> Pixels:
    """Return the picture reduced by ``scale`` with area averaging."""
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _parse_face(row: npt.NDArray[np.float32], ratio: npt.NDArray[np.float32]) -> Face:
    """Return one face from YuNet's row of 15 numbers: box, five points, score."""
    left, top = row[0:2] * ratio
    width, height = row[2:4] * ratio
    points = (row[4:14].reshape(5, 2) * ratio).astype(np.float32)
    return Face((float(left), float(top), float(width), float(height)), points, float(row[14]))
