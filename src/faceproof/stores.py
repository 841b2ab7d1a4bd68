"""Stores: files of object storage, ``s3://``, ``gs://``, ``hf://`` and what fsspec knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from glob import has_magic
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from faceproof.errors import (
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    UsageError,
)
from faceproof.sources import is_address, is_of_other_program, to_printable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

#: Read by Arrow's own clients, which need no other package.
_ARROW_SCHEMES = frozenset({"s3", "gs", "gcs"})
#: Fetched by `Checker` as its policy allows, one picture at an address.
_FETCHED = frozenset({"http", "https"})
#: The package behind a scheme of fsspec, for the message where it is missing.
_PACKAGES = {"hf": "huggingface-hub", "abfs": "adlfs", "az": "adlfs"}
_PIECE_BYTES = 8 * 1024 * 1024
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a store: its address, its size in bytes and its time, where they are known.

    ``named``: it was named or matched a pattern itself, and was not found in a folder.
    """

    address: str
    size: int | None
    modified_ns: int | None
    named: bool


def is_stored(name: str) -> bool:
    """Return whether a name is an address in a store, not a path or a URL to fetch.

    >>> is_stored("s3://bucket/a.jpg"), is_stored("https://example.org/a.jpg"), is_stored("a.jpg")
    (True, False, False)
    """
    return is_address(name) and name.partition("://")[0].lower() not in _FETCHED


def open_stored(address: str) -> BinaryIO:
    """Return a file of a store, opened for reading at any place.

    Raises:
        SourceNotFoundError: there is none.
        SourceUnreadableError: the store refused.
        UsageError, MissingExtraError: no such store, or its package is not installed.
    """
    system, path = _locate(address)
    try:
        return cast("BinaryIO", system.open_input_file(path))
    except _errors() as error:
        raise _source_error(address, error) from error


def read_stored(address: str, limit: int) -> bytes:
    """Return at most ``limit`` bytes from the beginning of a file in a store.

    Raises:
        SourceError, UsageError: as `open_stored` does.
    """
    system, path = _locate(address)
    try:
        with system.open_input_stream(path) as stream:
            return bytes(stream.read(limit))
    except _errors() as error:
        raise _source_error(address, error) from error


def iterate_stored(address: str) -> Iterator[bytes]:
    """Yield the bytes of a file in a store, from beginning to end in pieces of some MB.

    Raises:
        SourceError, UsageError: as `open_stored` does.
    """
    system, path = _locate(address)
    try:
        with system.open_input_stream(path) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield bytes(piece)
    except _errors() as error:
        raise _source_error(address, error) from error


def list_stored(address: str) -> Iterator[StoredFile | SourceError]:
    """Yield the file at an address, those that a pattern matches, or those below a folder.

    One folder's list is in memory at a time. What cannot be listed is an error in the list.

    Raises:
        UsageError, MissingExtraError: no such store, or its package is not installed.
    """
    system, path = _locate(address)
    store = _Listing(system, address.partition("://")[0])
    try:
        if has_magic(path):
            yield from _or_none(store.match(path), address, "nothing matches")
            return
        info = system.get_file_info(path)
        if info.is_file:
            yield store.describe(info, named=True)
        elif info.type.name == "Directory":
            yield from _or_none(store.walk(path), address, "no file in this folder")
        else:
            yield SourceNotFoundError(f"{to_printable(address)}: nothing is there")
    except _errors() as error:
        yield _source_error(address, error)


def _or_none(
    found: Iterator[StoredFile | SourceError], address: str, message: str
) -> Iterator[StoredFile | SourceError]:
    """Yield what is found, or an error if that is nothing."""
    some = False
    for some, one in ((True, one) for one in found):  # noqa: B007
        yield one
    if not some:
        yield SourceNotFoundError(f"{to_printable(address)}: {message}")


