"""The metadata of a GIF: its comments, and XMP.

Source: Graphics Interchange Format, version 89a, CompuServe; Adobe XMP part 3, section 1.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from faceproof.provenance.blocks.block import MOST_BYTES, Block, unreadable

_XMP = b"!\xff\x0bXMP DataXMP"
_XMP_ENDS = b"\x01\xff\xfe"
_COMMENT = b"!\xfe"
_EXTENSION, _PICTURE = 0x21, 0x2C
_MOST_PARTS = 10_000


def gif_blocks(data: bytes) -> Iterator[Block]:
    """Yield the XMP of a GIF, and the comments before its first picture."""
    if (start := data.find(_XMP)) >= 0:
        end = data.find(_XMP_ENDS, start, start + MOST_BYTES)
        yield (
            unreadable("XMP", "its end is missing")
            if end < 0
            else Block("xmp", "XMP", data[start + len(_XMP) : end])
        )
    flags = data[10] if len(data) > 12 else 0
    yield from _comments(data, 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))


def _comments(data: bytes, position: int) -> Iterator[Block]:
    for _ in range(_MOST_PARTS):
        if position + 2 > len(data) or data[position] != _EXTENSION:
            return
        is_comment = data.startswith(_COMMENT, position)
        position, text = _parts(data, position + 2)
        if is_comment:
            yield Block("comment", "GIF comment", text)


def _parts(data: bytes, position: int) -> tuple[int, bytes]:
    """Return where a chain of parts ends, and what they hold together."""
    parts = []
    for _ in range(_MOST_PARTS):
        size = data[position] if position < len(data) else 0
        if size == 0:
            break
        parts.append(data[position + 1 : position + 1 + size])
        position += 1 + size
    return position + 1, b"".join(parts)
