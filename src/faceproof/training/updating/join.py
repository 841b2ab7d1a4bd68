"""New and old pictures as one prepared folder, with weights that say how often each is drawn."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import write_manifest
from faceproof.data.preparing.folder import FACES, MANIFEST, telling_full_disk
from faceproof.data.preparing.weights import balanced_weights
from faceproof.errors import LeakError, ManifestError
from faceproof.training.updating.sets import PictureSet

NEW, OLD = "new", "replay"
"""The folders of the joined set, and the beginnings of its paths."""


def joined(
    new: PictureSet, old: PictureSet | None, folder: Path, *, replay_share: float
) -> Manifest:
    """Return the manifest of both sets in ``folder``, which training reads; pictures are linked.

    Among the fakes that training draws, ``replay_share`` are old ones; with 0 no old picture is
    learned from, and the old set measures alone.

    Raises:
        LeakError: a group stands in another split of the other set.
        ManifestError: a picture is gone.
        DataError: the folder cannot be written.
    """
    parts = {NEW: new} if old is None else {NEW: new, OLD: old}
    with telling_full_disk(folder):
        tables = [_placed(part, folder, name, replay_share) for name, part in parts.items()]
        table = pl.concat(tables, how="diagonal")
        manifest = _manifest(weighted(table, replay_share=replay_share), folder, parts)
        write_manifest(manifest, folder / MANIFEST)
        faces = [_faces(part, name) for name, part in parts.items()]
        pl.concat(faces).write_parquet(folder / FACES)
    return manifest


def weighted(table: pl.DataFrame, *, replay_share: float) -> pl.DataFrame:
    """Return the table with its column ``weight``: how often a row is drawn within its class.

    New and old fakes have their shares; inside of each, generators have even shares, and so have
    the sources of one generator. Real faces have even shares by source, whether old or new.
    """
    fake = (table["label"] == "fake").to_numpy()
    is_new = table["path"].str.starts_with(f"{NEW}/").to_numpy()
    train = (table["split"] == "train").to_numpy()
    weights = np.ones(table.height)
    shares = {True: 1 - replay_share, False: replay_share}
    for part in (True, False):
        rows = fake & train & (is_new == part)
        weights[rows] = _even(table, rows, ("generator", "source")) * shares[part]
    weights[~fake & train] = _even(table, ~fake & train, ("source",))
    return table.with_columns(weight=pl.Series(weights))


def old_generators(old: PictureSet | None) -> tuple[str, ...]:
    """Return the generators of the old fakes, sorted."""
    if old is None:
        return ()
    fakes = old.manifest.table.filter(pl.col("label") == "fake")
    return tuple(fakes["generator"].unique().sort())


def _even(
    table: pl.DataFrame, rows: npt.NDArray[np.bool_], by: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """Return weights of the chosen rows, float64 [n], that are 1 together; none of none."""
    if not rows.any():
        return np.empty(0)
    weights = balanced_weights(table.filter(pl.Series(rows)), by)
    return np.asarray(weights / weights.sum())


def _placed(part: PictureSet, folder: Path, name: str, replay_share: float) -> pl.DataFrame:
    """Return the rows that are used with their paths in the folder, where their pictures go."""
    table = part.manifest.table.filter(pl.col("split") != "")
    if name == OLD and not replay_share:
        table = table.filter(pl.col("split") != "train")
    for path in table["path"]:
        if not (picture := part.root / path).is_file():
            raise ManifestError(f"{picture} is gone: {part.name} names it; make that set again")
        _link(picture, folder / name / path)
    return table.with_columns(path=pl.concat_str(pl.lit(f"{name}/"), "path"))


def _link(picture: Path, place: Path) -> None:
    """Put the picture in its place, as a link where the file system can do that."""
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture, place)
    except OSError:
        shutil.copyfile(picture, place)


def _manifest(table: pl.DataFrame, folder: Path, parts: dict[str, PictureSet]) -> Manifest:
    try:
        return Manifest(table, root=folder)
    except LeakError as error:
        names = " and ".join(part.name for part in parts.values())
        raise LeakError(
            f"{names} together: {error}. If it is one person or video, give it one split "
            "(`faceproof data split --keep` remembers the old ones); if not, rename the group"
        ) from error


def _faces(part: PictureSet, name: str) -> pl.DataFrame:
    """Return path and landmarks of every picture of a prepared set."""
    faces = pl.read_parquet(part.root / FACES).select("path", "landmarks")
    known = faces.filter(pl.col("path").is_in(part.manifest.table["path"].implode()))
    return known.with_columns(path=pl.concat_str(pl.lit(f"{name}/"), "path")).with_columns(
        pl.col("landmarks").cast(pl.List(pl.Float32))
    )
