"""`mark_picture`: a picture with a frame, a number and the verdict at each face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from faceproof.detector import Verdict
from faceproof.imaging.decode import Pixels
from faceproof.imaging.degradations import reduce_to, resize
from faceproof.reports.words import VERDICTS
from faceproof.results import CheckResult

Boxes = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_SMALLEST_TEXT, _LARGEST_TEXT = 11, 40


class _VerdictStyle(NamedTuple):
    """Style of a verdict: colour, text colour, line width and sign.

    The colours also differ in lightness, and the text on each has a contrast above 4.5.
    """

    fill: Colour
    text: Colour
    weight: float
    sign: str


LOOKS: Mapping[Verdict, _VerdictStyle] = {
    "fake": _VerdictStyle((176, 58, 0), (255, 255, 255), 1.5, "triangle"),
    "unsure": _VerdictStyle((247, 214, 72), (0, 0, 0), 1.0, "diamond"),
    "real": _VerdictStyle((0, 98, 158), (255, 255, 255), 1.0, "disc"),
}
"""Style of each verdict on a picture."""


class Box(NamedTuple):
    """A rectangle in pixels of the output picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Its width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Its height."""
        return self.bottom - self.top

    @property
    def side(self) -> float:
        """The shorter side."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Label:
    """A placed label; ``text`` is the number and, if there is room, the verdict."""

    place: Box
    text: str
    verdict: Verdict
    size: int


def place_labels(
    boxes: Sequence[Box], verdicts: Sequence[Verdict], picture: tuple[int, int]
) -> list[Label]:
    """Return a label for each face, all inside the picture, with minimal overlap.

    If even the best position of the whole label overlaps another one, only the number is shown:
    frame and sign also show the verdict.
    """
    frames = np.array(boxes, np.float64).reshape(-1, 4)
    placed: list[Label] = []
    for number, (box, verdict) in enumerate(zip(boxes, verdicts, strict=True), start=1):
        taken = np.array([label.place for label in placed], np.float64).reshape(-1, 4)
        size = _text_size(box, picture)
        for text in (f"{number} {VERDICTS[verdict].word}", f"{number}"):
            places = list(_candidates(box, _label_extent(text, size), picture))
            covered = [_covered_area(place, taken) for place in places]
            costs = [
                10 * labels
                + 2 * _covered_area(place, frames)
                - _covered_area(place, frames[number - 1 :][:1])
                for place, labels in zip(places, covered, strict=True)
            ]
            best = int(np.argmin(costs))
            if not covered[best]:
                break
        placed.append(Label(places[best], text, verdict, size))
    return placed


def _draw_label(draw: ImageDraw.ImageDraw, label: Label) -> None:
    """Draw a label: a plate with a white and black outline, the verdict's sign and the text."""
    look, place = LOOKS[label.verdict], label.place
    draw.rectangle(place, fill=(0, 0, 0))
    draw.rectangle(_inset(place, 1), fill=(255, 255, 255))
    draw.rectangle(_inset(place, 2), fill=look.fill)
    middle = (place.top + place.bottom) / 2
    pad = _label_padding(label.size)
    radius = 0.34 * label.size
    _draw_sign(draw, look, (place.left + pad + radius, middle), radius)
    left = place.left + pad + 2.9 * radius
    draw.text((left, middle), label.text, fill=look.text, font=_font(label.size), anchor="lm")


def _draw_sign(
    draw: ImageDraw.ImageDraw, look: _VerdictStyle, middle: tuple[float, float], radius: float
) -> None:
    x, y = middle
    if look.sign == "disc":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=look.text)
    elif look.sign == "diamond":
        points = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
        draw.polygon(points, fill=look.text)
    else:
        points = [(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)]
        draw.polygon(points, fill=look.text)


def _text_size(box: Box, picture: tuple[int, int]) -> int:
    """Return the height of text in px, scaled to the face within the limits of the picture."""
    wanted, room = 0.17 * max(box.width, box.height), max(picture) / 42
    return round(max(_SMALLEST_TEXT, min(wanted, room, _LARGEST_TEXT)))


def _label_extent(text: str, size: int) -> tuple[float, float]:
    """Return width and height of a label with this text."""
    left, _, right, _ = _font(size).getbbox(text)
    return right - left + 0.34 * size * 2.9 + 2 * _label_padding(size), 1.45 * size + 4


def _label_padding(size: int) -> float:
    return 3 + 0.22 * size


def _candidates(box: Box, extent: tuple[float, float], picture: tuple[int, int]) -> Iterator[Box]:
    """Yield positions around a face by preference: above, below, inside, at the sides."""
    wide, high = extent
    corners = [
        (box.left, box.top - high),
        (box.right - wide, box.top - high),
        (box.left, box.bottom),
        (box.right - wide, box.bottom),
        (box.left, box.top),
        (box.right, box.top),
        (box.left - wide, box.top),
        (box.right, box.bottom - high),
        (box.left - wide, box.bottom - high),
    ]
    for x, y in corners:
        left = min(max(0.0, x), max(0.0, picture[0] - 1 - wide))
        top = min(max(0.0, y), max(0.0, picture[1] - 1 - high))
        yield Box(left, top, left + wide, top + high)


