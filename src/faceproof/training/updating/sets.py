"""`PictureSet`: new and old pictures of an update, read, split, checked and prepared."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.preparing import (
    FinishSpec,
    PicturesSpec,
    PreparationRecord,
    PrepareOptions,
    prepare_manifest,
)
from faceproof.data.preparing.folder import FACES, MANIFEST, RECORD, convert_disk_errors
from faceproof.data.preparing.spec import balanced_weights
from faceproof.data.splitting.split import SplitSpec, divide
from faceproof.errors import LeakError, ManifestError, UsageError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.outputs import atomic_write

Progress = Callable[[str], None]

_NEW_SHARES = {"train": 0.6, "validation": 0.15, "calibration": 0.1, "test": 0.15}
"""Default shares of the splits of new pictures, with enough of a small set left for test."""

_REMEDY = "prepare it again with `faceproof data prepare --detector`"
_ROOM = 0.25
_SMALLEST_FACE = 112


@dataclass(frozen=True)
class PictureSet:
    """A manifest, and whether its data folder has prepared pictures with landmarks."""

    manifest: Manifest
    is_prepared: bool
    name: str

    @property
    def root(self) -> Path:
        """The data folder."""
        return self.manifest.picture_path("")


def read_set(path: Path) -> PictureSet:
    """Return the set of a manifest file, or of a folder of `faceproof data prepare`.

    A manifest is prepared if its data folder has landmarks for every picture.

    Raises:
        ManifestError: the manifest does not exist, or a row is invalid.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        raise ManifestError(
            f"manifest {file} not found: use a .parquet or .csv of `faceproof data import`, or "
            "a folder of `faceproof data prepare`"
        )
    manifest = read_manifest(file)
    return PictureSet(manifest, _has_landmarks(manifest), str(path))


def split_new(new: PictureSet, old: PictureSet | None, *, progress: Progress) -> PictureSet:
    """Return the new set with a split for every row, and without rows of the old set.

    A row that shares a group or a file with the old set gets the same split.

    Raises:
        ManifestError: no new rows are left, or a picture has different labels in both sets.
        LeakError: a picture is in different splits of both sets.
    """
    if (new.manifest.table["split"] == "").any():
        older = [old.manifest] if old else []
        divided = divide(new.manifest, SplitSpec(shares=_NEW_SHARES), older=older)
        new = PictureSet(divided.manifest, new.is_prepared, new.name)
        counts = ", ".join(f"{n} {split}" for split, n in new.manifest.counts().items())
        progress(f"{new.name} has no splits: divided into {counts}")
        if divided.left_out:
            progress(f"excluded: {len(divided.left_out)} rows that would connect two splits")
    if old is not None:
        new = _exclude_old(new, old, progress=progress)
    table = new.manifest.table.filter(pl.col("split") != "")
    if table.is_empty():
        raise ManifestError(f"{new.name} has no new pictures: the old set has all of them")
    return PictureSet(new.manifest.with_table(table), new.is_prepared, new.name)


def refuse_without_splits(old: PictureSet) -> None:
    """Reject old pictures without splits, as the training pictures are unknown.

    Raises:
        ManifestError: no row has a split.
    """
    if not any(old.manifest.counts().values()):
        raise ManifestError(
            f"no row of {old.name} has a split: use the manifest that the detector was trained "
            "on, or split other old pictures with `faceproof data split`. Forgetting is measured "
            "on faces outside the training split"
        )


def prepare_set(
    found: PictureSet,
    crop: CropSpec,
    output: Path,
    *,
    like: PictureSet | None = None,
    progress: Progress,
) -> PictureSet:
    """Return the set prepared for a detector with this crop: the same set, or a new one.

    It is prepared in ``output``, with the settings of ``like`` if that was prepared.

    Raises:
        UsageError: the crop of a prepared set does not fit the detector.
        ManifestError: no picture could be prepared.
    """
    if found.is_prepared:
        if fault := _crop_fault(found.root, crop):
            raise UsageError(f"{found.name} {fault}: {_REMEDY}")
        return found
    progress(f"{found.name}: detecting and cropping {len(found.manifest)} faces")
    spec = choose_pictures_spec(crop, like)
    how = PrepareOptions(workers=os.cpu_count() or 1, say=progress)
    record = prepare_manifest(found.manifest, output, spec, finish=FinishSpec(probe=False), how=how)
    if lost := sum(record.problems.values()):
        progress(f"{lost} of {len(found.manifest)} pictures excluded: {output / 'problems.csv'}")
    if not record.after.rows:
        raise ManifestError(f"no picture of {found.name} could be prepared: see {output}")
    return PictureSet(read_manifest(output / MANIFEST), is_prepared=True, name=found.name)


