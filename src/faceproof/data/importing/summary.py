"""What an import comes to, class beside class: what differs between them may give them away."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from faceproof.data.importing.import_data import Imported
from faceproof.data.importing.table import OFFICIAL
from faceproof.records import Document, Record


class Spread(Record):
    """The least, the middle and the greatest of some numbers."""

    least: int
    median: float
    greatest: int


class ClassSummary(Record):
    """The pictures of one class; counts by name, the most frequent first."""

    pictures: int
    generators: dict[str, int]
    official_splits: dict[str, int]
    formats: dict[str, int]
    jpeg_qualities: dict[str, int]
    width: Spread | None
    height: Spread | None
    bytes: Spread | None


class Doubles(Record):
    """Pictures that stand in the manifest more than once; they are kept, `inspect` names them.

    ``files`` counts rows beyond the first of equal files, ``paths`` those of equal paths, and
    ``in_both_classes`` files that are called real and fake.
    """

    files: int
    paths: int
    in_both_classes: int


class ImportSummary(Document):
    """What `faceproof data import --format json` prints."""

    schema_: Literal["faceproof.import/1"] = Field(default="faceproof.import/1", alias="schema")
    manifest: str
    sha256: str
    root: str
    source: str
    layout: str
    all: ClassSummary
    real: ClassSummary
    fake: ClassSummary
    doubles: Doubles
    problems: dict[str, int]
    notes: tuple[str, ...]


def summarise(imported: Imported, *, manifest: Path, source: str, layout: str) -> ImportSummary:
    """Return the summary of an import whose manifest stands at ``manifest``."""
    table = imported.manifest.table
    codes = Counter(problem.code for problem in imported.problems)
    return ImportSummary(
        manifest=str(manifest),
        sha256=imported.manifest.sha256,
        root=str(imported.manifest.root),
        source=source,
        layout=layout,
        all=_of_class(table),
        real=_of_class(table.filter(pl.col("label") == "real")),
        fake=_of_class(table.filter(pl.col("label") == "fake")),
        doubles=_doubles(table),
        problems=dict(codes.most_common()),
        notes=imported.notes,
    )


def _of_class(table: pl.DataFrame) -> ClassSummary:
    return ClassSummary(
        pictures=table.height,
        generators=_counts(table["generator"]),
        official_splits=_counts(table[OFFICIAL if OFFICIAL in table.columns else "split"]),
        formats=_counts(table["format"]),
        jpeg_qualities=_counts(table["jpeg_quality"]),
        width=_spread(table["width"]),
        height=_spread(table["height"]),
        bytes=_spread(table["bytes"]),
    )


def _counts(column: pl.Series) -> dict[str, int]:
    """Return how often each value stands there, the most frequent first; the empty one left out."""
    named = column.cast(pl.String).drop_nulls()
    counts = named.filter(named != "").alias("value").value_counts(name="n")
    return dict(counts.sort(["n", "value"], descending=[True, False]).iter_rows())


def _spread(column: pl.Series) -> Spread | None:
    if column.is_empty():
        return None
    numbers = column.cast(pl.Int64)
    least, middle, greatest = numbers.min(), numbers.median(), numbers.max()
    return Spread.model_validate({"least": least, "median": middle, "greatest": greatest})


def _doubles(table: pl.DataFrame) -> Doubles:
    labels = table.group_by("sha256").agg(pl.col("label").n_unique())
    return Doubles(
        files=table.height - labels.height,
        paths=table.height - table["path"].n_unique(),
        in_both_classes=labels.filter(pl.col("label") > 1).height,
    )
