"""``check --heatmaps DIR``: a PNG for each face, its heat map over it, its verdict below."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from faceproof.cli.streams import unwritable_error
from faceproof.errors import FaceproofError, UsageError
from faceproof.outputs import atomic_write
from faceproof.sources import HEATMAP_MARK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from faceproof.checker import Checker
    from faceproof.loading import Source
    from faceproof.results import CheckedFace, CheckResult, HeatMap

    Pixels = npt.NDArray[np.uint8]

SIDE = 480  # pixels; the longer side of a drawn face
_AROUND = 0.15  # of the crop's side, shown on each side of it
MARK = HEATMAP_MARK
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class HeatMapFolder:
    """Takes results in order, and draws the faces of each into a folder.

    A result has no pixels: the source is opened a second time, and must be the picture that was
    judged. A file that is not a heat map of the same face is never overwritten.
    """

    def __init__(self, folder: Path, checker: Checker) -> None:
        """Make the folder, or raise UsageError."""
        self._folder, self._checker = folder, checker
        self._sources: deque[Source] = deque()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--heatmaps {folder}: the folder cannot be made ({error.strerror}); name another"
            ) from error

    def record_sources(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Yield the sources on their way to the checker, whose results `take` gets."""
        for source in sources:
            self._sources.append(source)
            yield source

    def take(self, result: CheckResult) -> None:
        """Draw each face of the next result; errors are reported on standard error.

        Raises:
            OutputError: the folder cannot be written to.
        """
        source = self._sources.popleft()
        if not any(face.heatmap for face in result.faces):
            return
        try:
            pixels = self._reload_pixels(source, result)
        except (FaceproofError, OSError) as error:
            typer.echo(f"{result.source}: heat maps are not drawn: {error}", err=True)
            return
        for number, face in enumerate(result.faces, start=1):
            if face.heatmap:
                self._write(_draw_heatmap(pixels, face, number), result, number)

    def _reload_pixels(self, source: Source, result: CheckResult) -> Pixels:
        """Return the pixels of the picture that was judged."""
        from faceproof.loading import load_source

        picture = load_source(source, self._checker.limits, self._checker.addresses)
        if result.image is None or picture.sha256 != result.image.sha256:
            raise UsageError("the picture has changed since it was judged; check it again")
        return picture.pixels

    def _write(self, image: Image, result: CheckResult, number: int) -> None:
        from PIL.PngImagePlugin import PngInfo

        sha256 = result.image.sha256 if result.image else ""
        mark, info = f"face {number} of {sha256}", PngInfo()
        info.add_text(MARK, mark)
        path = _free_path(self._folder, f"{safe_stem(result.source)}-{sha256[:12]}-{number}", mark)
        try:
            with atomic_write(path) as file:
                image.save(file, "PNG", pnginfo=info)
        except OSError as error:
            raise unwritable_error(f"--heatmaps: {path}", error) from error


def safe_stem(source: str) -> str:
    """Return a source's name as any file system takes it, at most 60 characters.

    >>> safe_stem("/photos/Party (1).jpg"), safe_stem("https://example.org/a.php?x=/../b")
    ('Party_1', 'b')
    """
    stem = source.replace("\\", "/").rstrip("/").rpartition("/")[2].rpartition(".")
    return _UNSAFE.sub("_", stem[0] or stem[2]).strip("_")[:60] or "picture"


def _free_path(folder: Path, name: str, mark: str) -> Path:
    """Return a path in the folder that is free, or holds a heat map of the same face."""
    for number in range(1, 1000):
        path = folder / f"{name}{'' if number == 1 else f'-{number}'}.png"
        if not os.path.lexists(path) or _read_face_mark(path) == mark:
            return path
    raise UsageError(f"{folder} is full of files called {name}: name an empty folder")


def _read_face_mark(path: Path) -> str | None:
    """Return the face that a PNG names; None where it is not one of our heat maps."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get(MARK)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        return None


def _draw_heatmap(pixels: Pixels, face: CheckedFace, number: int) -> Image:
    """Return the face with its heat map over it and two lines of words below."""
    import numpy as np
    from PIL import Image

    from faceproof.imaging.heat import heat_overlay

    heat = face.heatmap
    if heat is None:
        raise UsageError(f"face {number} has no heat map")
    corners = np.array(heat.corners)
    part, corner = _crop_around(pixels, corners)
    laid = Image.fromarray(heat_overlay(part, heat.values, corners - corner))
    scale = SIDE / max(laid.size)
    size = (max(1, round(laid.width * scale)), max(1, round(laid.height * scale)))
    shown = laid.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    return _add_caption(shown, caption_lines(face, number))


def caption_lines(face: CheckedFace, number: int) -> tuple[str, str]:
    """Return the lines below a drawn face: its verdict, and the test of its heat map."""
    verdict = f"Face {number}: {face.verdict}, probability of fake {face.fake_probability:.3f}"
    return verdict, _describe_test(face.heatmap)


def _describe_test(heat: HeatMap | None) -> str:
    if heat is None or max(max(row) for row in heat.values) <= 0:
        return "Nothing is coloured: no part spoke for fake"
    if not heat.reliable:
        return "UNRELIABLE: this map failed its deletion test"
    return "Coloured: what spoke for fake (map passed its test)"


def _crop_around(
    pixels: Pixels, corners: npt.NDArray[np.float64]
) -> tuple[Pixels, tuple[int, int]]:
    """Return the part of the picture around a crop, and where its left upper pixel lies."""
    margin = _AROUND * float(((corners[1] - corners[0]) ** 2).sum() ** 0.5)
    left, top = (max(0, int(at)) for at in corners.min(axis=0) - margin)
    right, bottom = (int(at) + 1 for at in corners.max(axis=0) + margin)
    left, top = min(left, pixels.shape[1] - 1), min(top, pixels.shape[0] - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)], (left, top)


def _add_caption(image: Image, lines: tuple[str, str]) -> Image:
    """Return the image on a white ground, wide enough for the lines below it."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(16)
    ground = Image.new("RGB", (max(SIDE, image.width), image.height + 52), "white")
    ground.paste(image, ((ground.width - image.width) // 2, 0))
    draw = ImageDraw.Draw(ground)
    for place, line in enumerate(lines):
        draw.text((8, image.height + 5 + 22 * place), line, fill="black", font=font)
    return ground
