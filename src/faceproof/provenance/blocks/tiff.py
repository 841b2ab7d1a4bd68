"""The metadata of a TIFF: the file itself is what EXIF elsewhere is, with XMP and IPTC as tags.

Source: TIFF 6.0, section 2; Adobe XMP part 3, section 3.1 (TIFF).
"""

from __future__ import annotations

from collections.abc import Iterator

from faceproof.provenance.blocks.block import Block, bounded_block
from faceproof.provenance.blocks.photoshop import resources
from faceproof.provenance.directories import Directory, read_directory

_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377


def tiff_blocks(data: bytes) -> Iterator[Block]:
    """Yield the first directory of a TIFF as EXIF, and the XMP and the IPTC in it."""
    yield Block("exif", "TIFF tags", data)
    first = read_directory(data) or Directory()
    if _XMP in first.values:
        yield bounded_block("xmp", "XMP", first.raw(_XMP))
    if _IPTC in first.values:
        yield bounded_block("iim", "IPTC", first.raw(_IPTC))
    if _PHOTOSHOP in first.values:
        yield from resources(first.raw(_PHOTOSHOP))
