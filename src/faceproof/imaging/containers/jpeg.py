"""Jpeg: the segments of a JPEG up to its first scan.

Source: ITU-T T.81, annex B; CIPA DC-008 (Exif); Adobe XMP part 3, section 1.1.3; ICC.1, annex B.4.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    PictureTooLargeError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.base import (
    MAX_PARTS,
    Block,
    Container,
    Part,
    PartKind,
    PixelData,
    bounded_block,
    photoshop_blocks,
    unreadable_block,
)
from faceproof.imaging.containers.directory import exif_orientation, read_directory
from faceproof.imaging.containers.jpeg_header import FRAMES, JpegHeader, read_header

# A progressive scan visits every block, however few bytes it has: 64 scans of 100 megapixels.
_MAX_SCANNED_PIXELS = 6_400_000_000

END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = b"\xda"
# Frames, Huffman and arithmetic tables, quantisation tables, restart interval.
_CODING = FRAMES | {b"\xc4", b"\xcc", b"\xdb", b"\xdd"}
_NEEDED_METADATA = frozenset({"jfif", "icc", "adobe"})  # the colour space of the pixels
_PROGRESSIVE_FRAMES = frozenset({b"\xc2", b"\xca"})
_DECODABLE_FRAMES = _PROGRESSIVE_FRAMES | {b"\xc0", b"\xc1", b"\xc9"}
# Padding (FF), stuffing (00), TEM (01), restarts (D0-D7) and start of image (D8) start no segment.
MARKER = re.compile(rb"\xff[^\xff\x00\x01\xd0-\xd8]")
# Coded data hold no others than restarts, and FF 00 for a byte FF.
# One FF: a pattern that starts with a repetition takes quadratic time on a run of FF.
_END_OF_SCAN = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")

_NUMBER_OF_IMAGES = 0xB001

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_SAVE_FOR_WEB = b"Ducky"
# First bytes and kind of the segments that carry metadata, by marker.
_KINDS: Mapping[bytes, tuple[tuple[bytes, PartKind], ...]] = {
    **{bytes([marker]): () for marker in range(0xE0, 0xF0)},
    b"\xe0": ((b"JFIF\0", "jfif"),),
    b"\xe1": ((_EXIF, "exif"), (_XMP, "xmp"), (_LONG_XMP, "xmp")),
    b"\xe2": ((b"ICC_PROFILE\0", "icc"),),
    b"\xeb": ((b"JP", "credentials"),),
    b"\xed": ((_PHOTOSHOP, "iptc"),),
    b"\xee": ((b"Adobe", "adobe"),),
    b"\xfe": ((b"", "comment"),),
}


class Jpeg(Container):
    """A JPEG: its segments, the last of which is the header of the first scan."""

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        data, position = self.data, 2
        parts: list[Part] = []
        for _ in range(MAX_PARTS):
            found = MARKER.search(data, position)
            if found is None:
                return parts, TruncatedPictureError("the JPEG ends in its header")
            start, name = found.end() + 2, found[0][1:]
            length = int.from_bytes(data[start - 2 : start], "big")
            position = start - 2 + length
            if name == END_OF_IMAGE[1:]:
                return parts, CorruptPictureError("the JPEG holds no picture")
            if length >= 2:
                kind = _kind(data, name, start) if name in _KINDS else "pixels"
                parts.append(Part(kind, name, start, position))
            if max(start, position) > len(data):
                return parts, TruncatedPictureError("the JPEG ends in its header")
            if length < 2:
                return parts, CorruptPictureError("a segment of the JPEG has an impossible length")
            if name == START_OF_SCAN:
                return parts, None
        return parts, CorruptPictureError("the JPEG has more segments than any encoder writes")

    def pixel_data(self) -> PixelData:
        """Return the JPEG without previews, comments and metadata other than its colour profile.

        It ends with an end mark, whether the file has one or not: `find_damage` finds out whether
        more is missing.
        """
        data, size, layers = self.data, (0, 0), 0
        for part in self.parts:
            if part.name in FRAMES and part.end <= len(data):
                size, layers = _frame(part.name, self.body(part))
        if self.fault:
            raise self.fault
        scans = self.parts[-1].start - 4
        _check_scans(data, scans, size, layers)
        end = self.single_scan[1] if self.single_scan else self._end_of_scans(scans)
        needed = [
            data[part.start - 4 : part.end]
            for part in self.parts[:-1]
            if part.name in _CODING or part.kind in _NEEDED_METADATA
        ]
        file = b"".join([b"\xff\xd8", *needed, memoryview(data)[scans:end], END_OF_IMAGE])
        exif = [part for part in self.parts if part.kind == "exif"][:1]
        return PixelData(file, size, exif_orientation(self.body(exif[0])) if exif else 1)

    def blocks(self) -> Iterator[Block]:
        """Yield the metadata in the segments before the first scan."""
        long_xmp = []
        for part in self.parts:
            if part.kind == "pixels":
                continue
            body = self.body(part)
            if part.name == b"\xe1" and body.startswith(_LONG_XMP):
                long_xmp.append(body[len(_LONG_XMP) :])
            else:
                yield from _segment_blocks(part, body)
        if long_xmp:
            yield _join_xmp(long_xmp)

    @cached_property
    def jpeg_header(self) -> JpegHeader:
        """How the JPEG is compressed, as far as its header is whole."""
        return read_header([(part.name, self.data[part.start : part.end]) for part in self.parts])

    @property
    def pictures(self) -> int:
        """Number of pictures that the index of the Multi-Picture Format lists, 1 without one.

        Source: CIPA DC-007 (Multi-Picture Format), 5.2.3.
        """
        bodies = [self.body(part) for part in self.parts if part.name == b"\xe2"]
        index = next((body[4:] for body in bodies if body.startswith(b"MPF\0")), b"")
        return max(read_directory(index).number(_NUMBER_OF_IMAGES), 1)

    @cached_property
    def single_scan(self) -> tuple[int, int] | None:
        """Start and end of the coded data of a JPEG with one scan; None where it may have more."""
        header = self.jpeg_header
        scan = self.parts[-1] if self.parts else None
        if scan is None or self.fault or header.progressive:
            return None
        if self.body(scan)[:1] != bytes([header.layers]):
            return None
        found = _END_OF_SCAN.search(self.data, scan.end)
        if found is None:
            return scan.end, len(self.data)
        coded = self.data[scan.end : found.start()].rstrip(b"\xff")  # FF may fill up before a mark
        return scan.end, scan.end + len(coded)

    @property
    def has_end_mark(self) -> bool:
        """Whether an end mark follows the coded data, as it must."""
        if self.single_scan:
            end = self.single_scan[1]
            return self.data[end:].lstrip(b"\xff")[:1] == END_OF_IMAGE[1:]
        return self.data.find(END_OF_IMAGE, self.parts[-1].end) >= 0 if self.parts else False

    @property
    def rows_of_unit(self) -> int:
        """Rows of pixels in a row of minimum coded units: 8 to 32.

        Source: ITU-T T.81, annex A.2.
        """
        frames = [self.body(part) for part in self.parts if part.name in FRAMES]
        factors = [frames[-1][i] & 15 for i in range(7, len(frames[-1]) - 1, 3)] if frames else []
        return 8 * max(factors, default=1)

    def _end_of_scans(self, start: int) -> int:
        """Return where the end mark behind several scans begins, or the end of the file."""
        found = self.data.find(END_OF_IMAGE, start)
        return found if found >= 0 else len(self.data)

    @property
    def channels(self) -> int:
        """Number of components of the frame."""
        return self.jpeg_header.layers

    @property
    def density(self) -> tuple[int, int] | None:
        """Unit and dots across of the JFIF segment; None without one."""
        bodies = [self.body(part) for part in self.parts if part.kind == "jfif"]
        whole = [body for body in bodies if len(body) >= 10]
        return struct.unpack_from(">BH", whole[-1], 7) if whole else None

    @property
    def trailing_bytes(self) -> int:
        """Number of bytes behind the last end-of-image marker."""
        return len(self.data) - self.data.rfind(b"\xff\xd9") - 2


def _kind(data: bytes, name: bytes, start: int) -> PartKind:
    """Return the kind of a segment by its marker and its first bytes."""
    for first, kind in _KINDS[name]:
        if data.startswith(first, start):
            return kind
    return "other"


def _frame(name: bytes, body: bytes) -> tuple[tuple[int, int], int]:
    """Return the size of a frame, and the layers of its only scan, 0 where it has more."""
    if len(body) < 6:
        raise CorruptPictureError("the JPEG's frame header is too short")
    bits, height, width, layers = struct.unpack_from(">BHHB", body)
    if name not in _DECODABLE_FRAMES or bits != 8 or layers not in {1, 3, 4}:
        raise UnsupportedFormatError(
            f"unsupported kind of JPEG ({bits} bits, {layers} layers, process {name[0] - 0xC0});"
            " save it as a baseline JPEG"
        )
    return (width, height), 0 if name in _PROGRESSIVE_FRAMES else layers


def _check_scans(data: bytes, start: int, size: tuple[int, int], layers: int) -> None:
    """Reject too many scans; only a first scan with fewer than all layers allows more."""
    if data[start + 4 : start + 5] == bytes([layers]):
        return
    if size[0] * size[1] * data.count(b"\xff\xda", start) > _MAX_SCANNED_PIXELS:
        raise PictureTooLargeError(
            "the JPEG has too many scans, which take minutes to decode; save it as baseline JPEG"
        )


def _segment_blocks(part: Part, body: bytes) -> Iterator[Block]:
    """Yield the readable metadata of one segment."""
    if part.kind == "exif":
        yield Block("exif", "EXIF", body[len(_EXIF) :])
    elif part.kind == "xmp":
        yield Block("xmp", "XMP", body[len(_XMP) :])
    elif part.kind == "iptc":
        yield from photoshop_blocks(body[len(_PHOTOSHOP) :])
    elif part.kind == "comment":
        yield Block("comment", "JPEG comment", body)
    elif part.name == b"\xec" and body.startswith(_SAVE_FOR_WEB):
        yield Block("editor", "JPEG segment 'Ducky'", b"Adobe Photoshop, Save for Web")


def _join_xmp(parts: list[bytes]) -> Block:
    """Return the long form of XMP from its parts: digest, length, offset and bytes of each."""
    where = "extended XMP"
    pieces = {}
    for part in parts:
        if len(part) >= 40 and part[:32] == parts[0][:32]:
            pieces[int.from_bytes(part[36:40], "big")] = part[40:]
    length = int.from_bytes(parts[0][32:36], "big")
    joined = b"".join(pieces[offset] for offset in sorted(pieces))
    if len(joined) != length:
        return unreadable_block(where, "parts of it are missing")
    return bounded_block("xmp", where, joined)
