"""`read_faces`: the faces of a picture under each condition, cropped for the network.

The labelled face is the one in the manifest's box, or the largest of the undegraded picture. In a
degraded picture the faces are searched again, and the labelled one is that which overlaps most
with its place in the undegraded picture. Where none overlaps enough, the face is lost: a row
without a verdict, never another person's.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceproof.data.manifest import Row
from faceproof.errors import (
    CorruptPictureError,
    FaceproofError,
    ManifestError,
    PictureTooLargeError,
    SourceError,
)
from faceproof.evaluation.predictions import Box, Status
from faceproof.imaging.decode import Picture, load
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import Face, FaceFinder, YuNet, whole_picture_face
from faceproof.imaging.preprocessing import Preprocessing, prepare
from faceproof.imaging.quality import WITHHOLDING, assess

Pixels = NDArray[np.uint8]
Shape = tuple[int, ...]

BOX_COLUMNS = ("box_x", "box_y", "box_width", "box_height")
"""Columns of a manifest with the labelled face, in pixels of the upright picture."""

CHANGED, LOST, NO_FACE = "changed_file", "face_lost", "no_face"
"""Reasons of rows without an answer; the others are codes of `faceproof.errors`."""

SAME_FACE = 0.5
"""Least intersection over union of one face in two pictures."""
SAME_AS_ANNOTATED = 0.3
"""The same for annotated boxes, which are drawn tighter or wider than a finder's."""


@dataclass(frozen=True)
class FaceSearch:
    """How the faces of uint8 [H, W, 3] pixels are found, the largest first.

    ``aligned``: a face is cropped by its landmarks; otherwise the picture is the crop.
    """

    find: Callable[[Pixels], Sequence[Face]]
    aligned: bool = True


def search_faces(finder: FaceFinder | None = None) -> FaceSearch:
    """Return the search for all faces of a picture."""
    return FaceSearch((finder or YuNet()).find)


def take_whole_picture() -> FaceSearch:
    """Return the search for pictures that are already face crops."""
    return FaceSearch(lambda pixels: [whole_picture_face(pixels)], aligned=False)


FACES: dict[str, Callable[[], FaceSearch]] = {
    "largest": search_faces,
    "whole": take_whole_picture,
}
"""Which face of a picture is judged."""


@dataclass(frozen=True)
class ScoredFace:
    """A face under a condition with its network input, or why there is none.

    ``labelled`` is False for a face that the manifest has no label for.
    """

    row: Row
    number: int
    condition: str
    status: Status = "ok"
    reason: str = ""
    labelled: bool = True
    box: Box | None = None
    cautions: tuple[str, ...] = ()
    input: NDArray[np.float32] | None = None


def read_faces(
    root: Path,
    search: FaceSearch,
    spec: Preprocessing,
    conditions: Sequence[str],
    rows: Sequence[Row],
    *,
    others: bool = False,
) -> list[ScoredFace]:
    """Return the labelled face of each row of one picture under each condition.

    ``others`` adds the faces without a label. A file that is broken, missing or not the one of
    the manifest gives rows without an answer.
    """
    try:
        picture = load(root / rows[0].path).require_whole(rows[0].path)
        changed = [bool(row.sha256) and row.sha256 != picture.sha256 for row in rows]
        if any(changed):
            return _without_answer(rows, conditions, CHANGED)
        return list(_Reader(picture, search, spec, rows, others=others).read(conditions))
    except (FaceproofError, OSError, MemoryError, cv2.error) as error:
        return _without_answer(rows, conditions, _code(error))


def _without_answer(
    rows: Sequence[Row], conditions: Sequence[str], reason: str
) -> list[ScoredFace]:
    return [
        ScoredFace(row, number, condition, "error", reason)
        for number, row in enumerate(rows)
        for condition in conditions
    ]


def _code(error: Exception) -> str:
    """Return the stable code of an error; those of other libraries have that of their kind."""
    if isinstance(error, FaceproofError):
        return error.code
    if isinstance(error, MemoryError):
        return PictureTooLargeError.code
    return SourceError.code if isinstance(error, OSError) else CorruptPictureError.code


