"""The run folder: what was run, with what, on what, and how it went."""

from __future__ import annotations

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
    """A folder with ``run.json`` (how it was started) and ``metrics.jsonl`` (how it went)."""

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
        """Append one line to ``metrics.jsonl``."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"time": _now(), **values}) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """Return all lines of ``metrics.jsonl``."""
        file = self.path / "metrics.jsonl"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the place of ``path`` at the end, if all went well.

    So ``path`` is either the old file or the whole new one, whenever the process dies.
    """
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def environment() -> dict[str, Any]:
    """Return the versions, the machine's kind and the commit that a run depends on."""
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

    None for an installed package, also one that lies in somebody else's repository.
    """
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None


def _git(*arguments: str) -> str:
    """Return what git says of the folder of this file, nothing where it cannot."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
