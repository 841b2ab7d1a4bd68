"""`worst_errors`: the faces that a detector got most wrong, and small pictures of them.

A picture is shown beside its heat map, where the detector has one. Pictures are read from the data
folder; one that cannot be read is left out with its reason.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from faceproof.detector import Detector
from faceproof.errors import FaceproofError, NoHeatMapError
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.evaluation.predict import verdict_at
from faceproof.evaluation.predictions import Prediction, rows_of
from faceproof.evaluation.scored_faces import FACES, closest_face, degrade
from faceproof.imaging.decode import Pixels, load
from faceproof.imaging.degradations import resize
from faceproof.imaging.heat import crop_corners, heat_overlay
from faceproof.imaging.preprocessing import prepare
from faceproof.reports.report import WorstError
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 12
"""Faces of each class at most, one of each group."""

SIDE = 144
"""Longest side of a small picture in px."""

_QUALITY = 72
_AROUND = 0.35
"""How much of a face's size is shown around it."""


@dataclass(frozen=True)
class SmallPicture:
    """The face of a wrong verdict as JPEG in base64, and its heat map; or why there is none."""

    picture: str = ""
    heat: str = ""
    reason: str = ""


def worst_errors(predictions: pa.Table, evaluation: Evaluation) -> tuple[WorstError, ...]:
    """Return real faces called fake and fakes called real, those furthest from the truth first.

    They are of the first condition, at most `MOST` of each class and one of each group.
    """
    point, condition = evaluation.operating_point, evaluation.conditions[0]
    found: dict[str, list[Prediction]] = {"real": [], "fake": []}
    for row in rows_of(predictions):
        called = verdict_at(point, row.fake_probability, row.cautions.split(","))
        if (
            row.condition == condition
            and row.label in found
            and called
            not in {
                None,
                "unsure",
                row.label,
            }
        ):
            found[row.label].append(row)
    found["real"].sort(key=lambda row: -(row.fake_probability or 0))
    found["fake"].sort(key=lambda row: row.fake_probability or 0)
    return tuple(_error(row) for rows in found.values() for row in _one_of_each_group(rows))


def _one_of_each_group(rows: Sequence[Prediction]) -> list[Prediction]:
    first = {row.group or row.path: row for row in reversed(rows)}
    kept = set(map(id, first.values()))
    return [row for row in rows if id(row) in kept][:MOST]


def _error(row: Prediction) -> WorstError:
    return WorstError(
        path=row.path,
        label="fake" if row.label == "fake" else "real",
        generator=row.generator,
        source=row.source,
        condition=row.condition,
        fake_probability=row.fake_probability or 0.0,
        box=row.box,
    )


def small_pictures(
    errors: Sequence[WorstError], root: Path, faces: str, detector: Detector | None = None
) -> list[SmallPicture]:
    """Return the pictures of errors from the data folder; with a detector also their heat maps.

    ``faces`` is the choice of `FACES` with which they were judged.
    """
    return [_small_picture(one, root, faces, detector) for one in errors]


def _small_picture(
    error: WorstError, root: Path, faces: str, detector: Detector | None
) -> SmallPicture:
    try:
        pixels = degrade(load(root / error.path), error.condition)
        heat = None if detector is None else _heat(pixels, error, faces, detector)
    except (FaceproofError, OSError, MemoryError, cv2.error) as problem:
        return SmallPicture(
            reason=problem.code if isinstance(problem, FaceproofError) else "unreadable"
        )
    shown = _around(error.box, pixels.shape)
    return SmallPicture(_encode(pixels[shown]), "" if heat is None else _encode(heat[shown]))


def _heat(pixels: Pixels, error: WorstError, faces: str, detector: Detector) -> Pixels | None:
    """Return the picture with the heat map over the face that was judged, None without one."""
    search = choose(FACES, faces, what="choice of faces")()
    face = closest_face(search.find(pixels), error.box, 0.0)
    if face is None:
        return None
    landmarks = face.landmarks if search.aligned else None
    inputs = prepare(pixels, landmarks, detector.preprocessing)[None]
    try:
        _, maps = detector.map_evidence(inputs)
    except NoHeatMapError:
        return None
    corners = crop_corners(pixels.shape, landmarks, detector.preprocessing.crop)
    return heat_overlay(pixels, maps[0], corners)


def _around(
    box: tuple[float, float, float, float] | None, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return the part of a picture around a face; all of it without a box."""
    if box is None:
        return slice(0, shape[0]), slice(0, shape[1])
    x, y, width, height = box
    more = _AROUND * max(width, height)
    ends = ((y - more, y + height + more, shape[0]), (x - more, x + width + more, shape[1]))
    down, across = (slice(int(max(0, low)), int(min(end, high)) + 1) for low, high, end in ends)
    return down, across


def _encode(pixels: Pixels) -> str:
    """Return a picture as a small JPEG in base64, without metadata."""
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    small = resize(pixels, scale, cv2.INTER_AREA) if scale < 1 else pixels
    made = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(small)).save(made, "JPEG", quality=_QUALITY, optimize=True)
    return base64.b64encode(made.getvalue()).decode()


def caption_words(error: WorstError) -> str:
    """Return what a picture of an error shows, for its caption and alternative text."""
    made = f" of {error.generator}" if error.label == "fake" else ""
    called = "real" if error.label == "fake" else "fake"
    return (
        f"{error.label}{made}, called {called}: fake probability {error.fake_probability:.3f}, "
        f"{error.source}, {error.path}"
    )


def missing_reasons(pictures: Sequence[SmallPicture]) -> Iterator[str]:
    """Yield why pictures are missing, each reason once."""
    yield from dict.fromkeys(one.reason for one in pictures if one.reason)
