"""Tiff: the first directory of a TIFF or BigTIFF; `read_directory` also reads that of EXIF.

Tags may be many, huge, overlapping or contradictory, and both decoders that Pillow employs believe
them. `Tiff.pixel_data` therefore writes a new directory.

Source: TIFF 6.0, section 2 and part 2; Adobe TIFF technical notes 1 and 2; libtiff's BigTIFF; CIPA
DC-008 (Exif 2.32); Adobe XMP part 3, section 3.1.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.base import (
    MAX_BLOCK_BYTES,
    MAX_TAGS,
    Block,
    Container,
    Part,
    PixelData,
    bounded_block,
    photoshop_blocks,
)

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION = 256, 257, 258, 259, 274
_TILE_WIDTH, _TILE_HEIGHT, _PROFILE = 322, 323, 34675
_SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706
_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
# photometric, fill order, samples, rows per strip, planes, fax, predictor, inks, chroma position
_ONE_NUMBER = frozenset({_WIDTH, _HEIGHT, _COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT})
_ONE_NUMBER |= {262, 266, 277, 278, 284, 292, 293, 317, 332, 531}
# strips, colour map, tiles, extra samples, formats, JPEG, old JPEG, luma, chroma, reference
_MANY_VALUES = frozenset({_BITS, _PROFILE, 273, 279, 320, 324, 325, 338, 339, 347, 529, 530, 532})
_MANY_VALUES |= set(range(512, 522))
_WHERE_PIXELS_LIE = ((273, 279), (324, 325))  # offsets and byte counts: of strips, of tiles
_HINTS = frozenset({_ORIENTATION, _SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION})
# from no compression, fax and LZW over JPEG and deflate to LogLuv, LZMA and Zstandard
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32946, 32771, 32773, 32809, 34676, 34677})
_COMPRESSIONS |= {34925, 50000}

_TYPES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18)
_CODES = dict(zip(_TYPES, (*"BsHI", "2I", *"bshi", "2i", *"fdIQqQ"), strict=True))
_BYTES = {kind: struct.calcsize("<" + code) for kind, code in _CODES.items()} | {129: 1}
_WHOLE_NUMBERS = frozenset({1, 3, 4, 16})
_LONG, _LONG8 = 4, 16
_ORDERS = {b"II": "<", b"MM": ">"}

# A strip per row of the tallest picture, or the smallest tiles of the largest, with room to spare.
_MAX_VALUES = 1_000_000
_MAX_PROFILE_BYTES = 4 << 20
_ROOM_FOR_TILES = 4_000_000


@dataclass(frozen=True)
class Directory:
    """The raw ``values`` of a directory's tags, their byte ``order``, the offset of the ``next``.

    The values are views: thousands of tags may claim the same megabyte.
    """

    values: dict[int, memoryview] = field(default_factory=dict)
    order: str = "<"
    next: int = 0

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a tag; none where it is not there."""
        return bytes(self.values.get(tag, b""))

    def text(self, tag: int) -> str:
        """Return the value of a tag as text; empty where there is none."""
        return self.raw(tag).partition(b"\0")[0].decode("utf-8", errors="replace").strip()

    def number(self, tag: int) -> int:
        """Return the value of a tag as a whole number; 0 where it is none."""
        raw = self.raw(tag)[:8]
        length = len(raw) if len(raw) in {1, 2, 4, 8} else 2
        return int.from_bytes(raw[:length], "little" if self.order == "<" else "big")


def read_directory(data: bytes, start: int | None = None) -> Directory | None:
    """Return the directory at ``start``, by default the first; None where there is none.

    Tags that make no sense are left out, and of several with one number the first counts.
    """
    layout = _layout(data)
    if layout is None:
        return None
    start = _first_offset(data, layout) if start is None else start
    entries, whole = _read_entries(data, layout, start)
    return _directory(data, layout, entries, start) if whole else None


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in an EXIF block; 1 where it is silent or broken.

    Source: CIPA DC-008 (Exif 2.32), tag 0x0112 of the first directory.

    >>> exif_orientation(bytes.fromhex("4949 2a00 08000000 0100 1201 0300 01000000 06000000"))
    6
    >>> exif_orientation(b"no EXIF")
    1
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    layout = _layout(tiff)
    if layout is None:
        return 1
    entries, _ = _read_entries(tiff, layout, _first_offset(tiff, layout))
    for entry in entries:
        if entry.tag == _ORIENTATION:
            code = {1: "B", 4: "I"}.get(entry.kind, "H")
            (value,) = struct.unpack_from(layout.order + code, entry.field)
            return value if 1 <= value <= 8 else 1
    return 1


