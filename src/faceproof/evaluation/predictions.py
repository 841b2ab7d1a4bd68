"""`Prediction` and the predictions table, from which all metrics are computed.

One row is one face of a picture under one condition. Inference writes the table (Parquet); every
metric, interval, calibration and plot is a pure function of it. Rows that were not judged keep
their status and the reason. Faces without a label are kept, and no metric counts them.

A file of schema 1 is read as schema 2, with what it does not have left empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from faceproof.detector.spec import OperatingPoint, Sha256, Text, Verdict
from faceproof.errors import DataError, MissingExtraError
from faceproof.evaluation.formulas import Bools, Floats, Thresholds
from faceproof.imaging.quality import WITHHOLDING
from faceproof.outputs import atomic_write
from faceproof.records import Record

if TYPE_CHECKING:
    import pyarrow as pa

Texts = NDArray[np.str_]
Status = Literal["ok", "no_face", "error"]
Box = tuple[float, float, float, float]

LABELS = ("real", "fake")
STATUSES = ("ok", "no_face", "error")
VERDICTS = ("real", "unsure", "fake")
REAL, UNSURE, FAKE = range(3)
"""The places in `VERDICTS`."""
ATTRIBUTE = "attribute."
"""How the column of a manifest's attribute begins: ``attribute.age``."""
_METADATA = b"faceproof"
_BOX = ("box_x", "box_y", "box_width", "box_height")


class Scoring(Record):
    """What a report needs to know of the detector and the data, beside their hashes.

    ``operating_point`` is the one of the verdicts. ``split`` is "" for a manifest without splits.
    ``trained_on_sha256`` is the hash of the detector's training data, and ``generators_seen`` are
    the generators in it; None if they are unknown.
    """

    detector_name: Text
    detector_version: Text
    operating_points: tuple[OperatingPoint, ...] = Field(min_length=1)
    operating_point: Text
    trained_on_sha256: Sha256 | None = None
    generators_seen: tuple[Text, ...] | None = None
    data_name: str
    split: str
    faces: Text
    notes: tuple[str, ...] = ()
    """Warnings about the scores, for the reader of any figure."""


class Origin(Record):
    """The detector, data and purpose of a predictions table; ``scoring`` if it was evaluated."""

    schema_: Literal["faceproof.predictions/2"] = Field(
        default="faceproof.predictions/2", alias="schema"
    )
    detector_sha256: Sha256
    data_sha256: Sha256
    purpose: str
    scoring: Scoring | None = None


@dataclass(frozen=True)
class Prediction:
    """One row: a face of a picture under a condition, and the prediction for it.

    ``face`` numbers the faces of a picture, those with a label first. A face without a label has
    "" as label and generator. ``box`` (x, y, width, height) is in pixels of the picture under the
    condition. ``verdict`` is None where no operating point was given. ``cautions`` are those of
    the face's quality, with commas between them. ``reason`` is the code of why it was not judged.
    """

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
    face: int = 0
    box: Box | None = None
    verdict: Verdict | None = None
    cautions: str = ""
    reason: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


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
    withheld: Bools
    """bool [N]: true if the face was judged and a caution withholds its verdict."""

    def __len__(self) -> int:
        return len(self.fake)

    def verdicts(self, at: Thresholds | OperatingPoint) -> NDArray[np.int64]:
        """Return int64 [N]: the place in `VERDICTS`, -1 not judged."""
        return verdict_places(self.probabilities, self.withheld, at)

    def scores_at(self, at: Thresholds | OperatingPoint) -> tuple[Floats, Thresholds]:
        """Return scores float64 [N] and thresholds that give each face its verdict.

        They are the probabilities, but a face whose verdict is withheld lies between the
        thresholds. If these are equal, the lower one is moved down by the smallest step of a
        float to make place for it.
        """
        low, high = at.real_below, at.fake_from
        if not self.withheld.any():
            return self.probabilities, Thresholds(low, high)
        scores = self.probabilities
        if low == high:
            low = float(np.nextafter(high, -1.0))
            scores = np.where(scores == low, np.nextafter(low, -1.0), scores)
        return np.where(self.withheld, low, scores), Thresholds(low, high)

    def where(self, mask: Bools) -> Faces:
        """Return the faces for which ``mask`` bool [N] is true."""
        return Faces(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})


def verdict_places(
    probabilities: Floats, withheld: Bools, at: Thresholds | OperatingPoint
) -> NDArray[np.int64]:
    """Return the verdict on each face as its place in `VERDICTS`, int64 like ``probabilities``.

    A face whose verdict is ``withheld`` is unsure whatever its probability, as in
    `faceproof.results.face_verdict`. A face that was not judged (NaN) has -1.

    >>> odds, held = np.array([0.1, 0.5, 0.9, 0.9, np.nan]), np.array([0, 0, 0, 1, 0], dtype=bool)
    >>> verdict_places(odds, held, Thresholds(0.3, 0.7)).tolist()
    [0, 1, 2, 1, -1]
    """
    called = (probabilities >= at.real_below).astype(np.int64) + (probabilities >= at.fake_from)
    return np.where(np.isnan(probabilities), -1, np.where(withheld, 1, called))


