"""`evaluate`: from a detector and a manifest to an `Evaluation`, the record of all its figures.

Slices are ``all``, ``source=NAME`` and ``generator=NAME``; the last compares the fakes of one
generator with *all* real faces of the condition. Everything is a pure function of the
predictions table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.data.manifest_files import read_manifest
from faceproof.detector import Detector, DetectorSpec
from faceproof.detector.scorers import usable_cores
from faceproof.detector.spec import Finding, OperatingPoint, Sha256, Text
from faceproof.errors import UsageError
from faceproof.evaluation import predictions as tables
from faceproof.evaluation.findings import REPORTED, findings, slices_with_metrics
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.metrics import METRICS, count_verdicts
from faceproof.evaluation.predict import FACES, Find, predict_rows
from faceproof.evaluation.predictions import STATUSES, Faces, Origin, all_faces
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.outputs import refuse_overwriting, write_error
from faceproof.records import Document, Record
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


PREDICTIONS, RECORD = "predictions.parquet", "evaluation.json"
"""The files that `evaluate` writes."""


class DetectorRef(Record):
    """The evaluated detector."""

    name: Text
    version: Text
    sha256: Sha256


class DatasetRef(Record):
    """The evaluated rows: their manifest, and its split ("" without splits)."""

    name: str
    sha256: Sha256
    split: str
    rows: int = Field(ge=1)


class Confusion(Record):
    """Confusion counts: faces of each class called real, unsure and fake."""

    condition: Text
    real: tuple[int, int, int]
    fake: tuple[int, int, int]


class _StatusCounts(Record):
    """Number of pictures of a condition that were judged, had no face, or were unreadable."""

    condition: Text
    ok: int = Field(ge=0)
    no_face: int = Field(ge=0)
    error: int = Field(ge=0)


class Evaluation(Document):
    """Metrics of one detector on one data set at one operating point, with their provenance."""

    schema_: Literal["faceproof.evaluation/1"] = Field(
        default="faceproof.evaluation/1", alias="schema"
    )
    detector: DetectorRef
    data: DatasetRef
    operating_point: OperatingPoint
    faces: Text
    seed: int
    resamples: int
    cautions: tuple[str, ...] = ()
    """Warnings to read before any figure, most serious first."""
    left_out: tuple[str, ...] = ()
    """Metrics that cannot be computed from these faces, with the reason."""
    answered: tuple[_StatusCounts, ...]
    confusion: tuple[Confusion, ...]
    findings: tuple[Finding, ...]

    def find(self, metric: str, slice_: str = "all", condition: str = "clean") -> Finding | None:
        """Return the finding of a metric (at the operating point if it needs one), or None."""
        named = {metric, f"{metric}@{self.operating_point.name}"}
        at = (slice_, condition)
        return next(
            (f for f in self.findings if f.metric in named and (f.slice, f.condition) == at), None
        )

    def count_judged(self, slice_: str, condition: str) -> tuple[int, int]:
        """Return the numbers of real and fake faces judged in a slice."""
        both, fakes = (self.find(metric, slice_, condition) for metric in ("accuracy", "apcer"))
        fake = fakes.n if fakes else 0
        return (both.n if both else 0) - fake, fake

    @property
    def slices(self) -> tuple[str, ...]:
        """The names of the slices, in order."""
        return tuple(dict.fromkeys(one.slice for one in self.findings))

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions, in order."""
        return tuple(one.condition for one in self.answered)


