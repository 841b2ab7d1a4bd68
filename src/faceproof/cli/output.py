"""The formats of results: JSON, JSON lines and CSV here, the table in `faceproof.cli.table`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TextIO

from faceproof.cli.table import TableWriter

if TYPE_CHECKING:
    from faceproof.results import CheckedFace, CheckResult

#: Makes room on the terminal: what shows progress hides while results are written.
Hiding = Callable[[], AbstractContextManager[None]]

CSV_COLUMNS = (
    *("source", "status", "error_code", "error_message", "width", "height", "sha256"),
    *("verdict", "fake_probability", "faces", "face", "face_verdict", "face_fake_probability"),
    *("face_x", "face_y", "face_width", "face_height", "detection_score", "side_px", "cautions"),
    *("detector", "detector_version", "operating_point", "elapsed_ms"),
)


class Writer(Protocol):
    """Takes results one at a time; what it was given is on the stream after `close`."""

    def write(self, result: CheckResult) -> None:
        """Take one result."""

    def close(self) -> None:
        """Write what is pending."""


class JsonLines:
    """One JSON object a line, out at once."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding

    def write(self, result: CheckResult) -> None:
        """Write one line."""
        with self._hiding():
            self._stream.write(result.model_dump_json() + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is pending."""


class JsonArray:
    """One JSON array of objects, valid wherever the run stops."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._opened = False

    def write(self, result: CheckResult) -> None:
        """Write one element."""
        with self._hiding():
            self._stream.write((",\n" if self._opened else "[\n") + result.model_dump_json())
            self._opened = True

    def close(self) -> None:
        """End the array."""
        with self._hiding():
            self._stream.write("\n]\n" if self._opened else "[]\n")
            self._stream.flush()


class CsvRows:
    """A header, then one row a face; a source without a face has one row."""

    def __init__(self, stream: TextIO, hiding: Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._rows = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        self._rows.writeheader()

    def write(self, result: CheckResult) -> None:
        """Write the rows of one source."""
        with self._hiding():
            self._rows.writerows(csv_rows(result))
            self._stream.flush()

    def close(self) -> None:
        """Write the header at the least."""
        self._stream.flush()


FORMATS: dict[str, Callable[[TextIO, Hiding], Writer]] = {
    "table": TableWriter,
    "json": JsonArray,
    "jsonl": JsonLines,
    "csv": CsvRows,
}


def csv_rows(result: CheckResult) -> Iterator[dict[str, object]]:
    """Yield one row for each face, or the one row of a source without faces."""
    error, image = result.error, result.image
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
    }
    for number, face in enumerate(result.faces, start=1):
        yield row | {"face": number} | _face_columns(face)
    if not result.faces:
        yield row


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
