"""Png: the chunks of a PNG.

Source: Portable Network Graphics (PNG) Specification, third edition, W3C, sections 5 and 11.3;
ImageMagick's "Raw profile type" texts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.base import (
    MAX_PARTS,
    Block,
    BlockKind,
    Container,
    Part,
    PartKind,
    PixelData,
    bounded_block,
    inflate,
    photoshop_blocks,
    unreadable_block,
)
from faceproof.imaging.containers.directory import exif_orientation

_SIGNATURE_BYTES = 8
_NEEDED = frozenset({b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_KINDS: Mapping[bytes, PartKind] = {
    b"eXIf": "exif",
    b"iCCP": "icc",
    b"tEXt": "comment",
    b"zTXt": "comment",
    b"iTXt": "comment",
    b"caBX": "credentials",
    b"pHYs": "density",
    b"tRNS": "pixels",
}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_XMP = "XML:com.adobe.xmp"
_RAW = "Raw profile type "
_RAW_KINDS: Mapping[str, BlockKind] = {
    "exif": "exif",
    "app1": "exif",
    "xmp": "xmp",
    "iptc": "iim",
}


class Png(Container):
    """A PNG: its chunks up to the first invalid one, also those behind IEND."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        parts, fault = _read_chunks(self.data)
        ends = (place for place, part in enumerate(parts, 1) if part.name == b"IEND")
        end = next(ends, None)
        if end is None or parts[end - 1].end + 4 > len(self.data):
            return parts, fault
        self._image = parts[:end]  # chunks of the image; IEND ends it
        return parts, None

    def pixel_data(self) -> PixelData:
        """Return the PNG without texts, times and the later frames of an animation.

        Where the default picture is not part of the animation, viewers do not show it: the frames
        are kept, and the decoder has to seek the first.
        """
        if self.fault:
            raise self.fault
        data, chunks = self.data, self._image
        size = self._size(chunks[0])
        kept = _NEEDED | _ANIMATION if self._has_hidden_default() else _NEEDED
        profile = next((chunk for chunk in chunks if chunk.name == b"iCCP"), None)
        needed = [
            chunk
            for chunk in chunks[1:]
            if chunk.name in kept or (chunk is profile and _is_profile(self.body(chunk)))
        ]
        if len(needed) == len(chunks) - 1:
            return PixelData(data[: chunks[-1].end + 4], size, 1)
        exif = next((self.body(chunk) for chunk in chunks if chunk.kind == "exif"), b"")
        files = (data[chunk.start - 8 : chunk.end + 4] for chunk in (chunks[0], *needed))
        return PixelData(b"".join([data[:_SIGNATURE_BYTES], *files]), size, exif_orientation(exif))

    def blocks(self) -> Iterator[Block]:
        """Yield the texts, the EXIF and the XMP, in any order of the chunks."""
        for part in self.parts:
            if part.name in _TEXTS:
                yield from _text_blocks(part.name.decode(), self.body(part))
            elif part.kind == "exif":
                yield bounded_block("exif", "EXIF", self.body(part))

    @property
    def pictures(self) -> int:
        """Number of frames of the animation, 1 without one."""
        bodies = [self.body(part) for part in self.parts if part.name == b"acTL"]
        frames = int.from_bytes(bodies[0][:4], "big") if bodies else 1
        return max(min(frames, sum(part.name == b"fcTL" for part in self.parts)), 1)

    def _has_hidden_default(self) -> bool:
        """Return whether the animation begins behind the default picture.

        Source: PNG Specification, third edition, section 4.9.
        """
        names = [part.name for part in self._image]
        if b"acTL" not in names or b"fcTL" not in names or b"IDAT" not in names:
            return False
        return names.index(b"acTL") < names.index(b"IDAT") < names.index(b"fcTL")

    @property
    def channels(self) -> int | None:
        """Number of channels of the colour type."""
        return _CHANNELS.get(self.data[25]) if len(self.data) > 25 else None

    @property
    def density(self) -> tuple[int, int] | None:
        """Unit and dots across of the chunk pHYs; None without one."""
        bodies = [self.body(part) for part in self.parts if part.kind == "density"]
        whole = [body for body in bodies if len(body) >= 9]
        return (whole[-1][8], int.from_bytes(whole[-1][:4], "big")) if whole else None

    def _size(self, first: Part) -> tuple[int, int]:
        if first.name == b"CgBI":
            raise UnsupportedFormatError(
                "a PNG in Apple's private variant (CgBI); save it as a standard PNG"
            )
        header = self.body(first)
        if first.name != b"IHDR" or len(header) != 13:
            raise CorruptPictureError("the PNG does not begin with its header")
        width, height = struct.unpack_from(">II", header)
        return width, height