def evaluate(
    detector: Detector | str | Path,
    manifest: Manifest | str | Path,
    *,
    split: str | None = None,
    conditions: Sequence[str] = ("clean",),
    output: str | Path | None = None,
    root: str | Path | None = None,
    at: str | None = None,
    faces: str = "largest",
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    r"""Return the figures of a detector on labelled pictures, by source, generator and condition.

    ``detector`` is a `Detector`, the folder of one, or ``default``; ``manifest`` a `Manifest` or
    the file of one. Where ``split`` is None, `test` is judged, or all rows of a manifest without
    splits. ``conditions`` are names in `DEGRADATIONS`, ``at`` is an operating point (None: the
    detector's own), and ``faces`` is ``whole`` where each picture is a face crop. ``root`` is the
    data folder of a manifest that does not name it. ``output`` is a folder, new or empty or of an
    earlier evaluation, for the predictions and this record. ``progress`` is called with how many
    answers there are, and how many there will be.

    Raises:
        UsageError: a file or folder cannot be used, or the split has no row.
        UnknownChoiceError: there is no such condition, operating point, split or choice of faces.
        ManifestError: the manifest breaks its contract, or a picture is another than it names.

    >>> import hashlib, tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = ["path,label,generator,source,split,group,sha256"]
    >>> for n, (label, generator) in enumerate([("real", "none"), ("fake", "lamp")] * 3):
    ...     Image.new("RGB", (64, 64), (40 * n, 90, 90)).save(file := folder / f"{n}.png")
    ...     digest = hashlib.sha256(file.read_bytes()).hexdigest()
    ...     rows.append(f"{n}.png,{label},{generator},home,test,{n},{digest}")
    >>> _ = (folder / "faces.csv").write_text("\n".join(rows))
    >>> found = evaluate("default", folder / "faces.csv", faces="whole", resamples=100)
    >>> found.count_judged("all", "clean"), found.find("roc_auc").n
    ((3, 3), 6)
    """
    names = tuple(dict.fromkeys(conditions))
    for name in names:
        choose(DEGRADATIONS, name, what="condition")
    find = choose(FACES, faces, what="choice of faces")()
    folder = None if output is None else Path(output)
    if folder:
        _check_output(folder, manifest)
    judge = _load_detector(detector)
    point = judge.operating_point(at)
    selection = _select_rows(manifest, root, split)
    predictions = _predict_rows(judge, selection, names, find, progress or (lambda _, __: None))
    result = make_evaluation(
        predictions,
        DetectorRef(name=judge.spec.name, version=judge.spec.version, sha256=judge.sha256),
        selection.dataset_ref,
        point,
        chosen_faces=faces,
        cautions=cautions(selection, judge.spec, predictions),
        number=resamples,
        seed=seed,
    )
    if folder:
        _write(result, predictions, folder)
    return result


def _check_output(folder: Path, manifest: Manifest | str | Path) -> None:
    """Reject a folder that holds anything but an earlier evaluation, or the manifest.

    Raises:
        UsageError: it does, or is not a folder.
    """
    if not isinstance(manifest, Manifest):
        files = {f"--output {name}": folder / name for name in (PREDICTIONS, RECORD)}
        refuse_overwriting(files, [manifest])
    shown = to_printable(str(folder))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown} is not a folder; name one that is new or empty")
    if not folder.exists() or _is_ours(folder):
        return
    if any(folder.iterdir()):
        raise UsageError(
            f"{shown} is not empty and holds no earlier evaluation; name a new or empty folder"
        )


def _is_ours(folder: Path) -> bool:
    """Return whether the folder holds an earlier evaluation."""
    try:
        Evaluation.read(folder / RECORD)
    except (OSError, ValueError):
        return False
    return True


def _load_detector(detector: Detector | str | Path) -> Detector:
    if isinstance(detector, Detector):
        return detector
    return Detector.load(detector, threads=usable_cores())


def _select_rows(
    manifest: Manifest | str | Path, root: str | Path | None, split: str | None
) -> Selection:
    """Return the rows to judge."""
    if isinstance(manifest, Manifest):
        return select(manifest, split, name="<Manifest>")
    path, shown = Path(manifest), to_printable(str(manifest))
    if not path.is_file():
        raise UsageError(f"there is no manifest {shown}; name a .parquet or .csv")
    folder = None if root is None else Path(root)
    return select(read_manifest(path, root=folder), split, name=shown)


def _predict_rows(
    detector: Detector,
    selection: Selection,
    conditions: Sequence[str],
    find: Find,
    progress: Callable[[int, int], None],
) -> pa.Table:
    """Return the predictions of the rows."""
    number = len(selection.rows) * len(conditions)
    progress(0, number)
    return predict_rows(
        detector,
        selection.rows,
        Origin(
            detector_sha256=detector.sha256,
            data_sha256=selection.sha256,
            purpose=selection.purpose,
        ),
        conditions,
        root=selection.root,
        find=find,
        workers=usable_cores(),
        progress=lambda count: progress(count, number),
    )


def _write(result: Evaluation, predictions: pa.Table, folder: Path) -> None:
    """Write the predictions, then the record.

    Raises:
        UsageError, OutputError: the folder cannot be written to, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tables.write_table(predictions, folder / PREDICTIONS)
        result.write(folder / RECORD)
    except OSError as error:
        raise write_error(folder, error) from error


def make_evaluation(
    predictions: pa.Table,
    detector: DetectorRef,
    data: DatasetRef,
    point: OperatingPoint,
    *,
    chosen_faces: str,
    cautions: Sequence[str] = (),
    number: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Return the evaluation of these predictions, in the order of their conditions."""
    every = all_faces(predictions)
    found = findings(
        every,
        [point],
        data_sha256=data.sha256,
        metrics=REPORTED,
        against_reals=True,
        number=number,
        seed=seed,
    )
    return Evaluation(
        detector=detector,
        data=data,
        operating_point=point,
        faces=chosen_faces,
        seed=seed,
        resamples=number,
        cautions=tuple(cautions),
        left_out=tuple(_uncomputable_messages(every)),
        answered=tuple(_count_statuses(every)),
        confusion=tuple(_confusion_counts(every, point)),
        findings=tuple(found),
    )


