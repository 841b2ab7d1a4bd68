"""From what a user names to a decoded picture, and from what goes wrong to a CheckError."""

from __future__ import annotations

from os import PathLike, fsdecode
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from faceproof.errors import CorruptPictureError, FaceproofError, PictureTooLargeError
from faceproof.imaging.decode import decode, load
from faceproof.imaging.fetching import FetchPolicy, fetch, without_query
from faceproof.imaging.picture import Limits, Picture
from faceproof.results import CheckError
from faceproof.sources import Refused, is_address, printable, refuse_address, unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

Source: TypeAlias = Union[
    "str", "PathLike[str]", bytes, BinaryIO, "Image", "npt.NDArray[np.uint8]", Refused
]


def source_name(source: Source) -> str:
    """Return what a result calls its source: the path, or the kind of thing in brackets.

    >>> source_name("party.jpg"), source_name(bytes(3))
    ('party.jpg', '<bytes>')
    """
    if isinstance(source, Refused):
        return printable(source.source)
    path = source if isinstance(source, str | PathLike) else getattr(source, "filename", None)
    return printable(fsdecode(path)) if path else f"<{type(source).__name__}>"


def load_source(
    source: Source, limits: Limits, addresses: FetchPolicy | None, *, name: str | None = None
) -> Picture:
    """Return the decoded picture; an address is fetched as the policy allows.

    ``name`` is that of the file whose bytes are the source.

    Raises:
        SourceError: it cannot be had, or is no picture.
        UnsupportedSourceError: an address, where there is no policy.
    """
    if isinstance(source, Refused):
        raise source.error
    if isinstance(source, str) and is_address(source):
        return _fetched(source, limits, addresses)
    if isinstance(source, bytes):
        return decode(source, name=name, limits=limits)
    return load(source, limits=limits)


def _fetched(address: str, limits: Limits, policy: FetchPolicy | None) -> Picture:
    """Return the picture at an address."""
    if policy is None:
        refuse_address(address)
    return decode(fetch(address, policy).data, name=without_query(address), limits=limits)


def told(error: Exception, name: str) -> CheckError:
    """Return the code and words of an error; those of other libraries are translated."""
    if isinstance(error, OSError):
        error = unreadable(name, error)
    elif isinstance(error, MemoryError):
        error = PictureTooLargeError(f"{name}: there is not enough memory for this picture")
    elif not isinstance(error, FaceproofError):
        error = CorruptPictureError(f"{name}: no face can be looked for in this picture: {error}")
    return CheckError(code=error.code, message=printable(str(error)))
