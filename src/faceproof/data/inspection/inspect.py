"""`inspect`: from manifests to an `Inspection` of their rows, then of their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import polars as pl
from pydantic import Field

from faceproof.data.duplicates import NEAR_BITS
from faceproof.data.inspection.composition import (
    attribute_associations,
    balance_faults,
    contract_faults,
    contradiction_faults,
    count_combinations,
    fact_faults,
    file_associations,
    generator_faults,
    spreads,
)
from faceproof.data.inspection.leaks import compare_sets as shared_with
from faceproof.data.inspection.leaks import count_ffhq, count_leaks, ffhq_faults, leak_faults
from faceproof.data.inspection.pictures import NOT_OPENED, open_pictures
from faceproof.data.inspection.record import (
    DataFault,
    Inspection,
    Leak,
    ManifestFile,
    Repeats,
    sort_by_severity,
)
from faceproof.data.inspection.repeats import (
    HashedRows,
    count_repeats,
    find_near_pairs,
    find_same_files,
    group_faults,
    official_faults,
    repeat_faults,
    select_hashed,
)
from faceproof.data.inspection.rows import InputManifest, concatenate_manifests, read_input_manifest
from faceproof.data.inspection.sheets import contact_sheets
from faceproof.errors import ManifestError
from faceproof.records import Record

_Done = Callable[[object], None]


class InspectSpec(Record):
    """Options: the number of pictures to open (0: all; None: none), drawn by ``seed``.

    ``near_bits`` is how many of 256 bits may differ between near-duplicates.

    >>> InspectSpec(sample=None).near_bits
    31
    """

    sample: int | None = Field(default=4000, ge=0)
    seed: int = 0
    near_bits: int = Field(default=NEAR_BITS, ge=0, le=64)


Manifests = str | Path | InputManifest | Sequence[str | Path | InputManifest]


def inspect(
    manifests: Manifests,
    spec: InspectSpec | None = None,
    *,
    against: Manifests = (),
    root: str | Path | None = None,
    done: _Done = lambda _: None,
) -> Inspection:
    r"""Return the faults of one or more manifests as one data set, and leaks from and into others.

    Manifests are files, or `InputManifest` where they are read already. ``root`` is the data folder
    of those that do not name it. ``done`` is called with each picture that was opened.

    Raises:
        ManifestError: a file cannot be read, or there is no row.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "faces.csv"
    >>> row = f"a.jpg,real,none,home,,amy,{'0' * 64}"
    >>> text = f"path,label,generator,source,split,group,sha256\n{row}\n{row}\n"
    >>> _ = file.write_text(text)
    >>> found = inspect(file, InspectSpec(sample=None))
    >>> found.rows, found.repeats.extra_copies
    (2, 1)
    """
    given, others = _read_manifests(manifests, root), _read_manifests(against, None)
    return _inspect_tables(given, others, spec or InspectSpec(), done)


def _read_manifests(manifests: Manifests, root: str | Path | None) -> list[InputManifest]:
    """Return the manifests, read."""
    each = [manifests] if isinstance(manifests, str | Path | InputManifest) else manifests
    return [
        one if isinstance(one, InputManifest) else read_input_manifest(one, root) for one in each
    ]


def _inspect_tables(
    given: Sequence[InputManifest], against: Sequence[InputManifest], spec: InspectSpec, done: _Done
) -> Inspection:
    table = concatenate_manifests(given)
    if table.is_empty():
        raise ManifestError(f"{given[0].name} has no rows: import some pictures")
    seen = (
        NOT_OPENED
        if spec.sample is None
        else open_pictures(table, given, spec.sample, spec.seed, done)
    )
    table = seen.fill_facts(table)
    compared = select_hashed(table)
    found, repeated = _find_repeats(table, compared, spec.near_bits)
    leaking, shared = _find_leaks(table, compared, against, len(given), spec.near_bits)
    files, attributes = file_associations(table), attribute_associations(table)
    faults = sort_by_severity(
        chain(
            contract_faults(table),
            group_faults(table),
            found,
            contradiction_faults(table),
            leaking,
            ffhq_faults(table),
            balance_faults(table),
            fact_faults(table, files, attributes),
            generator_faults(table),
            seen.faults(table),
        )
    )
    return Inspection(
        manifests=_manifest_files(given, against),
        rows=table.height,
        faults=faults,
        balance=count_combinations(table),
        facts=files,
        spreads=spreads(table),
        attributes=attributes,
        repeats=repeated,
        leaks=shared,
        ffhq=count_ffhq(table),
        sample=seen.sample,
        shortcut=seen.shortcut,
        shortcut_note=seen.shortcut_note,
        sheets=contact_sheets(table, seen, faults),
    )


def _manifest_files(
    given: Sequence[InputManifest], against: Sequence[InputManifest]
) -> tuple[ManifestFile, ...]:
    """Return the manifests that were read."""
    return tuple(
        ManifestFile(
            name=one.name, rows=one.table.height, sha256=one.sha256, against=number >= len(given)
        )
        for number, one in enumerate([*given, *against])
    )


def _find_repeats(
    table: pl.DataFrame, compared: HashedRows, bits: int
) -> tuple[Iterator[DataFault], Repeats]:
    """Return the faults of repeated pictures, and their number."""
    same, found = find_same_files(table), find_near_pairs(table, compared, distance=bits)
    repeated = count_repeats(table, same, found, near_bits=bits)
    faults = repeat_faults(table, compared, same, found)
    return chain(faults, official_faults(table, repeated.parts)), repeated


def _find_leaks(
    table: pl.DataFrame,
    compared: HashedRows,
    others: Sequence[InputManifest],
    first: int,
    bits: int,
) -> tuple[list[DataFault], tuple[Leak, ...]]:
    """Return the leaks from or into other manifests, the first of which has this place."""
    faults: list[DataFault] = []
    shared: list[Leak] = []
    for place, one in enumerate(others, start=first):
        found = shared_with(
            table, compared, concatenate_manifests([one], first=place), distance=bits
        )
        faults += leak_faults(found, one.name)
        shared += count_leaks(found, place)
    return faults, tuple(shared)
