"""What a picture file carries beside its pixels: EXIF, profiles, captions, density, credentials."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faceproof.imaging.jpeg_header import segments

Block = tuple[str, bytes]

#: What a block can be; whatever else is not needed for the pixels is "other".
KINDS = ("exif", "icc", "xmp", "iptc", "comment", "jfif", "adobe", "credentials")

# How the application segments of a JPEG begin: marker, first bytes, kind.
_JPEG = (
    (0xE0, b"JFIF\0", "jfif"),
    (0xE1, b"Exif\0\0", "exif"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", "xmp"),
    (0xE1, b"http://ns.adobe.com/xmp/extension/\0", "xmp"),
    (0xE2, b"ICC_PROFILE\0", "icc"),
    (0xEB, b"JP", "credentials"),
    (0xED, b"Photoshop 3.0\0", "iptc"),
    (0xEE, b"Adobe", "adobe"),
    (0xFE, b"", "comment"),
)
_PNG = {
    b"eXIf": "exif",
    b"iCCP": "icc",
    b"tEXt": "comment",
    b"zTXt": "comment",
    b"iTXt": "comment",
    b"caBX": "credentials",
}
_WEBP = {b"EXIF": "exif", b"ICCP": "icc", b"XMP ": "xmp", b"C2PA": "credentials"}
_WEBP_PIXELS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Metadata:
    """``size`` in bytes of each kind of block, the density field (unit and dots across)."""

    size: Counter[str]
    density_unit: float
    density: float


def read_metadata(data: bytes, kind: str) -> Metadata | None:
    """Return what a file of this format carries beside its pixels, None where that is not known."""
    read = READERS.get(kind)
    if read is None:
        return None
    size: Counter[str] = Counter()
    unit, density = math.nan, math.nan
    for name, body in read(data):
        size[name] += len(body)
        if name == "jfif" and len(body) >= 10:
            unit, density = struct.unpack_from(">xBH", body, 6)
        elif name == "density" and len(body) >= 9:
            density, unit = struct.unpack_from(">I4xB", body)
    return Metadata(size, float(unit), float(density))


def trailing_bytes(data: bytes, kind: str) -> float:
    """Return how many bytes stand behind the last end of a JPEG; NaN for other formats."""
    return float(len(data) - data.rfind(_END_OF_JPEG) - 2) if kind == "JPEG" else math.nan


def _of_jpeg(data: bytes) -> Iterator[Block]:
    for marker, body in segments(data):
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            yield _jpeg_kind(marker, body), body


def _jpeg_kind(marker: int, body: bytes) -> str:
    kinds = (kind for known, start, kind in _JPEG if known == marker and body.startswith(start))
    return next(kinds, "other")


def _of_png(data: bytes) -> Iterator[Block]:
    """Yield the chunks that the pixels do not need: their names begin with a small letter.

    Source: ISO/IEC 15948, Portable Network Graphics, section 5.
    """
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name[0] & 0x20 and name != b"tRNS":
            body = data[position + 8 : position + 8 + length]
            yield _png_kind(name, body), body
        position += 12 + length


def _png_kind(name: bytes, body: bytes) -> str:
    if name == b"pHYs":
        return "density"
    if name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
        return "xmp"
    return _PNG.get(name, "other")


def _of_webp(data: bytes) -> Iterator[Block]:
    """Yield the chunks of a WebP that hold no pixels.

    Source: RFC 9649, WebP Image Format, section 2.
    """
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name not in _WEBP_PIXELS:
            body = data[position + 8 : position + 8 + length]
            yield _WEBP.get(name, "other"), body
        position += 8 + length + length % 2


#: Who reads what a file carries, by format.
READERS: dict[str, Callable[[bytes], Iterator[Block]]] = {
    "JPEG": _of_jpeg,
    "PNG": _of_png,
    "WEBP": _of_webp,
}
