"""The run folder: what was run, with what, on what, and how it went."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

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
        file = self.path / "run.json"
        starts = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        starts.append({"started": _now(), **environment(), **facts})
        write_atomically(file, json.dumps(starts, indent=2).encode())

    def log(self, **values: Any) -> None:
        """Append one line to ``metrics.jsonl``."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"time": _now(), **values}) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """Return all lines of ``metrics.jsonl``."""
        file = self.path / "metrics.jsonl"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is either the old one or the new one, whenever the process dies."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(data)
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
    """Return the git commit of this source tree, None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