def choose_pictures_spec(crop: CropSpec, like: PictureSet | None) -> PicturesSpec:
    """Return the settings for preparing pictures: those of ``like``, or `roomy_crop` defaults.

    If only one of both sets were equalised, file properties would predict the set.
    """
    known = record_of(like.root) if like and like.is_prepared else None
    if known is not None:
        equalise = known.spec.equalise and known.spec.equalise.model_copy(
            update={"side": known.side}
        )
        return known.spec.model_copy(update={"equalise": equalise})
    if crop.method == "whole":
        return PicturesSpec(keep="picture")
    return PicturesSpec(crop=roomy_crop(crop))


def roomy_crop(crop: CropSpec) -> CropSpec:
    """Return a crop with at least the same face size, and room for detection and shifts.

    >>> roomy_crop(CropSpec(size=128, margin=0.0))
    CropSpec(method='five_point', size=192, margin=0.25, fill=(124, 116, 104))
    """
    margin = min(1.0, crop.margin + _ROOM)
    side = max(_SMALLEST_FACE, _face_side(crop))
    size = min(1024, math.ceil(side * (1 + 2 * margin)))
    return crop.model_copy(update={"margin": margin, "size": size})


def _has_landmarks(manifest: Manifest) -> bool:
    """Return whether the data folder has landmarks for every row."""
    if manifest.root is None or not (faces := manifest.root / FACES).is_file():
        return False
    known = pl.scan_parquet(faces).select("path").collect()["path"]
    return bool(manifest.table["path"].is_in(known.implode()).all())


def _exclude_old(new: PictureSet, old: PictureSet, *, progress: Progress) -> PictureSet:
    """Return the new set without the pictures that the old one has in the same split."""
    hashes = _hashes(new.manifest).join(_hashes(old.manifest), on="hash", suffix="_old")
    _refuse(hashes.filter(pl.col("label") != pl.col("label_old")), new, old, "label", ManifestError)
    splits = hashes.filter(pl.col("split_old") != "", pl.col("split") != pl.col("split_old"))
    _refuse(splits, new, old, "split", LeakError)
    if hashes.is_empty():
        return new
    rest = new.manifest.table.filter(~pl.col("path").is_in(hashes["path"].implode()))
    progress(f"{new.name}: {new.manifest.table.height - rest.height} pictures are old ones")
    return PictureSet(new.manifest.with_table(rest), new.is_prepared, new.name)


def _refuse(
    differing: pl.DataFrame, new: PictureSet, old: PictureSet, column: str, kind: type[Exception]
) -> None:
    """Raise an error if the same picture has different values in both sets."""
    if differing.is_empty():
        return
    one = differing.row(0, named=True)
    raise kind(
        f"{one['path']} of {new.name} is {one['path_old']} of {old.name}, with the {column} "
        f"{one[column]!r} here and {one[f'{column}_old']!r} there ({differing.height} such): "
        f"remove it from the new pictures, or give it its old {column}"
    )


def _hashes(manifest: Manifest) -> pl.DataFrame:
    """Return path, label and split of each row by the hash of its file and of its original."""
    columns = ["sha256", *(name for name in ("origin_sha256",) if name in manifest.table.columns)]
    parts = [manifest.table.select("path", "label", "split", hash=pl.col(name)) for name in columns]
    return pl.concat(parts).filter(pl.col("hash") != "").unique(["path", "hash"])


def record_of(root: Path) -> PreparationRecord | None:
    """Return the preparation record of a folder, None without one."""
    return PreparationRecord.read(root / RECORD) if (root / RECORD).is_file() else None


def _crop_fault(root: Path, wanted: CropSpec) -> str:
    """Return why crops of a prepared folder do not fit a detector, or an empty string."""
    known = record_of(root)
    if known is None or known.spec.keep != "crop":
        return ""
    crop = known.spec.crop
    if crop.method != wanted.method:
        return f"has crops of {crop.method}, but the detector needs {wanted.method}"
    if crop.margin < wanted.margin:
        return f"has a crop margin of {crop.margin:g}, but the detector needs {wanted.margin:g}"
    if _face_side(crop) < _face_side(wanted):
        return (
            f"has faces at {_face_side(crop):.0f} px, but the detector needs "
            f"{_face_side(wanted):.0f} px"
        )
    return ""


