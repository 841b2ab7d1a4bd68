"""Shards and what reads files: `fetch_prepared` gets them from a store, `unpack_shards` unpacks.

A prepared folder in a store has the same files as on a disk; its pictures are needed only in
shards. Memory stays bounded: a shard is copied piece by piece, a picture is unpacked alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Collection
from pathlib import Path

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import FACES, MANIFEST, RECORD, SHARDS, is_made
from faceproof.data.preparing.shard_access import find_place, index_shards
from faceproof.data.preparing.shards import INDEX, ShardFile, ShardIndex
from faceproof.errors import DataError, SourceNotFoundError
from faceproof.messages import count_noun, ignore_message
from faceproof.outputs import atomic_write
from faceproof.runs import lock_folder
from faceproof.sources import to_printable
from faceproof.stores import iterate_stored

_LOCK = "fetch.lock"
#: What `write_shards` calls a shard; the index of a store must not name a file elsewhere.
_PLAIN_NAME = re.compile(r"[\w-]+\.(tar|parquet)")


def fetch_prepared(
    store: str, folder: Path, *, progress: Callable[[str], None] = ignore_message
) -> None:
    """Copy the tables and shards of the prepared folder at an address into ``folder``.

    Shards that are there are kept, so a stopped copy continues. Several processes may call this at
    a time: one copies, the others wait.

    Raises:
        DataError: the store has no prepared folder with shards, or cannot be read; a copy differs
            from the original; or ``folder`` has another set.
        UsageError, MissingExtraError: no such store, or its package is not installed.
    """
    address = store.rstrip("/")
    index_data = _read_index(address)
    index = _parse_index(index_data, address)
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    with lock_folder(folder, name=_LOCK):
        _begin(folder, index_data, address)
        waiting = [one for one in index.shards if _size(folder / SHARDS / one.name) != one.bytes]
        if waiting:
            megabytes = sum(one.bytes for one in waiting) / 1e6
            what = f"{count_noun(len(waiting), 'shard')}, {megabytes:,.0f} MB"
            progress(f"copying {what}, from {to_printable(address)} to {folder}")
        for shard in waiting:
            _copy(f"{address}/{SHARDS}/{shard.name}", folder / SHARDS / shard.name, shard)
        with contextlib.suppress(SourceNotFoundError):  # older folders have none
            _copy_missing(f"{address}/{RECORD}", folder / RECORD)
        for name in (FACES, MANIFEST):  # the manifest last: it says that all is there
            _copy_missing(f"{address}/{name}", folder / name)


def unpack_shards(
    manifest: Manifest,
    folder: Path,
    splits: Collection[str],
    *,
    progress: Callable[[str], None] = ignore_message,
) -> None:
    """Write the picture files of the splits that are only in the shards of a prepared folder.

    Raises:
        DataError: a picture is in no shard, or damaged.
    """
    rows = [row for row in manifest.rows if row.split in splits and not is_made(row.path)]
    if all((folder / row.path).is_file() for row in rows):
        return
    with lock_folder(folder, name=_LOCK):
        waiting = [row for row in rows if not (folder / row.path).is_file()]
        if waiting:
            progress(f"unpacking {count_noun(len(waiting), 'picture')} of {', '.join(splits)}")
        found = index_shards(folder, {row.split for row in waiting})
        for row in waiting:
            place = find_place(found, row.path, folder)
            data = place.read()
            if hashlib.sha256(data).hexdigest() != row.sha256:
                raise DataError(
                    f"{row.path}: its sha256 differs in {place.shard}: copy the shard again"
                )
            (folder / row.path).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / row.path, sync=False) as file:
                file.write(data)


def _read_index(address: str) -> bytes:
    """Return the content of the index in a store."""
    name = f"{address}/{SHARDS}/{INDEX}"
    try:
        return b"".join(iterate_stored(name))
    except SourceNotFoundError as error:
        raise DataError(
            f"{to_printable(name)} is not there: data.store must be the address of a folder that "
            "`faceproof data prepare --shards` has made"
        ) from error


def _parse_index(data: bytes, address: str) -> ShardIndex:
    """Return the index, whose names must be those of files beside it."""
    try:
        index = ShardIndex.model_validate_json(data)
    except ValueError:
        index = None
    if index is None or not all(_PLAIN_NAME.fullmatch(one.name) for one in index.shards):
        raise DataError(
            f"{to_printable(address)}/{SHARDS}/{INDEX} is not an index of shards: copy the "
            "prepared folder into the store again"
        )
    return index


def _begin(folder: Path, index_data: bytes, address: str) -> None:
    """Write the index first: a folder with another one, or with another set, is refused."""
    path = folder / SHARDS / INDEX
    if path.is_file() and path.read_bytes() == index_data:
        return
    if path.is_file() or (folder / MANIFEST).exists():
        raise DataError(
            f"{folder} has another prepared set than {to_printable(address)}: name another folder "
            "as data.prepared, or remove this one"
        )
    with atomic_write(path) as file:
        file.write(index_data)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _copy(address: str, path: Path, shard: ShardFile) -> None:
    """Copy a shard, and verify its size and hash."""
    digest, size = hashlib.sha256(), 0
    with atomic_write(path) as file:
        for piece in iterate_stored(address):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        if (size, digest.hexdigest()) != (shard.bytes, shard.sha256):
            raise DataError(
                f"{to_printable(address)} has {size:,} bytes, or others than its index names "
                f"({shard.bytes:,}): copy the prepared folder into the store again"
            )


def _copy_missing(address: str, path: Path) -> None:
    """Copy a file that is not there; raise SourceNotFoundError if the store does not have it."""
    if path.is_file():
        return
    with atomic_write(path) as file:
        for piece in iterate_stored(address):
            file.write(piece)
