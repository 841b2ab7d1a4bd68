"""One block of metadata as it stands in a file, and how much of it is looked at."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["exif", "xmp", "iim", "text", "comment", "jpeg", "editor", "unreadable"]

#: More than any honest file holds; what lies behind is said to be unread.
MOST_BLOCKS = 128
#: The longest block that is read, and the most that a compressed one may unpack to.
MOST_BYTES = 1 << 20
#: How much of all blocks together is read.
MOST_BYTES_TOGETHER = 4 << 20
#: The most boxes or resources that are walked through in one place.
MOST_PARTS = 512


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of metadata and ``where`` they stand; ``key`` names a text, or why it is unreadable."""

    kind: BlockKind
    where: str
    data: bytes = b""
    key: str = ""


def unreadable(where: str, why: str) -> Block:
    """Return what stands for a block that is not read."""
    return Block("unreadable", where, key=why)


def bounded_block(kind: BlockKind, where: str, data: bytes, key: str = "") -> Block:
    """Return the block, or that it is too long to be read."""
    if len(data) > MOST_BYTES:
        return unreadable(
            where, f"it has {len(data)} bytes, more than the {MOST_BYTES} that are read"
        )
    return Block(kind, where, data, key)


def unpacked(packed: bytes) -> bytes | None:
    """Return the bytes that zlib packed; None where that is broken or unpacks to too much."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, MOST_BYTES)
    except zlib.error:
        return None
    return data if unpacker.eof else None
