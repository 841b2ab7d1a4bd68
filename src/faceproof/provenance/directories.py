"""The directories of TIFF, which EXIF is made of, read without belief in what they claim.

Source: TIFF 6.0, section 2; the BigTIFF layout of libtiff.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

#: More tags, and longer values, than honest files have; what exceeds them is left out.
MOST_TAGS = 1000
MOST_VALUE_BYTES = 1 << 20

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8, 129: 1}
_ORDERS = {b"II": "<", b"MM": ">"}


@dataclass(frozen=True)
class Directory:
    """The raw ``values`` of a directory's tags, their byte ``order``, where the ``next`` one is.

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
    order = _ORDERS.get(data[:2])
    if order is None:
        return None
    big = 43 in data[2:4]
    head, entry, offset = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    try:
        if start is None:
            (start,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + head, data, start)
        position = start + struct.calcsize(order + head)
        values: dict[int, memoryview] = {}
        for _ in range(min(count, MOST_TAGS)):
            tag, kind, many, raw = struct.unpack_from(order + entry, data, position)
            position += struct.calcsize(order + entry)
            value = _value(data, order + offset, _BYTES.get(kind, 0) * many, raw)
            if value is not None:
                values.setdefault(tag, value)
    except (struct.error, OverflowError):  # OverflowError: an offset beyond what Python can index
        return None
    return Directory(values, order, _next(data, order + offset, position))


def _value(data: bytes, offset: str, size: int, raw: bytes) -> memoryview | None:
    """Return a value, which stands in the entry when it fits; None where it lies outside."""
    if not 0 < size <= MOST_VALUE_BYTES:
        return None
    if size <= len(raw):
        return memoryview(raw)[:size]
    (start,) = struct.unpack(offset, raw)
    return memoryview(data)[start : start + size] if start + size <= len(data) else None


def _next(data: bytes, offset: str, position: int) -> int:
    try:
        return int(struct.unpack_from(offset, data, position)[0])
    except struct.error:
        return 0