def withholds_verdict(status: str, cautions: str) -> bool:
    """Return whether a judged face has a caution that withholds its verdict, from its row.

    >>> withholds_verdict("ok", "small,damaged"), withholds_verdict("ok", "small")
    (True, False)
    """
    return status == "ok" and not WITHHOLDING.isdisjoint(cautions.split(","))


def make_table(rows: Iterable[Prediction], origin: Origin) -> pa.Table:
    """Return the validated table of these rows.

    Raises:
        DataError: a row is invalid.
    """
    arrow, given = _import_pyarrow(), tuple(rows)
    names = tuple(dict.fromkeys(name for row in given for name in row.attributes))
    metadata = {_METADATA: origin.model_dump_json(by_alias=True).encode()}
    made = arrow.Table.from_pylist(
        [_to_columns(row, names, origin.detector_sha256) for row in given],
        schema=_schema(f"{ATTRIBUTE}{name}" for name in names).with_metadata(metadata),
    )
    _check_table(made)
    return made


def rows_of(predictions: pa.Table) -> Iterator[Prediction]:
    """Yield the rows of a table, as `make_table` takes them."""
    plain = [one.name for one in fields(Prediction) if one.name not in {"box", "attributes"}]
    for row in predictions.to_pylist():
        box = tuple(row[name] for name in _BOX)
        yield Prediction(
            **{name: row[name] for name in plain},
            box=None if None in box else box,
            attributes={
                name.removeprefix(ATTRIBUTE): value
                for name, value in row.items()
                if name.startswith(ATTRIBUTE) and value
            },
        )


def _to_columns(row: Prediction, attributes: tuple[str, ...], detector: str) -> dict[str, Any]:
    """Return a row with its box, its attributes and the detector's hash as columns."""
    columns = {one.name: getattr(row, one.name) for one in fields(Prediction)}
    known, box = columns.pop("attributes"), columns.pop("box") or (None,) * len(_BOX)
    columns |= dict(zip(_BOX, box, strict=True)) | {"detector_sha256": detector}
    return columns | {f"{ATTRIBUTE}{name}": known.get(name, "") for name in attributes}


