"""`tar_items`: the pictures in a tar archive, which is never unpacked to the disk."""

from __future__ import annotations

import bz2
import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from faceproof.errors import SourceUnreadableError
from faceproof.scanning.items import MEMBER, Item
from faceproof.sources import (
    HEAD_BYTES,
    PICTURE_SUFFIXES,
    begins_like_picture,
    is_of_other_program,
    is_own_drawing,
    to_printable,
)

_BLOCK = 512
#: No header of an archive is larger; a hostile one claims any size.
_LARGEST_HEADER = 1 << 20
_ERRORS = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Container:
    """A file with many pictures: where it is, its size, its time, and how it is opened."""

    path: str
    size: int | None
    modified_ns: int | None
    open: Callable[[], BinaryIO]

    def make_item(
        self, member: str, *, size: int | None, offset: int | None = None, data: bytes | None = None
    ) -> Item:
        """Return the item of a member; its time is that of the container."""
        return Item(
            to_printable(f"{self.path}{MEMBER}{member}"),
            self.path,
            offset=offset,
            size=size,
            modified_ns=self.modified_ns,
            data=data,
        )

    def make_error(self, message: str) -> Item:
        """Return the item that reports what of the container could not be read."""
        shown = to_printable(self.path)
        return Item.from_error(self.path, SourceUnreadableError(f"{shown}: {message}"))


def tar_items(container: Container, *, max_bytes: int, skip: Callable[[], None]) -> Iterator[Item]:
    """Yield the pictures of a tar archive, also compressed with gzip or bzip2.

    Members are selected as files in folders are: by suffix or, without one, by their first bytes;
    ``skip`` is called for all others, which includes links. A member of a compressed archive
    carries at most ``max_bytes`` and one more. An archive that ends early, or is damaged, yields
    its pictures up to there and an error.
    """
    members = 0
    try:
        with container.open() as file:
            compressed, stream = _decompress(file)
            limit = max_bytes + 1 if compressed else None
            for item in _members(container, stream, limit, skip):
                members += 1
                yield item
    except _ERRORS as error:
        yield container.make_error(f"not a whole tar archive after {members} pictures: {error}")


def _members(
    container: Container, stream: _ForwardReader, limit: int | None, skip: Callable[[], None]
) -> Iterator[Item]:
    """Yield the pictures; with a ``limit`` they carry their bytes, at most so many."""
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            if not member.isreg() or member.sparse or not _is_wanted(member, stream):
                skip()
            elif limit is None:
                yield container.make_item(member.name, size=member.size, offset=member.offset_data)
            else:
                stream.seek(member.offset_data)
                data = stream.read_data(min(member.size, limit))
                yield container.make_item(member.name, size=member.size, data=data)
        stream.seek(archive.offset)
        if stream.read(_BLOCK).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError("a header is damaged")


def _is_wanted(member: tarfile.TarInfo, stream: _ForwardReader) -> bool:
    """Return whether a member is a picture, as a file in a folder would be."""
    path = PurePosixPath(member.name)
    if path.name.startswith("._") or any(map(is_of_other_program, path.parts[:-1])):
        return False
    suffix = path.suffix.lower()
    if suffix not in {"", ".png"}:
        return suffix in PICTURE_SUFFIXES
    stream.seek(member.offset_data)
    head = stream.read(min(member.size, HEAD_BYTES))
    return not is_own_drawing(head) if suffix else begins_like_picture(head)


_DECOMPRESSORS: Mapping[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: cast("BinaryIO", bz2.BZ2File(file)),
}
_REFUSED = {b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}


def _decompress(file: BinaryIO) -> tuple[bool, _ForwardReader]:
    """Return whether an archive is compressed, and a reader of it."""
    head = bytes(file.read(8))
    file.seek(0)
    for magic, name in _REFUSED.items():
        if head.startswith(magic):
            raise tarfile.ReadError(
                f"it is compressed with {name}; pack it as .tar, .tar.gz or .tar.bz2"
            )
    for magic, decompress in _DECOMPRESSORS.items():
        if head.startswith(magic):
            return True, _ForwardReader(decompress(file), is_forward=True)
    return False, _ForwardReader(file, is_forward=False)


class _ForwardReader:
    """A file of which tarfile reads headers; a header beyond 1 MiB is refused.

    If it ``is_forward``, as what is being decompressed, skipping reads and discards, and the last
    bytes are kept for the small steps back that tarfile takes.
    """

    _KEPT, _SKIPPED = 2 * _BLOCK, 1 << 16

    def __init__(self, file: BinaryIO, *, is_forward: bool) -> None:
        self._file, self._is_forward = file, is_forward
        self._end = 0  # how far the file was read
        self._place = 0
        self._tail = b""

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place if self._is_forward else self._file.tell()

    def seek(self, place: int) -> int:
        """Go to a place; in a forward file not before the bytes that were kept."""
        if not self._is_forward:
            return self._file.seek(place)
        if place < self._end - len(self._tail):
            raise tarfile.ReadError("the archive cannot be read backwards")
        while self._end < place and self._read_on(min(place - self._end, self._SKIPPED)):
            pass
        self._place = min(place, self._end)
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return bytes of a header.

        Raises:
            ReadError: it would be larger than any header.
        """
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self.read_data(size)

    def read_data(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer at the end."""
        if not self._is_forward:
            return bytes(self._file.read(size))
        kept = self._tail[len(self._tail) - (self._end - self._place) :][:size]
        parts = [kept] if self._place < self._end else []
        left = size - sum(map(len, parts))
        while left and (more := self._read_on(min(left, self._SKIPPED))):
            parts.append(more)
            left -= len(more)
        data = b"".join(parts)
        self._place += len(data)
        return data

    def _read_on(self, size: int) -> bytes:
        data = self._file.read(size)
        self._end += len(data)
        self._tail = (self._tail + data)[-self._KEPT :]
        return data
