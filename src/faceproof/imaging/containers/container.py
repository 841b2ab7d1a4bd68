"""What every walk over a picture file returns, and the orientation that EXIF asks for."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# No encoder in use writes as many; more would keep a decoder busy for minutes without a pixel.
MAX_SEGMENTS = 100_000
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Container:
    """What a decoder needs: ``data``, the ``size`` (width, height) it claims, the orientation.

    ``orientation`` is EXIF's 1 to 8, or None where the decoder has it; ``size`` is (0, 0) where
    only the decoder can tell.
    """

    data: bytes
    size: tuple[int, int]
    orientation: int | None = 1


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF block asks for; 1 where it is silent or broken.

    Source: CIPA DC-008 (Exif 2.32), tag 0x0112 of the first directory.

    >>> exif_orientation(bytes.fromhex("4949 2a00 08000000 0100 1201 0300 01000000 06000000"))
    6
    >>> exif_orientation(b"no EXIF")
    1
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        return _orientation(tiff, order) if order else 1
    except struct.error:
        return 1


def _orientation(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(order + "HHI", tiff, entry)
        if tag == _ORIENTATION_TAG:
            (value,) = struct.unpack_from(order + {1: "B", 4: "I"}.get(kind, "H"), tiff, entry + 8)
            return value if 1 <= value <= 8 else 1
    return 1