@dataclass(frozen=True)
class _Listing:
    """The files of one store, listed folder by folder."""

    system: FileSystem
    scheme: str

    def walk(self, folder: str) -> Iterator[StoredFile | SourceError]:
        """Yield the files below a folder; folders of other programs are not entered."""
        waiting = [folder]
        while waiting:
            path = waiting.pop()
            try:
                for info in self._list(path):
                    if info.is_file:
                        yield self.describe(info, named=False)
                    elif not is_of_other_program(info.base_name):
                        waiting.append(info.path)
            except _errors() as error:
                yield _source_error(f"{self.scheme}://{path}", error)

    def match(self, pattern: str) -> Iterator[StoredFile | SourceError]:
        """Yield the files that a pattern matches; ``**`` matches folders at any depth."""
        parts = pattern.strip("/").split("/")
        plain = next(place for place, part in enumerate(parts) if has_magic(part))
        root = "/" if pattern.startswith("/") else ""
        yield from self._match(root + "/".join(parts[:plain]), parts[plain:])

    def _match(self, folder: str, parts: list[str]) -> Iterator[StoredFile | SourceError]:
        first, *rest = parts
        if first == "**" and rest:
            yield from self._match(folder, rest)
        for info in self._list(folder):
            fits = first == "**" or fnmatchcase(info.base_name, first)
            if info.is_file and fits and not rest:
                yield self.describe(info, named=True)
            elif not info.is_file and first == "**":
                yield from self._match(info.path, parts)
            elif not info.is_file and fits:
                yield from self._match(info.path, rest) if rest else self.walk(info.path)

    def describe(self, info: Any, *, named: bool) -> StoredFile:
        """Return what the store knows of a file."""
        address = f"{self.scheme}://{info.path}"
        return StoredFile(address, info.size, info.mtime_ns, named)

    def _list(self, folder: str) -> list[Any]:
        from pyarrow.fs import FileSelector

        infos: list[Any] = self.system.get_file_info(FileSelector(folder))
        return [info for info in infos if info.path.rstrip("/") != folder.rstrip("/")]


def _locate(address: str) -> tuple[FileSystem, str]:
    """Return the store of an address, and the path in it."""
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if scheme in _ARROW_SCHEMES:
        endpoint = next(filter(None, map(os.environ.get, _S3_ENDPOINTS)), None)
        return _arrow_system(scheme, rest.partition("/")[0], endpoint), rest.rstrip("/")
    system = _fsspec_system(scheme)
    return system, system.handler.fs._strip_protocol(address)  # noqa: SLF001 (fsspec has no other)


@cache
def _arrow_system(scheme: str, bucket: str, endpoint: str | None) -> FileSystem:
    """Return Arrow's client of a bucket; S3's reads the environment variables of AWS."""
    from pyarrow import fs

    try:
        if scheme == "s3" and endpoint:
            return fs.S3FileSystem(endpoint_override=endpoint)
        return fs.FileSystem.from_uri(f"{scheme.replace('gcs', 'gs')}://{bucket}")[0]
    except _errors() as error:
        raise UsageError(f"{scheme}://{to_printable(bucket)} cannot be opened: {error}") from error


@cache
def _fsspec_system(scheme: str) -> Any:
    """Return the store of a scheme that fsspec knows."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("fsspec", extra="scan") from error
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        return PyFileSystem(FSSpecHandler(fsspec.filesystem(scheme)))
    except ValueError as error:
        raise UsageError(
            f"{scheme}:// is not a store that is known: use s3://, gs://, hf:// or a path"
        ) from error
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        hint = f"install {package}" if package else str(error)
        raise UsageError(f"{scheme}:// needs a package that is not installed: {hint}") from error


@cache
def _errors() -> tuple[type[Exception], ...]:
    """Return what the clients of stores raise."""
    import pyarrow as pa

    return (OSError, ValueError, RuntimeError, pa.ArrowException)


def _source_error(address: str, error: Exception) -> SourceError:
    name = to_printable(address)
    if isinstance(error, FileNotFoundError):
        return SourceNotFoundError(f"{name}: nothing is there")
    first = to_printable(str(error)).partition("\n")[0][:300]
    return SourceUnreadableError(f"{name}: {first or type(error).__name__}")
