"""A prepared folder as training reads it."""

from __future__ import annotations

from pathlib import Path

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest
from faceproof.errors import ManifestError


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
