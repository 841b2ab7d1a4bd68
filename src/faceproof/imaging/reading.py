"""The bytes of a file or stream, never more of them than the limit."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from faceproof.errors import (
    EmptyFileError,
    FileTooLargeError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedSourceError,
)
from faceproof.imaging.picture import Limits, check_bytes


def read_file(path: Path, limits: Limits) -> bytes:
    """Return the bytes of an ordinary file, whose size is looked at first.

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
            return file.read(limits.max_bytes + 1)  # it may have grown
    except (EmptyFileError, FileTooLargeError) as error:
        raise type(error)(f"{path}: {error}") from None
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceUnreadableError(f"{path}: cannot be read ({reason})") from error


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnsupportedSourceError(f"{path}: a folder; name the pictures in it")
    if not stat.S_ISREG(mode):
        raise UnsupportedSourceError(f"{path}: a pipe or a device; read it, and give the bytes")


def read_stream(stream: BinaryIO, limits: Limits) -> bytes:
    """Return what is left in a binary stream, at most one byte more than the limit.

    Raises:
        SourceUnreadableError: the stream is closed or fails.
        UnsupportedSourceError: it gives text.
    """
    parts = []
    left = limits.max_bytes + 1
    try:
        while left > 0 and (part := stream.read(left)):
            if not isinstance(part, bytes):
                raise UnsupportedSourceError("the stream gives text; open it in binary mode")
            parts.append(part)
            left -= len(part)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        raise SourceUnreadableError(f"the stream cannot be read ({error})") from error
    return b"".join(parts)
