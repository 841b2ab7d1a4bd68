"""How well a face can be judged: its size, and cautions in words."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]

_SMALL_PX = 80
_BLURRED_VARIANCE = 12.0
_DARK_LUMA = 40.0
_CUT_OFF_SHARE = 0.08
_LOW_DETECTION_SCORE = 0.8


class Quality(Record):
    """The face's shorter side in pixels and what makes a verdict on it less sure."""

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
    """Return the share of the face's box that lies outside of the picture, in [0, 1]."""
    x, y, width, height = face.box
    inside_x = min(x + width, shape[1]) - max(x, 0.0)
    inside_y = min(y + height, shape[0]) - max(y, 0.0)
    inside = max(inside_x, 0.0) * max(inside_y, 0.0)
    return 1.0 - inside / (width * height) if width * height > 0 else 1.0