def _face_side(crop: CropSpec) -> float:
    """Return the side of the face's template in the crop, in px."""
    return crop.size / (1 + 2 * crop.margin)


NEW, OLD = "new", "replay"
"""The folders of the joined set, which prefix its paths."""


def join_sets(
    new: PictureSet, old: PictureSet | None, folder: Path, *, replay_share: float
) -> Manifest:
    """Write the manifest of both sets for training to ``folder``, with linked pictures.

    A share ``replay_share`` of the fakes drawn in training are old ones. With 0, old pictures are
    not used for training, only for measurement.

    Raises:
        LeakError: a group is in different splits of both sets.
        ManifestError: a picture is missing.
        DataError: the folder cannot be written.
    """
    parts = {NEW: new} if old is None else {NEW: new, OLD: old}
    with convert_disk_errors(folder):
        tables = [_place_pictures(part, folder, name, replay_share) for name, part in parts.items()]
        table = pl.concat(tables, how="diagonal")
        manifest = _manifest(add_weights(table, replay_share=replay_share), folder, parts)
        write_manifest(manifest, folder / MANIFEST)
        faces = [_read_faces(part, name) for name, part in parts.items()]
        with atomic_write(folder / FACES) as file:
            pl.concat(faces).write_parquet(file)
    return manifest


def add_weights(table: pl.DataFrame, *, replay_share: float) -> pl.DataFrame:
    """Return the table with the column ``weight``: relative frequency of a row in its class.

    New and old fakes have fixed shares. Within each, generators have equal shares, and so have the
    sources of one generator. Real faces have equal shares by source, old or new.
    """
    fake = (table["label"] == "fake").to_numpy()
    is_new = table["path"].str.starts_with(f"{NEW}/").to_numpy()
    train = (table["split"] == "train").to_numpy()
    weights = np.ones(table.height)
    shares = {True: 1 - replay_share, False: replay_share}
    for part in (True, False):
        rows = fake & train & (is_new == part)
        weights[rows] = _even_weights(table, rows, ("generator", "source")) * shares[part]
    weights[~fake & train] = _even_weights(table, ~fake & train, ("source",))
    return table.with_columns(weight=pl.Series(weights))


def old_generators(old: PictureSet | None) -> tuple[str, ...]:
    """Return the generators of the old fakes, sorted."""
    if old is None:
        return ()
    fakes = old.manifest.table.filter(pl.col("label") == "fake")
    return tuple(fakes["generator"].unique().sort())


def _even_weights(
    table: pl.DataFrame, rows: npt.NDArray[np.bool_], by: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """Return weights of the chosen rows, float64 [n] with sum 1; empty without rows."""
    if not rows.any():
        return np.empty(0)
    weights = balanced_weights(table.filter(pl.Series(rows)), by)
    return np.asarray(weights / weights.sum())


def _place_pictures(part: PictureSet, folder: Path, name: str, replay_share: float) -> pl.DataFrame:
    """Return the rows in use with their paths in the folder, and link their pictures."""
    table = part.manifest.table.filter(pl.col("split") != "")
    if name == OLD and not replay_share:
        table = table.filter(pl.col("split") != "train")
    for path in table["path"]:
        if not (picture := part.root / path).is_file():
            raise ManifestError(f"{picture} of {part.name} is missing: prepare that set again")
        _link_or_copy(picture, folder / name / path)
    return table.with_columns(path=pl.concat_str(pl.lit(f"{name}/"), "path"))


def _link_or_copy(picture: Path, place: Path) -> None:
    """Link the picture to its place, or copy it if the file system has no links."""
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
            "(`faceproof data split --keep` keeps the old ones); if not, rename the group"
        ) from error


def _read_faces(part: PictureSet, name: str) -> pl.DataFrame:
    """Return path and landmarks of every picture of a prepared set."""
    faces = pl.read_parquet(part.root / FACES).select("path", "landmarks")
    known = faces.filter(pl.col("path").is_in(part.manifest.table["path"].implode()))
    return known.with_columns(path=pl.concat_str(pl.lit(f"{name}/"), "path")).with_columns(
        pl.col("landmarks").cast(pl.List(pl.Float32))
    )
