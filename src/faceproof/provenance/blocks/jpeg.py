"""The metadata of a JPEG: its application segments and comments, and the tables it was saved with.

Source: ITU-T T.81, annex B; CIPA DC-008 (Exif); Adobe XMP part 3, section 1.1.3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from faceproof.imaging.containers.container import MAX_SEGMENTS
from faceproof.provenance.blocks.block import Block, bounded_block, unreadable
from faceproof.provenance.blocks.photoshop import resources

_START_OF_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_SAVE_FOR_WEB = b"Ducky"
# Padding (FF), stuffing (00), TEM (01), restarts (D0-D7) and start of image (D8) head no segment.
_MARKER = re.compile(rb"\xff[^\xff\x00\x01\xd0-\xd8]")
# Frames, Huffman and quantisation tables, restart interval: how the picture was compressed.
_COMPRESSION = frozenset({*range(0xC0, 0xCC), 0xCD, 0xCE, 0xCF, 0xDB, 0xDD}) - {0xC8}


def jpeg_blocks(data: bytes) -> Iterator[Block]:
    """Yield the blocks before the first scan; the one of kind "jpeg" holds the tables alone."""
    tables, long_xmp = [b"\xff\xd8"], []
    for marker, body in _segments(data):
        if marker in _COMPRESSION:
            tables.append(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
        elif marker == 0xE1 and body.startswith(_LONG_XMP):
            long_xmp.append(body[len(_LONG_XMP) :])
        else:
            yield from _of_segment(marker, body)
    if long_xmp:
        yield _joined(long_xmp)
    yield Block("jpeg", "JPEG tables", b"".join([*tables, b"\xff\xda\0\2"]))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of each segment before the first scan, as far as they are whole."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found.end() + 2 > len(data):
            return
        marker = data[found.end() - 1]
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        if marker in {_START_OF_SCAN, _END} or length < 2:
            return
        position = found.end() + length
        yield marker, data[found.end() + 2 : position]


def _of_segment(marker: int, body: bytes) -> Iterator[Block]:
    if marker == 0xE1 and body.startswith(_EXIF):
        yield Block("exif", "EXIF", body[len(_EXIF) :])
    elif marker == 0xE1 and body.startswith(_XMP):
        yield Block("xmp", "XMP", body[len(_XMP) :])
    elif marker == 0xED and body.startswith(_PHOTOSHOP):
        yield from resources(body[len(_PHOTOSHOP) :])
    elif marker == 0xEC and body.startswith(_SAVE_FOR_WEB):
        yield Block("editor", "JPEG segment 'Ducky'", b"Adobe Photoshop, Save for Web")
    elif marker == _COMMENT:
        yield Block("comment", "JPEG comment", body)


def _joined(parts: list[bytes]) -> Block:
    """Return the long form of XMP from its parts: digest, length, offset and bytes of each."""
    where = "extended XMP"
    pieces = {}
    for part in parts:
        if len(part) >= 40 and part[:32] == parts[0][:32]:
            pieces[int.from_bytes(part[36:40], "big")] = part[40:]
    length = int.from_bytes(parts[0][32:36], "big")
    joined = b"".join(pieces[offset] for offset in sorted(pieces))
    if len(joined) != length:
        return unreadable(where, "parts of it are missing")
    return bounded_block("xmp", where, joined)
