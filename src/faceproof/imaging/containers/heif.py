"""Avif and Heic, two codings in the same boxes: their size, end, EXIF and XMP.

Source: ISO/IEC 14496-12, 4.2 (boxes), 8.11.1 (meta), 8.11.3 (iloc), 8.11.6 (iinf, infe);
ISO/IEC 23008-12, 6.5.3 (ispe), annex A (Exif).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from faceproof.errors import PictureError, TruncatedPictureError
from faceproof.imaging.containers.base import (
    MAX_NESTED_PARTS,
    MAX_PARTS,
    Block,
    Container,
    Part,
    PixelData,
    bounded_block,
    unreadable_block,
)

_NEEDED = frozenset({b"ftyp", b"meta", b"mdat", b"moov"})
_SIZE_PROPERTY = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
_CODED_ITEMS = (b"av01", b"hvc1", b"hev1")
_XMP_TYPE = b"application/rdf+xml\0"

_NO_BOX = Part("other", b"", 0, 0)


class _Heif(Container):
    """An ISO media file: its outermost boxes, up to the first invalid one."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        data = self.data
        boxes = list(_boxes(data, 0, len(data), most=MAX_PARTS))
        meta = (box for box in boxes if box.name == b"meta" and box.end <= len(data))
        self._meta = next(meta, _NO_BOX)
        if boxes and boxes[-1].end > len(data) and boxes[-1].name in _NEEDED:
            return boxes, TruncatedPictureError("the end of the file is missing")
        if all(box.name != b"mdat" for box in boxes) and b"idat" not in self.body(self._meta):
            return boxes, TruncatedPictureError(
                "the end of the file is missing, and with it the picture"
            )
        return boxes, None

    def blocks(self) -> Iterator[Block]:
        """Yield the EXIF and the XMP."""
        try:
            yield from _item_blocks(self.data, self._meta)
        except (struct.error, IndexError):
            yield unreadable_block("metadata of the HEIF container", "its boxes make no sense")

    @property
    def pictures(self) -> None:
        """None: the decoder counts them."""
        return None

    def coded_spans(self) -> Iterator[tuple[int, int]]:
        """Yield the items that hold pixels: all but EXIF, XMP and descriptions of a grid."""
        try:
            for entry, span in _located_items(self.data, self._meta):
                if span and entry.startswith(_CODED_ITEMS):
                    yield span
        except (struct.error, IndexError):
            return


class Avif(_Heif):
    """An AVIF."""

    def pixel_data(self) -> PixelData:
        """Return the AVIF with its EXIF hidden.

        A property outside EXIF turns the picture, and Pillow warns of broken EXIF.
        """
        if self.fault:
            raise self.fault
        data, meta = self.data, self._meta
        shown = _EXIF_ITEM.sub(rb"\1skip", self.body(meta))
        file = data[: meta.start] + shown + data[meta.end :]
        return PixelData(file, _largest_size(shown), orientation=None)


class Heic(_Heif):
    """A HEIC."""

    def pixel_data(self) -> PixelData:
        """Return the HEIC as it is; its decoder turns the picture itself."""
        if self.fault:
            raise self.fault
        return PixelData(self.data, _largest_size(self.body(self._meta)))


def _largest_size(meta: bytes) -> tuple[int, int]:
    """Return the size of the largest image, (0, 0) if none has one."""
    sizes = [struct.unpack(">II", b"".join(size)) for size in _SIZE_PROPERTY.findall(meta)]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height


def _boxes(data: bytes, start: int, end: int, *, most: int = MAX_NESTED_PARTS) -> Iterator[Part]:
    """Yield the boxes between ``start`` and ``end``; only the last may end behind it."""
    for _ in range(most):
        if start + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = start + size if size else end
        if stop < start + head:
            return
        yield Part("pixels" if name == b"mdat" else "other", name, start + head, stop)
        start = stop


def _nested_boxes(data: bytes, start: int, end: int) -> Iterator[Part]:
    """Yield the boxes that lie between ``start`` and ``end`` as a whole."""
    return (box for box in _boxes(data, start, end) if box.end <= end)


def _item_blocks(data: bytes, meta: Part) -> Iterator[Block]:
    """Yield the items of the kinds Exif and XMP that the box ``meta`` describes."""
    for entry, span in _located_items(data, meta):
        kind = _metadata_kind(entry)
        if not kind:
            continue
        if span is None:
            yield unreadable_block(kind, "it is outside the file, or fragmented")
            continue
        content = data[span[0] : span[1]]
        if kind == "XMP":
            yield bounded_block("xmp", kind, content)
        else:
            skipped = 4 + int.from_bytes(content[:4], "big")
            yield bounded_block("exif", kind, content[skipped:].removeprefix(b"Exif\0\0"))


def _metadata_kind(entry: bytes) -> str:
    """Return the kind of an item that holds metadata, "EXIF" or "XMP"; empty for others."""
    if entry.startswith(b"Exif"):
        return "EXIF"
    return "XMP" if entry.startswith(b"mime") and _XMP_TYPE in entry else ""


def _located_items(data: bytes, meta: Part) -> Iterator[tuple[bytes, tuple[int, int] | None]]:
    """Yield the entry, and start and end where they are known, of the items of the box ``meta``."""
    inner = list(_nested_boxes(data, meta.start + 4, meta.end))
    info = next((box for box in inner if box.name == b"iinf"), None)
    locations = next((box for box in inner if box.name == b"iloc"), None)
    if info is None or locations is None:
        return
    where = _item_locations(data, locations)
    for item, entry in _items(data, info):
        yield entry, where.get(item)


def _items(data: bytes, info: Part) -> Iterator[tuple[int, bytes]]:
    """Yield number and entry, from its type on, of the items in the box ``info``."""
    start = info.start + (6 if data[info.start] == 0 else 8)
    for box in _nested_boxes(data, start, info.end):
        at, version = box.start, data[box.start]
        if box.name == b"infe" and version >= 2:
            width = 2 if version == 2 else 4
            item = int.from_bytes(data[at + 4 : at + 4 + width], "big")
            yield item, data[at + 6 + width : box.end]


def _item_locations(data: bytes, box: Part) -> dict[int, tuple[int, int]]:
    """Return start and end of the items that are contiguous in the file."""
    version = data[box.start]
    sizes = data[box.start + 4], data[box.start + 5]
    offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index = sizes[1] & 15 if version else 0
    wide = 4 if version == 2 else 2
    reader = _Numbers(data, box.start + 6, box.end)
    found = {}
    for _ in range(min(reader.take(wide), 4 * MAX_NESTED_PARTS)):
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
            found[item] = from_, from_ + size
    return found


class _Numbers:
    """A reader of consecutive unsigned numbers of any width."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data, self._position, self._end = data, position, end

    def skip(self, width: int) -> None:
        """Skip ``width`` bytes."""
        self._position += width

    def take(self, width: int) -> int:
        """Return the next number of ``width`` bytes; raise IndexError behind the end."""
        start, self._position = self._position, self._position + width
        if self._position > self._end:
            raise IndexError(start)
        return int.from_bytes(self._data[start : self._position], "big")
