"""Random access to shards: the file of any picture, by its key and place in its shard."""

from __future__ import annotations

import mmap
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceproof.data.preparing.folder import SHARDS
from faceproof.data.preparing.shards import INDEX, ShardFile, ShardIndex, key_of
from faceproof.errors import DataError, ManifestError


@dataclass(frozen=True, slots=True)
class _ShardPlace:
    """The place of a picture's bytes: shard, offset and size."""

    shard: Path
    start: int
    size: int

    def read(self) -> bytes:
        """Return the bytes; the shard is opened each time, so that processes share nothing."""
        with self.shard.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def index_shards(folder: Path, splits: Iterable[str]) -> dict[str, _ShardPlace]:
    """Return the places of the splits' pictures in the shards of a prepared folder, by key.

    Raises:
        ManifestError: the folder has no shards.
        DataError: a shard is missing, truncated, or has other content.
    """
    shards, wanted = folder / SHARDS, set(splits)
    if not (shards / INDEX).is_file():
        raise ManifestError(
            f"{folder} has no shards: make them with `faceproof data prepare --shards webdataset`, "
            'or set data.reading = "files"'
        )
    index = ShardIndex.read(shards / INDEX)
    found: dict[str, _ShardPlace] = {}
    for shard in index.shards:
        if shard.split in wanted:
            found.update(_list_pictures(_require_whole(shards, shard), index.kind))
    return found


def find_place(found: Mapping[str, _ShardPlace], path: str, folder: Path) -> _ShardPlace:
    """Return the place of the picture of a prepared path.

    Raises:
        DataError: it is in no shard, so these are the shards of another set.
    """
    try:
        return found[key_of(path)]
    except KeyError:
        raise DataError(
            f"{path} is in none of the shards of {folder}, which are of another set: "
            'run `faceproof data prepare` again with --shards, or set data.reading = "files"'
        ) from None


def _require_whole(shards: Path, shard: ShardFile) -> Path:
    """Return the path of a shard after checking its size.

    Raises:
        DataError: the size differs, or the shard is missing.
    """
    path = shards / shard.name
    size = path.stat().st_size if path.is_file() else None
    if size != shard.bytes:
        problem = "is missing" if size is None else f"has {size} bytes, not {shard.bytes}"
        raise DataError(f"{path} {problem}: copy it again, or run `faceproof data prepare` again")
    return path


def _list_pictures(path: Path, kind: str) -> Iterator[tuple[str, _ShardPlace]]:
    """Yield key and place of each picture of a shard.

    Raises:
        DataError: it has other content.
    """
    try:
        yield from _LISTERS[kind](path)
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is not a complete shard of this kind ({error}): copy it again"
        ) from error


def _list_tar(path: Path) -> Iterator[tuple[str, _ShardPlace]]:
    """Yield the pictures of a tar file; only its headers are read."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            if member.isfile() and not member.name.endswith(".json"):
                name = PurePosixPath(member.name)
                yield name.stem, _ShardPlace(path, member.offset_data, member.size)


def _list_parquet(path: Path) -> Iterator[tuple[str, _ShardPlace]]:
    """Yield the pictures of a Parquet file.

    The pictures are stored consecutively without compression, with page headers between some of
    them. Parquet does not record their offsets, so each is searched from the end of the previous
    one.
    """
    from pyarrow import parquet

    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        parquet.ParquetFile(path) as table,
    ):
        end = 0
        for number in range(table.num_row_groups):
            rows = table.read_row_group(number, columns=["key", "image.bytes"])
            keys, images = rows["key"].to_pylist(), rows["image"].combine_chunks().field("bytes")
            for key, image in zip(keys, images, strict=True):
                data = image.as_py()
                start = content.find(data, end)
                if start < 0:
                    raise DataError(f"{path} is compressed: run `faceproof data prepare` again")
                end = start + len(data)
                yield key, _ShardPlace(path, start, len(data))


_LISTERS: dict[str, Callable[[Path], Iterator[tuple[str, _ShardPlace]]]] = {
    "webdataset": _list_tar,
    "parquet": _list_parquet,
}
