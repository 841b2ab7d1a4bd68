"""Loading: the picture behind what a caller passes, its name, and the error of one that fails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from os import PathLike, fsdecode
from typing import BinaryIO, TypeAlias, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from faceproof.errors import CorruptPictureError, FaceproofError, PictureTooLargeError, UsageError
from faceproof.imaging.decode import Limits, Picture, decode, load
from faceproof.imaging.fetching import FetchPolicy, fetch, strip_query
from faceproof.results import CheckError
from faceproof.sources import (
    RefusedSource,
    StreamSource,
    as_stream,
    begins_like_picture,
    is_address,
    read_error,
    refuse_address,
    to_printable,
)

Source: TypeAlias = Union[
    "str",
    "PathLike[str]",
    bytes,
    BinaryIO,
    Image.Image,
    "npt.NDArray[np.uint8]",
    StreamSource,
    RefusedSource,
]


_KINDS = (
    *(str, PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray),
    *(StreamSource, RefusedSource),
)
#: A printable path in bytes, not markup or a document.
_PATH = re.compile(rb"(?![<{%])[^\0-\x1f\x7f]{1,4000}")
#: The axes of an array of several pictures.
_AXES_OF_MANY = 4


def source_name(source: Source) -> str:
    """Return the name of a source in its result: the path, or the type in angle brackets.

    >>> source_name("party.jpg"), source_name(bytes(3))
    ('party.jpg', '<bytes>')
    """
    if isinstance(source, RefusedSource | StreamSource):
        return to_printable(source.source)
    if isinstance(source, str) and (stream := as_stream(source)):
        return stream.source
    path = source if isinstance(source, str | PathLike) else getattr(source, "filename", None)
    return to_printable(fsdecode(path)) if path else f"<{type(source).__name__}>"


def require_source(source: object) -> None:
    """Return if a value can be a source.

    Raises:
        UsageError: what callers pass by mistake, with what to pass instead.

    >>> require_source("")
    Traceback (most recent call last):
    ...
    faceproof.errors.UsageError: the source is an empty text: pass the path of a picture
    """
    if isinstance(source, str | PathLike) and not fsdecode(source):
        raise UsageError("the source is an empty text: pass the path of a picture")
    if isinstance(source, bytes | bytearray | memoryview) and _is_path(source):
        data = bytes(source)
        raise UsageError(
            f"the source {data!r} is bytes, which are a picture's content, not its path: pass "
            f"{to_printable(fsdecode(data))!r} as text, or the bytes of the file"
        )
    if not isinstance(source, _KINDS) and not hasattr(source, "read"):
        raise UsageError(
            f"the source is of type {type(source).__name__}: pass a path, bytes, a binary stream, "
            "a Pillow image or an array; check_many takes a list of them"
        )


def _is_path(data: bytes | bytearray | memoryview) -> bool:
    """Return whether bytes look like a path: one short line, not the content of a file."""
    return _PATH.fullmatch(data) is not None and not begins_like_picture(bytes(data))


def require_sources(sources: object) -> None:
    """Return if a value can be the sources of `check_many`.

    Raises:
        UsageError: one source instead of several.

    >>> require_sources("a.jpg")
    Traceback (most recent call last):
    ...
    faceproof.errors.UsageError: check_many takes several sources, not one str: pass [source]
    """
    single = isinstance(sources, str | bytes | PathLike | StreamSource | RefusedSource)
    picture = isinstance(sources, np.ndarray) and sources.ndim < _AXES_OF_MANY
    if single or picture or hasattr(sources, "read") or not isinstance(sources, Iterable):
        kind = type(sources).__name__
        raise UsageError(f"check_many takes several sources, not one {kind}: pass [source]")


def load_source(
    source: Source, limits: Limits, addresses: FetchPolicy | None, *, name: str | None = None
) -> Picture:
    """Return the decoded picture; an address is fetched as the policy allows.

    ``name`` is that of the file whose bytes are the source.

    Raises:
        SourceError: the source cannot be read, or is not a picture.
        UnsupportedSourceError: an address, but no policy.
    """
    if isinstance(source, str | PathLike):
        source = as_stream(fsdecode(source)) or source
    if isinstance(source, RefusedSource):
        raise source.error
    if isinstance(source, StreamSource):
        data = source.read(limits.max_bytes)
        return decode(data, name=name or source_name(source), limits=limits)
    if isinstance(source, str) and is_address(source):
        return _fetch_picture(source, limits, addresses)
    if isinstance(source, bytes):
        return decode(source, name=name, limits=limits)
    return load(source, limits=limits)


def _fetch_picture(address: str, limits: Limits, policy: FetchPolicy | None) -> Picture:
    """Return the picture at an address."""
    if policy is None:
        refuse_address(address)
    return decode(fetch(address, policy).data, name=strip_query(address), limits=limits)


def describe_error(error: Exception, name: str) -> CheckError:
    """Return the code and message of an error; errors of other libraries are converted."""
    if isinstance(error, OSError):
        error = read_error(name, error)
    elif isinstance(error, MemoryError):
        error = PictureTooLargeError(f"{name}: not enough memory for this picture")
    elif not isinstance(error, FaceproofError):
        error = CorruptPictureError(f"{name}: face detection failed: {error}")
    return CheckError(code=error.code, message=to_printable(str(error)))
