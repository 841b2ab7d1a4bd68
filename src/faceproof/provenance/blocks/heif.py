"""The metadata of AVIF and HEIC: items of the kinds Exif and XMP.

Source: ISO/IEC 14496-12, 8.11.3 (iloc), 8.11.6 (iinf, infe); ISO/IEC 23008-12, annex A (Exif).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from faceproof.provenance.blocks.block import MOST_PARTS, Block, bounded_block, unreadable

_XMP_TYPE = b"application/rdf+xml\0"


def heif_blocks(data: bytes) -> Iterator[Block]:
    """Yield the EXIF and the XMP of an AVIF or HEIC."""
    try:
        yield from _blocks(data)
    except (struct.error, IndexError):
        yield unreadable("metadata of the HEIF container", "its boxes make no sense")


def _blocks(data: bytes) -> Iterator[Block]:
    meta = _first(b"meta", data, 0, len(data))
    if meta is None:
        return
    start, end = meta[0] + 4, meta[1]
    info, places = _first(b"iinf", data, start, end), _first(b"iloc", data, start, end)
    if info is None or places is None:
        return
    where = _places(data, *places)
    for item, kind in _items(data, *info):
        if item not in where:
            yield unreadable(kind, "it lies outside the file, or in pieces")
            continue
        content = data[where[item][0] : where[item][1]]
        if kind == "XMP":
            yield bounded_block("xmp", kind, content)
        else:
            skipped = 4 + int.from_bytes(content[:4], "big")
            yield bounded_block("exif", kind, content[skipped:].removeprefix(b"Exif\0\0"))


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of what the boxes hold, until one makes no sense."""
    for _ in range(MOST_PARTS):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = start + size if size else end
        if stop < start + head or stop > end:
            return
        yield kind, start + head, stop
        start = stop


def _first(kind: bytes, data: bytes, start: int, end: int) -> tuple[int, int] | None:
    found = (box[1:] for box in _boxes(data, start, end) if box[0] == kind)
    return next(found, None)


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the number and the kind, "EXIF" or "XMP", of the items that hold metadata."""
    start += 6 if data[start] == 0 else 8
    for kind, at, stop in _boxes(data, start, end):
        version = data[at]
        if kind != b"infe" or version < 2:
            continue
        width = 2 if version == 2 else 4
        item = int.from_bytes(data[at + 4 : at + 4 + width], "big")
        rest = data[at + 6 + width : stop]
        if rest.startswith(b"Exif"):
            yield item, "EXIF"
        elif rest.startswith(b"mime") and _XMP_TYPE in rest:
            yield item, "XMP"


def _places(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Return start and end in the file of the items that lie there in one piece."""
    version = data[start]
    sizes = data[start + 4], data[start + 5]
    offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index = sizes[1] & 15 if version else 0
    wide = 4 if version == 2 else 2
    reader = _Numbers(data, start + 6, end)
    places = {}
    for _ in range(min(reader.take(wide), 4 * MOST_PARTS)):
        item = reader.take(wide)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        begin, pieces = reader.take(base), reader.take(2)
        if pieces != 1:
            reader.skip(pieces * (index + offset + length))
            continue
        reader.skip(index)
        from_, size = begin + reader.take(offset), reader.take(length)
        if method == 0 and from_ + size <= len(data):
            places[item] = from_, from_ + size
    return places


class _Numbers:
    """Unsigned numbers of any width, one after the other."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data, self._position, self._end = data, position, end

    def skip(self, width: int) -> None:
        """Pass over ``width`` bytes."""
        self._position += width

    def take(self, width: int) -> int:
        """Return the next number of ``width`` bytes; 0 where that is none."""
        start, self._position = self._position, self._position + width
        if self._position > self._end:
            raise IndexError(start)
        return int.from_bytes(self._data[start : self._position], "big")
