"""`prepare_manifest`: prepare a manifest's pictures into a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import write_manifest
from faceproof.data.preparing import folder as places
from faceproof.data.preparing.folder import (
    JOURNAL,
    Journal,
    Sorted,
    Start,
    begin,
    first_end,
    read_outcomes,
    read_start,
    sort_out,
    write_faces,
    write_problems,
)
from faceproof.data.preparing.pictures import Workshop, jobs, prepare_picture, side_that_counts
from faceproof.data.preparing.shards import write_shards
from faceproof.data.preparing.spec import (
    Done,
    Dropped,
    FinishSpec,
    PicturesSpec,
    Prepared,
    Preparing,
    balanced_weights,
    data_set,
    outside,
    weighing,
)
from faceproof.data.preparing.summary import Probes, probe_both
from faceproof.errors import SourceError, UsageError
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.pipeline import in_order
from faceproof.runs import environment

#: Every picture is reduced, also in the smallest part: pictures never resampled are sharper.
_REDUCED_TO = 0.75
#: Number of pictures of each part to open, chosen by the hashes of their paths.
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


def _refuse_one_class(table: pl.DataFrame) -> None:
    """Reject a set of one class: there is no other class to equalise with.

    Raises:
        UsageError: all rows have one label.
    """
    labels = table["label"].unique().to_list()
    if len(labels) < 2:
        only = f"all {len(table)} rows are {labels[0]}" if labels else "there are no rows"
        raise UsageError(
            f"--equalise gives both classes one history, but {only}: add a manifest of the "
            "other class, or set the common side with --equalise-side N and prepare the other "
            "class with the same options"
        )


def _median_side(
    part: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder, name: str
) -> float:
    """Return the median side of one class of one source."""
    sides = list(_sides(part, root, spec, finder))
    if not sides:
        raise UsageError(
            f"no picture of {name} can be opened and has a face: check them, or set the "
            "common side with --equalise-side N"
        )
    return float(np.median(sides))


def _sides(
    part: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder
) -> Iterator[float]:
    """Yield the sides of some pictures; those without a face and broken ones are skipped."""
    paths = sorted(part["path"], key=lambda path: hashlib.sha256(path.encode()).digest())
    for path in paths[:_LOOKED_AT]:
        try:
            pixels = load(root / path).pixels
        except SourceError:
            continue
        if faces := finder.find(pixels):
            yield side_that_counts(pixels, faces[0].landmarks, spec)


def finished(
    manifest: Manifest, found: Sorted, shop: Workshop, finish: FinishSpec, how: Preparing
) -> Prepared:
    """Write everything except the pictures into the folder, the record last; return the record.

    Raises:
        UnknownChoiceError: an unknown column to balance.
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
    """Return the table with its column ``weight``: balanced, unchanged, or 1 for every row."""
    if finish.balance:
        return table.with_columns(pl.Series("weight", balanced_weights(table, finish.balance)))
    if "weight" in table.columns:
        return table.with_columns(pl.col("weight").fill_null(1.0))
    return table.with_columns(pl.lit(1.0).alias("weight"))


def _shards(after: Manifest, found: Sorted, finish: FinishSpec, shop: Workshop) -> None:
    """Write the requested shards and replace existing ones."""
    folder = shop.output / places.SHARDS
    if folder.exists():
        shutil.rmtree(folder)
    if finish.shards is not None:
        write_shards(after, found.landmarks, folder, finish.shards, seed=shop.spec.seed)


#: Number of finished pictures whose hash is verified before an interrupted run resumes; only the
#: size of the others is checked. A power failure may lose unwritten data.
_HASHED_AGAIN = 512

_REMEDY = "set another folder with --output, or start from scratch with --anew"


def started(table: pl.DataFrame, root: Path, output: Path, spec: PicturesSpec) -> Start:
    """Return the description of the preparation in ``output``, from the journal if it resumes.

    Raises:
        UsageError: the journal is of other rows or of another spec.
    """
    rows, journal = rows_sha256(table), output / JOURNAL
    if journal.exists():
        return _same(read_start(journal), spec, rows, output)
    start = Start(spec=spec, rows_sha256=rows, side=_side(table, root, spec))
    begin(journal, start)
    return start


def rows_sha256(table: pl.DataFrame) -> str:
    """Return a hash of the columns that determine a table's pictures, and of the row order."""
    lines = table.select("path", "sha256", "label", "split").write_csv()
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class Finished:
    """The number of finished rows, and the offset of the last one's end in the journal."""

    rows: int
    end: int


def _finished_rows(output: Path) -> Finished:
    """Return the finished rows, from the first on, whose pictures still exist."""
    journal = output / JOURNAL
    last: deque[tuple[Finished, Done | Dropped]] = deque(maxlen=_HASHED_AGAIN)
    found = Finished(0, first_end(journal))
    for outcome, end in read_outcomes(journal):
        if isinstance(outcome, Done) and _size(output / outcome.path) != outcome.bytes:
            break
        last.append((found, outcome))
        found = Finished(found.rows + 1, end)
    for before, outcome in last:
        if isinstance(outcome, Done) and _sha256(output / outcome.path) != outcome.sha256:
            return before
    return found


def _side(table: pl.DataFrame, root: Path, spec: PicturesSpec) -> int | None:
    """Return the common side, or None without equalisation."""
    if spec.equalise is None:
        return None
    if spec.equalise.side is not None:
        return spec.equalise.side
    _refuse_one_class(table)
    return common_side(table, root, spec, YuNet())


def _same(start: Start | None, spec: PicturesSpec, rows: str, output: Path) -> Start:
    """Return the journal's first line, which must match the pictures and the options."""
    if start is None:
        raise UsageError(f"{output} was prepared by another version: {_REMEDY}")
    if start.rows_sha256 != rows:
        raise UsageError(f"{output} was prepared from other rows: {_REMEDY}")
    old, new = start.spec.model_dump(), spec.model_dump()
    if changed := [name for name in new if old[name] != new[name]]:
        said = ", ".join(f"{name} was {old[name]}, is {new[name]}" for name in changed)
        raise UsageError(f"{output} was prepared with other options ({said}): {_REMEDY}")
    return start


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepare_manifest(
    manifest: Manifest,
    output: Path,
    spec: PicturesSpec,
    *,
    finish: FinishSpec | None = None,
    how: Preparing | None = None,
) -> Prepared:
    """Prepare pictures, manifest, faces, problems and shards in ``output``; return the record.

    An interrupted run resumes, and gives the same bytes for any number of threads. In a finished
    folder, only the results selected by ``finish`` are written again.

    Raises:
        UsageError: the folder is not ours, or has another preparation; or there is only one class
        to equalise. ManifestError: the manifest has no data folder. DataError: the folder cannot be
        written.
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
    """Prepare every row that is not in the journal, and append it."""
    before = _finished_rows(shop.output)
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
