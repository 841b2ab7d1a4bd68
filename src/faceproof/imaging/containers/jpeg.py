"""JPEG without comments, previews and metadata other than its colour profile.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from faceproof.errors import (
    CorruptPictureError,
    PictureTooLargeError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.container import MAX_SEGMENTS, Container, exif_orientation

# A progressive scan visits every block, however few bytes it has: 64 scans of 100 megapixels.
MAX_SCANNED_PIXELS = 6_400_000_000

_EXIF = 0xE1
_START_OF_SCAN = 0xDA
_END_OF_PICTURE = 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})
_DECODABLE_FRAMES = _PROGRESSIVE_FRAMES | {0xC0, 0xC1, 0xC9}
# Padding (FF), stuffing (00), TEM (01), restarts (D0-D7) and start of image (D8) head no segment.
_MARKER = re.compile(rb"\xff[^\xff\x00\x01\xd0-\xd8]")


def jpeg(data: bytes) -> Container:
    """Return what the pixels of a JPEG depend on."""
    whole = memoryview(data)
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    size, layers, orientation = (0, 0), 0, None
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            size, layers = _frame(marker, data[start:end])
        elif marker == _EXIF and orientation is None and data.startswith(b"Exif\0\0", start + 4):
            orientation = exif_orientation(data[start + 4 : end])
        elif marker == _START_OF_SCAN:
            _check_scans(data, start, size, layers)
        if _shapes_pixels(marker, data[start : start + 16]):
            kept.append(whole[start:end])
    if data.rfind(b"\xff\xd9") < 2:
        raise TruncatedPictureError("the end of the JPEG is missing")
    return Container(b"".join(kept), size, orientation or 1)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment; the last is the scan with all that follows."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            raise TruncatedPictureError("the JPEG ends in its header")
        start, marker = found.start(), data[found.end() - 1]
        position = _end(data, start, marker)
        if marker == _START_OF_SCAN:
            yield marker, start, len(data)
            return
        yield marker, start, position
    raise CorruptPictureError("the JPEG has more segments than any encoder writes")


def _end(data: bytes, start: int, marker: int) -> int:
    if marker == _END_OF_PICTURE:
        raise CorruptPictureError("the JPEG holds no picture")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    if start + 2 + max(length, 2) > len(data):
        raise TruncatedPictureError("the JPEG ends in its header")
    if length < 2:
        raise CorruptPictureError("a segment of the JPEG has an impossible length")
    return start + 2 + length


def _frame(marker: int, segment: bytes) -> tuple[tuple[int, int], int]:
    """Return the size of a frame, and the layers of its only scan, 0 where it has more."""
    if len(segment) < 10:
        raise CorruptPictureError("the JPEG's frame header is too short")
    bits, height, width, layers = struct.unpack_from(">BHHB", segment, 4)
    if marker not in _DECODABLE_FRAMES or bits != 8 or layers not in {1, 3, 4}:
        raise UnsupportedFormatError(
            f"a rare kind of JPEG ({bits} bits, {layers} layers, process {marker - 0xC0});"
            " save it as an ordinary one"
        )
    return (width, height), 0 if marker in _PROGRESSIVE_FRAMES else layers


def _shapes_pixels(marker: int, segment: bytes) -> bool:
    """Say whether a segment holds tables, frame, scan, profile, or what the layers mean."""
    if 0xE0 <= marker <= 0xEF:
        return segment.startswith((b"\xff\xe0", b"\xff\xe2", b"\xff\xee")) and segment.startswith(
            (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe"), 4
        )
    return marker in _FRAMES or marker in _TABLES or marker == _START_OF_SCAN


def _check_scans(data: bytes, start: int, size: tuple[int, int], layers: int) -> None:
    """Refuse scans without end, which a decoder expects where the first has not all the layers."""
    if data[start + 4 : start + 5] == bytes([layers]):
        return
    if size[0] * size[1] * data.count(b"\xff\xda", start) > MAX_SCANNED_PIXELS:
        raise PictureTooLargeError(
            "its many scans would take minutes to decode; save it again as baseline JPEG"
        )
