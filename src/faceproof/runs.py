"""`RunFolder`, the record of one run; `lock_folder`; the environment of a run."""

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
from typing import Any

from faceproof.errors import UsageError
from faceproof.outputs import atomic_write

SNAPSHOTS = "snapshots"
"""The folder of a training run with the weights of its validations."""

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
        starts = [*self.read_starts(), {"started": _utc_timestamp(), **environment(), **facts}]
        with atomic_write(self.path / "run.json") as file:
            file.write(json.dumps(starts, indent=2).encode())

    def read_starts(self) -> list[dict[str, Any]]:
        """Return the facts of every start, the first one first."""
        file = self.path / "run.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def log(self, **values: Any) -> None:
        """Append one line to ``metrics.jsonl``; on a full disk, append nothing."""
        line = (json.dumps({"time": _utc_timestamp(), **values}) + "\n").encode()
        with (self.path / "metrics.jsonl").open("ab", buffering=0) as lines:
            before = lines.seek(0, os.SEEK_END)
            if lines.write(line) != len(line):
                lines.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), lines.name)

    def read_log(self) -> list[dict[str, Any]]:
        """Return all lines of ``metrics.jsonl``."""
        file = self.path / "metrics.jsonl"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def lock_folder(folder: Path, *, name: str, busy: str | None = None) -> Iterator[None]:
    """Hold the lock file ``name`` in a folder, which no other process can hold at the same time.

    Without ``busy``, wait until it is free. The lock ends with the process, however it ends: a
    stale file locks nothing, and forked helpers do not inherit the lock. On file systems without
    locks nothing is locked. The file stays.

    Raises:
        UsageError: another process holds the lock, and ``busy`` is the message.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, blocking=busy is None, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(busy or f"{folder / name} is locked by another process") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


#: What file systems without locks answer.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def environment() -> dict[str, Any]:
    """Return the versions, the platform and the commit that a run depends on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "versions": {name: _installed_version(name) for name in _LIBRARIES},
        "commit": _git_commit(),
    }


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the git commit of this source tree, with ``-dirty`` where files differ from it.

    None for an installed package, also one inside another repository.
    """
    if not _run_git("ls-files", "--error-unmatch", Path(__file__).name):
        return None
    return _run_git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None


def _run_git(*arguments: str) -> str:
    """Return git's output for the folder of this file, an empty string if git fails."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip()


def _utc_timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
