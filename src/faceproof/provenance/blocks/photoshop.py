"""The image resources of Photoshop, in which JPEG and TIFF keep the captions of IPTC.

Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from faceproof.provenance.blocks.block import MOST_PARTS, Block, bounded_block

_IPTC = 0x0404


def resources(data: bytes) -> Iterator[Block]:
    """Yield the resource that holds IPTC's captions, where it is whole."""
    position = 0
    for _ in range(MOST_PARTS):
        if data[position : position + 4] != b"8BIM" or position + 12 > len(data):
            return
        (number,) = struct.unpack_from(">H", data, position + 4)
        name = data[position + 6] + 1
        start = position + 6 + name + name % 2
        if start + 4 > len(data):
            return
        (size,) = struct.unpack_from(">I", data, start)
        if number == _IPTC:
            yield bounded_block("iim", "IPTC", data[start + 4 : start + 4 + size])
        position = start + 4 + size + size % 2
