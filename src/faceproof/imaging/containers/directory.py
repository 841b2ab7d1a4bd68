"""Directory: the tags of a TIFF or of EXIF, parsed as untrusted input.

Source: TIFF 6.0, section 2; the BigTIFF layout of libtiff; CIPA DC-008 (Exif 2.32).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from faceproof.imaging.containers.base import MAX_BLOCK_BYTES, MAX_TAGS

_TYPES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18)
#: The types of values, as `struct` writes them.
CODES = dict(zip(_TYPES, (*"BsHI", "2I", *"bshi", "2i", *"fdIQqQ"), strict=True))
_BYTES = {kind: struct.calcsize("<" + code) for kind, code in CODES.items()} | {129: 1}
_ORDERS = {b"II": "<", b"MM": ">"}
# Layout of offset, number of entries and entry.
_CLASSIC, _BIG = ("I", "H", "HHI4s"), ("Q", "Q", "HHQ8s")
_MOST_CLASSIC_TAGS = 0xFFFF
_ORIENTATION = 0x0112


class Entry(NamedTuple):
    """One entry: tag, type, number of values, and where they are: in ``held`` from start to end.

    ``held`` is the entry itself where the values fit, and the whole data otherwise.
    """

    tag: int
    kind: int
    n_values: int
    held: bytes
    start: int
    end: int

    @property
    def is_inside(self) -> bool:
        """Whether the data hold all values."""
        return self.end <= len(self.held)


@dataclass(frozen=True)
class Directory:
    """The ``entries`` of a directory, at most `MAX_TAGS`, their byte order and the next's offset.

    ``is_whole`` is False where the data end inside the directory.
    """

    entries: Sequence[Entry] = ()
    order: str = "<"
    next: int = 0
    is_whole: bool = False

    @cached_property
    def values(self) -> Mapping[int, memoryview]:
        """The raw values by tag; if a tag occurs several times, the first entry counts.

        Values that are too long, or outside the data, are omitted. They are views: thousands of
        tags may claim the same megabyte.
        """
        found: dict[int, memoryview] = {}
        for entry in self.entries:
            if 0 < entry.end - entry.start <= MAX_BLOCK_BYTES and entry.is_inside:
                found.setdefault(entry.tag, memoryview(entry.held)[entry.start : entry.end])
        return found

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The order of bytes, as `int.from_bytes` names it."""
        return "little" if self.order == "<" else "big"

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a tag; empty if it is missing."""
        return bytes(self.values.get(tag, b""))

    def text(self, tag: int) -> str:
        """Return the value of a tag as text; empty if it is missing."""
        return self.raw(tag).partition(b"\0")[0].decode("utf-8", errors="replace").strip()

    def number(self, tag: int) -> int:
        """Return the value of a tag as an integer; 0 if it is not one."""
        raw = self.raw(tag)[:8]
        length = len(raw) if len(raw) in {1, 2, 4, 8} else 2
        return int.from_bytes(raw[:length], self.byte_order)


def read_directory(data: bytes, start: int | None = None) -> Directory:
    """Return the directory at ``start``, by default the first; an empty one if there is none."""
    order = _ORDERS.get(data[:2])
    if order is None:
        return Directory()
    offset, head, entry = (
        struct.Struct(order + code) for code in (_BIG if 43 in data[2:4] else _CLASSIC)
    )
    if start is None and len(data) >= 2 * offset.size:
        (start,) = offset.unpack_from(data, offset.size)
    if start is None or start + head.size > len(data):
        return Directory(order=order)
    first = start + head.size
    count = min(head.unpack_from(data, start)[0], _MOST_CLASSIC_TAGS)
    room = (len(data) - first) // entry.size
    end = first + entry.size * min(count, room, MAX_TAGS)
    return Directory(
        [_entry(data, offset, raw) for raw in entry.iter_unpack(memoryview(data)[first:end])],
        order,
        offset.unpack_from(data, end)[0] if end + offset.size <= len(data) else 0,
        is_whole=count <= room,
    )


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in an EXIF block; 1 if it is missing or invalid.

    Source: CIPA DC-008 (Exif 2.32), tag 0x0112 of the first directory.

    >>> exif_orientation(bytes.fromhex("4949 2a00 08000000 0100 1201 0300 01000000 06000000"))
    6
    >>> exif_orientation(b"no EXIF")
    1
    """
    directory = read_directory(exif.removeprefix(b"Exif\0\0"))
    for entry in directory.entries:
        if entry.tag == _ORIENTATION:
            width = {1: 1, 4: 4}.get(entry.kind, 2)
            raw = entry.held[entry.start : entry.start + width]
            value = int.from_bytes(raw, directory.byte_order)
            return value if 1 <= value <= 8 else 1
    return 1


def _entry(data: bytes, offset: struct.Struct, raw: tuple[int, int, int, bytes]) -> Entry:
    tag, kind, n_values, field = raw
    size = _BYTES.get(kind, 0) * n_values
    if size <= len(field):
        return Entry(tag, kind, n_values, field, 0, size)
    (start,) = offset.unpack(field)
    return Entry(tag, kind, n_values, data, start, start + size)
