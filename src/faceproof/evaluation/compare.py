"""`compare`: detectors and other tools' scores side by side, on the same pictures.

Every figure is of the faces that all of them judged, so none gains by leaving out hard pictures;
how many each left out is part of the result. The first predictions table has the labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from faceproof.detector.spec import Finding, OperatingPoint, Sha256, Text
from faceproof.errors import DataError, UsageError
from faceproof.evaluation.auc_tests import delong, holm
from faceproof.evaluation.evaluate import PREDICTIONS, RECORD
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.evaluation.findings import REPORTED, slice_findings
from faceproof.evaluation.formulas import Bools
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.metrics import METRICS, count_groups
from faceproof.evaluation.paired import RowKey, auc_change, row_numbers
from faceproof.evaluation.predictions import Faces, all_faces, labelled_rows, origin_of, read_table
from faceproof.evaluation.sample_size import FEW_GROUPS, refusals
from faceproof.evaluation.score_files import read_scores
from faceproof.records import Document, Record
from faceproof.sources import to_printable

if TYPE_CHECKING:
    import pyarrow as pa


class Compared(Record):
    """A detector, or another tool's scores, and its figures on the faces that all judged."""

    name: Text = Field(description="Name of the detector, or of the file of scores.")
    kind: Literal["detector", "scores"] = Field(
        description="A detector, or the scores of another tool."
    )
    detector_sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of detector.json; null for other tools."
    )
    operating_point: OperatingPoint | None = Field(
        default=None, description="Thresholds of its verdicts; null where none are known."
    )
    judged: int = Field(
        ge=0, description="Rows of its predictions table with a score, over all conditions."
    )
    not_judged: int = Field(
        ge=0, description="Rows of its predictions table without a score, over all conditions."
    )
    findings: tuple[Finding, ...] = Field(description="Figures on the faces that all judged.")


class AucChange(Record):
    """The ROC-AUCs of two of the compared on the same faces, and a test of their difference.

    ``low`` and ``high`` are the ends of the bootstrap interval of ``change`` (second minus first).
    ``p`` is DeLong's, for groups; ``p_holm`` is adjusted for all changes of the comparison. Both
    are None if they cannot be computed.
    """

    first: Text = Field(description="Name of the first.")
    second: Text = Field(description="Name of the second.")
    condition: Text = Field(description="Condition of the pictures.")
    n: int = Field(ge=1, description="Number of faces.")
    groups: int = Field(ge=1, description="Number of groups, which are resampled as a whole.")
    first_auc: float = Field(description="ROC-AUC of the first.")
    second_auc: float = Field(description="ROC-AUC of the second.")
    change: float = Field(description="ROC-AUC of the second minus that of the first.")
    low: float = Field(description="Lower end of the bootstrap interval of the change, 95 %.")
    high: float = Field(description="Upper end of the bootstrap interval of the change, 95 %.")
    p: float | None = Field(
        description="DeLong's p-value, for groups; null if it cannot be computed."
    )
    p_holm: float | None = Field(
        description="The same, adjusted by Holm for all changes of the comparison."
    )


class Comparison(Document):
    """Detectors and other tools side by side, written as JSON by ``faceproof compare``.

    >>> from faceproof import Comparison
    >>> Comparison.model_json_schema()["properties"]["faces"]["description"]
    'Number of faces that all judged, by condition.'
    """

    schema_: Literal["faceproof.comparison/1"] = Field(
        default="faceproof.comparison/1",
        alias="schema",
        description="Name and version of this format.",
    )
    data_sha256: Sha256 = Field(description="SHA-256 of the data that all judged.")
    seed: int = Field(description="Random seed of the bootstrap.")
    resamples: int = Field(description="Number of resamples behind an interval.")
    faces: dict[str, int] = Field(description="Number of faces that all judged, by condition.")
    compared: tuple[Compared, ...] = Field(
        description="Detectors and other tools, in the order of the command."
    )
    changes: tuple[AucChange, ...] = Field(
        description="Differences in ROC-AUC between each two of them."
    )
    cautions: tuple[str, ...] = Field(default=(), description="Warnings to read before any figure.")

    def _summarise(self) -> str:
        faces = ", ".join(f"{n:,} {condition}" for condition, n in self.faces.items())
        return f"{', '.join(one.name for one in self.compared)}; faces judged by all: {faces}"


