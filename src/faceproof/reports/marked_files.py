"""PNG files of ours with a mark in their text: heat maps and annotated pictures.

The mark says of which picture a file is, so that a second run replaces its own file and no other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.errors import UsageError
from faceproof.outputs import atomic_write
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from PIL.Image import Image

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def safe_stem(source: str) -> str:
    """Return a source's name as any file system takes it, at most 60 characters.

    >>> safe_stem("/photos/Party (1).jpg"), safe_stem("https://example.org/a.php?x=/../b")
    ('Party_1', 'b')
    >>> safe_stem("-"), safe_stem("--all.jpg")
    ('picture', 'all')
    """
    stem = source.replace("\\", "/").rstrip("/").rpartition("/")[2].rpartition(".")
    return _UNSAFE.sub("_", stem[0] or stem[2]).strip("_-")[:60] or "picture"


def free_path(folder: Path, name: str, key: str, mark: str) -> Path:
    """Return a path in the folder that is free, or whose file has this mark under ``key``.

    Raises:
        UsageError: a thousand other files have the name.
    """
    for number in range(1, 1000):
        path = folder / f"{name}{'' if number == 1 else f'-{number}'}.png"
        if not os.path.lexists(path) or read_mark(path, key) == mark:
            return path
    where = to_printable(str(folder))
    raise UsageError(f"{where} is full of files called {name}: name an empty folder")


def read_mark(path: Path, key: str) -> str | None:
    """Return the mark that a PNG file has under ``key``; None where it is not one of ours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            found = image.info.get(key)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        return None
    return found if isinstance(found, str) else None


def write_marked(image: Image, path: Path, key: str, mark: str) -> None:
    """Write an image as PNG with its mark, the whole file or nothing; raise OSError otherwise."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(key, mark)
    with atomic_write(path) as file:
        image.save(file, "PNG", pnginfo=info)
