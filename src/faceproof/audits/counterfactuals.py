"""`score_counterfactuals`: the same face in another file, before another background, or hidden.

A saved copy goes the way of a user's picture: its file is decoded and its face found again. A
changed background or a hidden face keeps the crop of the unchanged picture, as nothing that places
the crop was changed: a face that is found a pixel further would move the logit as well, and a
hidden face is not found at all.

The face is an ellipse over the landmarks, from forehead to chin, with a soft edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceproof.audits.context import AuditContext
from faceproof.audits.sampled_faces import (
    Crop,
    SampledFace,
    crop_of,
    draw_faces,
    keep_scores,
    read_sampled_faces,
    row_keys,
)
from faceproof.data.manifest import Row
from faceproof.detector import calibrate
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.evaluation.scored_faces import SAME_FACE, closest_face
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import jpeg, webp
from faceproof.imaging.preprocessing import (
    TEMPLATE_112,
    Pixels,
    network_input,
    prepare,
    similarity,
)

UNCHANGED = "unchanged"
LOSSLESS = ("png", "bmp", "webp-lossless")
"""Files of the same pixels, of other formats and sizes: the logit cannot move."""

_GREY = 128
_CENTRE, _AXES = (56.0, 66.0), (44.0, 56.0)
"""The ellipse of the face in the frame of `TEMPLATE_112`."""
_EDGE = 2.0
_BLUR = 1 / 8
"""Of the crop's side, as in the deletion test of heat maps."""
_PART = 8
"""Faces that are scored together; the scores are kept after each part."""


def _save(pixels: Pixels, **how: object) -> Pixels:
    """Return the picture after a save by Pillow and our own decoder."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, **how)  # type: ignore[arg-type]
    return decode(file.getvalue()).pixels


SAVED: Mapping[str, Callable[[Pixels], Pixels]] = {
    "png": partial(_save, format="PNG", compress_level=1),
    "bmp": partial(_save, format="BMP"),
    "webp-lossless": partial(_save, format="WEBP", lossless=True, quality=0, method=0),
    "jpeg-95": partial(jpeg, quality=95),
    "jpeg-75": partial(jpeg, quality=75),
    "jpeg-50": partial(jpeg, quality=50),
    "webp-75": partial(webp, quality=75),
}
"""How the same picture is saved otherwise."""


def _blur(crop: Pixels) -> Pixels:
    sigma = _BLUR * crop.shape[0]
    soft = cv2.GaussianBlur(crop, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(soft, np.uint8)


def _plain(crop: Pixels) -> Pixels:
    return np.full_like(crop, _GREY)


BACKGROUNDS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "background-grey": _plain,
    "background-blurred": _blur,
}
"""What the background becomes: with grey, the face is all that is left."""

HIDDEN: Mapping[str, Callable[[Pixels], Pixels]] = {"face-grey": _plain, "face-blurred": _blur}
"""What the face becomes: with grey, the background is all that is left."""

SWAPS = {"background-of-real": False, "background-of-fake": True}
"""The face before the background of another picture of the sample, by whether that is fake."""

VARIANTS = (*SAVED, *BACKGROUNDS, *SWAPS, *HIDDEN)
"""All counterfactuals, in the order of the tables."""


@dataclass(frozen=True)
class Counterfactuals:
    """The judged faces with their logits float64 [N] by variant, NaN where there is none."""

    fake: Bools
    groups: NDArray[np.str_]
    logits: Mapping[str, Floats]

    def probabilities(self, context: AuditContext, name: str) -> Floats:
        """Return the calibrated probabilities under a variant, float64 [N] with NaN."""
        return calibrate(self.logits[name], context.detector.spec.calibration)


def score_counterfactuals(context: AuditContext) -> Counterfactuals:
    """Return the faces of pictures drawn from the clean sample under each of `VARIANTS`."""
    rows, seed = draw_faces(context, "clean"), context.settings.seed
    key = [row_keys(rows), seed]
    copies = keep_scores(
        context,
        "shortcuts",
        key,
        len(rows),
        lambda part: _score_saved(context, rows[part]),
        part=_PART,
        shown="counterfactual",
    )
    judged = ~np.isnan(copies.get(UNCHANGED, np.empty(0)))
    own = [row for row, known in zip(rows, judged, strict=True) if known]
    changes = _Changes(context, own)
    changed = keep_scores(
        context,
        "backgrounds",
        key,
        len(own),
        changes.score,
        part=_PART,
        shown="changed background",
    )
    return Counterfactuals(
        fake=np.array([row.is_fake for row in own], dtype=bool),
        groups=np.array([row.group or row.path for row in own], np.str_),
        logits={name: column[judged] for name, column in copies.items()} | changed,
    )


def _score_saved(context: AuditContext, rows: Sequence[Row]) -> dict[str, Floats]:
    """Return the logits of the rows' faces unchanged and in saved copies, NaN where not found."""
    scores = {name: np.full(len(rows), np.nan) for name in (UNCHANGED, *SAVED)}
    place = {id(row): at for at, row in enumerate(rows)}
    for sampled in read_sampled_faces(context, rows):
        for name, logit in _score_copies(context, sampled).items():
            scores[name][place[id(sampled.row)]] = logit
    return scores