class _Layout(NamedTuple):
    """Byte order, and the widths of offset, number of entries and entry."""

    order: str
    offset: struct.Struct
    head: struct.Struct
    entry: struct.Struct


_CLASSIC = _Layout("<", struct.Struct("<I"), struct.Struct("<H"), struct.Struct("<HHI4s"))


class _Entry(NamedTuple):
    """One entry of a directory: tag, type, number of values, and them or their offset."""

    tag: int
    kind: int
    values: int
    field: bytes


def _layout(data: bytes) -> _Layout | None:
    """Return the layout that the first four bytes name; None where they name none."""
    order = _ORDERS.get(data[:2])
    if order is None:
        return None
    widths = ("Q", "Q", "HHQ8s") if 43 in data[2:4] else ("I", "H", "HHI4s")
    return _Layout(order, *(struct.Struct(order + width) for width in widths))


def _first_offset(data: bytes, layout: _Layout) -> int:
    """Return where the first directory is; the end of the data where that is missing."""
    try:
        return int(layout.offset.unpack_from(data, layout.offset.size)[0])
    except struct.error:
        return len(data)


def _read_entries(data: bytes, layout: _Layout, start: int) -> tuple[list[_Entry], bool]:
    """Return the entries of the directory at ``start``, and whether it ends inside the data."""
    first = start + layout.head.size
    if first > len(data):
        return [], False
    count = min(layout.head.unpack_from(data, start)[0], 0xFFFF)
    room = (len(data) - first) // layout.entry.size
    end = first + layout.entry.size * min(count, room, MAX_TAGS)
    entries = layout.entry.iter_unpack(memoryview(data)[first:end])
    return [_Entry(*entry) for entry in entries], count <= room


def _directory(data: bytes, layout: _Layout, entries: Sequence[_Entry], start: int) -> Directory:
    values: dict[int, memoryview] = {}
    for entry in entries:
        size = _BYTES.get(entry.kind, 0) * entry.values
        if 0 < size <= MAX_BLOCK_BYTES:
            begin, end, held = _value_span(data, layout, entry, size)
            if end <= len(held):
                values.setdefault(entry.tag, memoryview(held)[begin:end])
    behind = start + layout.head.size + layout.entry.size * len(entries)
    try:
        (following,) = layout.offset.unpack_from(data, behind)
    except struct.error:
        following = 0
    return Directory(values, layout.order, following)


def _value_span(data: bytes, layout: _Layout, entry: _Entry, size: int) -> tuple[int, int, bytes]:
    """Return start and end of a value, and the bytes they are in: the entry's where it fits."""
    if size <= len(entry.field):
        return 0, size, entry.field
    (start,) = layout.offset.unpack(entry.field)
    return start, start + size, data


@dataclass(frozen=True)
class _Tag:
    kind: int
    count: int
    value: bytes
    order: str

    def numbers(self) -> tuple[int, ...]:
        """Return the values; none where they are no whole numbers."""
        if self.kind not in _WHOLE_NUMBERS:
            return ()
        return struct.unpack(f"{self.order}{self.count}{_CODES[self.kind]}", self.value)

    def number(self) -> int:
        """Return the first value; 0 where it is no whole number."""
        return next(iter(self.numbers()), 0)


