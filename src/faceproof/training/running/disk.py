"""A full disk, told with what it takes and what there is; nothing that was kept is lost by it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from faceproof.errors import TrainingError, UsageError
from faceproof.runs import RunFolder

#: No space, no quota, and a file beyond what the file system or the user is allowed.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MB = 1e6


def run_folder(path: Path) -> RunFolder:
    """Return the run folder at ``path``, made where it is missing.

    Raises:
        UsageError: no folder can be there.
    """
    try:
        return RunFolder(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be the run folder ({error.strerror}): name another --output"
        ) from error


@contextmanager
def telling_full_disk(folder: Path, *, needed: int | None = None) -> Iterator[None]:
    """Tell of a full disk in words; ``needed`` are the bytes that were to be written.

    Raises:
        TrainingError: the disk is full, with what is needed, what is free and what to do.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch turns the first into the second
        if not is_full(error):
            raise
        raise TrainingError(_told(folder, needed)) from error


def is_full(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that the disk is full.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError("no such file"))
    (True, False)
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def size_of(content: Mapping[str, Any]) -> int:
    """Return the bytes of all tensors in a checkpoint, to which the file adds little.

    >>> size_of({"step": 3, "network": {"weight": torch.zeros(2, 5)}, "best": [torch.zeros(1)]})
    44
    """
    return sum(_bytes(value) for value in content.values())


def _bytes(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0


def _told(folder: Path, needed: int | None) -> str:
    """Return what is needed and free, and what to do."""
    last = folder / "last.pt"
    kept = last.stat().st_size if last.exists() else None
    takes = f"{needed / _MB:.1f} MB are needed, " if needed is not None else ""
    if needed is None and kept is not None:
        takes = f"a checkpoint of this run takes {kept / _MB:.1f} MB, "
    free = shutil.disk_usage(folder).free / _MB
    goes_on = "goes on from last.pt, which is whole" if kept is not None else "begins anew"
    return (
        f"{folder} cannot be written, the disk is full or a limit is reached: {takes}"
        f"{free:.1f} MB are free. Make room and run the same command again: it {goes_on}"
    )
