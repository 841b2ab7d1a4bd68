"""Leave-one-out protocols: tests on a generator or source that is excluded from training.

Each is a CSV file that others can use, with its hash in ``protocols.json``. Rows of the excluded
value are only in the test split; the other splits are those of the manifest without them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from faceproof.data.manifest import LABELS, SPLITS, Manifest
from faceproof.data.splitting.split import SplitSpec
from faceproof.errors import ManifestError
from faceproof.outputs import atomic_write
from faceproof.records import Document, Record

COLUMNS = ("path", "sha256", "label", "generator", "source", "group", "split")
INDEX = "protocols.json"

Kind = Literal["leave-one-generator-out", "leave-one-source-out"]


class Protocol(Record):
    """One CSV file: the excluded value, the rows of each class in its splits, its hash.

    ``moved`` rows of the excluded value are moved to the test split from other splits.
    """

    name: str
    kind: Kind
    left_out: str
    file: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*\.csv$")
    sha256: str
    counts: dict[str, dict[str, int]]
    moved: int


class Protocols(Document):
    """The content of ``protocols.json``; ``skipped`` are impossible protocols, with reasons."""

    schema_: Literal["faceproof.protocols/1"] = Field(
        default="faceproof.protocols/1", alias="schema"
    )
    data_sha256: str
    split: SplitSpec
    protocols: tuple[Protocol, ...]
    skipped: tuple[str, ...]


def write_protocols(manifest: Manifest, folder: Path, spec: SplitSpec) -> Protocols:
    """Write a CSV for every generator and source and an index to ``folder``; return the index.

    Paths in it are relative to the manifest's data folder. A protocol without both classes in
    train, or without a test row, is skipped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Protocol] = []
    skipped: list[str] = []
    for kind, column, value in _exclusions(manifest):
        table, moved = leave_out(manifest.table, column, value)
        if lack := _find_lack(table, column, value):
            skipped.append(f"without {column} {value}: {lack}")
            continue
        written.append(_write_protocol(table, folder, kind, value, moved))
    index = Protocols(
        data_sha256=manifest.sha256, split=spec, protocols=tuple(written), skipped=tuple(skipped)
    )
    index.write(folder / INDEX)
    return index


def read_index(folder: Path) -> Protocols:
    """Return the parsed ``protocols.json``.

    Raises:
        ManifestError: it is missing or invalid.
    """
    try:
        return Protocols.read(folder / INDEX)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{folder / INDEX} is not an index of protocols: {error}") from error


def leave_out(table: pl.DataFrame, column: str, value: str) -> tuple[pl.DataFrame, int]:
    """Return the rows of the protocol without ``value`` in ``column``, and how many moved to test.

    The excluded value is only in test: its rows of the test split, and those of other splits whose
    group and file are not among the remaining training rows. For a generator, the real rows of the
    test split are added; for a source, nothing is added.
    """
    out, test = pl.col(column) == value, pl.col("split") == "test"
    placed = table.filter(pl.col("split") != "").select(COLUMNS)
    learnt = placed.filter(~out & ~test)
    free = ~pl.any_horizontal(
        pl.col(k).is_in(learnt[k].unique().implode()) for k in ("group", "sha256")
    )
    moved = placed.filter(out & ~test & free)
    beside = placed.filter((column == "generator") & test & (pl.col("label") == "real"))
    tested = pl.concat([placed.filter(out & test), moved, beside])
    whole = pl.concat([learnt, tested.with_columns(pl.lit("test").alias("split"))])
    return whole.sort("path", "sha256"), moved.height


def _exclusions(manifest: Manifest) -> Iterator[tuple[Kind, str, str]]:
    """Yield the kind, column and value of everything that can be excluded."""
    for value in manifest.table["generator"].unique().sort():
        if value != "none":
            yield "leave-one-generator-out", "generator", value
    for value in manifest.table["source"].unique().sort():
        yield "leave-one-source-out", "source", value


def _find_lack(table: pl.DataFrame, column: str, value: str) -> str:
    """Return why a protocol is not usable, or an empty string."""
    counts = _count_classes(table)
    for label in LABELS:
        if not counts["train"][label]:
            return f"no {label} row is left in train"
    return "" if (table[column] == value).any() else "it has no row for the test split"


def _count_classes(table: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return how many rows of each class each split has."""
    found = {
        (split, label): rows
        for split, label, rows in table.group_by("split", "label").len().iter_rows()
    }
    return {split: {label: found.get((split, label), 0) for label in LABELS} for split in SPLITS}


def _write_protocol(
    table: pl.DataFrame, folder: Path, kind: Kind, value: str, moved: int
) -> Protocol:
    """Write one CSV file and return its entry in the index."""
    name = f"{kind}-{portable_name(value)}"
    data = table.write_csv(line_terminator="\n").encode()
    with atomic_write(folder / f"{name}.csv") as file:
        file.write(data)
    return Protocol(
        name=name,
        kind=kind,
        left_out=value,
        file=f"{name}.csv",
        sha256=hashlib.sha256(data).hexdigest(),
        counts=_count_classes(table),
        moved=moved,
    )


def portable_name(value: str) -> str:
    """Return a portable name of a file or folder, unique for each value.

    >>> portable_name("stable-diffusion-2.1"), portable_name("My GAN")
    ('stable-diffusion-2.1', 'my-gan-3df1d1c7')
    """
    plain = re.sub(r"[^a-z0-9.-]+", "-", value.lower()).strip("-.")[:60]
    if plain == value:
        return plain
    return "-".join(filter(None, [plain, hashlib.sha256(value.encode()).hexdigest()[:8]]))
