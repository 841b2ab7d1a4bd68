"""Outputs: never an input, never a picture, whole or not there, and what a full disk is."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from faceproof.errors import FaceproofError, OutputError, UsageError
from faceproof.sources import PICTURE_SUFFIXES, begins_like_picture, to_printable

#: Bytes at the start of a file that show whether it is a picture.
_LOOKED_AT = 64

#: What identifies a file: device and inode where it exists, else its path without links.
_Identity = tuple[int, int] | str


def refuse_overwriting(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    descriptors: Mapping[int, str] | None = None,
) -> None:
    """Return if no output is an input, a link to one, a picture, or another output.

    ``outputs`` are the files to write by option, such as ``--output``; None: not requested.
    ``inputs`` are paths; what does not exist is skipped. ``descriptors`` are open inputs, such as
    standard input, with their names.

    Raises:
        UsageError: naming the option, the file and the input; nothing was touched.
    """
    wanted = {option: path for option, path in outputs.items() if path is not None}
    if not wanted:
        return
    known = {_identify(path): os.fspath(path) for path in inputs if os.path.lexists(path)}
    known |= {one: name for number, name in (descriptors or {}).items() if (one := _file(number))}
    written: dict[_Identity, str] = {}
    for option, path in wanted.items():
        shown, identity = f"{option} {to_printable(str(path))}", _identify(path)
        if identity in known:
            read = to_printable(known[identity])
            raise UsageError(f"{shown} would overwrite the input {read}; name another file")
        if identity in written:
            raise UsageError(f"{shown} is the file of {written[identity]} too; name another file")
        _refuse_picture(path, shown)
        written[identity] = option


def _refuse_picture(path: Path, shown: str) -> None:
    """Refuse an output with the name of a picture, or one that is a picture.

    A shell hands the first match of ``-o *.jpg`` to the option.
    """
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise UsageError(f"{shown} has the name of a picture; name a file for results")
    if is_regular(path):
        with suppress(OSError), path.open("rb") as file:
            if begins_like_picture(file.read(_LOOKED_AT)):
                raise UsageError(f"{shown} is a picture, which is not overwritten; name a new file")


def _identify(path: str | os.PathLike[str]) -> _Identity:
    """Return what two names of one file share."""
    try:
        found = os.stat(path)  # noqa: PTH116 (names that pathlib refuses)
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return found.st_dev, found.st_ino


def _file(descriptor: int) -> _Identity | None:
    """Return the identity of an open regular file; None for a pipe, a terminal or a closed one."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def is_regular(path: Path) -> bool:
    """Return whether a path is that of a regular file, through links."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def is_stream(path: Path) -> bool:
    """Return whether a path is that of a device or a pipe, which is written and not replaced.

    >>> is_stream(Path(os.devnull)), is_stream(Path("nowhere.json"))
    (True, False)
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path == Path(os.devnull)
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def atomic_write(
    path: Path, *, private: bool = False, sync: bool = True, locked: bool = False
) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces ``path`` at the end, if no error was raised.

    If the process dies, ``path`` is either the old file or the complete new one. After an error the
    temporary file is removed. A link stays, and its target is replaced; a device or a pipe is
    written to. With ``private`` only the owner can ever read the new file. Without ``sync`` a power
    failure can lose it: for files whose content is verified before they are used. Several processes
    may write one file at a time, and the last one wins. With ``locked`` the caller excludes that,
    and a killed process leaves at most one temporary file behind.
    """
    if is_stream(path):
        with path.open("wb") as file:
            yield file
        return
    path = resolve_link(path)
    part = part_of(path, locked=locked)
    if private or locked:
        part.unlink(missing_ok=True)
    try:
        with open(part, "xb", opener=_open_private if private else None) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        put_in_place(part, path, private=private, sync=sync)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def resolve_link(path: Path) -> Path:
    """Return the file that a link names, or the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def part_of(path: Path, *, locked: bool = False) -> Path:
    """Return the path of a temporary file beside ``path``; no other process has the same one."""
    token = "" if locked else f".{secrets.token_hex(4)}"
    return path.with_name(f".{path.name}{token}.part")


def put_in_place(part: Path, path: Path, *, private: bool = False, sync: bool = True) -> None:
    """Replace ``path`` by its temporary file, with the permissions of the old one."""
    if not private and os.name != "nt":
        with suppress(OSError):
            part.chmod(stat.S_IMODE(path.stat().st_mode))
    part.replace(path)
    if sync:
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with bare newlines, as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_error(path: Path, error: OSError) -> FaceproofError:
    """Return the error for a file or folder that cannot be written.

    On a full disk it is an OutputError; else a UsageError, since another place may do.
    """
    shown = f"{to_printable(str(path))} cannot be written: {error.strerror or error}"
    if is_disk_full(error):
        return OutputError(f"{shown}; make room, and run the command again")
    return UsageError(f"{shown}; name another place")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk where the system can: POSIX, most file systems."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


#: No space, quota exceeded, and file size limit exceeded.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, means that the disk is full.

    >>> is_disk_full(OSError(errno.ENOSPC, "No space left")), is_disk_full(OSError("no such file"))
    (True, False)
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
