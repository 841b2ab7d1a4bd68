"""Gif, Webp and Bmp: formats that need only a short walk over the file.

Source: Graphics Interchange Format, version 89a, CompuServe; Adobe XMP part 3, section 1.1.2; WebP
Container Specification; RFC 6386 section 9.1 (VP8); RFC 9649 sections 2 and 3 (VP8L);
BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER in the Windows documentation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    PictureTooLargeError,
    TruncatedPictureError,
)
from faceproof.imaging.containers.base import (
    MAX_BLOCK_BYTES,
    MAX_PARTS,
    Block,
    Container,
    Part,
    PartKind,
    PixelData,
    bounded_block,
    unreadable_block,
)

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT = b"\xf9", b"\xfe"
_GIF_XMP = b"!\xff\x0bXMP DataXMP"
_GIF_XMP_ENDS = b"\x01\xff\xfe"
_MAX_SUB_BLOCKS = 10 * MAX_PARTS

_SHORTEST_WEBP = 30
_WEBP_KINDS: Mapping[bytes, PartKind] = {
    b"EXIF": "exif",
    b"ICCP": "icc",
    b"XMP ": "xmp",
    b"C2PA": "credentials",
    **dict.fromkeys((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"), "pixels"),
}

_WEBP_CODED = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_FRAME_HEADER_BYTES = 16

# Pillow unpacks run-length BMP in Python; above this it takes seconds.
_MAX_RUN_LENGTH = 16_000_000
_SHORTEST_BMP = 34
_CORE_HEADER_BYTES = 12
_RUN_LENGTH = frozenset({1, 2})


class Gif(Container):
    """A GIF: its extensions before the first image, and the image with the rest of the file."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        data, position = self.data, self._palette_end()
        parts: list[Part] = []
        for _ in range(MAX_PARTS):
            byte = data[position] if position < len(data) else None
            if byte == _IMAGE:
                parts.append(Part("pixels", b",", position + 1, len(data)))
                return parts, None
            if byte == _TRAILER:
                return parts, CorruptPictureError("the GIF holds no picture")
            if byte is None:
                return parts, TruncatedPictureError("the GIF ends before its first picture")
            if byte == _EXTENSION:
                name, start = data[position + 1 : position + 2], position + 2
                position, fault = _end_of_sub_blocks(data, start)
                kind: PartKind = "comment" if name == _COMMENT else "other"
                parts.append(Part(kind, name, start, position))
                if fault:
                    return parts, fault
            else:
                position += 1
        return parts, CorruptPictureError("the GIF has more extensions than any encoder writes")

    def pixel_data(self) -> PixelData:
        """Return the first image without comments, applications' notes and animation."""
        if self.fault:
            raise self.fault
        data, image = self.data, self.parts[-1]
        try:
            width, height = struct.unpack_from("<HH", data, 6)
            left, top, columns, rows = struct.unpack_from("<HHHH", data, image.start)
        except struct.error as error:
            raise TruncatedPictureError("the GIF ends before its first picture") from error
        size = max(width, left + columns), max(height, top + rows)
        return PixelData(
            data[: self._palette_end()] + self._transparency() + data[image.start - 1 :], size
        )

    def blocks(self) -> Iterator[Block]:
        """Yield the XMP, and the comments before the first image."""
        data = self.data
        if (start := data.find(_GIF_XMP)) >= 0:
            end = data.find(_GIF_XMP_ENDS, start, start + MAX_BLOCK_BYTES)
            yield (
                unreadable_block("XMP", "its end is missing")
                if end < 0
                else Block("xmp", "XMP", data[start + len(_GIF_XMP) : end])
            )
        for part in self.parts:
            if part.kind == "comment":
                yield Block("comment", "GIF comment", _join_sub_blocks(data, part))

    @property
    def pictures(self) -> int:
        """Number of frames."""
        data, position, count = self.data, self._palette_end(), 0
        for _ in range(MAX_PARTS):
            byte = data[position] if position < len(data) else _TRAILER
            if byte == _TRAILER:
                break
            if byte == _IMAGE:
                count += 1
                flags = data[position + 9] if position + 9 < len(data) else 0
                position = _end_of_sub_blocks(data, position + 11 + _palette_bytes(flags))[0]
            else:
                extension = byte == _EXTENSION
                position = _end_of_sub_blocks(data, position + 2)[0] if extension else position + 1
        return max(count, 1)

    def _palette_end(self) -> int:
        return 13 + _palette_bytes(self.data[10] if len(self.data) > 12 else 0)

    def _transparency(self) -> bytes:
        """Return a control block with only the transparent colour of the last one."""
        bodies = [self.body(part) for part in self.parts if part.name == _CONTROL]
        whole = [body for body in bodies if body[0] == 4]
        if not whole:
            return b""
        return bytes([_EXTENSION, _CONTROL[0], 4, whole[-1][1] & 1, 0, 0, whole[-1][4], 0])


