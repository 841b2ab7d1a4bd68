"""A prepared folder as training reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest
from faceproof.errors import ManifestError

#: The folder of fakes that were made of a prepared folder's real faces.
MADE = "made"


def landmarks_of(folder: Path, made: Path | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """Return path -> landmarks float32 [5, 2] of a prepared folder, and of fakes made of it."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for part in (folder, *(() if made is None else (made,))):
        table = pl.read_parquet(part / "faces.parquet")
        points = table["landmarks"].explode().to_numpy().astype(np.float32).reshape(-1, 5, 2)
        found |= dict(zip(table["path"].to_list(), points, strict=True))
    return found


def with_made(manifest: Manifest, made: Path | None) -> Manifest:
    """Return the manifest of a prepared folder with the fakes that were made of it."""
    if made is None:
        return manifest
    table = pl.read_parquet(made / "manifest.parquet")
    return Manifest(pl.concat([manifest.table, table], how="diagonal_relaxed"), root=manifest.root)


def read_prepared(folder: Path) -> Manifest:
    """Return the manifest of a folder that `faceproof data prepare` has made.

    Raises:
        ManifestError: there is none, it is not finished, or no row has a split.
    """
    manifest, faces = folder / "manifest.parquet", folder / "faces.parquet"
    if not (manifest.is_file() and faces.is_file()):
        raise ManifestError(
            f"{folder} holds no finished data set: make one with `faceproof data prepare`, "
            "or name what to make it of in data.sources"
        )
    found = read_manifest(manifest)
    if not any(found.counts().values()):
        raise ManifestError(
            f"no row of {manifest} has a split: run `faceproof data split` on the manifest, and "
            "`faceproof data prepare` on what it writes"
        )
    return found
