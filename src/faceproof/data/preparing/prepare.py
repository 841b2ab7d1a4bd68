"""A manifest's pictures, one after another, into a prepared folder."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.preparing import folder as places
from faceproof.data.preparing.finish import finished
from faceproof.data.preparing.journal import Journal, read_outcomes
from faceproof.data.preparing.pictures import Workshop, jobs, prepare_picture
from faceproof.data.preparing.record import Prepared
from faceproof.data.preparing.resume import finished_rows, started
from faceproof.data.preparing.spec import FinishSpec, PicturesSpec, Preparing
from faceproof.data.preparing.tables import sort_out
from faceproof.imaging.faces import YuNet
from faceproof.pipeline import in_order


def prepare_manifest(
    manifest: Manifest,
    output: Path,
    spec: PicturesSpec,
    *,
    finish: FinishSpec | None = None,
    how: Preparing | None = None,
) -> Prepared:
    """Return what was prepared in ``output``: pictures, manifest, faces, problems, shards.

    A run that was broken off goes on where it was, and ends in the same bytes whatever the number
    of threads. Of a finished folder only what ``finish`` says is made again.

    Raises:
        UsageError: the folder is not ours, or holds another preparation; or there is only one
            class to equalise.
        ManifestError: the manifest does not know its data folder.
        DataError: the folder cannot be written.
    """
    how = how or Preparing()
    root = manifest.picture_path("")
    finish = finish or FinishSpec()
    with places.telling_full_disk(output):
        places.make_folder(output)
        with places.held(output):
            if how.anew:
                places.empty_folder(output)
            start = started(manifest.table, root, output, spec)
            if start.side is not None:
                of = "faces" if spec.keep == "crop" else "pictures"
                how.say(f"common side of {of}: {start.side} px")
            shop = Workshop(root, output, spec, start.side, YuNet())
            _prepare_rest(manifest.table, shop, how)
            outcomes = (outcome for outcome, _ in read_outcomes(output / places.JOURNAL))
            found = sort_out(manifest.table, outcomes)
            return finished(manifest, found, shop, finish, how)


def _prepare_rest(table: pl.DataFrame, shop: Workshop, how: Preparing) -> None:
    """Prepare every row that the journal does not hold, and write it there."""
    before = finished_rows(shop.output)
    if before.rows:
        how.say(f"{before.rows} of {table.height} rows were finished before")
    for row in range(before.rows):
        how.advance(row)
    waiting = islice(jobs(table), before.rows, None)
    work = partial(prepare_picture, shop=shop)
    results = in_order(work, waiting, workers=how.workers, ahead=8 * max(1, how.workers))
    with Journal(shop.output / places.JOURNAL, keep_bytes=before.end) as journal, closing(results):
        for outcome in results:
            journal.add(outcome)
            how.advance(outcome)
