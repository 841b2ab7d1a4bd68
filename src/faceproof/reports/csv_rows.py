"""`csv_rows`: results as rows of a table, one per face, for the command line, page and Python."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from faceproof.tables import import_pandas, require

if TYPE_CHECKING:
    import polars as pl

    from faceproof.results import CheckedFace, CheckResult

CSV_COLUMNS = (
    *("source", "status", "error_code", "error_message", "width", "height", "sha256"),
    *("verdict", "fake_probability", "faces", "face", "face_verdict", "face_fake_probability"),
    *("face_x", "face_y", "face_width", "face_height", "detection_score", "side_px", "cautions"),
    *("detector", "detector_version", "operating_point", "elapsed_ms"),
    *("content_credentials", "file_says", "pictures", "damaged", "smallest_face_px"),
    *("copies", "copies_same_verdict"),
)

#: The columns of numbers, and what they hold; the others are text.
_NUMBERS: Mapping[str, type[int] | type[float]] = {
    **dict.fromkeys(("width", "height", "faces", "face", "pictures", "smallest_face_px"), int),
    **dict.fromkeys(("copies", "copies_same_verdict"), int),
    **dict.fromkeys(("fake_probability", "face_fake_probability", "detection_score"), float),
    **dict.fromkeys(("face_x", "face_y", "face_width", "face_height"), float),
    **dict.fromkeys(("side_px", "elapsed_ms", "damaged"), float),
}

#: First characters of a formula in a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_rows(result: CheckResult) -> Iterator[dict[str, object]]:
    """Yield one row for each face, or one row for a source without faces."""
    error, image, credentials = result.error, result.image, result.provenance.content_credentials
    row: dict[str, object] = {
        "source": result.source,
        "status": result.status,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "sha256": image.sha256 if image else None,
        "verdict": result.verdict,
        "fake_probability": result.fake_probability,
        "faces": len(result.faces),
        "detector": result.detector.name,
        "detector_version": result.detector.version,
        "operating_point": result.operating_point,
        "elapsed_ms": result.elapsed_ms,
        "content_credentials": credentials.state if credentials else None,
        "file_says": " ".join(provenance_indications(result)),
        "pictures": image.pictures if image else None,
        "damaged": image.damaged if image else None,
        "smallest_face_px": image.smallest_face_px if image else None,
        "copies": len(result.resaved) or None,
        "copies_same_verdict": count_same_verdicts(result) if result.resaved else None,
    }
    for number, face in enumerate(result.faces, start=1):
        yield row | {"face": number} | _face_columns(face)
    if not result.faces:
        yield row


def polars_frame(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Return rows of `csv_rows` as a polars frame; a column has one type whatever the rows hold.

    Raises:
        MissingExtraError: polars is not installed.
    """
    require("polars", extra="data")
    import polars as pl

    listed = list(rows)
    columns = {name: [row.get(name) for row in listed] for name in CSV_COLUMNS}
    schema = {name: _NUMBERS.get(name, str) for name in CSV_COLUMNS}
    return pl.DataFrame(columns, schema=schema, strict=False)


def pandas_frame(rows: Iterable[Mapping[str, object]]) -> Any:
    """Return rows of `csv_rows` as a pandas frame; whole numbers are ``Int64``, others ``float64``.

    Raises:
        UsageError: pandas is not installed.
    """
    frame = import_pandas().DataFrame(list(rows), columns=list(CSV_COLUMNS))
    kinds = {int: "Int64", float: "float64"}
    return frame.astype({name: kinds[kind] for name, kind in _NUMBERS.items()})


def _face_columns(face: CheckedFace) -> dict[str, object]:
    """Return the columns that describe one face."""
    return {
        "face_verdict": face.verdict,
        "face_fake_probability": face.fake_probability,
        **dict(zip(("face_x", "face_y", "face_width", "face_height"), face.box, strict=True)),
        "detection_score": face.detection_score,
        "side_px": face.quality.side_px,
        "cautions": " ".join(face.quality.cautions),
    }


def count_same_verdicts(result: CheckResult) -> int:
    """Return how many copies of the picture, saved again, got its verdict."""
    return sum(one.verdict == result.verdict for one in result.resaved)


def provenance_indications(result: CheckResult) -> list[str]:
    """Return the distinct indications of the file's provenance findings."""
    points = {finding.points_to for finding in result.provenance.findings}
    return sorted(points - {"nothing"})


class CsvTable:
    """Writes a header, then rows; a name with line breaks does not split a row."""

    def __init__(self, stream: TextIO) -> None:
        self._plain = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        self._quoting = csv.DictWriter(
            stream, CSV_COLUMNS, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        self._plain.writeheader()

    def write(self, row: Mapping[str, object]) -> None:
        """Write a row, quoted if it contains a carriage return."""
        breaks = any(isinstance(cell, str) and "\r" in cell for cell in row.values())
        (self._quoting if breaks else self._plain).writerow(row)


def csv_text(results: Iterable[CheckResult]) -> str:
    """Return the rows as CSV for a spreadsheet, without formula cells.

    Text that a spreadsheet would parse as a formula, such as a file name, gets an apostrophe.
    The machine-readable ``faceproof check --format csv`` keeps names unchanged.

    Source: OWASP, "CSV Injection".
    """
    stream = io.StringIO()
    table = CsvTable(stream)
    for result in results:
        for row in csv_rows(result):
            table.write(_escape_formulas(row))
    return stream.getvalue()


def _escape_formulas(row: Mapping[str, object]) -> dict[str, object]:
    return {
        column: f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
        for column, cell in row.items()
    }
