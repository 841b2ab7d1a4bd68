"""The small preview that cameras put into EXIF, and whether it still shows the picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.errors import PictureError
from faceproof.imaging.decode import decode
from faceproof.imaging.picture import Limits, Pixels
from faceproof.provenance.exif import Exif
from faceproof.provenance.findings import ProvenanceFinding

_LIMITS = Limits(max_bytes=1 << 18, max_pixels=1 << 20, max_side=2000)
_SIDE = 32
_WHERE = "EXIF preview"
# Previews of the same picture correlate above 0.9, whoever scaled them; other pictures about 0.
LEAST_CORRELATION = 0.5
_DARK = 16
_FLAT = 4.0  # grey levels of spread, below which nothing can be compared

Grey = npt.NDArray[np.float32]


def preview_finding(exif: Exif, pixels: Pixels) -> ProvenanceFinding | None:
    """Return that the preview shows something else; None where it does not, or there is none.

    Turned previews are taken for the same: programs turn a picture and forget its preview. So are
    those with black bars, which cameras put around pictures that are wider than their previews.
    """
    if not exif.thumbnail:
        return None
    try:
        preview = decode(exif.thumbnail, limits=_LIMITS).pixels
    except PictureError as error:
        return ProvenanceFinding(
            kind="unreadable", says=f"The EXIF preview cannot be read: {error}."[:600], where=_WHERE
        )
    alike = _alikeness(preview, pixels)
    if alike is None or alike >= LEAST_CORRELATION:
        return None
    return ProvenanceFinding(
        kind="metadata",
        says="The small preview inside the file does not show what the picture shows: the picture"
        " was changed, cropped or replaced after the preview was made.",
        value=f"correlation {alike:.2f} of 1",
        where=_WHERE,
        points_to="edited",
    )


def _alikeness(preview: Pixels, pixels: Pixels) -> float | None:
    """Return the best correlation over quarter turns, in [-1, 1]; None where one is flat."""
    picture = _small(pixels)
    tries = [
        np.rot90(small, turns)
        for small in (_small(preview), _small(_without_bars(preview)))
        for turns in range(4)
    ]
    if picture.std() < _FLAT or tries[0].std() < _FLAT:
        return None
    return max(float(np.corrcoef(picture.ravel(), turned.ravel())[0, 1]) for turned in tries)


def _small(pixels: Pixels) -> Grey:
    """Return grey levels, float32 [32, 32]."""
    step = max(min(pixels.shape[:2]) // (8 * _SIDE), 1)
    square = cv2.resize(pixels[::step, ::step], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(square.mean(axis=2), np.float32)


def _without_bars(preview: Pixels) -> Pixels:
    """Return the preview without rows and columns that are black from end to end."""
    lit = preview.max(axis=2) >= _DARK
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not rows.size:
        return preview
    return preview[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
