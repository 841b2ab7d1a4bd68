"""`read_sampled_faces`: labelled faces with their pixels; `keep_scores`: scores in the folder.

An audit that changes faces needs more than the predictions tables hold. Its scores are kept in the
output folder, so that a stopped audit resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, ValidationError

from faceproof.audits.context import AuditContext, draw_rows
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
"""Pictures of each class whose faces are changed; each costs hundreds of passes of the network."""


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
    """Return at most `EACH` pictures of each class of a sample, all of them if it has no limit."""
    most = context.settings.most
    return draw_rows(
        context.sample(name),
        None if most is None else min(most, EACH),
        cell=lambda row: (row.label,),
        seed=context.settings.seed,
    )


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


class _KeptScores(Document):
    """Scores by name, and the hash of what they are of."""

    schema_: Literal["faceproof.audit-scores/1"] = Field(
        default="faceproof.audit-scores/1", alias="schema"
    )
    of: Sha256
    scores: dict[str, tuple[float | None, ...]]


def keep_scores(
    context: AuditContext,
    name: str,
    of: object,
    make: Callable[[], Mapping[str, Floats]],
) -> dict[str, Floats]:
    """Return the columns of scores, float64 with NaN, that ``make`` returns or the folder holds.

    They are kept as ``scores-NAME.json``, and made again unless they are of the same detector,
    data and ``of``, which is anything that JSON can hold.

    Raises:
        OutputError, UsageError: the file cannot be written.
    """
    key = json.dumps([context.detector.sha256, context.selection.sha256, of], sort_keys=True)
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    file = context.folder / f"scores-{name}.json" if context.folder else None
    if file and file.is_file():
        try:
            kept = _KeptScores.read(file)
        except (OSError, ValidationError):
            kept = None  # as a file of something else
        if kept and kept.of == sha256:
            return {name: np.array(column, np.float64) for name, column in kept.scores.items()}
    made = dict(make())
    if file:
        scores = {
            name: tuple(None if np.isnan(one) else float(one) for one in column)
            for name, column in made.items()
        }
        try:
            _KeptScores(of=sha256, scores=scores).write(file)
        except OSError as error:
            raise write_error(file, error) from error
    return made
