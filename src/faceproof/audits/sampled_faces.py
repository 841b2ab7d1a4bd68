"""`read_sampled_faces`: labelled faces with their pixels; `keep_scores`: scores in the folder.

An audit that changes faces needs more than the predictions tables hold. Its scores are kept in the
output folder part by part, so that a stopped audit resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, ValidationError

from faceproof.audits.context import AuditContext, draw_rows, order_rows
from faceproof.data.manifest import Row
from faceproof.detector.spec import Sha256
from faceproof.errors import FaceproofError
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.scored_faces import SAME_AS_ANNOTATED, annotated_box, closest_face
from faceproof.imaging.decode import load
from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import Pixels, Points, crop_face, crop_matrix
from faceproof.imaging.quality import WITHHOLDING, assess
from faceproof.outputs import write_error
from faceproof.records import Document

EACH = 100
"""Faces of each class that are changed; each costs hundreds of passes of the network."""

_SEARCHED = 10
"""Where certain faces are wanted, so many times as many pictures are looked at, and no more."""


@dataclass(frozen=True)
class SampledFace:
    """A labelled face in the pixels uint8 [H, W, 3] of its picture."""

    row: Row
    pixels: Pixels
    face: Face


@dataclass(frozen=True)
class Crop:
    """The crop of a face as the network reads it, uint8 [S, S, 3], and its landmarks there."""

    row: Row
    pixels: Pixels
    points: Points
    """float32 [5, 2] in pixels of the crop"""

    @property
    def group(self) -> str:
        """The group of the picture; a picture without one is its own group."""
        return self.row.group or self.row.path


def draw_faces(context: AuditContext, name: str) -> tuple[Row, ...]:
    """Return at most `EACH` pictures of each class of a sample that got a verdict unchanged.

    All of them if the sample has no limit.
    """
    return draw_rows(
        context.judged(name),
        faces_wanted(context),
        cell=lambda row: (row.label,),
        seed=context.settings.seed,
    )


def faces_wanted(context: AuditContext) -> int | None:
    """Return how many faces of each class are changed, None for all."""
    most = context.settings.most
    return None if most is None else min(most, EACH)


def draw_candidates(context: AuditContext, label: str) -> tuple[Row, ...]:
    """Return the pictures of a class in which `faces_wanted` are sought, in the draw's order."""
    wanted, seed = faces_wanted(context), context.settings.seed
    rows = [row for row in context.selection.rows if row.label == label]
    return tuple(order_rows(rows, seed)[: None if wanted is None else _SEARCHED * wanted])


def read_sampled_faces(context: AuditContext, rows: Sequence[Row]) -> Iterator[SampledFace]:
    """Yield the labelled face of each row that gets a verdict, found as in use.

    Left out are pictures that cannot be read or have changed, those without the face, and faces
    whose verdict a caution withholds: it stays ``unsure`` whatever is done to the picture.
    """
    for row in rows:
        if (found := _read_face(context, row)) is not None:
            yield found


def _read_face(context: AuditContext, row: Row) -> SampledFace | None:
    try:
        picture = load(context.selection.root / row.path).require_whole(row.path)
        if row.sha256 and row.sha256 != picture.sha256:
            return None
        faces = context.find.find(picture.pixels)
    except (FaceproofError, OSError, MemoryError, cv2.error):  # counted as not judged by the caller
        return None
    face = closest_face(faces, annotated_box(row), SAME_AS_ANNOTATED)
    if face is None:
        return None
    cautions = assess(picture.pixels, face, picture.damage).cautions
    return None if WITHHOLDING.intersection(cautions) else SampledFace(row, picture.pixels, face)


def crop_of(context: AuditContext, sampled: SampledFace) -> Crop:
    """Return the crop of a face by the detector's preprocessing, and where its landmarks lie."""
    spec = context.detector.preprocessing.crop
    landmarks = sampled.face.landmarks if context.find.aligned else None
    matrix = crop_matrix(sampled.pixels.shape, landmarks, spec)
    points = sampled.face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    return Crop(sampled.row, crop_face(sampled.pixels, landmarks, spec), points.astype(np.float32))


def row_keys(rows: Iterable[Row]) -> list[list[object]]:
    """Return what identifies the faces of rows, for the ``of`` of `keep_scores`."""
    return [[row.path, *sorted(row.attributes.items())] for row in rows]


class _KeptScores(Document):
    """Scores by name, of the first faces or of all, and the hash of what they are of."""

    schema_: Literal["faceproof.audit-scores/1"] = Field(
        default="faceproof.audit-scores/1", alias="schema"
    )
    of: Sha256
    scores: dict[str, tuple[float | None, ...]]


def keep_scores(
    context: AuditContext,
    name: str,
    of: object,
    number: int,
    make: Callable[[slice], Mapping[str, Floats]],
    *,
    part: int,
    shown: str,
) -> dict[str, Floats]:
    """Return columns of scores of ``number`` faces, float64 [number] with NaN.

    ``make`` returns those of a slice of at most ``part`` faces. What is scored is kept in the
    folder as ``scores-NAME.json`` after each slice, so that a stopped audit resumes there. It is
    made from the start unless it is of the same detector, data and ``of``, which is anything that
    JSON can hold. ``shown`` is the name of the faces on a progress bar.

    Raises:
        OutputError, UsageError: the file cannot be written.
    """
    key = json.dumps([context.detector.sha256, context.selection.sha256, of], sort_keys=True)
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    file = context.folder / f"scores-{name}.json" if context.folder else None
    scores, done = _read_scores(file, sha256)
    if done < number:
        context.progress(shown, 0, number)
    for start in range(done, number, part):
        made = make(slice(start, min(start + part, number)))
        scores = {
            one: np.concatenate([scores.get(one, np.empty(0)), column])
            for one, column in made.items()
        }
        if file:
            _write_scores(file, sha256, scores)
        context.progress(shown, min(start + part, number), number)
    return scores


def _read_scores(file: Path | None, of: str) -> tuple[dict[str, Floats], int]:
    """Return the scores in a file and the number of their faces, none if they are of others."""
    if file is None or not file.is_file():
        return {}, 0
    try:
        kept = _KeptScores.read(file)
    except (OSError, ValidationError):
        return {}, 0  # as a file of something else
    numbers = {len(column) for column in kept.scores.values()}
    if kept.of != of or len(numbers) != 1:
        return {}, 0
    columns = {name: np.array(column, np.float64) for name, column in kept.scores.items()}
    return columns, numbers.pop()


def _write_scores(file: Path, of: str, scores: Mapping[str, Floats]) -> None:
    """Write scores to a file.

    Raises:
        OutputError, UsageError: it cannot be written.
    """
    columns = {
        name: tuple(None if np.isnan(one) else float(one) for one in column)
        for name, column in scores.items()
    }
    try:
        _KeptScores(of=of, scores=columns).write(file)
    except OSError as error:
        raise write_error(file, error) from error
