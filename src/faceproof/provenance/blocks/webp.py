"""The metadata of a WebP: its chunks EXIF and XMP.

Source: RFC 9649, WebP Image Format, section 2.7.1.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from faceproof.imaging.containers.container import MAX_SEGMENTS
from faceproof.provenance.blocks.block import Block, bounded_block


def webp_blocks(data: bytes) -> Iterator[Block]:
    """Yield the EXIF and the XMP of a WebP."""
    position = 12
    for _ in range(MAX_SEGMENTS):
        if position + 8 > len(data):
            return
        name, length = struct.unpack_from("<4sI", data, position)
        if name == b"EXIF":
            exif = data[position + 8 : position + 8 + length]
            yield bounded_block("exif", "EXIF", exif.removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            yield bounded_block("xmp", "XMP", data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
