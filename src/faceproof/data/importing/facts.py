"""What `import` measures of every picture's file."""

from __future__ import annotations

from dataclasses import dataclass

from faceproof.data.duplicates import perceptual_hash
from faceproof.imaging.containers.base import Container
from faceproof.imaging.decode import decode


@dataclass(frozen=True, slots=True)
class Facts:
    """One picture's file: who it is, what it looks like, how large it is, how it was saved.

    ``width`` and ``height`` are those of the upright picture; ``jpeg_quality`` is 1 to 100, and
    None where the file is not a JPEG.
    """

    sha256: str
    phash: str
    width: int
    height: int
    bytes: int
    format: str
    jpeg_quality: int | None


def measure(data: bytes, name: str) -> Facts:
    """Return the facts of the bytes of a picture's file; ``name`` is for messages.

    Raises:
        PictureError: one of its leaves says why the bytes are no usable picture.
    """
    picture = decode(data, name=name)
    return Facts(
        sha256=picture.sha256,
        phash=perceptual_hash(picture.pixels).hex(),
        width=picture.width,
        height=picture.height,
        bytes=len(data),
        format=picture.format,
        jpeg_quality=jpeg_quality(picture.container),
    )


def jpeg_quality(container: Container | None) -> int | None:
    """Return the libjpeg quality, 1 to 100, nearest to a file's luma table.

    None where the file is not a JPEG, or has no table.
    """
    header = container.jpeg_header if container else None
    return int(header.quality) if header and header.luma else None
