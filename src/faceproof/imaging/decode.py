"""From a path, bytes, stream, Pillow image or array to an upright 8-bit sRGB picture."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    FileTooLargeError,
    PictureTooLargeError,
    SourceNotFoundError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from faceproof.records import Record

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@dataclass(frozen=True)
class Picture:
    """An upright picture: ``pixels`` uint8 [H, W, 3] in sRGB, C-contiguous."""

    pixels: NDArray[np.uint8]
    sha256: str
    format: str

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


class Limits(Record):
    """What a picture may cost: bytes of the file, pixels in all, pixels along a side."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 30_000


LIMITS = Limits()


def load(source: str | Path | bytes | BinaryIO | Image.Image | NDArray[np.uint8], *, limits: Limits = LIMITS) -> Picture:
    """Return the picture that ``source`` names or holds."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise SourceNotFoundError(f"{path}: no such file")
        return decode(path.read_bytes(), name=path.name, limits=limits)
    if isinstance(source, bytes):
        return decode(source, limits=limits)
    if isinstance(source, Image.Image):
        return _in_memory(np.array(ImageOps.exif_transpose(source).convert("RGB")))
    if isinstance(source, np.ndarray):
        return _in_memory(np.array(source))
    if hasattr(source, "read"):
        return decode(source.read(limits.max_bytes + 1), limits=limits)
    raise UnsupportedSourceError(f"cannot open a {type(source).__name__}")


def _in_memory(pixels: NDArray[np.uint8]) -> Picture:
    digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return Picture(pixels, digest, "ARRAY")


def decode(data: bytes, *, name: str | None = None, limits: Limits = LIMITS) -> Picture:
    """Return the picture in the bytes of a file."""
    where = name or "picture"
    if not data:
        raise EmptyFileError(f"{where}: the file is empty")
    if len(data) > limits.max_bytes:
        raise FileTooLargeError(f"{where}: {len(data)} bytes, more than the limit of {limits.max_bytes}")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(image.size, where, limits)
        pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except Image.UnidentifiedImageError as error:
        raise UnsupportedFormatError(f"{where}: not a picture that can be read") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptPictureError(f"{where}: cannot be decoded") from error
    return Picture(pixels, hashlib.sha256(data).hexdigest(), image.format or "")


def _check_size(size: tuple[int, int], where: str, limits: Limits) -> None:
    if max(size) > limits.max_side or size[0] * size[1] > limits.max_pixels:
        raise PictureTooLargeError(f"{where}: {size[0]} x {size[1]} pixels is more than the limit")
