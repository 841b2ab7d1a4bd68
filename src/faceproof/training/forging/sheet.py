"""A sheet of made fakes: real picture, fake and difference, a row for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from faceproof.errors import UsageError
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.training.forging.masks import Pixels
from faceproof.training.forging.table import (
    FORGERIES,
    ForgingResources,
    RealFace,
    validate_forgeries,
)

_GAIN = 8
"""How much stronger than in the fake a difference is drawn."""

_COLUMNS = ("real", "fake", f"difference x {_GAIN}")
_LABEL_PX = 14
_MARGIN = 0.15


def draw_sheet(
    faces: Sequence[RealFace],
    resources: ForgingResources,
    *,
    names: Sequence[str] = tuple(FORGERIES),
    seed: int = 0,
    side: int = 160,
) -> Image.Image:
    """Return a sheet with one row for each name and three cells for each face.

    The cells are face crops of ``side`` px: the real picture, the fake, and the difference around
    a middle grey. The donor of a face is the next one in ``faces``.

    Raises:
        UsageError: there is no face, or only one although a donor is needed.
        UnknownChoiceError: a name is not in `FORGERIES`.
        TrainingError: a kind needs an autoencoder, and there is none.
    """
    validate_forgeries(names, resources)
    needed = 2 if any(FORGERIES[name].needs_donor for name in names) else 1
    if len(faces) < needed:
        raise UsageError(
            f"{len(faces)} faces given, and the sheet needs at least {needed}: give more faces"
        )
    crop = CropSpec(size=side, margin=_MARGIN)
    size = (len(_COLUMNS) * side * len(faces), (side + _LABEL_PX) * len(names))
    sheet = Image.new("RGB", size, "white")
    for row, name in enumerate(names):
        top = row * (side + _LABEL_PX)
        for place, real in enumerate(faces):
            donor = partial(faces.__getitem__, (place + 1) % len(faces))
            fake = FORGERIES[name].make(
                real, donor, np.random.default_rng([seed, place]), resources
            )
            _draw_cells(sheet, name, _cells(real, fake.pixels, crop), (place, top))
    return sheet


def _cells(real: RealFace, fake: Pixels, crop: CropSpec) -> list[Pixels]:
    """Return the crops of the real picture, the fake and their difference, uint8 [S, S, 3]."""
    change = fake.astype(np.int16) - real.pixels
    shown = (128 + _GAIN * change).clip(0, 255).astype(np.uint8)
    return [crop_face(pixels, real.landmarks, crop) for pixels in (real.pixels, fake, shown)]


def _draw_cells(
    sheet: Image.Image, name: str, cells: Sequence[Pixels], corner: tuple[int, int]
) -> None:
    """Draw three cells and what they are, beginning at (face, top)."""
    place, top = corner
    draw = ImageDraw.Draw(sheet)
    side = cells[0].shape[1]
    for column, (title, cell) in enumerate(zip(_COLUMNS, cells, strict=True)):
        left = (place * len(_COLUMNS) + column) * side
        draw.text((left + 3, top + 1), f"{name}: {title}", fill="black")
        sheet.paste(Image.fromarray(cell), (left, top + _LABEL_PX))
