"""Container: the parts of one image file, its pixel data and metadata, and the bounds on each."""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from faceproof.errors import PictureError
from faceproof.imaging.containers.jpeg_header import JpegHeader

#: Segments, chunks, extensions or boxes in one file. No encoder in use writes as many, and more
#: would keep a decoder busy for minutes.
MAX_PARTS = 100_000
#: Boxes inside a box, or Photoshop resources inside a segment.
MAX_NESTED_PARTS = 512
#: Tags in one directory of a TIFF or of EXIF.
MAX_TAGS = 1000
#: Blocks of metadata that are read from one file.
MAX_BLOCKS = 128
#: Bytes of one block of metadata, after decompression.
MAX_BLOCK_BYTES = 1 << 20
#: Bytes of all blocks of metadata together.
MAX_TOTAL_BYTES = 4 << 20

# fmt: off
PartKind = Literal[
    "exif", "icc", "xmp", "iptc", "comment", "jfif", "adobe", "credentials", "density",
    "other", "pixels",
]
# fmt: on
BlockKind = Literal["exif", "xmp", "iim", "text", "comment", "editor", "unreadable"]

_IPTC_RESOURCE = 0x0404


class Part(NamedTuple):
    """One segment, chunk, extension or box: its kind, its ``name`` in the file, its body.

    The body is ``data[start:end]``; ``end`` lies behind the end of a truncated file. The kind
    "pixels" covers everything that is not metadata.
    """

    kind: PartKind
    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of readable metadata and ``where`` in the file they are.

    ``key`` is the keyword of a text, or the reason why a block is unreadable.
    """

    kind: BlockKind
    where: str
    data: bytes = b""
    key: str = ""


@dataclass(frozen=True)
class PixelData:
    """What a decoder needs: ``data``, a file without metadata, and its ``size`` (width, height).

    ``orientation`` is EXIF's 1 to 8, or None where the decoder reads it; ``size`` is (0, 0) where
    only the decoder knows it.
    """

    data: bytes
    size: tuple[int, int]
    orientation: int | None = 1


class Container(ABC):
    """One image file: its ``parts`` in order, and the ``fault`` that ended the walk early.

    Reading never raises; a fault is raised by `pixel_data` only.
    """

    def __init__(self, data: bytes) -> None:
        """Walk over the bytes of a file."""
        self.data = data
        self.parts, self.fault = self._walk()

    def _walk(self) -> tuple[Sequence[Part], PictureError | None]:
        """Return the parts of the file, and the error that ended the walk, if any."""
        return (), None

    @abstractmethod
    def pixel_data(self) -> PixelData:
        """Return what the pixels of the image depend on that viewers show first.

        Raises:
            PictureError: the image cannot be decoded; the subclass is the reason.
        """

    def blocks(self) -> Iterator[Block]:
        """Yield the readable metadata; what cannot be read is of the kind "unreadable"."""
        yield from ()

    @property
    def pictures(self) -> int | None:
        """Number of pictures: frames, pages, exposures; None where only the decoder knows it.

        `pixel_data` is of the one that viewers show first.
        """
        return 1

    @property
    def has_plain_pixels(self) -> bool:
        """Whether the pixels lie in the file uncompressed."""
        return False

    def coded_spans(self) -> Iterator[tuple[int, int]]:
        """Yield start and end of the entropy-coded data, in the order of decoding."""
        yield from ()

    def body(self, part: Part) -> bytes:
        """Return the bytes of a part; fewer than it claims where the file is truncated."""
        return self.data[part.start : part.end]

    def size_of(self, part: Part) -> int:
        """Return the number of bytes of a part that are in the file."""
        return max(min(part.end, len(self.data)) - part.start, 0)

    @property
    def jpeg_header(self) -> JpegHeader | None:
        """How a JPEG is compressed; None for other formats."""
        return None

    @property
    def channels(self) -> int | None:
        """Number of channels in the file; None where only the decoder knows it."""
        return None

    @property
    def density(self) -> tuple[int, int] | None:
        """Unit and dots across of the density field; None where there is none."""
        return None

    @property
    def trailing_bytes(self) -> int | None:
        """Number of bytes behind the end of a JPEG; None for other formats."""
        return None


def unreadable_block(where: str, why: str) -> Block:
    """Return a block of the kind "unreadable" with the reason as its key."""
    return Block("unreadable", where, key=why)


def bounded_block(kind: BlockKind, where: str, data: bytes, key: str = "") -> Block:
    """Return the block, or an unreadable one where it has more than `MAX_BLOCK_BYTES`."""
    if len(data) > MAX_BLOCK_BYTES:
        return unreadable_block(
            where, f"it has {len(data)} bytes, more than the {MAX_BLOCK_BYTES} that are read"
        )
    return Block(kind, where, data, key)


def inflate(packed: bytes) -> bytes | None:
    """Return the bytes that zlib compressed; None for a broken stream or a decompression bomb.

    >>> inflate(zlib.compress(b"text")), inflate(b"text")
    (b'text', None)
    """
    decompressor = zlib.decompressobj()
    try:
        data = decompressor.decompress(packed, MAX_BLOCK_BYTES)
    except zlib.error:
        return None
    return data if decompressor.eof else None


def photoshop_blocks(data: bytes) -> Iterator[Block]:
    """Yield the IPTC resource among the image resources of Photoshop, where it is whole.

    JPEG, PNG and TIFF carry the captions of IPTC in such resources.

    Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks".
    """
    position = 0
    for _ in range(MAX_NESTED_PARTS):
        if data[position : position + 4] != b"8BIM" or position + 12 > len(data):
            return
        (number,) = struct.unpack_from(">H", data, position + 4)
        name = data[position + 6] + 1
        start = position + 6 + name + name % 2
        if start + 4 > len(data):
            return
        (size,) = struct.unpack_from(">I", data, start)
        if number == _IPTC_RESOURCE:
            yield bounded_block("iim", "IPTC", data[start + 4 : start + 4 + size])
        position = start + 4 + size + size % 2
