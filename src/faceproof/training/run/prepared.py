"""`open_prepared`: the prepared folder of a recipe, complete on this machine."""

from __future__ import annotations

from collections.abc import Callable

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import read_prepared
from faceproof.data.preparing.shard_files import fetch_prepared, unpack_shards
from faceproof.messages import ignore_message
from faceproof.training.recipe import Recipe
from faceproof.training.run.processes import is_first_process


def open_prepared(recipe: Recipe, *, progress: Callable[[str], None]) -> Manifest:
    """Return the manifest of the recipe's prepared folder, after getting what is not there.

    That is, with ``data.store``, its tables and shards; and with ``reading = "shards"`` the files
    of those pictures that are degraded, calibrated on or forged as whole files.

    Raises:
        ManifestError, DataError: the prepared folder is missing or damaged.
        SourceError, UsageError, MissingExtraError: the store cannot be read.
    """
    data = recipe.data
    # Every process comes here; those of one machine wait for the one that copies.
    show = progress if is_first_process() else ignore_message
    if data.store is not None:
        fetch_prepared(data.store, data.prepared, progress=show)
    manifest = read_prepared(data.prepared)
    if data.reading == "shards":
        unpack_shards(manifest, data.prepared, _read_as_files(recipe), progress=show)
    return manifest


def _read_as_files(recipe: Recipe) -> tuple[str, ...]:
    """Return the splits whose pictures are read as files, not only as shards, in order."""
    made = {split for one in recipe.made.values() for split, count in one.counts.items() if count}
    reads = {"calibration", "test", *made, *(("validation",) if recipe.export.replaces else ())}
    return tuple(sorted(reads))
