"""RunFolder: configuration, versions, data and metrics of one run, on disk."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LIBRARIES = (
    "faceproof",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "onnxruntime",
    "torch",
    "timm",
)


class RunFolder:
    """A folder with ``run.json`` (one entry per start) and ``metrics.jsonl`` (the metrics)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def record_start(self, **facts: Any) -> None:
        """Write, or append for a resumed run, the facts of one start to ``run.json``."""
        starts = [*self.starts(), {"started": _now(), **environment(), **facts}]
        with replacing(self.path / "run.json") as file:
            file.write(json.dumps(starts, indent=2).encode())

    def starts(self) -> list[dict[str, Any]]:
        """Return the facts of every start, the first one first."""
        file = self.path / "run.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def log(self, **values: Any) -> None:
        """Append one line to ``metrics.jsonl``; on a full disk, append nothing."""
        line = (json.dumps({"time": _now(), **values}) + "\n").encode()
        with (self.path / "metrics.jsonl").open("ab", buffering=0) as lines:
            before = lines.seek(0, os.SEEK_END)
            if lines.write(line) != len(line):
                lines.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), lines.name)

    def logged(self) -> list[dict[str, Any]]:
        """Return all lines of ``metrics.jsonl``."""
        file = self.path / "metrics.jsonl"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary file that replaces ``path`` at the end, if no error was raised.

    If the process dies, ``path`` is either the old file or the complete new one. After an error the
    temporary file is removed.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Give True if the file ``path`` could be locked against every other process.

    ``wait`` blocks until the lock is free. The lock ends with the process, however it ends: a stale
    file locks nothing. On Windows, and on file systems without locks, nothing is locked.
    """
    with path.open("ab") as file:
        yield _lock(file, wait=wait)


def _lock(file: BinaryIO, *, wait: bool) -> bool:
    """Return whether this process now holds the lock of the open file.

    Unlike flock's, this lock is not inherited by a loader's workers, which may run for some seconds
    after their training was killed.
    """
    if fcntl is None:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EAGAIN}
    return True


def environment() -> dict[str, Any]:
    """Return the versions, the platform and the commit that a run depends on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "commit": _commit(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the git commit of this source tree, with ``-dirty`` where files differ from it.

    None for an installed package, also one inside another repository.
    """
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None


def _git(*arguments: str) -> str:
    """Return git's output for the folder of this file, an empty string if git fails."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
