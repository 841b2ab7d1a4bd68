"""`Prediction` and the predictions table, from which all metrics are computed.

One row is one picture under one condition. Inference writes the table (Parquet); every metric,
interval, calibration and plot is a pure function of it. Rows that were not judged keep their
status.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from faceproof.detector.spec import Sha256
from faceproof.errors import DataError, MissingExtraError
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.outputs import atomic_write
from faceproof.records import Record

if TYPE_CHECKING:
    import pyarrow as pa

Texts = NDArray[np.str_]
Status = Literal["ok", "no_face", "error"]

LABELS = ("real", "fake")
STATUSES = ("ok", "no_face", "error")
_METADATA = b"faceproof"


class Origin(Record):
    """The detector, data and purpose of a predictions table."""

    schema_: Literal["faceproof.predictions/1"] = Field(
        default="faceproof.predictions/1", alias="schema"
    )
    detector_sha256: Sha256
    data_sha256: Sha256
    purpose: str


@dataclass(frozen=True)
class Prediction:
    """One row: a picture under a condition, and the prediction for its largest face."""

    path: str
    source: str
    generator: str
    label: str
    split: str
    group: str
    condition: str
    logit: float | None
    fake_probability: float | None
    status: Status


@dataclass(frozen=True)
class Faces:
    """The columns of a predictions table as arrays of one length N."""

    fake: Bools
    """bool [N]: true for the label fake."""
    logits: Floats
    """float64 [N]: NaN if the face was not judged."""
    probabilities: Floats
    """float64 [N] in [0, 1]: NaN if the face was not judged."""
    sources: Texts
    generators: Texts
    groups: Texts
    """str [N]: a row without a group forms its own group."""
    conditions: Texts
    splits: Texts
    statuses: Texts

    def __len__(self) -> int:
        return len(self.fake)

    def where(self, mask: Bools) -> Faces:
        """Return the faces for which ``mask`` bool [N] is true."""
        return Faces(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})


def make_table(rows: Iterable[Prediction], origin: Origin) -> pa.Table:
    """Return the validated table of these rows.

    Raises:
        DataError: a row is invalid.
    """
    arrow = _import_pyarrow()
    metadata = {_METADATA: origin.model_dump_json(by_alias=True).encode()}
    made = arrow.Table.from_pylist(
        [asdict(row) for row in rows], schema=_schema().with_metadata(metadata)
    )
    _check_table(made)
    return made


def write_table(predictions: pa.Table, path: Path) -> None:
    """Validate a table and write it as Parquet; the whole file or nothing."""
    _check_table(predictions)
    from pyarrow import parquet

    with atomic_write(path) as file:
        parquet.write_table(predictions, file, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Read and validate a table that `write_table` wrote.

    Raises:
        DataError: the file is missing, not Parquet, or invalid.
    """
    arrow = _import_pyarrow()
    from pyarrow import parquet

    try:
        predictions = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a predictions table: {error}") from error
    _check_table(predictions, name=str(path))
    return predictions


def origin_of(predictions: pa.Table, *, name: str = "predictions") -> Origin:
    """Return the detector, data and purpose from the table's metadata.

    Raises:
        DataError: the metadata is missing or has another schema.
    """
    written = (predictions.schema.metadata or {}).get(_METADATA)
    if written is None:
        raise DataError(f"{name}: not a faceproof predictions table: its metadata has no detector")
    try:
        return Origin.model_validate_json(written)
    except ValidationError as error:
        raise DataError(f"{name}: metadata of another faceproof version: {error}") from error


def all_faces(predictions: pa.Table) -> Faces:
    """Return all rows as arrays, including those that were not judged."""
    text = {
        column: np.asarray(predictions[column].to_pylist(), dtype=np.str_)
        for column in ("source", "generator", "group", "path", "condition", "split", "status")
    }
    return Faces(
        fake=np.asarray(predictions["label"].to_pylist(), dtype=np.str_) == "fake",
        logits=_float_column(predictions, "logit"),
        probabilities=_float_column(predictions, "fake_probability"),
        sources=text["source"],
        generators=text["generator"],
        groups=np.where(text["group"] == "", text["path"], text["group"]),
        conditions=text["condition"],
        splits=text["split"],
        statuses=text["status"],
    )


def judged_faces(predictions: pa.Table) -> Faces:
    """Return the judged rows as arrays; `all_faces` returns all rows."""
    every = all_faces(predictions)
    return every.where(every.statuses == "ok")


def _check_table(predictions: pa.Table, *, name: str = "predictions") -> None:
    """Validate columns, values and metadata.

    Raises:
        DataError: with the first fault, the number of rows and the first row.
    """
    if not predictions.schema.equals(_schema(), check_metadata=False):
        raise DataError(
            f"{name}: columns are {_describe_schema(predictions.schema)}, "
            f"expected {_describe_schema(_schema())}"
        )
    origin_of(predictions, name=name)
    columns = {key: np.asarray(values, object) for key, values in predictions.to_pydict().items()}
    for fault, broken in _find_faults(columns).items():
        if broken.any():
            first = int(np.argmax(broken))
            raise DataError(
                f"{name}: {fault} in {int(broken.sum())} rows, "
                f"first in row {first} ({columns['path'][first]})"
            )


def _find_faults(columns: dict[str, NDArray[Any]]) -> dict[str, Bools]:
    """Return each possible fault of a row with its mask, bool [N]."""
    logit, probability = (columns[key].astype(float) for key in ("logit", "fake_probability"))
    label, ok = columns["label"], columns["status"] == "ok"
    picture = np.array(list(zip(columns["path"], columns["condition"], strict=True)), object)
    return {
        "label is neither real nor fake": ~np.isin(label, LABELS),
        "label contradicts the generator": (label == "real") != (columns["generator"] == "none"),
        "unknown status": ~np.isin(columns["status"], STATUSES),
        "logit without status ok, or status ok without logit": ok != np.isfinite(logit),
        "probability outside [0, 1]": ok & ~((probability >= 0) & (probability <= 1)),
        "probability without status ok": ~ok & ~np.isnan(probability),
        "duplicate path and condition": _is_repeated(picture),
    }


def _is_repeated(pairs: NDArray[Any]) -> Bools:
    seen: set[tuple[str, str]] = set()
    again = np.zeros(len(pairs), dtype=bool)
    for i, pair in enumerate(map(tuple, pairs)):
        again[i] = pair in seen
        seen.add(pair)
    return again


def _float_column(predictions: pa.Table, column: str) -> Floats:
    """Return float64 [N], NaN where the column is null."""
    values = [np.nan if value is None else value for value in predictions[column].to_pylist()]
    return np.asarray(values, dtype=np.float64)


def _schema() -> pa.Schema:
    arrow = _import_pyarrow()
    kinds = {"logit": arrow.float64(), "fake_probability": arrow.float64()}
    return arrow.schema(
        [
            arrow.field(one.name, kinds.get(one.name, arrow.string()), nullable=one.name in kinds)
            for one in fields(Prediction)
        ]
    )


def _describe_schema(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _import_pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="data") from error
    return pa
