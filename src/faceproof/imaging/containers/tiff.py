"""Tiff: the first image of a TIFF or BigTIFF.

Tags may be many, huge, overlapping or contradictory, and both decoders that Pillow uses trust them.
`Tiff.pixel_data` therefore writes a new directory.

Source: TIFF 6.0, section 2 and part 2; Adobe TIFF technical notes 1 and 2; Adobe XMP part 3,
section 3.1.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.base import (
    MAX_PARTS,
    Block,
    Container,
    Part,
    PixelData,
    bounded_block,
    photoshop_blocks,
)
from faceproof.imaging.containers.directory import CODES, Directory, Entry, read_directory

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
_STRIPS, _ROWS_PER_STRIP, _JPEG_TABLES = 273, 278, 347
_WHERE_PIXELS_LIE = ((_STRIPS, 279), (324, 325))  # offsets and byte counts: of strips, of tiles
_HINTS = frozenset({_ORIENTATION, _SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION})
# from no compression, fax and LZW over JPEG and deflate to LogLuv, LZMA and Zstandard
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32946, 32771, 32773, 32809, 34676, 34677})
_COMPRESSIONS |= {34925, 50000}

_NO_PAGE = 1 | 4  # bits of the new subfile type: a reduced copy, a mask

_WHOLE_NUMBERS = frozenset({1, 3, 4, 16})
_LONG, _LONG8 = 4, 16

# A strip per row of the tallest picture, or the smallest tiles of the largest, with room to spare.
_MAX_VALUES = 1_000_000
_MAX_PROFILE_BYTES = 4 << 20
_ROOM_FOR_TILES = 4_000_000


@dataclass(frozen=True)
class _Tag:
    kind: int
    count: int
    value: bytes
    order: str

    def numbers(self) -> tuple[int, ...]:
        """Return the values; empty if they are not integers."""
        if self.kind not in _WHOLE_NUMBERS:
            return ()
        return struct.unpack(f"{self.order}{self.count}{CODES[self.kind]}", self.value)

    def number(self) -> int:
        """Return the first value; 0 if it is not an integer."""
        return next(iter(self.numbers()), 0)


class Strip(NamedTuple):
    """Some rows of a TIFF as they are coded, from ``top`` to ``bottom``; JPEG needs ``tables``."""

    compression: int
    tables: bytes
    data: bytes
    top: int
    bottom: int


class Tiff(Container):
    """A TIFF: the entries of its first directory; it has no sequence of parts."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        self._directory = read_directory(self.data)
        if self._directory.is_whole:
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
        file = _rewrite(self.data, self._directory.order, tags)
        return PixelData(file, size, orientation if 1 <= orientation <= 8 else 1)

    def strips(self) -> Iterator[Strip]:
        """Yield the coded strips, or the tiles, each of which is taken to reach over all rows."""
        tags: dict[int, _Tag] = {}
        for tag, found in self._tags():
            tags.setdefault(tag, found)
        compression, height = _number(tags, _COMPRESSION), _number(tags, _HEIGHT)
        tables = tags[_JPEG_TABLES].value if _JPEG_TABLES in tags else b""
        for offsets, counts in _WHERE_PIXELS_LIE:
            if offsets not in tags or counts not in tags:
                continue
            high = (_number(tags, _ROWS_PER_STRIP) or height) if offsets == _STRIPS else height
            high = max(min(high, height), 1)
            each = -(-height // high)  # strips of one plane
            pairs = zip(tags[offsets].numbers(), tags[counts].numbers(), strict=False)
            for number, (start, length) in enumerate(pairs):
                top = number % each * high
                data = self.data[start : start + length]
                yield Strip(compression, tables, data, top, min(top + high, height))

    @property
    def has_plain_pixels(self) -> bool:
        """Whether the compression is 1, none."""
        return self._directory.number(_COMPRESSION) in {0, 1}

    @property
    def pictures(self) -> int:
        """Number of pages; reduced copies and masks are none."""
        count, seen, directory = 0, set[int](), self._directory
        for _ in range(MAX_PARTS):
            count += bool(directory.entries) and not directory.number(_SUBFILE) & _NO_PAGE
            if directory.next == 0 or directory.next in seen:
                break
            seen.add(directory.next)
            directory = read_directory(self.data, directory.next)
        return max(count, 1)

    def blocks(self) -> Iterator[Block]:
        """Yield the first directory as EXIF, and the XMP and the IPTC in it."""
        yield Block("exif", "TIFF tags", self.data)
        first = Directory() if self.fault else self._directory
        if _XMP in first.values:
            yield bounded_block("xmp", "XMP", first.raw(_XMP))
        if _IPTC in first.values:
            yield bounded_block("iim", "IPTC", first.raw(_IPTC))
        if _PHOTOSHOP in first.values:
            yield from photoshop_blocks(first.raw(_PHOTOSHOP))

    def _tags(self) -> Iterator[tuple[int, _Tag]]:
        """Yield the tags that matter for the pixels, with their values."""
        order = self._directory.order
        for entry in filter(_affects_pixels, self._directory.entries):
            if not entry.is_inside:
                raise TruncatedPictureError("the TIFF ends before the values of its tags")
            value = entry.held[entry.start : entry.end]
            yield entry.tag, _Tag(entry.kind, entry.n_values, value, order)
        if self.fault:
            raise self.fault


def _number(tags: dict[int, _Tag], tag: int) -> int:
    return tags[tag].number() if tag in tags else 0


def _refuse_rare(tags: dict[int, _Tag]) -> None:
    """Reject a file that would be decoded as another picture, or not at all."""
    preview = _number(tags, _SUBFILE) & 1 and _SUB_DIRECTORIES in tags
    if _DNG_VERSION in tags or preview:
        raise UnsupportedFormatError(
            "a camera's raw file, with only a preview that can be decoded; export it as JPEG"
        )
    compression = _number(tags, _COMPRESSION) or 1
    if compression not in _COMPRESSIONS:
        raise UnsupportedFormatError(
            f"a TIFF with compression {compression}; save it with another or none"
        )
    if _number(tags, _BITS) == 12:
        raise UnsupportedFormatError("a TIFF with 12 bits a sample; save it with 8 or 16")


def _check_end(data: bytes, tags: dict[int, _Tag]) -> None:
    """Reject pixels partly or completely behind the end of the file."""
    for offsets, counts in _WHERE_PIXELS_LIE:
        if offsets in tags and counts in tags:
            ends = map(operator.add, tags[offsets].numbers(), tags[counts].numbers())
            if max(ends, default=0) > len(data):
                raise TruncatedPictureError("the end of the TIFF is missing")


def _affects_pixels(entry: Entry) -> bool:
    """Return whether the pixels depend on an entry."""
    if entry.kind not in CODES or entry.n_values == 0:
        return False
    if entry.tag == _PROFILE:
        return entry.end - entry.start <= _MAX_PROFILE_BYTES
    if entry.tag in _MANY_VALUES:
        if entry.n_values > _MAX_VALUES:
            raise CorruptPictureError("the TIFF has more strips than any encoder writes")
        return True
    return entry.tag in _ONE_NUMBER or entry.tag in _HINTS


def _rewrite(data: bytes, order: str, tags: dict[int, _Tag]) -> bytes:
    """Return the file with a plain directory behind it that holds the tags for the pixels only."""
    needed = [
        (tag, _classic_tag(tag, tags[tag]))
        for tag in sorted(tags)
        if tag in _ONE_NUMBER | _MANY_VALUES
    ]
    start = len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(needed) + 4
    directory, values = [struct.pack(order + "H", len(needed))], b""
    for tag, (kind, count, value) in needed:
        field = value.ljust(4, b"\0")
        if len(value) > 4:
            field = struct.pack(order + "I", values_at + len(values))
            values += value + b"\0" * (len(value) % 2)
        directory.append(struct.pack(order + "HHI4s", tag, kind, count, field))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return b"".join([head, data[8:], b"\0" * (len(data) % 2), *directory, bytes(4), values])


def _classic_tag(tag: int, found: _Tag) -> tuple[int, int, bytes]:
    """Return kind, count and bytes of a tag in classic TIFF: numbers have 32 bits."""
    if tag in _ONE_NUMBER:
        return _LONG, 1, struct.pack(found.order + "I", min(found.number(), 0xFFFFFFFF))
    if found.kind != _LONG8:
        return found.kind, found.count, found.value
    numbers = [min(number, 0xFFFFFFFF) for number in found.numbers()]
    return _LONG, found.count, struct.pack(f"{found.order}{found.count}I", *numbers)
