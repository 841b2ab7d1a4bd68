"""PNG without texts, times and the later frames of an animation.

Source: Portable Network Graphics (PNG) Specification, third edition, W3C.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from faceproof.errors import CorruptPictureError, TruncatedPictureError, UnsupportedFormatError
from faceproof.imaging.containers.container import MAX_SEGMENTS, Container, exif_orientation

# Pillow refuses the whole picture when a profile unpacks to more.
MAX_PROFILE_BYTES = 1 << 20
_SIGNATURE_BYTES = 8
_PIXELS = frozenset({b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def png(data: bytes) -> Container:
    """Return what the pixels of a PNG depend on: of an animation, its default picture."""
    chunks = list(_chunks(data))
    size = _size(data, *chunks[0])
    profile = next(filter(lambda chunk: _is_profile(data, *chunk), chunks), None)
    kept = [chunk for chunk in chunks[1:] if chunk[0] in _PIXELS or chunk is profile]
    exif = next((_payload(data, *chunk[1:]) for chunk in chunks if chunk[0] == b"eXIf"), b"")
    if len(kept) == len(chunks) - 1:
        return Container(data[: chunks[-1][2]], size, 1)
    parts = [data[:_SIGNATURE_BYTES], *(data[start:end] for _, start, end in [chunks[0], *kept])]
    return Container(b"".join(parts), size, exif_orientation(exif))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of every chunk, up to and including IEND."""
    start = _SIGNATURE_BYTES
    for _ in range(MAX_SEGMENTS):
        if start + 12 > len(data):
            raise TruncatedPictureError("the end of the PNG is missing")
        length, kind = struct.unpack_from(">I4s", data, start)
        if not kind.isalpha() or length > 0x7FFFFFFF:
            raise CorruptPictureError("the PNG has a chunk that makes no sense")
        end = start + 12 + length
        if end > len(data):
            raise TruncatedPictureError("the end of the PNG is missing")
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end
    raise CorruptPictureError("the PNG has more chunks than any encoder writes")


def _payload(data: bytes, start: int, end: int) -> bytes:
    return data[start + 8 : end - 4]


def _size(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int]:
    if kind == b"CgBI":
        raise UnsupportedFormatError(
            "a PNG in Apple's private variant (CgBI); save it as an ordinary one"
        )
    header = _payload(data, start, end)
    if kind != b"IHDR" or len(header) != 13:
        raise CorruptPictureError("the PNG does not begin with its header")
    width, height = struct.unpack_from(">II", header)
    return width, height


def _is_profile(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Say whether a chunk holds a whole colour profile of a sane size."""
    if kind != b"iCCP":
        return False
    packed = _payload(data, start, end).partition(b"\0")[2]
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacker.eof and packed[0] == 0