def _covered_area(place: Box, others: Boxes) -> float:
    """Return the area that a position shares with others [N, 4], summed over them."""
    wide = np.minimum(others[:, 2], place.right) - np.maximum(others[:, 0], place.left)
    high = np.minimum(others[:, 3], place.bottom) - np.maximum(others[:, 1], place.top)
    return float((np.maximum(wide, 0) * np.maximum(high, 0)).sum())


def _inset(box: Box, by: float) -> tuple[float, float, float, float]:
    return box.left + by, box.top + by, box.right - by, box.bottom - by


@cache
def _font(size: int) -> Font:
    """Return the font that comes with Pillow, at a height in px."""
    return ImageFont.load_default(size)


LONGEST = 1600
_SMALLEST = 640  # Smaller pictures are enlarged, as no text is legible on 100 px.
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class _Stroke:
    """One axis-aligned segment of a frame, ends included."""

    left: float
    top: float
    right: float
    bottom: float

    def widen(self, by: float) -> tuple[float, float, float, float]:
        """Return the rectangle of the segment with half-width ``by``."""
        return self.left - by, self.top - by, self.right + by, self.bottom + by


def mark_picture(
    pixels: Pixels,
    result: CheckResult,
    *,
    heat_opacity: float | None = None,
    longest: int = LONGEST,
) -> Pixels:
    """Return the picture with a frame, a number and a verdict at each face, uint8 [H', W', 3].

    The longer side is at most ``longest`` and, by enlarging, at least 640 px or ``longest``.
    A solid frame is fake, a dashed one unsure, only corners real, with the words of `VERDICTS`.
    ``heat_opacity`` in [0, 1] overlays heat maps on faces that have one.
    """
    if heat_opacity is not None:
        pixels = overlay_heatmaps(pixels, result, opacity=heat_opacity)
    shown = _resize_for_text(pixels, longest)
    scale = shown.shape[1] / pixels.shape[1]
    image = Image.fromarray(shown)
    draw = ImageDraw.Draw(image)
    height, width = shown.shape[:2]
    boxes = [_scale_box(face.box, scale, (width, height)) for face in result.faces]
    unit = max(1.5, max(width, height) / 400)
    for box, face in zip(boxes, result.faces, strict=True):
        _draw_frame(draw, box, face.verdict, unit)
    labels = place_labels(boxes, [face.verdict for face in result.faces], (width, height))
    for label in labels:
        _draw_label(draw, label)
    return np.asarray(image, np.uint8)


def overlay_heatmaps(pixels: Pixels, result: CheckResult, *, opacity: float) -> Pixels:
    """Return the picture with the heat map of each face that has one, uint8 [H, W, 3]."""
    from faceproof.imaging.heat import heat_overlay

    for face in result.faces:
        if face.heatmap:
            pixels = heat_overlay(
                pixels, face.heatmap.values, face.heatmap.corners, opacity=opacity
            )
    return pixels


def picture_words(result: CheckResult) -> str:
    """Return the alternative text of a marked picture.

    It lists at most twelve faces.
    """
    if not result.faces:
        return "The picture; no face was found in it."
    named = [
        f"face {n} {VERDICTS[face.verdict].word}"
        for n, face in enumerate(result.faces[:12], start=1)
    ]
    more = len(result.faces) - len(named)
    rest = f" and {more} more" if more else ""
    return f"The picture with frames around its faces: {', '.join(named)}{rest}."


def _resize_for_text(pixels: Pixels, longest: int) -> Pixels:
    """Return the picture at a size at which text is legible."""
    side, least = max(pixels.shape[:2]), min(_SMALLEST, longest)
    if side >= least:
        return reduce_to(pixels, longest)
    return resize(pixels, least / side, cv2.INTER_CUBIC)


def _scale_box(box: Sequence[float], scale: float, size: tuple[int, int]) -> Box:
    """Return a face's box in the output picture, clipped and never empty."""
    x, y, width, height = (scale * number for number in box)
    left, top = (min(max(0.0, at), end - 1.0) for at, end in zip((x, y), size, strict=True))
    right, bottom = min(x + width, size[0] - 1.0), min(y + height, size[1] - 1.0)
    return Box(left, top, max(right, left), max(bottom, top))


def _draw_frame(draw: ImageDraw.ImageDraw, box: Box, verdict: Verdict, unit: float) -> None:
    """Draw a coloured frame with a white and black outline, visible on any background."""
    half = unit * LOOKS[verdict].weight / 2
    half = min(half, max(0.5, box.side / 24))
    rim = max(1.0, unit / 2.5)  # at least a pixel each, or one hides the other
    layers = ((half + 2 * rim, _BLACK), (half + rim, _WHITE), (half, LOOKS[verdict].fill))
    strokes = _strokes(box, verdict, unit)
    for by, colour in layers:
        for stroke in strokes:
            draw.rectangle(stroke.widen(by), fill=colour)


def _strokes(box: Box, verdict: Verdict, unit: float) -> list[_Stroke]:
    if verdict == "fake":
        spans = [(0.0, 1.0)]
    elif verdict == "real":
        spans = [(0.0, 0.22), (0.78, 1.0)]
    else:
        spans = _dashes(box.side, 5 * unit)
    return [stroke for start, end in spans for stroke in _sides(box, start, end)]


def _dashes(side: float, length: float) -> list[tuple[float, float]]:
    """Return dashes along a side from 0 to 1, with a full dash at each corner."""
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
