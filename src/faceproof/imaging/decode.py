"""Picture: an upright 8-bit sRGB picture from a path, bytes, stream, Pillow image or array."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    FileTooLargeError,
    PictureError,
    PictureTooLargeError,
    SourceNotFoundError,
    SourceUnreadableError,
    TruncatedPictureError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from faceproof.imaging.colour import to_srgb, turn_upright
from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.directory import exif_orientation
from faceproof.imaging.damage import Damage, find_damage
from faceproof.imaging.formats import FORMATS, identify
from faceproof.imaging.jpeg_decoder import decode_whole_jpeg
from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture: ``pixels`` uint8 [H, W, 3] in sRGB, C-contiguous.

    ``sha256`` is the hash of the file's bytes, ``data``. For an array or a Pillow image it is the
    hash of shape and pixels; ``format`` is then ``"ARRAY"`` and ``data`` is None. ``container`` is
    the parsed file. ``damage`` says which part the decoder made up; None for a whole picture.
    ``pictures`` is how many the file has; this is the one that viewers show first.
    """

    pixels: Pixels = field(repr=False)
    sha256: str
    format: str
    data: bytes = field(default=b"", repr=False)
    container: Container | None = field(default=None, repr=False)
    damage: Damage | None = None
    pictures: int = 1

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    def require_whole(self, name: str = "") -> Picture:
        """Return this picture; ``name`` is used in messages.

        Raises:
            TruncatedPictureError: data are missing.
            CorruptPictureError: data are wrong.
        """
        if self.damage is None:
            return self
        where, percent = f"{name}: " if name else "", max(1, round(100 * self.damage.share))
        if self.damage.cut:
            raise TruncatedPictureError(f"{where}the last {percent} % of the picture are missing")
        raise CorruptPictureError(f"{where}up to {percent} % of the picture are damaged")


class Limits(Record):
    """Limits of a picture: bytes of its file, pixels in total, pixels along a side.

    Peak memory while decoding is 3 to 16 bytes a pixel, depending on the format.

    >>> from faceproof import Limits, check
    >>> check(np.zeros((64, 64, 3), np.uint8), limits=Limits(max_side=32)).error.code
    'picture_too_large'
    """

    max_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    max_pixels: int = Field(default=100_000_000, gt=0)
    max_side: int = Field(default=30_000, gt=0)


DEFAULT_LIMITS = Limits()


def check_bytes(size: int, limits: Limits) -> None:
    """Reject an empty file and one with too many bytes.

    Raises:
        EmptyFileError: no bytes.
        FileTooLargeError: more than the limit.
    """
    if size == 0:
        raise EmptyFileError("the file is empty")
    if size > limits.max_bytes:
        raise FileTooLargeError(
            f"more than the limit of {limits.max_bytes} bytes; reduce the file or raise max_bytes"
        )


def check_size(size: tuple[int, int], limits: Limits, *, kind: str = "") -> None:
    """Reject a picture of ``size`` (width, height) that is too large to decode.

    Raises:
        PictureTooLargeError: more pixels or a longer side than the limits.
    """
    width, height = size
    most = limits.max_pixels
    if kind == "TIFF" and Image.MAX_IMAGE_PIXELS:  # above it, Pillow's TIFF reader warns
        most = min(most, Image.MAX_IMAGE_PIXELS)
    if max(size) > limits.max_side or width * height > most:
        raise PictureTooLargeError(
            f"{width} x {height} pixels, more than the limit of {limits.max_side} a side"
            f" or {most} in total; reduce the picture, or raise max_side or max_pixels"
        )
    if min(size) == 0 < max(size):
        raise CorruptPictureError(f"invalid picture size: {width} x {height} pixels")


def read_file(path: Path, limits: Limits) -> bytes:
    """Return the bytes of a regular file, after checking its size.

    Raises:
        SourceNotFoundError: there is no such file.
        SourceUnreadableError: the file system refused.
        UnsupportedSourceError: a folder, a pipe or a device.
        EmptyFileError: no bytes.
        FileTooLargeError: more than the limit.
    """
    try:
        found = path.stat()
        _check_kind(path, found.st_mode)
        check_bytes(found.st_size, limits)
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)  # the file may have grown
    except (EmptyFileError, FileTooLargeError) as error:
        raise type(error)(f"{path}: {error}") from None
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceUnreadableError(f"{path}: cannot be read ({reason})") from error


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnsupportedSourceError(f"{path}: is a folder; give the paths of the pictures in it")
    if not stat.S_ISREG(mode):
        raise UnsupportedSourceError(f"{path}: is a pipe or a device; read it, and pass the bytes")


def _read_stream(stream: BinaryIO, limits: Limits) -> bytes:
    """Return the rest of a binary stream, at most one byte more than the limit.

    Raises:
        SourceUnreadableError: the stream is closed or fails.
        UnsupportedSourceError: the stream is in text mode.
    """
    parts = []
    left = limits.max_bytes + 1
    try:
        while left > 0 and (part := stream.read(left)):
            if not isinstance(part, bytes):
                raise UnsupportedSourceError("the stream returns text; open it in binary mode")
            parts.append(part)
            left -= len(part)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        raise SourceUnreadableError(f"the stream cannot be read ({error})") from error
    return b"".join(parts)


