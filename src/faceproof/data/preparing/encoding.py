"""How a crop is written: without loss unless JPEG is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.degradations import encode_jpeg

Pixels = npt.NDArray[np.uint8]

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class PictureFormat:
    """A file format of crops: its name as `decode` gives it, its suffix and its encoder."""

    name: str
    suffix: str
    encode: Callable[[Pixels], bytes]
    quality: int | None = None


def encode_png(pixels: Pixels) -> bytes:
    """Return a PNG file: every pixel as it was."""
    # On faces, run lengths are both smaller and twice as quick as the default search for matches.
    strategy = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
    return _encoded(pixels, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *strategy])


def encode_webp(pixels: Pixels) -> bytes:
    """Return a lossless WebP file: every pixel as it was."""
    # OpenCV takes any quality above 100 for lossless.
    return _encoded(pixels, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])


def _encoded(pixels: Pixels, suffix: str, options: list[int]) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(suffix, bgr, options)[1])


FORMATS: dict[str, PictureFormat] = {
    "png": PictureFormat("PNG", "png", encode_png),
    "webp": PictureFormat("WEBP", "webp", encode_webp),
    "jpeg": PictureFormat(
        "JPEG", "jpg", lambda pixels: encode_jpeg(pixels, _JPEG_QUALITY), _JPEG_QUALITY
    ),
}
