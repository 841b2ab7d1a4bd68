"""AVIF and HEIC, two codings in the same boxes: their size, and whether their end is there.

Source: ISO/IEC 14496-12, 4.2 (boxes), 8.11 (meta); ISO/IEC 23008-12, 6.5.3 (ispe), annex A (Exif).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from faceproof.errors import TruncatedPictureError
from faceproof.imaging.containers.container import MAX_SEGMENTS, Container

_NEEDED = frozenset({b"ftyp", b"meta", b"mdat", b"moov"})
_SIZE_PROPERTY = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


def avif(data: bytes) -> Container:
    """Return an AVIF with its EXIF hidden.

    A property outside EXIF turns the picture, and Pillow warns of broken EXIF.
    """
    start, end = _meta(data)
    shown = _EXIF_ITEM.sub(rb"\1skip", data[start:end])
    return Container(data[:start] + shown + data[end:], _largest(shown), orientation=None)


def heic(data: bytes) -> Container:
    """Return a HEIC as it is; its decoder turns the picture itself."""
    start, end = _meta(data)
    return Container(data, _largest(data[start:end]))


def _largest(meta: bytes) -> tuple[int, int]:
    """Return the size of the largest picture, (0, 0) where none has one."""
    sizes = [struct.unpack(">II", b"".join(size)) for size in _SIZE_PROPERTY.findall(meta)]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height


def _meta(data: bytes) -> tuple[int, int]:
    """Return start and end of the box that describes the pictures, (0, 0) where there is none."""
    found, pixels = (0, 0), False
    for kind, start, end in _boxes(data):
        if end > len(data) and kind in _NEEDED:
            raise TruncatedPictureError("the end of the file is missing")
        if kind == b"meta":
            found = start, end
        pixels |= kind == b"mdat"
    if not pixels and b"idat" not in data[slice(*found)]:
        raise TruncatedPictureError("the end of the file is missing, and with it the picture")
    return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the outermost boxes, until one makes no sense."""
    start = 0
    for _ in range(MAX_SEGMENTS):
        if start + 16 > len(data):
            return
        size, kind, long_size = struct.unpack_from(">I4sQ", data, start)
        size = {0: len(data) - start, 1: long_size}.get(size, size)
        if size < 8:
            return
        yield kind, start, start + size
        start += size
