"""The picture with its faces framed and numbered; the verdict stands at each frame in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from faceproof.detector import Verdict
from faceproof.imaging.degradations import reduce_to, resize
from faceproof.imaging.picture import Pixels
from faceproof.reports.face_labels import LOOKS, Box, drawn_label, placed_labels
from faceproof.results import CheckResult

LONGEST = 1600
_SMALLEST = 640  # A smaller picture is enlarged: no word is legible on 100 px.
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class _Stroke:
    """One straight piece of a frame, ends included; it lies along an axis."""

    left: float
    top: float
    right: float
    bottom: float

    def widened(self, by: float) -> tuple[float, float, float, float]:
        """Return its rectangle at half a width of ``by``."""
        return self.left - by, self.top - by, self.right + by, self.bottom + by


def marked(
    pixels: Pixels,
    result: CheckResult,
    *,
    heat_opacity: float | None = None,
    longest: int = LONGEST,
) -> Pixels:
    """Return the picture with a frame, a number and a verdict at each face, uint8 [H', W', 3].

    The longer side is at most ``longest`` and, by enlarging, at least 640 px or ``longest``.
    A full frame is fake, a dashed one unsure, corners alone are real. ``heat_opacity`` in [0, 1]
    lays the heat maps over faces that have one.
    """
    if heat_opacity is not None:
        pixels = heated(pixels, result, opacity=heat_opacity)
    shown = _sized(pixels, longest)
    scale = shown.shape[1] / pixels.shape[1]
    image = Image.fromarray(shown)
    draw = ImageDraw.Draw(image)
    height, width = shown.shape[:2]
    boxes = [_scaled(face.box, scale, (width, height)) for face in result.faces]
    unit = max(1.5, max(width, height) / 400)
    for box, face in zip(boxes, result.faces, strict=True):
        _frame(draw, box, face.verdict, unit)
    labels = placed_labels(boxes, [face.verdict for face in result.faces], (width, height))
    for label in labels:
        drawn_label(draw, label)
    return np.asarray(image, np.uint8)


def heated(pixels: Pixels, result: CheckResult, *, opacity: float) -> Pixels:
    """Return the picture with the heat map of each face that has one, uint8 [H, W, 3]."""
    from faceproof.imaging.heat import heat_overlay

    for face in result.faces:
        if face.heatmap:
            pixels = heat_overlay(
                pixels, face.heatmap.values, face.heatmap.corners, opacity=opacity
            )
    return pixels


def picture_words(result: CheckResult) -> str:
    """Return what a marked picture shows, for those who do not see it.

    It names at most twelve faces.
    """
    if not result.faces:
        return "The picture; no face was found in it."
    named = [f"face {n} {face.verdict}" for n, face in enumerate(result.faces[:12], start=1)]
    more = len(result.faces) - len(named)
    rest = f" and {more} more" if more else ""
    return f"The picture with frames around its faces: {', '.join(named)}{rest}."


def _sized(pixels: Pixels, longest: int) -> Pixels:
    """Return the picture at a size at which words can be read on it."""
    side, least = max(pixels.shape[:2]), min(_SMALLEST, longest)
    if side >= least:
        return reduce_to(pixels, longest)
    return resize(pixels, least / side, cv2.INTER_CUBIC)


def _scaled(box: Sequence[float], scale: float, size: tuple[int, int]) -> Box:
    """Return a face's box in the shown picture, inside of it, never empty."""
    x, y, width, height = (scale * number for number in box)
    left, top = (min(max(0.0, at), end - 1.0) for at, end in zip((x, y), size, strict=True))
    right, bottom = min(x + width, size[0] - 1.0), min(y + height, size[1] - 1.0)
    return Box(left, top, max(right, left), max(bottom, top))


def _frame(draw: ImageDraw.ImageDraw, box: Box, verdict: Verdict, unit: float) -> None:
    """Draw a frame in colour, lined with white and black so that it stands out anywhere."""
    half = unit * LOOKS[verdict].weight / 2
    half = min(half, max(0.5, box.side / 24))
    rim = max(1.0, unit / 2.5)  # a whole pixel each, or one hides the other
    layers = ((half + 2 * rim, _BLACK), (half + rim, _WHITE), (half, LOOKS[verdict].fill))
    strokes = _strokes(box, verdict, unit)
    for by, colour in layers:
        for stroke in strokes:
            draw.rectangle(stroke.widened(by), fill=colour)


def _strokes(box: Box, verdict: Verdict, unit: float) -> list[_Stroke]:
    if verdict == "fake":
        spans = [(0.0, 1.0)]
    elif verdict == "real":
        spans = [(0.0, 0.22), (0.78, 1.0)]
    else:
        spans = _dashes(box.side, 5 * unit)
    return [stroke for start, end in spans for stroke in _sides(box, start, end)]


def _dashes(side: float, length: float) -> list[tuple[float, float]]:
    """Return dashes along a side from 0 to 1, a whole one at each corner."""
    count = max(2, round(side / (2 * length)))
    step = 1 / (2 * count - 1)
    return [(2 * place * step, (2 * place + 1) * step) for place in range(count)]


def _sides(box: Box, start: float, end: float) -> list[_Stroke]:
    """Return the part from ``start`` to ``end`` of each of the four sides."""
    left, right = (box.left + share * box.width for share in (start, end))
    top, bottom = (box.top + share * box.height for share in (start, end))
    return [
        _Stroke(left, box.top, right, box.top),
        _Stroke(left, box.bottom, right, box.bottom),
        _Stroke(box.left, top, box.left, bottom),
        _Stroke(box.right, top, box.right, bottom),
    ]
