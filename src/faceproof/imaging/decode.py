"""From a path, bytes, a stream, a Pillow image or an array to an upright 8-bit sRGB picture."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from faceproof.errors import (
    CorruptPictureError,
    PictureError,
    PictureTooLargeError,
    TruncatedPictureError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from faceproof.imaging.colour import srgb
from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.directory import exif_orientation
from faceproof.imaging.formats import FORMATS, identify
from faceproof.imaging.picture import (
    DEFAULT_LIMITS,
    Limits,
    Picture,
    Pixels,
    check_bytes,
    check_size,
)
from faceproof.imaging.reading import read_file, read_stream

__all__ = ["Limits", "Picture", "decode", "load"]

# What Pillow, its codecs and pillow-heif raise for broken files; they promise no common base, and
# none of these may reach a user. OSError, of which UnidentifiedImageError is one, SyntaxError for
# "not this format" and EOFError for a missing frame are meant; struct.error, IndexError,
# zlib.error, ValueError, TypeError, KeyError, AttributeError, ArithmeticError (division by zero,
# overflow) and AssertionError come from fields that make no sense; RuntimeError (of which
# NotImplementedError and RecursionError are two) from codecs; Warning where the host program turns
# warnings into errors.
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
# How the same libraries say, in English, what no class of exception says.
_CUT = ("truncated", "not enough image data", "unexpected end", "end of file")
_UNKNOWN = (
    "unsupported",
    "not supported",
    "unknown pixel mode",
    "not implemented",
    "cannot handle",
)


def decode(data: bytes, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Return the picture in the bytes of a file; of an animation or several pages, the first.

    What is transparent is laid on white, and of an animated PNG the default picture is taken.
    ``name`` is for messages, and to see when a file is no picture although it is named like one; a
    JPEG that is named .png is simply read.

    Raises:
        PictureError: one of its leaves says why the bytes are no usable picture.

    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3), 128).save(file, "PNG")
    >>> decode(file.getvalue()).pixels.shape
    (3, 4, 3)
    """
    try:
        check_bytes(len(data), limits)
        kind = identify(data, name)
        container = FORMATS[kind].container(data)
        pixels = _pixels(container, kind, limits)
        return Picture(pixels, hashlib.sha256(data).hexdigest(), kind, data, container)
    except PictureError as error:
        if name is None:
            raise
        raise type(error)(f"{name}: {error}") from error.__cause__


def load(
    source: str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Pixels,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Return the picture that a path names, or that bytes, a stream, an image or an array hold.

    A stream is binary and read from where it stands. Of a Pillow image the current frame is taken,
    and turned upright where it carries EXIF. An array is uint8 [height, width, 3], its colours in
    the order red, green, blue (not OpenCV's); it is copied.

    Raises:
        SourceError: one of its leaves says why there is no picture.

    >>> load(np.zeros((3, 4, 3), np.uint8)).width
    4
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return decode(read_file(path, limits), name=str(path), limits=limits)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), limits=limits)
    if isinstance(source, Image.Image):
        return _from_image(source, limits)
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        data = read_stream(source, limits)
        return decode(data, name=name if isinstance(name, str) else None, limits=limits)
    raise UnsupportedSourceError(
        f"a {type(source).__name__} is no source;"
        " give a path, bytes, a binary stream, a Pillow image or an array"
    )


def _pixels(container: Container, kind: str, limits: Limits) -> Pixels:
    file = container.pixel_data()
    check_size(file.size, limits, kind=kind)
    with _translated():
        image = FORMATS[kind].open(io.BytesIO(file.data))
        check_size(image.size, limits, kind=kind)
        image.load()
        orientation = file.orientation or exif_orientation(image.info.get("exif") or b"")
        return srgb(image, orientation=orientation)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what libraries raise for broken pictures into our errors."""
    try:
        yield
    except _TOO_LARGE as error:
        raise PictureTooLargeError(
            f"decoding it needs more memory than there is ({error or 'MemoryError'})"
        ) from error
    except _BROKEN as error:
        raise _our_error(str(error).strip() or type(error).__name__) from error


def _our_error(reason: str) -> PictureError:
    said = reason.lower()
    if any(sign in said for sign in _CUT):
        return TruncatedPictureError(f"the end of the picture is missing ({reason})")
    if any(sign in said for sign in _UNKNOWN):
        return UnsupportedFormatError(f"a rare kind of picture ({reason}); save it as JPEG or PNG")
    return CorruptPictureError(f"the picture is damaged ({reason})")


def _from_image(image: Image.Image, limits: Limits) -> Picture:
    check_size(image.size, limits)
    with _translated():
        image.load()
        exif = image.info.get("exif")
        orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
        return _in_memory(srgb(image, orientation=orientation))


def _from_array(array: npt.NDArray[np.generic], limits: Limits) -> Picture:
    shape = array.shape
    if array.dtype != np.uint8 or array.ndim != 3 or shape[2] != 3 or array.size == 0:
        raise UnsupportedSourceError(
            f"an array of shape {shape} and dtype {array.dtype}; it must be uint8"
            " [height, width, 3], from 0 to 255, its colours in the order red, green, blue"
        )
    check_size((shape[1], shape[0]), limits)
    return _in_memory(np.array(array, dtype=np.uint8, order="C"))


def _in_memory(pixels: Pixels) -> Picture:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return Picture(pixels, digest.hexdigest(), "ARRAY")
