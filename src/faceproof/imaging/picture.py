"""Picture, which is what everything else looks at, and Limits, which is what one may cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    FileTooLargeError,
    PictureTooLargeError,
)
from faceproof.imaging.containers.base import Container
from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture: ``pixels`` uint8 [H, W, 3] in sRGB, C-contiguous.

    ``sha256`` is that of the file's bytes, ``data``. Of an array or a Pillow image it is that of
    its shape and pixels; ``format`` is then ``"ARRAY"``, and there is no ``data``. ``container`` is
    the parsed file.
    """

    pixels: Pixels = field(repr=False)
    sha256: str
    format: str
    data: bytes = field(default=b"", repr=False)
    container: Container | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


class Limits(Record):
    """What a picture may cost: bytes of its file, pixels in all, pixels along a side.

    Decoding takes 7 to 16 bytes of memory a pixel for a moment, depending on the format.
    """

    max_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    max_pixels: int = Field(default=100_000_000, gt=0)
    max_side: int = Field(default=30_000, gt=0)


DEFAULT_LIMITS = Limits()


def check_bytes(size: int, limits: Limits) -> None:
    """Refuse an empty file and one with too many bytes.

    Raises:
        EmptyFileError: no bytes.
        FileTooLargeError: more than the limit.
    """
    if size == 0:
        raise EmptyFileError("the file is empty")
    if size > limits.max_bytes:
        raise FileTooLargeError(
            f"more than the limit of {limits.max_bytes} bytes; save it smaller or raise max_bytes"
        )


def check_size(size: tuple[int, int], limits: Limits, *, kind: str = "") -> None:
    """Refuse a picture of ``size`` (width, height) that is too large to decode.

    Raises:
        PictureTooLargeError: more pixels or a longer side than the limits.
    """
    width, height = size
    most = limits.max_pixels
    if kind == "TIFF" and Image.MAX_IMAGE_PIXELS:  # beyond it, Pillow's TIFF reader warns
        most = min(most, Image.MAX_IMAGE_PIXELS)
    if max(size) > limits.max_side or width * height > most:
        raise PictureTooLargeError(
            f"{width} x {height} pixels, more than the limit of {limits.max_side} a side"
            f" or {most} in all; make it smaller, or raise max_side or max_pixels"
        )
    if min(size) == 0 < max(size):
        raise CorruptPictureError(f"it claims to be {width} x {height} pixels")
