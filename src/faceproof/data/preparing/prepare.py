"""`prepare_manifest`: prepare a manifest's pictures into a folder."""

from __future__ import annotations

import hashlib
import os
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
    PreparationJournal,
    PreparationStart,
    SortedOutcomes,
    begin_journal,
    first_line_end,
    read_outcomes,
    read_start,
    sort_outcomes,
    write_faces,
    write_problems,
)
from faceproof.data.preparing.pictures import (
    PrepareContext,
    equalised_side,
    picture_jobs,
    prepare_picture,
)
from faceproof.data.preparing.shards import write_shards
from faceproof.data.preparing.spec import (
    DroppedPicture,
    FinishSpec,
    PicturesSpec,
    PreparationRecord,
    PrepareOptions,
    WrittenPicture,
    balanced_weights,
    describe_data_set,
    mean_share_outside,
    summarise_weights,
)
from faceproof.data.preparing.summary import Probes, probe_both
from faceproof.errors import SourceError, UsageError
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.pipeline import map_in_order
from faceproof.runs import environment

#: Every picture is reduced, also in the smallest part: pictures never resampled are sharper.
_REDUCED_TO = 0.75
#: Number of pictures of each part to open, chosen by the hashes of their paths.
_LOOKED_AT = 100


def compute_common_side(
    table: pl.DataFrame, root: Path, spec: PicturesSpec, finder: FaceFinder
) -> int:
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
    sides = list(_measure_sides(part, root, spec, finder))
    if not sides:
        raise UsageError(
            f"no picture of {name} can be opened and has a face: check them, or set the "
            "common side with --equalise-side N"
        )
    return float(np.median(sides))


