"""Which pictures of feedback an update has already: by their bytes, or by how they look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from faceproof.data.duplicates import (
    NEAR_BITS,
    Bytes,
    hash_array,
    near_pairs_between,
    perceptual_hash,
)
from faceproof.errors import SourceError
from faceproof.evaluation.feedback_set import FeedbackSet
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.training.updating.lookalike import Pixels, candidates, same_face
from faceproof.training.updating.sets import PictureSet, record_of

_HASHES = ("sha256", "origin_sha256")
_IS_HASH = pl.col("phash").str.contains("^[0-9a-f]{64}$").fill_null(value=False)


def known_pictures(
    found: FeedbackSet, sets: Sequence[PictureSet], *, finder: FaceFinder
) -> set[str]:
    """Return the paths of pictures that the update learns from, chooses on or is tested with.

    The same file is known by its SHA-256, before it was prepared or after. One saved again is known
    by how it looks, its faces cut as that set was, as far as the set has perceptual hashes
    (`unhashed` counts the rest).
    """
    digests = {digest for part in sets for digest in _digests(part.manifest.table)}
    same = {case.path for case in found.cases if case.row.sha256 in digests}
    rest = sorted({case.path for case in found.cases} - same)
    alike = (path for part in sets for path in _alike(found.root, rest, part, finder))
    return same | set(alike)


def unhashed(sets: Iterable[PictureSet]) -> int:
    """Return how many pictures of the sets have no perceptual hash to compare with."""
    return sum(len(part.manifest) - _hashed(part).height for part in sets)


def _digests(table: pl.DataFrame) -> Iterator[str]:
    for name in _HASHES:
        if name in table.columns:
            yield from table[name]


def _hashed(part: PictureSet) -> pl.DataFrame:
    """Return the rows of a set that have a perceptual hash."""
    table = part.manifest.table
    return table.filter(_IS_HASH) if "phash" in table.columns else table.clear()


def _alike(root: Path, paths: Sequence[str], part: PictureSet, finder: FaceFinder) -> Iterator[str]:
    """Yield the paths of pictures that look like one of a set."""
    rows = _hashed(part)
    if rows.is_empty():
        return
    known = hash_array(rows["phash"])
    files = [part.root / name for name in rows["path"]]
    crop = _crop(part)
    for path in paths:
        pixels = _pixels(root / path)
        if pixels is None:
            continue
        if crop is None:
            found = len(near_pairs_between(_look(pixels), known, distance=NEAR_BITS)) > 0
        else:
            cuts = [crop_face(pixels, face.landmarks, crop) for face in finder.find(pixels)]
            found = any(_is_cut_there(cut, known, files) for cut in cuts)
        if found:
            yield path


def _crop(part: PictureSet) -> CropSpec | None:
    """Return how a set's pictures were cut, None where they are whole: its hashes are of those."""
    known = record_of(part.root)
    return None if known is None or known.spec.keep != "crop" else known.spec.crop


def _is_cut_there(cut: Pixels, known: Bytes, files: Sequence[Path]) -> bool:
    """Return whether a cut-out face is one of those in files, whose hashes are known."""
    rows = candidates(perceptual_hash(cut), known)
    others = (_pixels(files[row]) for row in rows)
    return any(other is not None and same_face(other, cut) for other in others)


def _look(pixels: Pixels) -> Bytes:
    return np.frombuffer(perceptual_hash(pixels), np.uint8).reshape(1, -1)


def _pixels(path: Path) -> Pixels | None:
    """Return the pixels of a picture, None where it cannot be read: it is not judged either."""
    try:
        return load(path).pixels
    except SourceError:
        return None
