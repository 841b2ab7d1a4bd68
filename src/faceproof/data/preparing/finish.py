"""What is made of prepared pictures: weights, manifest, faces, problems, shards, the record."""

from __future__ import annotations

import shutil
from collections import Counter

import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import write_manifest
from faceproof.data.preparing import folder as places
from faceproof.data.preparing.pictures import Workshop
from faceproof.data.preparing.probing import Probes, probe_both
from faceproof.data.preparing.record import Prepared, data_set, outside, weighing
from faceproof.data.preparing.shards import write_shards
from faceproof.data.preparing.spec import FinishSpec, Preparing
from faceproof.data.preparing.tables import Sorted, write_faces, write_problems
from faceproof.data.preparing.weights import balanced_weights
from faceproof.runs import environment


def finished(
    manifest: Manifest, found: Sorted, shop: Workshop, finish: FinishSpec, how: Preparing
) -> Prepared:
    """Write all but the pictures into the folder, the record last, and return that.

    Raises:
        UnknownChoiceError: something else is to be balanced.
    """
    output, record = shop.output, shop.output / places.RECORD
    record.unlink(missing_ok=True)
    after = Manifest(weighted(found.table, finish), root=output)
    write_manifest(after, output / places.MANIFEST)
    write_faces(after.table["path"], found.landmarks, output / places.FACES)
    write_problems(found.problems, output / places.PROBLEMS)
    _shards(after, found, finish, shop)
    probes: Probes = (None, None)
    if finish.probe:
        probes = probe_both(manifest, after, seed=shop.spec.seed, how=how)
    prepared = Prepared(
        spec=shop.spec,
        finish=finish,
        side=shop.side,
        before=data_set(manifest.table, manifest.sha256),
        after=data_set(after.table, after.sha256),
        problems=dict(sorted(Counter(problem.code for _, problem in found.problems).items())),
        outside=outside(after.table),
        weights=weighing(after.table),
        probe_before=probes[0],
        probe_after=probes[1],
        versions=environment()["versions"],
    )
    prepared.write(record)
    return prepared


def weighted(table: pl.DataFrame, finish: FinishSpec) -> pl.DataFrame:
    """Return the table with its column ``weight``: balanced, as it was, or 1 for every row."""
    if finish.balance:
        return table.with_columns(pl.Series("weight", balanced_weights(table, finish.balance)))
    if "weight" in table.columns:
        return table.with_columns(pl.col("weight").fill_null(1.0))
    return table.with_columns(pl.lit(1.0).alias("weight"))


def _shards(after: Manifest, found: Sorted, finish: FinishSpec, shop: Workshop) -> None:
    """Write the shards that are asked for, in the place of those that were there."""
    folder = shop.output / places.SHARDS
    if folder.exists():
        shutil.rmtree(folder)
    if finish.shards is not None:
        write_shards(after, found.landmarks, folder, finish.shards, seed=shop.spec.seed)
