"""TIFF and BigTIFF: a new directory with the tags that the pixels of the first picture depend on.

Tags may be many, huge, overlapping or contradictory, and both decoders that Pillow employs believe
them.

Source: TIFF 6.0, section 2 and part 2; Adobe TIFF technical notes 1 and 2; libtiff's BigTIFF.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from faceproof.errors import CorruptPictureError, TruncatedPictureError, UnsupportedFormatError
from faceproof.imaging.containers.container import Container

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION = 256, 257, 258, 259, 274
_TILE_WIDTH, _TILE_HEIGHT, _PROFILE = 322, 323, 34675
_SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706
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

_KINDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18)
_CODES = dict(zip(_KINDS, (*"BsHI", "2I", *"bshi", "2i", *"fdIQqQ"), strict=True))
_BYTES = {kind: struct.calcsize("<" + code) for kind, code in _CODES.items()}
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
        """Return the values; none where they are no whole numbers."""
        if self.kind not in _WHOLE_NUMBERS:
            return ()
        return struct.unpack(f"{self.order}{self.count}{_CODES[self.kind]}", self.value)

    def number(self) -> int:
        """Return the first value; 0 where it is no whole number."""
        return next(iter(self.numbers()), 0)


def tiff(data: bytes) -> Container:
    """Return what the pixels of a TIFF's first picture depend on, as a plain TIFF."""
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, _Tag] = {}
    for tag, found in _tags(data, order):
        tags.setdefault(tag, found)  # of several, the first counts, as in libtiff
    _refuse_rare(tags)
    _check_end(data, tags)
    size = _number(tags, _WIDTH), _number(tags, _HEIGHT)
    tile = _number(tags, _TILE_WIDTH) * _number(tags, _TILE_HEIGHT)
    if tile > 2 * size[0] * size[1] + _ROOM_FOR_TILES:
        raise CorruptPictureError("the TIFF's tiles are far larger than its picture")
    orientation = _number(tags, _ORIENTATION)
    return Container(
        _rewritten(data, order, tags), size, orientation if 1 <= orientation <= 8 else 1
    )


def _number(tags: dict[int, _Tag], tag: int) -> int:
    return tags[tag].number() if tag in tags else 0


def _refuse_rare(tags: dict[int, _Tag]) -> None:
    """Refuse what would be read as another picture, or not at all."""
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
    """Refuse pixels that lie, in part or in whole, behind the end of the file."""
    for offsets, counts in _WHERE_PIXELS_LIE:
        if offsets in tags and counts in tags:
            ends = map(operator.add, tags[offsets].numbers(), tags[counts].numbers())
            if max(ends, default=0) > len(data):
                raise TruncatedPictureError("the end of the TIFF is missing")


def _tags(data: bytes, order: str) -> Iterator[tuple[int, _Tag]]:
    """Yield the tags of the first directory that matter, with their values."""
    big = 43 in data[2:4]
    head, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + head, data, start)
        start += struct.calcsize(order + head)
        step = struct.calcsize(order + entry)
        for position in range(start, start + step * min(count, 0xFFFF), step):
            tag, kind, values, field = struct.unpack_from(order + entry, data, position)
            if _matters(tag, kind, values):
                yield (
                    tag,
                    _Tag(kind, values, _value(data, order, _BYTES[kind] * values, field), order),
                )
    except (struct.error, OverflowError) as error:
        raise TruncatedPictureError("the TIFF ends before its first directory does") from error


def _matters(tag: int, kind: int, count: int) -> bool:
    if kind not in _BYTES or count == 0:
        return False
    if tag == _PROFILE:
        return _BYTES[kind] * count <= _MAX_PROFILE_BYTES
    if tag in _MANY_VALUES:
        if count > _MAX_VALUES:
            raise CorruptPictureError("the TIFF has more strips than any encoder writes")
        return True
    return tag in _ONE_NUMBER or tag in _HINTS


def _value(data: bytes, order: str, size: int, field: bytes) -> bytes:
    """Return the bytes of a value, which stand in the directory when they fit."""
    if size <= len(field):
        return field[:size]
    (offset,) = struct.unpack(order + ("Q" if len(field) == 8 else "I"), field)
    if offset + size > len(data):
        raise TruncatedPictureError("the TIFF ends before the values of its tags")
    return data[offset : offset + size]


def _rewritten(data: bytes, order: str, tags: dict[int, _Tag]) -> bytes:
    """Return the file with a plain directory behind it that holds the tags for the pixels alone."""
    kept = [
        (tag, _plain(tag, tags[tag])) for tag in sorted(tags) if tag in _ONE_NUMBER | _MANY_VALUES
    ]
    start = len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(kept) + 4
    directory, values = [struct.pack(order + "H", len(kept))], b""
    for tag, (kind, count, value) in kept:
        field = value.ljust(4, b"\0")
        if len(value) > 4:
            field = struct.pack(order + "I", values_at + len(values))
            values += value + b"\0" * (len(value) % 2)
        directory.append(struct.pack(order + "HHI4s", tag, kind, count, field))
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