# What Pillow, its codecs and pillow-heif raise for broken files; they have no common base, and none
# may reach a user. Deliberate: OSError (base of UnidentifiedImageError), SyntaxError for "not this
# format" and EOFError for a missing frame. From invalid fields: struct.error, IndexError,
# zlib.error, ValueError, TypeError, KeyError, AttributeError, ArithmeticError (division by zero,
# overflow) and AssertionError. From codecs: RuntimeError (base of NotImplementedError and
# RecursionError). Warning: if the host program turns warnings into errors.
_BROKEN = (
    OSError,
    SyntaxError,
    EOFError,
    struct.error,
    IndexError,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    Warning,
)
_TOO_LARGE = (MemoryError, Image.DecompressionBombError)
# Messages of the same libraries for causes without an exception class of their own.
_CUT = ("truncated", "not enough image data", "unexpected end", "end of file")
_UNKNOWN = (
    "unsupported",
    "not supported",
    "unknown pixel mode",
    "not implemented",
    "cannot handle",
)


def decode(data: bytes, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Return the picture in the bytes of a file; of several, the one that viewers show first.

    Transparent pixels are composed on white. ``name`` is
    used in messages, and to detect a file that is not a picture although its suffix is one. A JPEG
    named .png decodes as usual.

    Raises:
        PictureError: the bytes are not a usable picture; the subclass is the reason.

    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3), 128).save(file, "PNG")
    >>> decode(file.getvalue()).pixels.shape
    (3, 4, 3)
    """
    try:
        check_bytes(len(data), limits)
        kind = identify(data, name)
        container = FORMATS[kind].container(data)
        pixels, damage, pictures = _pixels(container, kind, limits)
        digest = hashlib.sha256(data).hexdigest()
        return Picture(pixels, digest, kind, data, container, damage, pictures)
    except PictureError as error:
        if name is None:
            raise
        raise type(error)(f"{name}: {error}") from error.__cause__


def load(
    source: str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Pixels,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Return the picture of a path, bytes, a stream, an image or an array.

    A stream is binary and read from its current position. A Pillow image gives its current frame,
    turned upright if it has EXIF. An array is uint8 [height, width, 3] in RGB order (not OpenCV's);
    it is copied.

    Raises:
        SourceError: there is no usable picture; the subclass is the reason.

    >>> load(np.zeros((3, 4, 3), np.uint8)).width
    4
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return decode(read_file(path, limits), name=str(path), limits=limits)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), limits=limits)
    if isinstance(source, Image.Image):
        return _picture_of_image(source, limits)
    if isinstance(source, np.ndarray):
        return _picture_of_array(source, limits)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        data = _read_stream(source, limits)
        return decode(data, name=name if isinstance(name, str) else None, limits=limits)
    raise UnsupportedSourceError(
        f"a {type(source).__name__} is not a source;"
        " pass a path, bytes, a binary stream, a Pillow image or an array"
    )


def _pixels(container: Container, kind: str, limits: Limits) -> tuple[Pixels, Damage | None, int]:
    """Return the upright pixels, their damage, and how many pictures the file has."""
    file = container.pixel_data()
    check_size(file.size, limits, kind=kind)
    with _convert_errors():
        image = FORMATS[kind].open(io.BytesIO(file.data))
        check_size(image.size, limits, kind=kind)
        pictures = container.pictures or max(getattr(image, "n_frames", 1), 1)
        if getattr(image, "default_image", False):
            image.seek(1)  # an animated PNG whose default picture viewers do not show
        whole = decode_whole_jpeg(container, file.data, image)
        if whole is not None:
            return turn_upright(whole, file.orientation or 1), None, pictures
        image.load()
        orientation = file.orientation or exif_orientation(image.info.get("exif") or b"")
        damage = find_damage(container, file.data, image)
        pixels = to_srgb(image, orientation=orientation)
    return pixels, damage and damage.turned(orientation, image.size), pictures


@contextmanager
def _convert_errors() -> Iterator[None]:
    """Convert exceptions of libraries for broken pictures to PictureError."""
    try:
        yield
    except _TOO_LARGE as error:
        raise PictureTooLargeError(
            f"decoding needs more memory than available ({error or 'MemoryError'})"
        ) from error
    except _BROKEN as error:
        raise _picture_error(str(error).strip() or type(error).__name__) from error


def _picture_error(reason: str) -> PictureError:
    text = reason.lower()
    if any(sign in text for sign in _CUT):
        return TruncatedPictureError(f"the end of the picture is missing ({reason})")
    if any(sign in text for sign in _UNKNOWN):
        return UnsupportedFormatError(f"unsupported kind ({reason}); save it as JPEG or PNG")
    return CorruptPictureError(f"the picture is corrupt ({reason})")


def _picture_of_image(image: Image.Image, limits: Limits) -> Picture:
    check_size(image.size, limits)
    with _convert_errors():
        image.load()
        exif = image.info.get("exif")
        orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
        return _picture_of_pixels(to_srgb(image, orientation=orientation))


def _picture_of_array(array: npt.NDArray[np.generic], limits: Limits) -> Picture:
    shape = array.shape
    if array.dtype != np.uint8 or array.ndim != 3 or shape[2] != 3 or array.size == 0:
        raise UnsupportedSourceError(
            f"an array of shape {shape} and dtype {array.dtype}; it must be uint8"
            " [height, width, 3], from 0 to 255, in the order red, green, blue"
        )
    check_size((shape[1], shape[0]), limits)
    return _picture_of_pixels(np.array(array, dtype=np.uint8, order="C"))


def _picture_of_pixels(pixels: Pixels) -> Picture:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return Picture(pixels, digest.hexdigest(), "ARRAY")
