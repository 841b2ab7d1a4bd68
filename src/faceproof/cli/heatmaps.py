"""``check --heatmaps DIR``: a PNG for each face, its heat map over it, its verdict below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from faceproof.cli.picture_folders import Drawing, PictureFolder
from faceproof.errors import UsageError
from faceproof.sources import HEATMAP_MARK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from faceproof.results import CheckedFace, CheckResult, HeatMap

    Pixels = npt.NDArray[np.uint8]

SIDE = 480  # pixels; the longer side of a drawn face
_AROUND = 0.15  # of the crop's side, shown on each side of it


class HeatMapFolder(PictureFolder):
    """Draws each face of a result that has a heat map."""

    option, key = "--heatmaps", HEATMAP_MARK

    def has_picture(self, result: CheckResult) -> bool:
        """Return whether a face has a heat map."""
        return any(face.heatmap for face in result.faces)

    def draw(self, pixels: Pixels, result: CheckResult) -> Iterator[Drawing]:
        """Yield each face that has one."""
        sha256 = result.image.sha256 if result.image else ""
        for number, face in enumerate(result.faces, start=1):
            if face.heatmap:
                image = _draw_heatmap(pixels, face, number)
                yield Drawing(image, f"-{number}", f"face {number} of {sha256}")


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