@dataclass(frozen=True)
class _Entry:
    """One of the compared, its rows in the order of the first predictions table."""

    name: str
    faces: Faces
    sha256: str | None = None
    point: OperatingPoint | None = None
    probabilities: bool = True
    cautions: tuple[str, ...] = ()

    @property
    def judged(self) -> Bools:
        return np.asarray(self.faces.statuses == "ok")


def compare(*sources: str | Path, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    r"""Return detectors and other tools' scores side by side.

    A source is the output folder of `faceproof.evaluate`, a predictions table (``.parquet``), or
    the scores of another tool (``.csv``: path, score and optionally condition). At least one must
    be of the first two kinds. Only a folder has thresholds; the others are compared without.

    Raises:
        UsageError: fewer than two sources, none with labels, or a source of another kind.
        DataError: a file cannot be read, the sources differ in their data, or no face was judged
            by all.

    >>> from faceproof import evaluate_scores
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows, scores = ["path,label,generator,source,split,group,sha256"], ["path,score"]
    >>> for n, (label, generator) in enumerate([("real", "none"), ("fake", "lamp")] * 3):
    ...     rows.append(f"{n}.png,{label},{generator},home,test,{n},{n:064}")
    ...     scores.append(f"{n}.png,{0.9 if label == 'fake' else 0.2}")
    >>> _ = (folder / "faces.csv").write_text("\n".join(rows))
    >>> _ = (folder / "lamp.csv").write_text("\n".join(scores))
    >>> _ = evaluate_scores(
    ...     folder / "lamp.csv", folder / "faces.csv", output=folder / "out", resamples=100
    ... )
    >>> found = compare(folder / "out", folder / "lamp.csv", resamples=100)
    >>> found.faces, found.changes[0].change
    ({'clean': 6}, 0.0)
    """
    if len(sources) < 2:
        raise UsageError("name at least two evaluations or score files to compare")
    paths = [Path(source) for source in sources]
    entries = _read_entries(paths, _unique_names(paths))
    labels = entries[0].faces
    common = np.logical_and.reduce([entry.judged for entry in entries])
    conditions = [
        name
        for name in dict.fromkeys(labels.conditions.tolist())
        if common[labels.conditions == name].any()
    ]
    if not conditions:
        raise DataError("no face was judged by all of them: check the paths of the score files")
    data_sha256 = _data_sha256(paths)
    parts = {name: common & (labels.conditions == name) for name in conditions}
    changes, notes = _auc_changes(entries, parts, number=resamples, seed=seed)
    return Comparison(
        data_sha256=data_sha256,
        seed=seed,
        resamples=resamples,
        faces={name: int(mask.sum()) for name, mask in parts.items()},
        compared=tuple(_measure(e, parts, data_sha256, resamples, seed) for e in entries),
        changes=tuple(changes),
        cautions=(*_cautions(entries, parts, common), *notes),
    )


def _read_entries(paths: Sequence[Path], names: Sequence[str]) -> list[_Entry]:
    """Return the entries in the order of the paths, aligned to the first predictions table."""
    tables = {path: _read_predictions(path) for path in paths if path.suffix != ".csv"}
    if not tables:
        raise UsageError("score files have no labels: name an evaluation of the same data as well")
    reference, first = next(iter(tables.values())), next(iter(tables))
    rows = row_numbers(reference)
    entries = []
    for path, name in zip(paths, names, strict=True):
        if path in tables:
            _check_same_data(reference, tables[path], (str(first), str(path)))
            entries.append(_detector_entry(path, name, tables[path], rows))
        else:
            entries.append(_score_entry(path, name, all_faces(reference), rows))
    return entries


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of each source: its folder or file, or the whole path if two are equal."""
    short = [path.name if path.is_dir() else path.stem for path in map(Path.absolute, paths)]
    names = [
        to_printable(one if short.count(one) == 1 else str(path))
        for one, path in zip(short, paths, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice: name each source once")
    return names


def _read_predictions(path: Path) -> pa.Table:
    file = path / PREDICTIONS if path.is_dir() else path
    shown = to_printable(str(path))
    if not file.is_file():
        hint = "it has no predictions.parquet" if path.is_dir() else "no such file"
        raise UsageError(
            f"{shown} cannot be compared: {hint}. Run faceproof evaluate --output FOLDER for each "
            "detector, then name the folders"
        )
    if file.suffix != ".parquet":
        raise UsageError(f"{shown} is neither an evaluation folder, nor .parquet, nor .csv")
    return labelled_rows(read_table(file))


def _check_same_data(reference: pa.Table, table: pa.Table, names: tuple[str, str]) -> None:
    hashes = [
        origin_of(one, name=name).data_sha256
        for one, name in zip((reference, table), names, strict=True)
    ]
    if hashes[0] != hashes[1]:
        raise DataError(
            f"{' and '.join(map(to_printable, names))} have different data: evaluate the same "
            "manifest with both"
        )


def _detector_entry(path: Path, name: str, table: pa.Table, rows: dict[RowKey, int]) -> _Entry:
    own = row_numbers(table)
    if differing := own.keys() ^ rows.keys():
        raise DataError(
            f"{name} differs in {len(differing)} pictures or conditions, such as "
            f"{min(differing)}: evaluate the same rows with each detector"
        )
    record = path / RECORD
    return _Entry(
        name=name,
        faces=all_faces(table.take([own[key] for key in rows])),
        sha256=origin_of(table, name=name).detector_sha256,
        point=_read_point(record) if path.is_dir() and record.is_file() else None,
    )


def _read_point(record: Path) -> OperatingPoint:
    try:
        return Evaluation.read(record).operating_point
    except (OSError, ValueError) as error:
        raise DataError(f"{to_printable(str(record))} cannot be read: {error}") from error


def _score_entry(path: Path, name: str, labels: Faces, rows: dict[RowKey, int]) -> _Entry:
    """Return another tool's scores, with the labels of the predictions table."""
    file = read_scores(path)
    keys = [(path, condition) for path, condition, _ in rows]
    unknown = sorted(file.scores.keys() - set(keys))
    if len(unknown) == len(file.scores):
        example = f", such as {unknown[0]}" if unknown else ""
        raise DataError(
            f"{name}: none of its {len(unknown)} pictures is in the predictions table{example}; "
            "use the paths of the manifest"
        )
    scores = np.array([file.scores.get(key, np.nan) for key in keys])
    notes = []
    if unknown:
        notes.append(
            f"{name}: {len(unknown):,} scores are of pictures or conditions without a label, such "
            f"as {to_printable(unknown[0][0])}; they are not used"
        )
    if file.without_score:
        notes.append(f"{name}: {file.without_score:,} scores are empty or not finite: not judged")
    if not file.are_probabilities:
        notes.append(f"{name}: scores are not probabilities, so calibration is not measured")
    return _Entry(
        name=name,
        faces=replace(
            labels,
            logits=scores,
            probabilities=scores,
            statuses=np.where(np.isfinite(scores), "ok", "error"),
            withheld=np.zeros(len(scores), dtype=bool),  # faceproof's cautions, not this tool's
        ),
        probabilities=file.are_probabilities,
        cautions=tuple(notes),
    )


def _data_sha256(paths: Sequence[Path]) -> str:
    first = next(path for path in paths if path.suffix != ".csv")
    return origin_of(_read_predictions(first), name=str(first)).data_sha256


def _measure(
    entry: _Entry, parts: dict[str, Bools], data_sha256: str, number: int, seed: int
) -> Compared:
    """Return the figures of one entry under each condition, and its ROC-AUC by generator."""
    judged = int(entry.judged.sum())
    return Compared(
        name=entry.name,
        kind="detector" if entry.sha256 else "scores",
        detector_sha256=entry.sha256,
        operating_point=entry.point,
        judged=judged,
        not_judged=len(entry.faces) - judged,
        findings=tuple(
            finding
            for condition, mask in parts.items()
            for slice_, faces, metrics in _slices(entry, mask)
            for finding in slice_findings(
                slice_,
                condition,
                faces,
                [entry.point] if entry.point else [],
                counted=None,
                data_sha256=data_sha256,
                metrics=metrics,
                number=number,
                seed=seed,
            )
        ),
    )


def _slices(entry: _Entry, mask: Bools) -> Iterator[tuple[str, Faces, tuple[str, ...]]]:
    """Yield slice, faces and metrics: all of them, and the ROC-AUC of each generator."""
    faces = entry.faces.where(mask)
    yield "all", faces, _comparable_metrics(entry)
    for generator in np.unique(faces.generators[faces.fake]):
        own = faces.where(~faces.fake | (faces.generators == generator))
        yield f"generator={generator}", own, ("roc_auc",)


def _comparable_metrics(entry: _Entry) -> tuple[str, ...]:
    return tuple(name for name in REPORTED if entry.probabilities or METRICS[name].reads == "order")


def _auc_changes(
    entries: Sequence[_Entry], parts: dict[str, Bools], *, number: int, seed: int
) -> tuple[list[AucChange], list[str]]:
    """Return the change of the ROC-AUC for each pair under each condition, and warnings."""
    found: list[AucChange] = []
    notes: list[str] = []
    for condition, mask in parts.items():
        faces = [entry.faces.where(mask) for entry in entries]
        numbers = count_groups(faces[0].fake, faces[0].groups)
        if min(numbers.real, numbers.fake) < 2:
            notes.append(
                f"{condition}: {numbers.real} groups of real and {numbers.fake} of fake faces were "
                "judged by all; ROC-AUCs are compared from two of each on"
            )
            continue
        scores = np.stack([one.probabilities for one in faces])
        test = delong(faces[0].fake, scores, faces[0].groups)
        for i, j in itertools.combinations(range(len(entries)), 2):
            first, second, interval = auc_change(faces[i], faces[j], number=number, seed=seed)
            change = second - first
            found.append(
                AucChange(
                    first=entries[i].name,
                    second=entries[j].name,
                    condition=condition,
                    n=len(faces[0]),
                    groups=len(np.unique(faces[0].groups)),
                    first_auc=first,
                    second_auc=second,
                    change=change,
                    low=min(interval.low, change),
                    high=max(interval.high, change),
                    p=test.p_value(i, j),
                    p_holm=None,
                )
            )
    return _adjust(found), notes


def _adjust(changes: list[AucChange]) -> list[AucChange]:
    """Return the changes with p-values adjusted for all of them; those without p stay so."""
    adjusted = iter(holm([one.p for one in changes if one.p is not None]))
    return [
        one if one.p is None else one.model_copy(update={"p_holm": float(next(adjusted))})
        for one in changes
    ]


def _cautions(entries: Sequence[_Entry], parts: dict[str, Bools], common: Bools) -> Iterator[str]:
    """Yield warnings to read before any figure."""
    labels = entries[0].faces
    for name in dict.fromkeys(labels.conditions.tolist()):
        if name not in parts:
            yield f"{name}: no face was judged by all, so this condition is not compared"
    here = np.isin(labels.conditions, [*parts])
    if lost := int((here & ~common).sum()):
        yield f"{lost:,} of {int(here.sum()):,} rows were not judged by all and are excluded"
    for entry in entries:
        yield from entry.cautions
        if entry.point is None:
            yield f"{entry.name}: no thresholds are known, so no error rate at them is measured"
    for condition, mask in parts.items():
        yield from (f"{condition}: {note}" for note in _sample_cautions(labels.where(mask)))


def _sample_cautions(faces: Faces) -> Iterator[str]:
    """Yield which classes are rare, and which metrics are left out for that."""
    numbers = count_groups(faces.fake, faces.groups, faces.generators)
    for kind in ("real", "fake"):
        if getattr(numbers, kind) < FEW_GROUPS:
            yield f"only {getattr(numbers, kind)} groups of {kind} faces"
    yield from refusals(REPORTED, numbers)
