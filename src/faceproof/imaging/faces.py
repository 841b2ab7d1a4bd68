"""Face: a detected face with its box, five landmarks and detection score."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.errors import FaceproofError
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]

#: Faces with a shorter side in the picture than this are ignored: verdicts are not reliable.
SMALLEST_FACE_PX = 32

_UPRIGHT_SCORE = 0.9
_TURN_GAIN = 0.03
_YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
# OpenCV has one log level for the process: two threads that save and restore it must not cross.
_LOG_LEVEL_LOCK = threading.Lock()


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


class FaceFinder(Protocol):
    """A face detector for uint8 [H, W, 3] sRGB pixels."""

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces, the largest first; an empty list when there is none."""
        ...


class YuNet:
    """The YuNet face detector (2023mar) on OpenCV; thread-safe.

    The picture is reduced so that a 40 px face keeps about 12 px, never below 640 px a side.
    An upright face nearly always scores above 0.9. If the best score is lower, the three other
    quarter turns are tried too and the orientation with the highest score is used (for a picture on
    its side). If no face is found, a small padded copy is searched (for a face that fills the
    frame).

    Source: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023.
    """

    def __init__(self, *, threshold: float = 0.7) -> None:
        self._threshold = threshold
        self._model = _yunet_bytes()
        self._local = threading.local()

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces of uint8 [H, W, 3] sRGB pixels, the largest first."""
        faces = self._search(pixels)
        if _best_score(faces) < _UPRIGHT_SCORE:
            faces = self._best_turn(pixels, faces) or _look_padded(pixels, self._search)
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])

    def _best_turn(self, pixels: Pixels, upright: list[Face]) -> list[Face]:
        """Return the faces of the orientation with the highest score, upright for a tie."""
        turned = [_look_turned(pixels, turns, self._search) for turns in (1, 2, 3)]
        surest = max(turned, key=_best_score)
        return surest if _best_score(surest) > _best_score(upright) + _TURN_GAIN else upright

    def _search(self, pixels: Pixels) -> list[Face]:
        """Find faces in one orientation, at a size that keeps 40 px faces."""
        height, width = pixels.shape[:2]
        longest = max(height, width)
        scale = min(1.0, max(640.0, 0.3 * longest) / longest)
        small = pixels if scale == 1.0 else _resize(pixels, scale)
        found = self._detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        ratio = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        faces = [_parse_face(row, ratio) for row in found]
        return [face for face in faces if face.side_px >= SMALLEST_FACE_PX]

    def _detect(self, bgr: Pixels) -> npt.NDArray[np.float32]:
        """Return YuNet's raw rows, float32 [N, 15]."""
        detector = self._detector()
        detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        found = detector.detect(bgr)[1]
        return np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)

    def _detector(self) -> Any:
        """Return this thread's detector: OpenCV's keeps its input size as state."""
        if not hasattr(self._local, "detector"):
            self._local.detector = _create_detector(self._model, self._threshold)
        return self._local.detector


FACE_FINDERS: dict[str, Callable[[], FaceFinder]] = {"yunet": YuNet}

_Search = Callable[[Pixels], list[Face]]


def _create_detector(model: npt.NDArray[np.uint8], threshold: float) -> Any:
    """Return an OpenCV detector, without its log messages on standard error."""
    with _LOG_LEVEL_LOCK:
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            empty = np.zeros(0, np.uint8)
            return cv2.FaceDetectorYN.create("onnx", model, empty, (320, 320), threshold, 0.3, 5000)
        finally:
            cv2.utils.logging.setLogLevel(level)


def _yunet_bytes() -> npt.NDArray[np.uint8]:
    """Return the model file's bytes after checking their SHA-256."""
    path = resources.files("faceproof.imaging") / "yunet" / "face_detection_yunet_2023mar.onnx"
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != _YUNET_SHA256:
        raise FaceproofError(f"{path} is not the YuNet file of this release; reinstall faceproof")
    return np.frombuffer(data, np.uint8)


def _best_score(faces: list[Face]) -> float:
    """Return the highest detection score, 0 without faces."""
    return max((face.detection_score for face in faces), default=0.0)


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
    return [_shift_face(face, border, ratio) for face in search(np.asarray(padded, np.uint8))]


def _shift_face(face: Face, border: int, ratio: npt.NDArray[np.float32]) -> Face:
    """Return a face found in a padded, reduced copy in the picture's own coordinates."""
    x, y, width, height = face.box
    (left, top), (wide, high) = (np.array([x, y]) - border) * ratio, (width, height) * ratio
    points = ((face.landmarks - border) * ratio).astype(np.float32)
    return Face((float(left), float(top), float(wide), float(high)), points, face.detection_score)


def _look_turned(pixels: Pixels, turns: int, search: _Search) -> list[Face]:
    """Search the picture rotated by ``turns`` quarters counter-clockwise."""
    height, width = pixels.shape[:2]
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


_SMALL_PX = 80
_BLURRED_VARIANCE = 12.0
_DARK_LUMA = 40.0
_CUT_OFF_SHARE = 0.08
_LOW_DETECTION_SCORE = 0.8


class Quality(Record):
    """The face's shorter side in pixels, and other measures of its quality."""

    side_px: int
    cautions: tuple[str, ...] = ()


def assess(pixels: Pixels, face: Face) -> Quality:
    """Return the quality of one face in uint8 [H, W, 3] sRGB pixels."""
    luma = cv2.cvtColor(crop_face(pixels, face.landmarks, CropSpec(size=112)), cv2.COLOR_RGB2GRAY)
    tests = {
        "small": face.side_px < _SMALL_PX,
        "blurred": cv2.Laplacian(luma, cv2.CV_32F).var() < _BLURRED_VARIANCE,
        "dark": luma.mean() < _DARK_LUMA,
        "cut_off": outside_share(pixels.shape, face) > _CUT_OFF_SHARE,
        "low_detection_score": face.detection_score < _LOW_DETECTION_SCORE,
    }
    return Quality(
        side_px=round(face.side_px), cautions=tuple(name for name, found in tests.items() if found)
    )


def outside_share(shape: tuple[int, ...], face: Face) -> float:
    """Return the share of the face's box outside the picture, in [0, 1]."""
    x, y, width, height = face.box
    inside_x = min(x + width, shape[1]) - max(x, 0.0)
    inside_y = min(y + height, shape[0]) - max(y, 0.0)
    inside = max(inside_x, 0.0) * max(inside_y, 0.0)
    return 1.0 - inside / (width * height) if width * height > 0 else 1.0
