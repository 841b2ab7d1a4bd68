"""The common side: the size that every part of a data set can be brought to without enlarging."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from faceproof.data.preparing.pictures import side_that_counts
from faceproof.data.preparing.spec import PicturesSpec
from faceproof.errors import SourceError, UsageError
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder

#: Every picture is reduced, those of the smallest part too: what was never resampled is sharper.
_REDUCED_TO = 0.75
#: So many pictures of each part are opened, chosen by their paths' hashes.
_LOOKED_AT = 100


def common_side(table: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder) -> int:
    """Return three quarters of the smallest median side, in pixels, over class x source.

    It is the side of faces, or where whole pictures are kept, their longest side.

    Raises:
        UsageError: no picture of some part can be opened, or none shows a face.
    """
    parts = table.group_by("label", "source", maintain_order=True)
    medians = [
        _median_side(part, root, spec, finder, " ".join(map(str, key))) for key, part in parts
    ]
    return round(_REDUCED_TO * min(medians))


def refuse_one_class(table: pl.DataFrame) -> None:
    """Refuse a set of one class: there is nothing to be equal to.

    Raises:
        UsageError: all rows have one label.
    """
    labels = table["label"].unique().to_list()
    if len(labels) < 2:
        only = f"all {len(table)} rows are {labels[0]}" if labels else "there are no rows"
        raise UsageError(
            f"--equalise brings both classes to one history, but {only}: name a manifest of the "
            "other class too, or give the common side with --equalise-side N and prepare the other "
            "class with the same options"
        )


def _median_side(
    part: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder, name: str
) -> float:
    """Return the median side of one class of one source."""
    sides = list(_sides(part, root, spec, finder))
    if not sides:
        raise UsageError(
            f"no picture of {name} can be opened and shows a face: look at them, or give the "
            "common side with --equalise-side N"
        )
    return float(np.median(sides))


def _sides(
    part: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder
) -> Iterator[float]:
    """Yield the sides of some pictures; those without a face and broken ones are left out."""
    paths = sorted(part["path"], key=lambda path: hashlib.sha256(path.encode()).digest())
    for path in paths[:_LOOKED_AT]:
        try:
            pixels = load(root / path).pixels
        except SourceError:
            continue
        if faces := finder.find(pixels):
            yield side_that_counts(pixels, faces[0].landmarks, spec)