@dataclass(frozen=True)
class _Place:
    """Where a labelled face is in the undegraded picture, and what withholds its verdict."""

    box: Box | None
    enough: float = SAME_FACE
    withholding: tuple[str, ...] = ()


class _Reader:
    """Reads the faces of one picture with one or more labelled faces."""

    def __init__(
        self,
        picture: Picture,
        search: FaceSearch,
        spec: Preprocessing,
        rows: Sequence[Row],
        *,
        others: bool,
    ) -> None:
        self._picture, self._search, self._spec = picture, search, spec
        self._rows, self._others = rows, others
        self._clean = search.find(picture.pixels)
        self._places = [self._find_place(row) for row in rows]

    def read(self, conditions: Sequence[str]) -> Iterator[ScoredFace]:
        """Yield the faces with a label by row and condition, then those without."""
        found = [self._read_condition(name) for name in conditions]
        for number in range(len(self._rows)):
            yield from (faces[number] for faces in found)
        for faces in found:
            yield from faces[len(self._rows) :]

    def _read_condition(self, condition: str) -> list[ScoredFace]:
        """Return the faces under one condition: one with a label for each row, then the rest."""
        pixels, faces = self._degrade(condition)
        matched = [
            closest_face(faces, self._move(place.box, condition, pixels), place.enough)
            for place in self._places
        ]
        made = []
        for number, (row, place, face) in enumerate(
            zip(self._rows, self._places, matched, strict=True)
        ):
            if face is None:
                reason = LOST if faces else NO_FACE
                made.append(ScoredFace(row, number, condition, "no_face", reason))
                continue
            scored = self._score(row, number, condition, pixels, face)
            cautions = dict.fromkeys((*scored.cautions, *place.withholding))
            made.append(replace(scored, cautions=tuple(cautions)))
        if self._others:
            rest = (one for one in faces if not any(one is face for face in matched))
            for number, face in enumerate(rest, start=len(self._rows)):
                other = self._score(self._rows[0], number, condition, pixels, face)
                made.append(replace(other, labelled=False))
        return made

    def _find_place(self, row: Row) -> _Place:
        """Return the place of a row's face in the undegraded picture."""
        marked = annotated_box(row)
        face = closest_face(self._clean, marked, SAME_AS_ANNOTATED)
        if face is None:
            return _Place(marked, SAME_AS_ANNOTATED)
        cautions = assess(self._picture.pixels, face, self._picture.damage).cautions
        return _Place(face.box, withholding=tuple(one for one in cautions if one in WITHHOLDING))

    def _degrade(self, condition: str) -> tuple[Pixels, Sequence[Face]]:
        """Return the degraded picture and its faces."""
        if condition == "clean":
            return self._picture.pixels, self._clean
        degraded = degrade(self._picture, condition)
        return degraded, self._search.find(degraded)

    def _move(self, box: Box | None, condition: str, degraded: Pixels) -> Box | None:
        """Return the place of a box of the undegraded picture in the degraded one."""
        if box is None:
            return None
        return move_box(box, condition, self._picture.pixels.shape, degraded.shape)

    def _score(
        self, row: Row, number: int, condition: str, pixels: Pixels, face: Face
    ) -> ScoredFace:
        points = face.landmarks if self._search.aligned else None
        return ScoredFace(
            row,
            number,
            condition,
            box=face.box,
            cautions=assess(pixels, face).cautions,
            input=prepare(pixels, points, self._spec),
        )


def degrade(picture: Picture, condition: str) -> Pixels:
    """Return the pixels of a picture under a condition; the same picture gives the same pixels."""
    seed = [int(picture.sha256[:16], 16), zlib.crc32(condition.encode())]
    return DEGRADATIONS[condition](picture.pixels, np.random.default_rng(seed))


def _crop(box: Box, shape: Shape, share: float) -> tuple[Box, Shape]:
    """Return a box in the middle of a picture, ``share`` of its sides, and that part's shape."""
    height, width = (max(1, round(share * side)) for side in shape[:2])
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    return (box[0] - left, box[1] - top, box[2], box[3]), (height, width)


