"""WebP: the size of its canvas, before the decoder makes room for it.

Source: WebP Container Specification; RFC 6386 section 9.1 (VP8), RFC 9649 section 3 (VP8L).
"""

from __future__ import annotations

import struct

from faceproof.errors import TruncatedPictureError
from faceproof.imaging.containers.container import Container

_SHORTEST = 30


def webp(data: bytes) -> Container:
    """Return a WebP as it is, with its size; Pillow finds its EXIF."""
    if len(data) < _SHORTEST or 8 + struct.unpack_from("<I", data, 4)[0] > len(data):
        raise TruncatedPictureError("the end of the WebP is missing")
    return Container(data, _size(data), orientation=None)


def _size(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
