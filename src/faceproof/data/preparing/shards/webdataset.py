"""WebDataset shards: tar files in which a picture is followed by a JSON file of the same name.

Source: Aizman, Maltby and Breuel, "High Performance I/O For Large Scale Deep Learning", 2019.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import ValidationError

from faceproof.data.preparing.shards.sample import Sample, SampleFacts
from faceproof.errors import DataError

_BLOCK = 512


def write_tar(samples: Iterable[Sample], file: BinaryIO) -> None:
    """Write the samples; equal samples give equal bytes, whoever writes them and whenever."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            _add(tar, f"{sample.key}.{sample.suffix}", sample.data)
            _add(tar, f"{sample.key}.json", sample.facts.model_dump_json().encode())


def tar_bytes(*sizes: int) -> int:
    """Return how many bytes files of these sizes take up in a tar file: each a header, and padded.

    >>> tar_bytes(1, 512, 513)
    3584
    """
    return sum(_BLOCK + -(-size // _BLOCK) * _BLOCK for size in sizes)


def read_tar(path: Path) -> Iterator[Sample]:
    """Yield the samples of a tar file, nothing of which is unpacked to the disk.

    Raises:
        DataError: it is no whole tar file, or holds something else.
    """
    try:
        _check_end(path)
        with tarfile.open(path, "r|") as tar:
            yield from _paired(_files(tar), path.name)
    except (tarfile.TarError, ValidationError, EOFError) as error:
        raise DataError(
            f"{path} is no whole shard of this kind ({error}): copy it again"
        ) from error


def _check_end(path: Path) -> None:
    """Refuse a file without the two empty blocks that end a tar file.

    One that is cut off between two files looks whole to `tarfile`.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2 * _BLOCK))
        if file.read() != bytes(2 * _BLOCK):
            raise tarfile.ReadError("its end is missing")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file with a header that says nothing of this machine."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = len(data), 0, 0o644
    tar.addfile(header, io.BytesIO(data))


def _files(tar: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of every ordinary file."""
    for member in tar:
        content = tar.extractfile(member)
        if content is not None:
            yield PurePosixPath(member.name), content.read()


def _paired(files: Iterable[tuple[PurePosixPath, bytes]], shard: str) -> Iterator[Sample]:
    """Yield a sample for each picture and the JSON file that follows it."""
    waiting: tuple[PurePosixPath, bytes] | None = None
    for name, data in files:
        if waiting is None:
            waiting = name, data
        elif name.suffix == ".json" and name.stem == waiting[0].stem:
            facts = SampleFacts.model_validate_json(data)
            yield Sample(name.stem, waiting[0].suffix[1:], waiting[1], facts)
            waiting = None
        else:
            break
    else:
        if waiting is None:
            return
    raise DataError(f"{shard}: {waiting[0]} is not followed by its JSON file; copy the shard again")
