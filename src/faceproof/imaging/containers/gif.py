"""GIF without comments, applications' notes and animation.

Source: Graphics Interchange Format, version 89a, CompuServe.
"""

from __future__ import annotations

import struct

from faceproof.errors import CorruptPictureError, TruncatedPictureError
from faceproof.imaging.containers.container import MAX_SEGMENTS, Container

_MAX_BLOCKS = 10 * MAX_SEGMENTS
_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9


def gif(data: bytes) -> Container:
    """Return what the pixels of a GIF's first picture depend on."""
    try:
        return _first_picture(data)
    except (IndexError, struct.error) as error:
        raise TruncatedPictureError("the GIF ends before its first picture") from error


def _first_picture(data: bytes) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = palette_end = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    control = b""
    for _ in range(MAX_SEGMENTS):
        kind = data[position]
        if kind == _PICTURE:
            left, top, columns, rows = struct.unpack_from("<HHHH", data, position + 1)
            size = max(width, left + columns), max(height, top + rows)
            return Container(data[:palette_end] + control + data[position:], size)
        if kind == _TRAILER:
            raise CorruptPictureError("the GIF holds no picture")
        if kind == _EXTENSION:
            control = _transparency(data[position : position + 8]) or control
            position = _after_blocks(data, position + 2)
        else:
            position += 1
    raise CorruptPictureError("the GIF has more extensions than any encoder writes")


def _transparency(extension: bytes) -> bytes:
    """Return a control block with nothing but the transparent colour of another."""
    if extension[1] != _CONTROL or extension[2] != 4:
        return b""
    return bytes([_EXTENSION, _CONTROL, 4, extension[3] & 1, 0, 0, extension[6], 0])


def _after_blocks(data: bytes, position: int) -> int:
    for _ in range(_MAX_BLOCKS):
        length = data[position]
        position += length + 1
        if length == 0:
            return position
    raise CorruptPictureError("the GIF has an extension longer than any encoder writes")