def _uncomputable_messages(every: Faces) -> Iterator[str]:
    """Yield one message for each slice whose metrics cannot be computed, without repeats."""
    messages: dict[str, None] = {}
    for part in slices_with_metrics(every, REPORTED, against_reals=True):
        judged = part.faces.where(part.faces.statuses == "ok")
        missing = [
            kind for kind, of in (("real", ~judged.fake), ("fake", judged.fake)) if not of.any()
        ]
        if missing:
            gone = [
                m for m in part.metrics if not len(judged) or METRICS[m].missing_class(judged.fake)
            ]
            messages[
                f"{part.slice}, {part.condition}: no {' and no '.join(missing)} face was judged; "
                f"not computed: {', '.join(gone)}"
            ] = None
    yield from messages


def _count_statuses(every: Faces) -> Iterator[_StatusCounts]:
    for condition in dict.fromkeys(every.conditions.tolist()):
        statuses = every.statuses[every.conditions == condition]
        counts = {status: int((statuses == status).sum()) for status in STATUSES}
        yield _StatusCounts(condition=condition, **counts)


def _confusion_counts(every: Faces, point: OperatingPoint) -> Iterator[Confusion]:
    at = Thresholds(point.real_below, point.fake_from)
    for condition in dict.fromkeys(every.conditions.tolist()):
        here = every.where((every.conditions == condition) & (every.statuses == "ok"))
        counts = count_verdicts(here.fake, np.asarray(here.probabilities), at).tolist()
        yield Confusion(condition=condition, real=tuple(counts[0]), fake=tuple(counts[1]))


#: Purpose of reading each split; only `test` gives unbiased figures.
_PURPOSES = {
    "train": "fit",
    "validation": "choose",
    "calibration": "calibrate",
    "test": "final-report",
}
_CHOSE = {
    "train": "a detector trained on it has seen these faces",
    "validation": "it may have selected the detector's epochs",
    "calibration": "it may have set the detector's calibration and thresholds",
}


@dataclass(frozen=True)
class Selection:
    """The rows to judge, the folder of their pictures, and their split."""

    rows: tuple[Row, ...]
    root: Path
    sha256: str
    purpose: str
    split: str
    """The split of the rows, "" if the manifest has no splits."""
    name: str

    @property
    def dataset_ref(self) -> DatasetRef:
        """The rows as an evaluation records them."""
        return DatasetRef(name=self.name, sha256=self.sha256, split=self.split, rows=len(self.rows))


def select(manifest: Manifest, split: str | None, *, name: str) -> Selection:
    """Return the rows of ``split``; None selects `test`, or all rows without splits.

    Raises:
        UsageError: the split is unknown or empty.
    """
    if split is not None:
        choose(dict.fromkeys(SPLITS), split, what="split")
    if not len(manifest):
        raise UsageError(f"{name} has no rows")
    counts = manifest.counts()
    if split is None and not any(counts.values()):
        return _make_selection(manifest, manifest.rows, "final-report", "", name)
    wanted = split or "test"
    rows = manifest.take(wanted, purpose=_PURPOSES[wanted])
    if not rows:
        held = ", ".join(f"{count:,} {key}" for key, count in counts.items() if count)
        raise UsageError(
            f"{name} has no rows in the split {wanted!r}; it has {held or 'no splits'}: "
            f"{'omit --split' if not held else 'choose another with --split'}"
        )
    return _make_selection(manifest, rows, _PURPOSES[wanted], wanted, name)


def cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> tuple[str, ...]:
    """Return warnings to read before any figure, most serious first."""
    return tuple(_cautions(selection, spec, predictions))


def _make_selection(
    manifest: Manifest, rows: tuple[Row, ...], purpose: str, split: str, name: str
) -> Selection:
    if manifest.root is None:
        raise UsageError(f"{name}: data folder unknown; set it with --root")
    return Selection(rows, manifest.root, manifest.sha256, purpose, split, name)


def _cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> Iterator[str]:
    if message := _CHOSE.get(selection.split):
        yield (
            f"NOT A TEST: these figures are from the split {selection.split!r}: {message}. "
            "They do not measure the detector on new faces."
        )
    yield _compare_with_training_data(selection, spec)
    statuses = predictions["status"].to_pylist()
    gone = sum(status != "ok" for status in statuses)
    if gone == len(statuses):
        yield "No picture could be judged: check the data folder (--root)."
    elif gone:
        yield (
            f"{gone:,} of {len(statuses):,} pictures were not judged (no face, or unreadable) "
            "and are excluded from all figures; the predictions table lists them."
        )


def _compare_with_training_data(selection: Selection, spec: DetectorSpec) -> str:
    """Return a sentence that compares the data with the detector's training data."""
    if selection.sha256 != spec.trained_on.data_sha256:
        return (
            "By its hash, this is not the manifest that the detector was trained on. Check for "
            "shared pictures with `faceproof data inspect --against`, if you have both."
        )
    if selection.split == "test":
        return (
            "By its hash, this is the data set that the detector was trained on. These are its "
            "test rows: other people and originals, but the same generators. New data is harder."
        )
    return (
        "THE DETECTOR'S OWN DATA: by its hash, this is the data set that the detector was "
        "trained on, and these are not its test rows."
    )