def write_table(predictions: pa.Table, path: Path) -> None:
    """Validate a table and write it as Parquet; the whole file or nothing."""
    _check_table(predictions)
    from pyarrow import parquet

    with atomic_write(path) as file:
        parquet.write_table(predictions, file, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Read and validate a table that `write_table` wrote, of schema 1 or 2.

    Raises:
        DataError: the file is missing, not Parquet, or invalid.
    """
    arrow = _import_pyarrow()
    from pyarrow import parquet

    try:
        predictions = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a predictions table: {error}") from error
    if predictions.schema.equals(_schema_1(), check_metadata=False):
        predictions = _upgrade(predictions, name=str(path))
    _check_table(predictions, name=str(path))
    return predictions


def _upgrade(predictions: pa.Table, *, name: str) -> pa.Table:
    """Return a table of schema 1 in schema 2: faces without boxes, rows without verdicts."""
    old = b"faceproof.predictions/1"
    written = (predictions.schema.metadata or {}).get(_METADATA, b"")
    if old not in written:
        raise DataError(f"{name}: metadata of another faceproof version: {written.decode()[:80]}")
    new = {_METADATA: written.replace(old, b"faceproof.predictions/2", 1)}
    origin = origin_of(predictions.replace_schema_metadata(new), name=name)
    return make_table((Prediction(**row) for row in predictions.to_pylist()), origin)


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


def labelled_rows(predictions: pa.Table) -> pa.Table:
    """Return the rows of the faces with a label, in order; only these count in a metric."""
    compute = _import_pyarrow().compute
    return predictions.filter(compute.not_equal(predictions["label"], ""))


def all_faces(predictions: pa.Table) -> Faces:
    """Return all rows with a label as arrays, including those that were not judged."""
    kept = labelled_rows(predictions)
    text = {
        column: np.asarray(kept[column].to_pylist(), dtype=np.str_)
        for column in ("source", "generator", "group", "path", "condition", "split", "status")
    }
    marks = zip(kept["status"].to_pylist(), kept["cautions"].to_pylist(), strict=True)
    return Faces(
        fake=np.asarray(kept["label"].to_pylist(), dtype=np.str_) == "fake",
        logits=_float_column(kept, "logit"),
        probabilities=_float_column(kept, "fake_probability"),
        sources=text["source"],
        generators=text["generator"],
        groups=np.where(text["group"] == "", text["path"], text["group"]),
        conditions=text["condition"],
        splits=text["split"],
        statuses=text["status"],
        withheld=np.array([withholds_verdict(*mark) for mark in marks], dtype=bool),
    )


def reasons_of(predictions: pa.Table) -> list[str]:
    """Return why each face with a label was not judged, in order; "" for a judged one."""
    kept = labelled_rows(predictions)
    columns = zip(kept["status"].to_pylist(), kept["reason"].to_pylist(), strict=True)
    return ["" if status == "ok" else reason or status for status, reason in columns]


def judged_faces(predictions: pa.Table) -> Faces:
    """Return the judged rows as arrays; `all_faces` returns all rows."""
    every = all_faces(predictions)
    return every.where(every.statuses == "ok")


def _check_table(predictions: pa.Table, *, name: str = "predictions") -> None:
    """Validate columns, values and metadata.

    Raises:
        DataError: with the first fault, the number of rows and the first row.
    """
    more = [key for key in predictions.column_names if key.startswith(ATTRIBUTE)]
    wanted = _schema(more)
    if not predictions.schema.equals(wanted, check_metadata=False):
        raise DataError(
            f"{name}: columns are {_describe_schema(predictions.schema)}, "
            f"expected {_describe_schema(wanted)}"
        )
    origin = origin_of(predictions, name=name)
    columns = {key: np.asarray(values, object) for key, values in predictions.to_pydict().items()}
    for fault, broken in _find_faults(columns, origin).items():
        if broken.any():
            first = int(np.argmax(broken))
            raise DataError(
                f"{name}: {fault} in {int(broken.sum())} rows, "
                f"first in row {first} ({columns['path'][first]})"
            )


def _find_faults(columns: dict[str, NDArray[Any]], origin: Origin) -> dict[str, Bools]:
    """Return each possible fault of a row with its mask, bool [N]."""
    logit, probability = (columns[key].astype(float) for key in ("logit", "fake_probability"))
    label, ok = columns["label"], columns["status"] == "ok"
    bare, judged = label == "", columns["verdict"] != None  # noqa: E711
    box = np.stack([columns[name].astype(float) for name in _BOX])
    return {
        "label is neither real nor fake": ~np.isin(label, (*LABELS, "")),
        "label contradicts the generator": ~bare
        & ((label == "real") != (columns["generator"] == "none")),
        "generator without a label": bare & (columns["generator"] != ""),
        "unknown status": ~np.isin(columns["status"], STATUSES),
        "logit without status ok, or status ok without logit": ok != np.isfinite(logit),
        "probability outside [0, 1]": ok & ~((probability >= 0) & (probability <= 1)),
        "probability without status ok": ~ok & ~np.isnan(probability),
        "unknown verdict": judged & ~np.isin(columns["verdict"], VERDICTS),
        "verdict without status ok": judged & ~ok,
        "reason with status ok": ok & (columns["reason"] != ""),
        "box is not four numbers": np.isfinite(box).any(axis=0) & ~np.isfinite(box).all(axis=0),
        "another detector": columns["detector_sha256"] != origin.detector_sha256,
        "duplicate path, face and condition": _is_repeated(
            zip(columns["path"], columns["face"], columns["condition"], strict=True)
        ),
    }


def _is_repeated(keys: Iterable[tuple[str, int, str]]) -> Bools:
    """Return whether each key stood before, bool [N]."""
    seen: set[tuple[str, int, str]] = set()
    again = []
    for key in keys:
        again.append(key in seen)
        seen.add(key)
    return np.array(again, dtype=bool)


def _float_column(predictions: pa.Table, column: str) -> Floats:
    """Return float64 [N], NaN where the column is null."""
    values = [np.nan if value is None else value for value in predictions[column].to_pylist()]
    return np.asarray(values, dtype=np.float64)


def _schema(attributes: Iterable[str] = ()) -> pa.Schema:
    """Return the columns of schema 2, with those of the manifest's attributes last."""
    arrow = _import_pyarrow()
    known = [*_schema_1(), arrow.field("face", arrow.int32(), nullable=False)]
    known += [arrow.field(name, arrow.float64()) for name in _BOX]
    known.append(arrow.field("verdict", arrow.string()))
    texts = ("cautions", "reason", "detector_sha256", *attributes)
    return arrow.schema(
        [*known, *(arrow.field(name, arrow.string(), nullable=False) for name in texts)]
    )


def _schema_1() -> pa.Schema:
    """Return the columns of schema 1, with which those of schema 2 begin."""
    arrow = _import_pyarrow()
    kinds = {"logit": arrow.float64(), "fake_probability": arrow.float64()}
    names = [one.name for one in fields(Prediction)]
    return arrow.schema(
        [
            arrow.field(name, kinds.get(name, arrow.string()), nullable=name in kinds)
            for name in names[: names.index("status") + 1]
        ]
    )


def _describe_schema(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _import_pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.compute
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="data") from error
    return pa
