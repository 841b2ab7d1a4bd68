"""Quality: what makes one face hard to judge, and what withholds its verdict."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.imaging.damage import Damage
from faceproof.imaging.faces import Face
from faceproof.imaging.heat import crop_corners
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]

_SMALL_PX = 80
_BLURRED_VARIANCE = 12.0
_DARK_LUMA = 40.0
_CUT_OFF_SHARE = 0.08
_LOW_DETECTION_SCORE = 0.8

_FEWEST_PIXELS = 16
_LOOKED_AT = 256
_MOST_EXTREME = 0.8
_LEAST_OF_BOTH = 0.02
_LEAST_CORRELATION = 0.78
_LEAST_CONTRAST = 48
_CLIPPED = 4
_LEAST_UNCLIPPED = 0.1
_FEWEST_TONES = 0.2
_MOST_PEAKED = 0.30
_FINE, _COARSE, _PEAK = 2, 8, 7


#: Cautions with which a face is never called real or fake: its pixels are not those of a photograph
#: as the detector knows them, whatever it answers.
WITHHOLDING = frozenset({"damaged", "not_continuous_tone"})


class Quality(Record):
    """The face's shorter side in pixels, and other measures of its quality."""

    side_px: int = Field(description="Shorter side of the face's box in pixels.")
    cautions: tuple[str, ...] = Field(
        default=(),
        description="What makes the face hard to judge: small, blurred, damaged ...; some "
        "withhold the verdict.",
    )

    @property
    def withholds_verdict(self) -> bool:
        """Whether the verdict is ``unsure`` whatever the detector answers."""
        return not WITHHOLDING.isdisjoint(self.cautions)


def assess(pixels: Pixels, face: Face, damage: Damage | None = None) -> Quality:
    """Return the quality of one face in uint8 [H, W, 3] sRGB pixels, of which some are damaged."""
    luma = cv2.cvtColor(crop_face(pixels, face.landmarks, CropSpec(size=112)), cv2.COLOR_RGB2GRAY)
    tests = {
        "small": face.side_px < _SMALL_PX,
        "blurred": cv2.Laplacian(luma, cv2.CV_32F).var() < _BLURRED_VARIANCE,
        "dark": luma.mean() < _DARK_LUMA,
        "cut_off": outside_share(pixels.shape, face) > _CUT_OFF_SHARE,
        "not_continuous_tone": not has_continuous_tone(_face_pixels(pixels, face)),
        "damaged": damage is not None and any(map(damage.overlaps, _judged_boxes(pixels, face))),
        "low_detection_score": face.detection_score < _LOW_DETECTION_SCORE,
    }
    return Quality(
        side_px=round(face.side_px), cautions=tuple(name for name, found in tests.items() if found)
    )


def has_continuous_tone(pixels: Pixels) -> bool:
    """Return whether a face, uint8 [H, W, 3], looks like a photograph in its use of tones.

    It does not where most values are black or white (fax, print), where neighbours differ at random
    (dither, halftone), or where few tones occur (posterised, few colours). A drawing is detected
    only where it has few tones. The limits were chosen on validation faces by
    ``benchmarks/tone_cautions.py``; docs/reference/cautions.md has its results.
    """
    if min(pixels.shape[:2]) < _FEWEST_PIXELS:
        return True
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return (
        not _is_black_and_white(pixels)
        and bool(_neighbour_correlation(grey) >= _LEAST_CORRELATION)
        and not _has_few_tones(grey)
    )


def _face_pixels(pixels: Pixels, face: Face) -> Pixels:
    """Return the middle of the face at the picture's own scale, at most 256 px a side."""
    x, y, width, height = face.box
    across, down = min(width, _LOOKED_AT), min(height, _LOOKED_AT)
    left, top = x + (width - across) / 2, y + (height - down) / 2
    return pixels[
        max(round(top), 0) : max(round(top + down), 0),
        max(round(left), 0) : max(round(left + across), 0),
    ]


def _is_black_and_white(pixels: Pixels) -> bool:
    """Return whether most values are nearly black or nearly white, and there are some of both."""
    black = int(np.count_nonzero(pixels < 20)) / pixels.size
    white = int(np.count_nonzero(pixels > 235)) / pixels.size
    return black + white > _MOST_EXTREME and min(black, white) > _LEAST_OF_BOTH


def _neighbour_correlation(grey: Pixels) -> float:
    """Return the correlation of neighbouring pixels; 1 for a flat picture."""
    about = grey - grey.mean()
    variance = _mean_product(about, about)
    if variance < 1:
        return 1.0
    across = _mean_product(about[:, 1:], about[:, :-1])
    down = _mean_product(about[1:], about[:-1])
    return (across + down) / 2 / variance


def _mean_product(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the mean of the products of two arrays [H, W], without an array of them."""
    return float(np.einsum("ij,ij->", one, other)) / one.size


def _has_few_tones(grey: Pixels) -> bool:
    """Return whether the histogram of a face with contrast is sparse or consists of peaks.

    Black and white do not count: over- and underexposed pixels have no other tone.
    """
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    low, high = np.searchsorted(np.cumsum(counts), (0.025 * grey.size, 0.975 * grey.size))
    if high - low < _LEAST_CONTRAST:
        return False
    counts[:_CLIPPED] = counts[-_CLIPPED:] = 0
    if counts.sum() < _LEAST_UNCLIPPED * grey.size:
        return False
    most = np.cumsum(np.sort(counts)[::-1])
    tones = int(np.searchsorted(most, 0.95 * most[-1])) + 1
    return tones < _FEWEST_TONES * (high - low + 1) or _peakedness(counts) > _MOST_PEAKED


def _peakedness(counts: npt.NDArray[np.int64]) -> float:
    """Return how far a histogram, without its highest peak, is from its smoothed self: 0 to 2.

    One peak is a wall behind the face or a clipped channel. The comb of JPEG is smoothed away.
    """
    top = int(np.argmax(_smooth(counts, _FINE)))
    start, end = max(top - _PEAK, 0), min(top + _PEAK, 255)
    rest = counts.astype(np.float64)
    rest[start : end + 1] = np.linspace(rest[start], rest[end], end + 1 - start)
    if not rest.any():
        return 0.0
    return float(np.abs(_smooth(rest, _FINE) - _smooth(rest, _COARSE)).sum() / rest.sum())


def _smooth(counts: npt.NDArray[Any], sigma: float) -> npt.NDArray[np.float64]:
    """Return a histogram smoothed by a Gaussian of ``sigma`` tones."""
    row = counts.astype(np.float64)[None]
    smooth = cv2.GaussianBlur(row, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth[0])


def _judged_boxes(pixels: Pixels, face: Face) -> list[tuple[float, float, float, float]]:
    """Return the boxes (x, y, width, height) around a face and around its crop."""
    corners = crop_corners(pixels.shape, face.landmarks, CropSpec())
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return [face.box, (left, top, right - left, bottom - top)]


def outside_share(shape: tuple[int, ...], face: Face) -> float:
    """Return the share of the face's box outside the picture, in [0, 1]."""
    x, y, width, height = face.box
    inside_x = min(x + width, shape[1]) - max(x, 0.0)
    inside_y = min(y + height, shape[0]) - max(y, 0.0)
    inside = max(inside_x, 0.0) * max(inside_y, 0.0)
    return 1.0 - inside / (width * height) if width * height > 0 else 1.0