def _rotate(box: Box, shape: Shape, degrees: float) -> tuple[Box, Shape]:
    """Return a box whose middle turned anticlockwise about that of the picture; size kept."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x = box[0] + (box[2] - shape[1]) / 2
    y = box[1] + (box[3] - shape[0]) / 2
    across, down = x * cosine + y * sine, y * cosine - x * sine
    left, top = across + (shape[1] - box[2]) / 2, down + (shape[0] - box[3]) / 2
    return (left, top, box[2], box[3]), shape


def _mirror(box: Box, shape: Shape, _: float) -> tuple[Box, Shape]:
    return (shape[1] - box[0] - box[2], box[1], box[2], box[3]), shape


_MOVES: dict[str, Callable[[Box, Shape, float], tuple[Box, Shape]]] = {
    "crop": _crop,
    "rotate": _rotate,
    "mirror": _mirror,
}
"""Conditions that move a face, by the first word of their name; the others at most scale it."""


def move_box(box: Box, condition: str, before: Shape, after: Shape) -> Box:
    """Return a box of a picture [H, W, ...] in the picture that a condition makes of it.

    >>> move_box((10, 20, 30, 40), "resize-0.5+jpeg-60", (100, 200, 3), (50, 100, 3))
    (5.0, 10.0, 15.0, 20.0)
    >>> move_box((10, 20, 30, 40), "mirror", (100, 200, 3), (100, 200, 3))
    (160.0, 20.0, 30.0, 40.0)
    """
    for step in condition.split("+"):
        kind, _, amount = step.partition("-")
        if kind in _MOVES:
            box, before = _MOVES[kind](box, before, float(amount or 0))
    across, down = after[1] / before[1], after[0] / before[0]
    return (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


def closest_face(faces: Sequence[Face], target: Box | None, enough: float) -> Face | None:
    """Return the face that overlaps most with a box, None below ``enough``.

    The overlap is the intersection over union. Without a box the first face is returned, which is
    the largest.
    """
    if target is None:
        return faces[0] if faces else None
    best = max(faces, key=lambda face: intersection_over_union(face.box, target), default=None)
    return best if best and intersection_over_union(best.box, target) >= enough else None


def intersection_over_union(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes (x, y, width, height), in [0, 1].

    >>> intersection_over_union((0, 0, 2, 2), (1, 0, 2, 2))
    0.3333333333333333
    """
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    together = one[2] * one[3] + other[2] * other[3] - shared
    return shared / together if together > 0 else 0.0


def annotated_box(row: Row) -> Box | None:
    """Return the box of a row's face from the manifest, None without one.

    Raises:
        ManifestError: the columns are not four numbers with a positive width and height.

    >>> known = dict(zip(BOX_COLUMNS, "1234"))
    >>> annotated_box(Row("a.png", "real", "none", "s", "g", "", attributes=known))
    (1.0, 2.0, 3.0, 4.0)
    """
    given = [row.attributes.get(name, "") for name in BOX_COLUMNS]
    if not any(given):
        return None
    try:
        x, y, width, height = (float(value) for value in given)
    except ValueError:
        x = y = width = height = np.nan
    if not (np.isfinite([x, y]).all() and 0 < width < np.inf and 0 < height < np.inf):
        shown = ", ".join(
            f"{name} {value!r}" for name, value in zip(BOX_COLUMNS, given, strict=True)
        )
        raise ManifestError(
            f"{row.path}: the box must be four numbers in pixels, width and height above 0; "
            f"it is {shown}"
        )
    return (x, y, width, height)


def group_by_picture(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Return the rows of each picture together, in the order of each picture's first row.

    Raises:
        ManifestError: a box is wrong, or a picture has several rows that do not differ in it.
    """
    pictures: dict[str, list[Row]] = {}
    for row in rows:
        pictures.setdefault(row.path, []).append(row)
    boxes: Mapping[str, list[Box | None]] = {
        path: [annotated_box(row) for row in own] for path, own in pictures.items()
    }
    for path, found in boxes.items():
        if len(found) > 1 and (None in found or len(set(found)) < len(found)):
            raise ManifestError(
                f"{path} has {len(found)} rows; remove duplicates, or name the face of each row "
                f"in the columns {', '.join(BOX_COLUMNS)}"
            )
    return [tuple(own) for own in pictures.values()]