def _measure_sides(
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
            yield equalised_side(pixels, faces[0].landmarks, spec)


def _finish_folder(
    manifest: Manifest,
    found: SortedOutcomes,
    context: PrepareContext,
    finish: FinishSpec,
    how: PrepareOptions,
) -> PreparationRecord:
    """Write everything except the pictures into the folder, the record last; return the record.

    Raises:
        UnknownChoiceError: an unknown column to balance.
    """
    output, record = context.output, context.output / places.RECORD
    record.unlink(missing_ok=True)
    after = Manifest(add_weights(found.table, finish), root=output)
    write_manifest(after, output / places.MANIFEST)
    write_faces(after.table["path"], found.landmarks, output / places.FACES)
    write_problems(found.problems, output / places.PROBLEMS)
    _write_shards(after, found, finish, context)
    probes: Probes = (None, None)
    if finish.probe:
        probes = probe_both(manifest, after, seed=context.spec.seed, how=how)
    prepared = PreparationRecord(
        spec=context.spec,
        finish=finish,
        side=context.side,
        before=describe_data_set(manifest.table, manifest.sha256),
        after=describe_data_set(after.table, after.sha256),
        problems=dict(sorted(Counter(problem.code for _, problem in found.problems).items())),
        outside=mean_share_outside(after.table),
        weights=summarise_weights(after.table),
        probe_before=probes[0],
        probe_after=probes[1],
        versions=environment()["versions"],
    )
    prepared.write(record)
    return prepared


def add_weights(table: pl.DataFrame, finish: FinishSpec) -> pl.DataFrame:
    """Return the table with its column ``weight``: balanced, unchanged, or 1 for every row."""
    if finish.balance:
        return table.with_columns(pl.Series("weight", balanced_weights(table, finish.balance)))
    if "weight" in table.columns:
        return table.with_columns(pl.col("weight").fill_null(1.0))
    return table.with_columns(pl.lit(1.0).alias("weight"))


def _write_shards(
    after: Manifest, found: SortedOutcomes, finish: FinishSpec, context: PrepareContext
) -> None:
    """Write the requested shards and replace existing ones."""
    folder = context.output / places.SHARDS
    if folder.exists():
        shutil.rmtree(folder)
    if finish.shards is not None:
        write_shards(after, found.landmarks, folder, finish.shards, seed=context.spec.seed)


#: Number of finished pictures whose hash is verified before an interrupted run resumes; only the
#: size of the others is checked. A power failure may lose unwritten data.
_HASHED_AGAIN = 512

_REMEDY = "set another folder with --output, or start from scratch with --anew"


def _start_preparation(
    table: pl.DataFrame, root: Path, output: Path, spec: PicturesSpec
) -> PreparationStart:
    """Return the description of the preparation in ``output``, from the journal if it resumes.

    Raises:
        UsageError: the journal is of other rows or of another spec.
    """
    rows, journal = _hash_rows(table), output / JOURNAL
    if journal.exists():
        return _require_same_start(read_start(journal), spec, rows, output)
    start = PreparationStart(spec=spec, rows_sha256=rows, side=_choose_side(table, root, spec))
    begin_journal(journal, start)
    return start


def _hash_rows(table: pl.DataFrame) -> str:
    """Return a hash of the columns that determine a table's pictures, and of the row order."""
    lines = table.select("path", "sha256", "label", "split").write_csv()
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class _FinishedRows:
    """The number of finished rows, and the offset of the last one's end in the journal."""

    rows: int
    end: int


def _read_finished_rows(output: Path) -> _FinishedRows:
    """Return the finished rows, from the first on, whose pictures still exist."""
    journal = output / JOURNAL
    last: deque[tuple[_FinishedRows, WrittenPicture | DroppedPicture]] = deque(maxlen=_HASHED_AGAIN)
    found = _FinishedRows(0, first_line_end(journal))
    for outcome, end in read_outcomes(journal):
        if (
            isinstance(outcome, WrittenPicture)
            and _file_size(output / outcome.path) != outcome.bytes
        ):
            break
        last.append((found, outcome))
        found = _FinishedRows(found.rows + 1, end)
    for before, outcome in last:
        if (
            isinstance(outcome, WrittenPicture)
            and _file_sha256(output / outcome.path) != outcome.sha256
        ):
            return before
    return found


def _choose_side(table: pl.DataFrame, root: Path, spec: PicturesSpec) -> int | None:
    """Return the common side, or None without equalisation."""
    if spec.equalise is None:
        return None
    if spec.equalise.side is not None:
        return spec.equalise.side
    _refuse_one_class(table)
    return compute_common_side(table, root, spec, YuNet())


def _require_same_start(
    start: PreparationStart | None, spec: PicturesSpec, rows: str, output: Path
) -> PreparationStart:
    """Return the journal's first line, which must match the pictures and the options."""
    if start is None:
        raise UsageError(f"{output} was prepared by another version: {_REMEDY}")
    if start.rows_sha256 != rows:
        raise UsageError(f"{output} was prepared from other rows: {_REMEDY}")
    old, new = start.spec.model_dump(), spec.model_dump()
    if changed := [name for name in new if old[name] != new[name]]:
        differences = ", ".join(f"{name} was {old[name]}, is {new[name]}" for name in changed)
        raise UsageError(f"{output} was prepared with other options ({differences}): {_REMEDY}")
    return start


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepare_manifest(
    manifest: Manifest,
    output: Path,
    spec: PicturesSpec,
    *,
    finish: FinishSpec | None = None,
    how: PrepareOptions | None = None,
) -> PreparationRecord:
    """Prepare pictures, manifest, faces, problems and shards in ``output``; return the record.

    An interrupted run resumes, and gives the same bytes for any number of threads. In a finished
    folder, only the results selected by ``finish`` are written again.

    Raises:
        UsageError: the folder is not ours, or has another preparation; or there is only one class
        to equalise. ManifestError: the manifest has no data folder. DataError: the folder cannot be
        written.
    """
    how = how or PrepareOptions()
    root = manifest.picture_path("")
    finish = finish or FinishSpec()
    _refuse_own_pictures(manifest.table, root, output)
    with places.convert_disk_errors(output):
        places.make_folder(output)
        with places.lock_prepared_folder(output):
            if how.anew:
                places.empty_folder(output)
            start = _start_preparation(manifest.table, root, output, spec)
            if start.side is not None:
                of = "faces" if spec.keep == "crop" else "pictures"
                how.say(f"common side of {of}: {start.side} px")
            context = PrepareContext(root, output, spec, start.side, YuNet())
            _prepare_rest(manifest.table, context, how)
            outcomes = (outcome for outcome, _ in read_outcomes(output / places.JOURNAL))
            found = sort_outcomes(manifest.table, outcomes)
            return _finish_folder(manifest, found, context, finish, how)


def _refuse_own_pictures(table: pl.DataFrame, root: Path, output: Path) -> None:
    """Reject rows whose pictures are the prepared ones of the folder, which are written again.

    Raises:
        UsageError: naming one.
    """
    own = f"{os.path.realpath(output / places.PICTURES)}{os.sep}"
    whole = os.path.realpath(root)
    for path in table["path"]:
        if os.path.normpath(f"{whole}{os.sep}{path}").startswith(own):
            raise UsageError(f"{path} is a picture of {output} itself: set another --output")


def _prepare_rest(table: pl.DataFrame, context: PrepareContext, how: PrepareOptions) -> None:
    """Prepare every row that is not in the journal, and append it."""
    before = _read_finished_rows(context.output)
    if before.rows:
        how.say(f"{before.rows} of {table.height} rows were finished before")
    for row in range(before.rows):
        how.advance(row)
    waiting = islice(picture_jobs(table), before.rows, None)
    work = partial(prepare_picture, context=context)
    results = map_in_order(work, waiting, workers=how.workers, ahead=8 * max(1, how.workers))
    with (
        PreparationJournal(context.output / places.JOURNAL, keep_bytes=before.end) as journal,
        closing(results),
    ):
        for outcome in results:
            journal.add(outcome)
            how.advance(outcome)