class Tiff(Container):
    """A TIFF: the entries of its first directory; it has no parts in a row."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        self._layout = _layout(self.data) or _CLASSIC
        self._start = _first_offset(self.data, self._layout)
        self._entries, whole = _read_entries(self.data, self._layout, self._start)
        if whole:
            return (), None
        return (), TruncatedPictureError("the TIFF ends before its first directory does")

    def pixel_data(self) -> PixelData:
        """Return the first image as a plain TIFF with a new directory."""
        tags: dict[int, _Tag] = {}
        for tag, found in self._tags():
            tags.setdefault(tag, found)  # of several, the first counts, as in libtiff
        _refuse_rare(tags)
        _check_end(self.data, tags)
        size = _number(tags, _WIDTH), _number(tags, _HEIGHT)
        tile = _number(tags, _TILE_WIDTH) * _number(tags, _TILE_HEIGHT)
        if tile > 2 * size[0] * size[1] + _ROOM_FOR_TILES:
            raise CorruptPictureError("the TIFF's tiles are far larger than its picture")
        orientation = _number(tags, _ORIENTATION)
        file = _rewrite(self.data, self._layout.order, tags)
        return PixelData(file, size, orientation if 1 <= orientation <= 8 else 1)

    def blocks(self) -> Iterator[Block]:
        """Yield the first directory as EXIF, and the XMP and the IPTC in it."""
        yield Block("exif", "TIFF tags", self.data)
        if self.fault:
            return
        first = _directory(self.data, self._layout, self._entries, self._start)
        if _XMP in first.values:
            yield bounded_block("xmp", "XMP", first.raw(_XMP))
        if _IPTC in first.values:
            yield bounded_block("iim", "IPTC", first.raw(_IPTC))
        if _PHOTOSHOP in first.values:
            yield from photoshop_blocks(first.raw(_PHOTOSHOP))

    def _tags(self) -> Iterator[tuple[int, _Tag]]:
        """Yield the tags that matter for the pixels, with their values."""
        for entry in self._entries:
            if not _matters(entry):
                continue
            size = _BYTES[entry.kind] * entry.values
            start, end, held = _value_span(self.data, self._layout, entry, size)
            if end > len(held):
                raise TruncatedPictureError("the TIFF ends before the values of its tags")
            yield entry.tag, _Tag(entry.kind, entry.values, held[start:end], self._layout.order)
        if self.fault:
            raise self.fault


def _number(tags: dict[int, _Tag], tag: int) -> int:
    return tags[tag].number() if tag in tags else 0


def _refuse_rare(tags: dict[int, _Tag]) -> None:
    """Reject what would be read as another picture, or not at all."""
    preview = _number(tags, _SUBFILE) & 1 and _SUB_DIRECTORIES in tags
    if _DNG_VERSION in tags or preview:
        raise UnsupportedFormatError(
            "a camera's raw file, of which only the preview could be read; develop it to JPEG"
        )
    compression = _number(tags, _COMPRESSION) or 1
    if compression not in _COMPRESSIONS:
        raise UnsupportedFormatError(
            f"a TIFF with compression {compression}; save it with another or none"
        )
    if _number(tags, _BITS) == 12:
        raise UnsupportedFormatError("a TIFF with 12 bits a sample; save it with 8 or 16")


def _check_end(data: bytes, tags: dict[int, _Tag]) -> None:
    """Reject pixels that lie, in part or in whole, behind the end of the file."""
    for offsets, counts in _WHERE_PIXELS_LIE:
        if offsets in tags and counts in tags:
            ends = map(operator.add, tags[offsets].numbers(), tags[counts].numbers())
            if max(ends, default=0) > len(data):
                raise TruncatedPictureError("the end of the TIFF is missing")


def _matters(entry: _Entry) -> bool:
    """Say whether the pixels depend on an entry."""
    if entry.kind not in _CODES or entry.values == 0:
        return False
    if entry.tag == _PROFILE:
        return _BYTES[entry.kind] * entry.values <= _MAX_PROFILE_BYTES
    if entry.tag in _MANY_VALUES:
        if entry.values > _MAX_VALUES:
            raise CorruptPictureError("the TIFF has more strips than any encoder writes")
        return True
    return entry.tag in _ONE_NUMBER or entry.tag in _HINTS


def _rewrite(data: bytes, order: str, tags: dict[int, _Tag]) -> bytes:
    """Return the file with a plain directory behind it that holds the tags for the pixels only."""
    needed = [
        (tag, _plain(tag, tags[tag])) for tag in sorted(tags) if tag in _ONE_NUMBER | _MANY_VALUES
    ]
    start = len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(needed) + 4
    directory, values = [struct.pack(order + "H", len(needed))], b""
    for tag, (kind, count, value) in needed:
        field_ = value.ljust(4, b"\0")
        if len(value) > 4:
            field_ = struct.pack(order + "I", values_at + len(values))
            values += value + b"\0" * (len(value) % 2)
        directory.append(struct.pack(order + "HHI4s", tag, kind, count, field_))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return b"".join([head, data[8:], b"\0" * (len(data) % 2), *directory, bytes(4), values])


def _plain(tag: int, found: _Tag) -> tuple[int, int, bytes]:
    """Return kind, count and bytes of a tag in classic TIFF: numbers have 32 bits."""
    if tag in _ONE_NUMBER:
        return _LONG, 1, struct.pack(found.order + "I", min(found.number(), 0xFFFFFFFF))
    if found.kind != _LONG8:
        return found.kind, found.count, found.value
    numbers = [min(number, 0xFFFFFFFF) for number in found.numbers()]
    return _LONG, found.count, struct.pack(f"{found.order}{found.count}I", *numbers)
