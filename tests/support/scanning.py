"""Pictures, archives and tables for scans, and an engine without processes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceproof.scanning.worker import CheckOptions, check_items


def picture(level: int, *, side: int = 24, format_: str = "PNG") -> bytes:
    """Return a picture of one grey level; the tiny detector calls bright ones fake."""
    pixels = np.full((side, side, 3), level, np.uint8)
    pixels[0, 0] = 255 - level  # not one tone only
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_)
    return stream.getvalue()


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Write ``count`` different pictures from black to white, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(round(255 * number / max(count - 1, 1)), side=24 + number % 7))
    return paths


def write_tar(path: Path, members: Mapping[str, bytes], *, mode: str = "w") -> Path:
    """Write an archive of files."""
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


class InlineEngine:
    """Checks in the test's own process."""

    def __init__(self, options: CheckOptions, *_: object) -> None:
        self._options = options

    def __enter__(self) -> InlineEngine:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def run(self, chunks: Any) -> Iterator[Any]:
        """Yield the rows of the chunks."""
        checker = self._options.make_checker()
        for chunk in chunks:
            yield check_items(checker, chunk)
