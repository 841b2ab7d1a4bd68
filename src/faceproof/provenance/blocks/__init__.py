"""The blocks of metadata in a picture file, one module a container, all in bounded time.

Nothing here raises for a hostile file: what cannot be walked or unpacked is a block of the kind
"unreadable" whose key says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from faceproof.provenance.blocks.block import Block
from faceproof.provenance.blocks.gif import gif_blocks
from faceproof.provenance.blocks.heif import heif_blocks
from faceproof.provenance.blocks.jpeg import jpeg_blocks
from faceproof.provenance.blocks.png import png_blocks
from faceproof.provenance.blocks.tiff import tiff_blocks
from faceproof.provenance.blocks.webp import webp_blocks

__all__ = ["BLOCKS", "Block"]

#: Who finds the metadata in a file, by the name that `faceproof.imaging.formats` gives its format.
BLOCKS: Mapping[str, Callable[[bytes], Iterator[Block]]] = {
    "JPEG": jpeg_blocks,
    "PNG": png_blocks,
    "WEBP": webp_blocks,
    "GIF": gif_blocks,
    "TIFF": tiff_blocks,
    "AVIF": heif_blocks,
    "HEIC": heif_blocks,
}
