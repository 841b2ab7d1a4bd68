"""The common side: the size that every part of a data set can be brought to without enlarging."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from faceproof.errors import SourceError, UsageError
from faceproof.imaging.decode import load

#: Every picture is reduced, those of the smallest part too: what was never resampled is sharper.
_REDUCED_TO = 0.75
#: Where the manifest does not say how large the pictures are, so many of each part are opened.
_LOOKED_AT = 64


def common_side(table: pl.DataFrame, root: Path) -> int:
    """Return three quarters of the smallest median longest side, in pixels, over class x source.

    Taken from the columns ``width`` and ``height``; where these are not filled, from some pictures
    of each part, chosen by their hashes.

    Raises:
        UsageError: no picture of some part can be opened.
    """
    medians = [
        _median_side(part, root, " ".join(map(str, key)))
        for key, part in table.group_by("label", "source", maintain_order=True)
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


def _median_side(part: pl.DataFrame, root: Path, name: str) -> float:
    """Return the median longest side of one class of one source."""
    sides = _known_sides(part) or _measured_sides(part, root)
    if not sides:
        raise UsageError(
            f"the size of no picture of {name} can be told: see that they can be opened, or give "
            "the common side with --equalise-side N"
        )
    return float(pl.Series(sides).median())  # type: ignore[arg-type]


def _known_sides(part: pl.DataFrame) -> list[int]:
    """Return the longest sides that the manifest knows."""
    if not {"width", "height"} <= set(part.columns):
        return []
    sides = part.select(pl.max_horizontal("width", "height").alias("side"))["side"]
    return sides.drop_nulls().to_list()


def _measured_sides(part: pl.DataFrame, root: Path) -> list[int]:
    """Return the longest sides of some pictures, those that cannot be opened left out."""
    paths = sorted(part["path"], key=lambda path: hashlib.sha256(path.encode()).digest())
    sides = []
    for path in paths[:_LOOKED_AT]:
        try:
            picture = load(root / path)
        except SourceError:
            continue
        sides.append(max(picture.width, picture.height))
    return sides