def _palette_bytes(flags: int) -> int:
    """Return the length of the palette that the flags of a screen or an image announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_sub_blocks(data: bytes, position: int) -> tuple[int, PictureError | None]:
    """Return the end of a chain of sub-blocks, and the error if it has no end."""
    for _ in range(_MAX_SUB_BLOCKS):
        if position >= len(data):
            return position, TruncatedPictureError("the GIF ends before its first picture")
        length = data[position]
        position += length + 1
        if length == 0:
            return position, None
    return position, CorruptPictureError("the GIF has an extension longer than any encoder writes")


def _join_sub_blocks(data: bytes, part: Part) -> bytes:
    """Return the joined content of an extension's sub-blocks, at most about 1 MiB."""
    pieces, position = [], part.start
    while position < min(part.end, len(data), part.start + MAX_BLOCK_BYTES):
        length = data[position]
        pieces.append(data[position + 1 : position + 1 + length])
        position += 1 + length
    return b"".join(pieces)


class Webp(Container):
    """A WebP: its chunks."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        data, position = self.data, 12
        parts: list[Part] = []
        while position + 8 <= len(data) and len(parts) < MAX_PARTS:
            name, length = struct.unpack_from("<4sI", data, position)
            start = position + 8
            parts.append(Part(_WEBP_KINDS.get(name, "other"), name, start, start + length))
            position = start + length + length % 2
        if len(data) < _SHORTEST_WEBP or 8 + struct.unpack_from("<I", data, 4)[0] > len(data):
            return parts, TruncatedPictureError("the end of the WebP is missing")
        return parts, None

    def pixel_data(self) -> PixelData:
        """Return the WebP as it is, with the size of its canvas; Pillow finds its EXIF."""
        if self.fault:
            raise self.fault
        return PixelData(self.data, self._size(), orientation=None)

    def blocks(self) -> Iterator[Block]:
        """Yield the EXIF and the XMP."""
        for part in self.parts:
            if part.kind == "exif":
                yield bounded_block("exif", "EXIF", self.body(part).removeprefix(b"Exif\0\0"))
            elif part.kind == "xmp":
                yield bounded_block("xmp", "XMP", self.body(part))

    @property
    def pictures(self) -> int:
        """Number of frames."""
        return max(sum(part.name == b"ANMF" for part in self.parts), 1)

    def coded_spans(self) -> Iterator[tuple[int, int]]:
        """Yield the bitstreams of the picture, or of the first frame of an animation."""
        for part in self.parts:
            if part.name in _WEBP_CODED:
                yield part.start, min(part.end, len(self.data))
            elif part.name == b"ANMF":
                yield part.start + _FRAME_HEADER_BYTES, min(part.end, len(self.data))
                return

    def _size(self) -> tuple[int, int]:
        data = self.data
        if data[12:16] == b"VP8X":
            return (
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            )
        if data[12:16] == b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF


class Bmp(Container):
    """A BMP: its header; it has no metadata."""

    @property
    def has_plain_pixels(self) -> bool:
        """Whether the pixels are not run-length encoded."""
        return self.data[30:31] not in {b"\1", b"\2"}

    def pixel_data(self) -> PixelData:
        """Return the BMP as it is; one that Pillow unpacks slowly is rejected above a limit."""
        data = self.data
        if len(data) < _SHORTEST_BMP:
            raise TruncatedPictureError("the BMP ends in its header")
        if struct.unpack_from("<I", data, 14)[0] == _CORE_HEADER_BYTES:
            return PixelData(data, struct.unpack_from("<HH", data, 18))
        width, height, _, compression = struct.unpack_from("<IiII", data, 18)
        if compression in _RUN_LENGTH and max(width * abs(height), len(data)) > _MAX_RUN_LENGTH:
            raise PictureTooLargeError(
                "a run-length encoded BMP of more than 16 megapixels; save it as PNG"
            )
        return PixelData(data, (width, abs(height)))
