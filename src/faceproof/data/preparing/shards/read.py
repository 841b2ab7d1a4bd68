"""A shard read back, whichever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from faceproof.data.preparing.shards.parquet_shard import read_parquet
from faceproof.data.preparing.shards.sample import Sample, checked
from faceproof.data.preparing.shards.webdataset import read_tar
from faceproof.errors import DataError
from faceproof.tables import choose

READERS: dict[str, Callable[[Path], Iterator[Sample]]] = {
    ".tar": read_tar,
    ".parquet": read_parquet,
}


def read_shard(path: Path) -> Iterator[Sample]:
    """Yield the samples of a shard in the order in which they lie there, each one checked.

    Raises:
        DataError: the shard is damaged, cut off, or none of ours.
        UnknownChoiceError: its name ends otherwise than those of shards.
    """
    read = choose(READERS, path.suffix, what="suffix of a shard")
    try:
        for sample in read(path):
            yield checked(sample, path.name)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
