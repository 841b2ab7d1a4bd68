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
    balance,
    balance_faults,
    contract_faults,
    contradiction_faults,
    fact_faults,
    file_associations,
    generator_faults,
    spreads,
)
from faceproof.data.inspection.leaks import against as shared_with
from faceproof.data.inspection.leaks import ffhq, ffhq_faults, leak_faults, leaks
from faceproof.data.inspection.pictures import NOT_OPENED, opened
from faceproof.data.inspection.record import (
    Fault,
    Inspection,
    Leak,
    ManifestFile,
    Repeats,
    in_order_of_gravity,
)
from faceproof.data.inspection.repeats import (
    Hashed,
    group_faults,
    hashed,
    near,
    official_faults,
    repeat_faults,
    repeats,
    same_files,
)
from faceproof.data.inspection.rows import Given, gathered, read_given
from faceproof.data.inspection.sheets import sheets
from faceproof.errors import ManifestError
from faceproof.records import Record

Done = Callable[[object], None]


class InspectSpec(Record):
    """Options: the number of pictures to open (0: all; None: none), drawn by ``seed``.

    ``near_bits`` is how many of 256 bits may differ between near-duplicates.
    """

    sample: int | None = Field(default=4000, ge=0)
    seed: int = 0
    near_bits: int = Field(default=NEAR_BITS, ge=0, le=64)


Manifests = str | Path | Given | Sequence[str | Path | Given]


def inspect(
    manifests: Manifests,
    spec: InspectSpec | None = None,
    *,
    against: Manifests = (),
    root: str | Path | None = None,
    done: Done = lambda _: None,
) -> Inspection:
    r"""Return the faults of one or more manifests as one data set, and leaks from and into others.

    Manifests are files, or `Given` where they are read already. ``root`` is the data folder of
    those that do not name it. ``done`` is called with each picture that was opened.

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
    given, others = _given(manifests, root), _given(against, None)
    return _inspected(given, others, spec or InspectSpec(), done)


def _given(manifests: Manifests, root: str | Path | None) -> list[Given]:
    """Return the manifests, read."""
    each = [manifests] if isinstance(manifests, str | Path | Given) else manifests
    return [one if isinstance(one, Given) else read_given(one, root) for one in each]


def _inspected(
    given: Sequence[Given], against: Sequence[Given], spec: InspectSpec, done: Done
) -> Inspection:
    table = gathered(given)
    if table.is_empty():
        raise ManifestError(f"{given[0].name} has no rows: import some pictures")
    seen = NOT_OPENED if spec.sample is None else opened(table, given, spec.sample, spec.seed, done)
    table = seen.filled(table)
    compared = hashed(table)
    found, repeated = _repeats(table, compared, spec.near_bits)
    leaking, shared = _leaks(table, compared, against, len(given), spec.near_bits)
    files, attributes = file_associations(table), attribute_associations(table)
    faults = in_order_of_gravity(
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
        manifests=_files(given, against),
        rows=table.height,
        faults=faults,
        balance=balance(table),
        facts=files,
        spreads=spreads(table),
        attributes=attributes,
        repeats=repeated,
        leaks=shared,
        ffhq=ffhq(table),
        sample=seen.sample,
        shortcut=seen.shortcut,
        shortcut_note=seen.shortcut_note,
        sheets=sheets(table, seen, faults),
    )


def _files(given: Sequence[Given], against: Sequence[Given]) -> tuple[ManifestFile, ...]:
    """Return the manifests that were read."""
    return tuple(
        ManifestFile(
            name=one.name, rows=one.table.height, sha256=one.sha256, against=number >= len(given)
        )
        for number, one in enumerate([*given, *against])
    )


def _repeats(table: pl.DataFrame, compared: Hashed, bits: int) -> tuple[Iterator[Fault], Repeats]:
    """Return the faults of repeated pictures, and their number."""
    same, found = same_files(table), near(table, compared, distance=bits)
    told = repeats(table, same, found, near_bits=bits)
    faults = repeat_faults(table, compared, same, found)
    return chain(faults, official_faults(table, told.parts)), told


def _leaks(
    table: pl.DataFrame, compared: Hashed, others: Sequence[Given], first: int, bits: int
) -> tuple[list[Fault], tuple[Leak, ...]]:
    """Return the leaks from or into other manifests, the first of which has this place."""
    faults: list[Fault] = []
    shared: list[Leak] = []
    for place, one in enumerate(others, start=first):
        found = shared_with(table, compared, gathered([one], first=place), distance=bits)
        faults += leak_faults(found, one.name)
        shared += leaks(found, place)
    return faults, tuple(shared)