def _read_chunks(data: bytes) -> tuple[list[Part], PictureError]:
    """Return the chunks up to the first invalid one, and the error that ended the walk."""
    position = _SIGNATURE_BYTES
    parts: list[Part] = []
    for _ in range(MAX_PARTS):
        if position + 12 > len(data):
            return parts, TruncatedPictureError("the end of the PNG is missing")
        length, name = struct.unpack_from(">I4s", data, position)
        if not name.isalpha() or length > 0x7FFFFFFF:
            return parts, CorruptPictureError("the PNG has a chunk that makes no sense")
        start = position + 8
        position = start + length + 4
        parts.append(Part(_kind(data, name, start), name, start, start + length))
    return parts, CorruptPictureError("the PNG has more chunks than any encoder writes")


def _kind(data: bytes, name: bytes, start: int) -> PartKind:
    """Return the kind of a chunk; those that pixels need begin with a capital letter, or are tRNS.

    Source: PNG Specification, section 5.4 (ancillary bit).
    """
    if name == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0", start):
        return "xmp"
    return _KINDS.get(name, "other" if name[0] & 0x20 else "pixels")


def _is_profile(body: bytes) -> bool:
    """Return whether a chunk holds a complete colour profile within the size limit.

    Pillow rejects the whole image when a profile unpacks to more than 1 MiB.
    """
    packed = body.partition(b"\0")[2]
    return packed[:1] == b"\0" and inflate(packed[1:]) is not None


def _text_blocks(kind: str, chunk: bytes) -> Iterator[Block]:
    raw_key, _, rest = chunk.partition(b"\0")
    key = raw_key[:79].decode("latin-1")
    where = f"PNG text chunk '{key}'"
    content = _content(kind, rest)
    if content is None:
        yield unreadable_block(where, "it is broken, or unpacks to more than is read")
    elif key == _XMP:
        yield bounded_block("xmp", "XMP", content)
    elif key.startswith(_RAW):
        yield from _raw_profile_blocks(key, where, content)
    else:
        text = content if kind == "iTXt" else content.decode("latin-1").encode()
        yield bounded_block("text", where, text, key)


def _content(kind: str, rest: bytes) -> bytes | None:
    """Return the bytes of a text: UTF-8 in iTXt, Latin-1 in the others."""
    if kind == "tEXt":
        return rest
    if kind == "zTXt":
        return inflate(rest[1:])
    packed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return inflate(text) if packed else text


def _raw_profile_blocks(key: str, where: str, content: bytes) -> Iterator[Block]:
    """Yield the profile that ImageMagick writes as text: name, length and hexadecimal bytes."""
    kind = _RAW_KINDS.get(key.removeprefix(_RAW).lower())
    if kind is None:
        return
    try:
        data = bytes.fromhex(b"".join(content.split()[2:]).decode("ascii"))
    except ValueError:
        yield unreadable_block(where, "it is not hexadecimal text")
        return
    if kind == "iim" and data.startswith(b"8BIM"):
        yield from photoshop_blocks(data)
    else:
        yield bounded_block(kind, where, data.removeprefix(b"Exif\0\0"))