class _Changes:
    """Faces before other backgrounds, or hidden; a background may come from any of the faces."""

    def __init__(self, context: AuditContext, rows: Sequence[Row]) -> None:
        self._context, self._rows = context, rows

    @cached_property
    def _changed(self) -> dict[str, list[Pixels | None]]:
        """Each variant of the crop of every row; None without a donor, or if it is gone."""
        read = read_sampled_faces(self._context, self._rows)
        crops = {id(sampled.row): crop_of(self._context, sampled) for sampled in read}
        changed = _change_crops([*crops.values()], self._context.settings.seed)
        return {
            name: [known.get(id(row)) for row in self._rows]
            for name, pixels in changed.items()
            for known in [dict(zip(crops, pixels, strict=True))]
        }

    def score(self, part: slice) -> dict[str, Floats]:
        """Return the logits of a part of the faces by variant, NaN without a donor."""
        return {name: self._judge(changed[part]) for name, changed in self._changed.items()}

    def _judge(self, crops: Sequence[Pixels | None]) -> Floats:
        detector = self._context.detector
        logits = np.full(len(crops), np.nan)
        if known := {at: pixels for at, pixels in enumerate(crops) if pixels is not None}:
            inputs = network_input(np.stack([*known.values()]), detector.preprocessing.input)
            logits[[*known]] = detector.logits(inputs)
        return logits


def _score_copies(context: AuditContext, sampled: SampledFace) -> dict[str, float]:
    """Return the logit of the face as it is, and in each saved copy in which it is found."""
    spec, find = context.detector.preprocessing, context.find
    inputs = {UNCHANGED: network_input(crop_of(context, sampled).pixels, spec.input)}
    for name, save in SAVED.items():
        copy = save(sampled.pixels)
        face = closest_face(find.find(copy), sampled.face.box, SAME_FACE)
        if face is not None:
            inputs[name] = prepare(copy, face.landmarks if find.aligned else None, spec)
    logits = context.detector.logits(np.stack(list(inputs.values())))
    return dict(zip(inputs, logits.tolist(), strict=True))


def _change_crops(crops: Sequence[Crop], seed: int) -> dict[str, list[Pixels | None]]:
    """Return each crop with another background, or without its face; None without a donor."""
    changed: dict[str, list[Pixels | None]] = {name: [] for name in (*BACKGROUNDS, *SWAPS, *HIDDEN)}
    rng = np.random.default_rng(seed)
    for crop in crops:
        mask = face_ellipse(crop)
        for name, fill in BACKGROUNDS.items():
            changed[name].append(_blend(crop.pixels, fill(crop.pixels), mask))
        for name, fill in HIDDEN.items():
            changed[name].append(_blend(fill(crop.pixels), crop.pixels, mask))
        for name, fake in SWAPS.items():
            donor = _draw_donor(crop, crops, rng, fake=fake)
            changed[name].append(
                None if donor is None else _blend(crop.pixels, _align(donor, crop), mask)
            )
    return changed


def face_ellipse(crop: Crop) -> NDArray[np.float32]:
    """Return the weight of the face in a crop, float32 [S, S, 1] in [0, 1]."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.array(_CENTRE) + np.array(_AXES) * np.column_stack([np.cos(turn), np.sin(turn)])
    matrix = similarity(TEMPLATE_112, crop.points.astype(np.float64))
    polygon = outline @ matrix[:, :2].T + matrix[:, 2]
    canvas = np.zeros(crop.pixels.shape[:2], np.float32)
    cv2.fillPoly(canvas, [np.rint(16 * polygon).astype(np.int32)], 1.0, shift=4)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.3, _EDGE * scale))
    return np.asarray(soft, np.float32)[..., None]


def _draw_donor(
    crop: Crop, crops: Sequence[Crop], rng: np.random.Generator, *, fake: bool
) -> Crop | None:
    """Return a random crop of a class and of another group; None if there is none."""
    others = [one for one in crops if one.row.is_fake == fake and one.group != crop.group]
    return others[int(rng.integers(len(others)))] if others else None


def _align(donor: Crop, crop: Crop) -> Pixels:
    """Return the donor's crop, moved so that its landmarks lie on those of ``crop``."""
    matrix = similarity(donor.points.astype(np.float64), crop.points.astype(np.float64))
    size = (crop.pixels.shape[1], crop.pixels.shape[0])
    moved = cv2.warpAffine(donor.pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _blend(front: Pixels, back: Pixels, mask: NDArray[np.float32]) -> Pixels:
    mixed = mask * front.astype(np.float32) + (1 - mask) * back.astype(np.float32)
    return np.asarray(np.rint(mixed).clip(0, 255), np.uint8)
