"""`CaseFacts` and the blocks of a case report; every renderer renders each block."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from faceproof.detector import OperatingPoint, Verdict
from faceproof.errors import PictureError
from faceproof.imaging.decode import Limits, Pixels, decode
from faceproof.imaging.degradations import encode_jpeg, reduce_to
from faceproof.reports.marked_picture import mark_picture, picture_words
from faceproof.results import CheckedFace, CheckResult, ResavedResult


@dataclass(frozen=True)
class JpegImage:
    """A JPEG file with its size in pixels and its alternative text."""

    data: bytes
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Answer:
    """The verdict on one picture as a headline and a sentence."""

    verdict: Verdict | None
    headline: str
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a ``note`` is highlighted."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of a row is its header."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FactsBlock:
    """Labels and values; hashes and file names are monospaced."""

    rows: tuple[tuple[str, str, Literal["text", "code"]], ...]


@dataclass(frozen=True)
class PictureBlock:
    """A full-width picture with its caption."""

    jpeg: JpegImage
    caption: str


@dataclass(frozen=True)
class Meter:
    """A fake probability on the bands of an operating point, as drawing and text."""

    fake_probability: float
    point: OperatingPoint
    words: str


@dataclass(frozen=True)
class FaceCard:
    """One face: its crop, heat map, verdict and cautions."""

    number: int
    verdict: Verdict
    headline: str
    meter: Meter
    lines: tuple[str, ...]
    cautions: tuple[str, ...]
    crop: JpegImage | None
    heat: JpegImage | None
    heat_words: str


@dataclass(frozen=True)
class Code:
    """Commands, one per line."""

    lines: tuple[str, ...]


Block = Answer | Paragraph | Bullets | Table | FactsBlock | PictureBlock | FaceCard | Code


@dataclass(frozen=True)
class Section:
    """A heading of level 2 or 3 with its blocks; ``name`` is its link anchor."""

    name: str
    title: str
    level: Literal[2, 3]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class CaseFacts:
    """A whole report: its title, question and sections in order."""

    title: str
    question: str
    made: str
    sections: tuple[Section, ...]


_SHOWN_PX = 1200
_CROP_PX = 320
MOST_CROPS = 60
"""Maximum number of face crops per picture; further faces appear only in the picture."""
_AROUND = 1.6  # side of a face's crop over the longer side of its box
_QUALITY = 86
NOT_GIVEN = "This report does not include the picture."
CHANGED = "The file was changed after it was checked: its SHA-256 differs. It is not shown."
_NOT_SHOWN = "The picture cannot be shown."


@dataclass(frozen=True)
class FaceViews:
    """A face crop, and the same with its heat map if there is one."""

    crop: JpegImage
    heat: JpegImage | None


@dataclass(frozen=True)
class Evidence:
    """A result with views of its picture; ``missing`` is the reason if there are none."""

    result: CheckResult
    resaved: tuple[ResavedResult, ...] = ()
    shown: JpegImage | None = None
    faces: tuple[FaceViews, ...] = ()
    missing: str = NOT_GIVEN


def collect_evidence(
    picture: bytes | None,
    result: CheckResult,
    resaved: Sequence[ResavedResult] = (),
    *,
    limits: Limits | None = None,
) -> Evidence:
    """Return the evidence on one picture; ``picture`` is the checked file."""
    bare = Evidence(result, tuple(resaved))
    if picture is None or result.image is None:
        return bare
    if hashlib.sha256(picture).hexdigest() != result.image.sha256:
        return Evidence(result, tuple(resaved), missing=CHANGED)
    try:
        pixels = decode(picture, limits=limits or _sufficient_limits(picture, result)).pixels
    except PictureError:
        return Evidence(result, tuple(resaved), missing=_NOT_SHOWN)
    shown = _encode_picture(mark_picture(pixels, result, longest=_SHOWN_PX), picture_words(result))
    shown_faces = enumerate(result.faces[:MOST_CROPS], start=1)
    views = tuple(_face_views(pixels, face, number) for number, face in shown_faces)
    return Evidence(result, tuple(resaved), shown, views, "")


def _encode_picture(pixels: Pixels, alt: str) -> JpegImage:
    """Return pixels as a JPEG with its alternative text."""
    return JpegImage(encode_jpeg(pixels, _QUALITY), pixels.shape[1], pixels.shape[0], alt)


def _sufficient_limits(picture: bytes, result: CheckResult) -> Limits:
    """Return decoding limits that admit a picture that was already checked."""
    image = result.image
    if image is None:
        return Limits()
    side = max(image.width, image.height)
    return Limits(
        max_bytes=len(picture), max_pixels=image.width * image.height, max_side=max(side, 1)
    )


def _face_views(pixels: Pixels, face: CheckedFace, number: int) -> FaceViews:
    left, top, right, bottom = _square_around(face, pixels.shape)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    crop = _encode_picture(_resize_crop(part), f"Face {number}, cropped from the picture.")
    if face.heatmap is None:
        return FaceViews(crop, None)
    from faceproof.imaging.heat import heat_overlay

    moved = [(x - left, y - top) for x, y in face.heatmap.corners]
    heat = heat_overlay(part, face.heatmap.values, moved, opacity=0.55)
    return FaceViews(
        crop, _encode_picture(_resize_crop(heat), f"Face {number} with its heat map overlaid.")
    )


def _square_around(face: CheckedFace, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return a square around the face, clipped to the picture and never empty."""
    x, y, width, height = face.box
    half = _AROUND * max(width, height) / 2
    middle = x + width / 2, y + height / 2
    left, right = _span(middle[0], half, shape[1])
    top, bottom = _span(middle[1], half, shape[0])
    return left, top, right, bottom


def _span(middle: float, half: float, length: int) -> tuple[int, int]:
    start = int(min(max(0, middle - half), length - 1))
    return start, int(max(start + 1, min(length, middle + half)))


def _resize_crop(pixels: Pixels) -> Pixels:
    """Return a crop of at most `_CROP_PX`, enlarged to at least half of that."""
    side = max(pixels.shape[:2])
    if 2 * side >= _CROP_PX:
        return reduce_to(pixels, _CROP_PX)
    factor = _CROP_PX / 2 / side
    size = tuple(max(1, round(number * factor)) for number in pixels.shape[1::-1])
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
