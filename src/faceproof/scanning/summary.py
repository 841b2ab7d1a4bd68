"""`summarise`: the counts of a scan, its errors by kind, and its most suspicious pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from faceproof.errors import SourceError
from faceproof.imaging.decode import DEFAULT_LIMITS, decode
from faceproof.imaging.degradations import encode_webp
from faceproof.records import Document, Record
from faceproof.reports.marked_picture import mark_picture
from faceproof.reports.words import OUTCOMES
from faceproof.results import CheckedBy, CheckResult
from faceproof.scanning.archives import Container
from faceproof.scanning.inputs import content_kind, open_file
from faceproof.scanning.items import MEMBER, Item
from faceproof.scanning.picture_tables import read_row
from faceproof.scanning.result_files import INPUT, read_result
from faceproof.scanning.spec import ScanSpec
from faceproof.scanning.worker import read_item

if TYPE_CHECKING:
    import polars as pl


#: Pictures on the page, and their longer side in pixels.
SHOWN, _SIDE = 24, 320
_QUALITY = 70
_EXAMPLES = 3
Count = Annotated[int, Field(ge=0)]


class ErrorKind(Record):
    """An error code, the number of its pictures, and a few messages."""

    code: str
    count: Count
    examples: tuple[str, ...]


class ScanSummary(Document):
    """The counts of all results in a folder.

    ``pictures`` have a row. ``verdicts`` are those of pictures, with ``no_face`` and ``error``.
    ``repeated`` were not checked by the last run, because they had a result or were listed before;
    ``skipped`` are other files in its folders and archives.

    >>> from faceproof import ScanSummary
    >>> from faceproof.results import CheckedBy
    >>> by = CheckedBy(name="mine", version="1.0", sha256="0" * 64)
    >>> counts = {"pictures": 2, "faces": 2, "repeated": 0, "skipped": 1}
    >>> verdicts = {"real": 1, "fake": 1}
    >>> ScanSummary(detector=by, operating_point="a", verdicts=verdicts, cautions={}, errors=(),
    ...             **counts).verdicts["fake"]
    1
    """

    schema_: Literal["faceproof.scan_summary/1"] = Field(
        default="faceproof.scan_summary/1", alias="schema"
    )
    detector: CheckedBy
    operating_point: str
    pictures: Count
    faces: Count
    verdicts: dict[str, Count]
    cautions: dict[str, Count]
    errors: tuple[ErrorKind, ...]
    repeated: Count
    skipped: Count


class SuspiciousPicture(Record):
    """A picture with a high probability of fake; ``thumbnail`` is a WebP, None if unavailable."""

    result: CheckResult
    thumbnail: bytes | None


def summarise(parts: Sequence[Path], spec: ScanSpec, *, repeated: int, skipped: int) -> ScanSummary:
    """Return the summary of files of results; they are read as a stream."""
    import polars as pl

    counted: dict[str, int] = {}
    cautions: dict[str, int] = {}
    faces = 0
    errors: tuple[ErrorKind, ...] = ()
    if parts:
        rows = pl.scan_parquet(list(parts))
        outcome = pl.coalesce("verdict", "status").alias("name")
        counted = _count(rows.select(outcome))
        faces = rows.select(pl.col("faces").list.len().sum()).collect(engine="streaming").item()
        face = rows.select(pl.col("faces").explode()).drop_nulls()
        named = pl.col("faces").struct.field("quality").struct.field("cautions")
        cautions = _count(face.select(named.explode().alias("name")).drop_nulls())
        errors = _error_kinds(rows)
    return ScanSummary(
        detector=spec.detector,
        operating_point=spec.operating_point,
        pictures=sum(counted.values()),
        faces=int(faces or 0),
        verdicts={name: counted.get(name, 0) for name in OUTCOMES},
        cautions=cautions,
        errors=errors,
        repeated=repeated,
        skipped=skipped,
    )


def _count(names: pl.LazyFrame) -> dict[str, int]:
    """Return how often each value of the column ``name`` occurs, the most frequent first."""
    import polars as pl

    counts = names.group_by("name").agg(pl.len()).collect(engine="streaming")
    return dict(counts.sort(["len", "name"], descending=[True, False]).iter_rows())


def _error_kinds(rows: pl.LazyFrame) -> tuple[ErrorKind, ...]:
    """Return the kinds of errors, the most frequent first."""
    import polars as pl

    error = pl.col("error").struct
    kinds = (
        rows.filter(pl.col("status") == "error")
        .select(error.field("code"), error.field("message"))
        .group_by("code")
        .agg(pl.len(), pl.col("message").bottom_k(_EXAMPLES).sort())
        .collect(engine="streaming")
        .sort(["len", "code"], descending=[True, False])
    )
    return tuple(
        ErrorKind(code=code, count=count, examples=tuple(examples))
        for code, count, examples in kinds.iter_rows()
    )


def pick_suspicious(
    parts: Sequence[Path], column: str | None, *, most: int = SHOWN
) -> list[SuspiciousPicture]:
    """Return the pictures called fake with the highest probability, then unsure, and thumbnails.

    A picture that changed since, or is in a compressed archive, has no thumbnail. ``column`` is
    that of Parquet files.
    """
    import polars as pl

    if not parts:
        return []
    order = [pl.col("verdict") != "fake", -pl.col("fake_probability"), pl.col("source")]
    rows = (
        pl.scan_parquet(list(parts))
        .filter(pl.col("verdict").is_in(["fake", "unsure"]))
        .bottom_k(most, by=order)
        .collect(engine="streaming")
        .sort(order)
        .to_dicts()
    )
    return [
        SuspiciousPicture(result=result, thumbnail=_thumbnail(row[INPUT], result, column))
        for row, result in zip(rows, map(read_result, rows), strict=True)
    ]


def _thumbnail(given: Mapping[str, Any], result: CheckResult, column: str | None) -> bytes | None:
    """Return the picture with its faces marked, as WebP; None if it cannot be read any more."""
    try:
        data = _read_again(given, result.source, column)
        picture = decode(data, name=result.source) if data else None
    except (OSError, ValueError, SourceError):
        return None
    if picture is None or result.image is None or picture.sha256 != result.image.sha256:
        return None
    return encode_webp(mark_picture(picture.pixels, result, longest=_SIDE), _QUALITY)


def _read_again(given: Mapping[str, Any], source: str, column: str | None) -> bytes | None:
    """Return the bytes of a picture of the results; None if that would unpack an archive."""
    path, offset, size = given["path"], given["offset"], given["size"]
    limit = DEFAULT_LIMITS.max_bytes
    in_container = source.startswith(f"{path}{MEMBER}")
    if not in_container or offset is not None:
        return read_item(Item(source, path, offset=offset, size=size), limit)
    if content_kind(path) != "table":
        return None
    container = Container(path, None, None, partial(open_file, path))
    return read_row(container, column, int(source.removeprefix(f"{path}{MEMBER}")))
