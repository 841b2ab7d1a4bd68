"""`evaluate`: from a detector and a manifest to an `Evaluation`, the record of all its figures.

Slices are ``all``, ``source=NAME`` and ``generator=NAME``; the last compares the fakes of one
generator with *all* real faces of the condition. Everything is a pure function of the
predictions table: `evaluate_predictions` makes the same record from the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceproof.data.manifest import Manifest
from faceproof.detector import Detector
from faceproof.detector.scorers import usable_cores
from faceproof.detector.spec import OperatingPoint
from faceproof.errors import UsageError
from faceproof.evaluation import predictions as tables
from faceproof.evaluation.evaluation_record import (
    Confusion,
    Coverage,
    DatasetRef,
    DetectorRef,
    Evaluation,
    StatusCounts,
)
from faceproof.evaluation.findings import (
    REPORTED,
    findings,
    left_out,
    slices_with_metrics,
)
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.predict import check_batch_size, predict_rows, verdict_at
from faceproof.evaluation.predictions import (
    STATUSES,
    VERDICTS,
    Faces,
    Origin,
    Scoring,
    all_faces,
    labelled_rows,
    reasons_of,
)
from faceproof.evaluation.scored_faces import FACES
from faceproof.evaluation.selection import (
    Selection,
    count_reasons,
    data_cautions,
    few_groups_cautions,
    select_rows,
    selection_notes,
    threshold_cautions,
    withheld_cautions,
)
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.outputs import refuse_overwriting, write_error
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


PREDICTIONS, RECORD, PARTIAL = "predictions.parquet", "evaluation.json", "predictions.partial"
"""The files that `evaluate` writes, and the folder with which it resumes."""


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
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    r"""Return the figures of a detector on labelled pictures, by source, generator and condition.

    ``detector`` is a `Detector`, the folder of one, or ``default``; ``manifest`` a `Manifest` or
    the file of one. Where ``split`` is None, `test` is judged, or all rows of a manifest without
    splits. ``conditions`` are names in `DEGRADATIONS`, ``at`` is an operating point (None: the
    detector's own), and ``faces`` is ``whole`` where each picture is a face crop. ``root`` is the
    data folder of a manifest that does not name it. ``output`` is a folder, new or empty or of an
    earlier evaluation, for the predictions and this record; the same call after a kill resumes
    there. A file that is broken or not the manifest's is counted with its reason. The networks
    judge ``batch_size`` faces at once. ``progress`` is called with how many answers there are, and
    how many there will be.

    Raises:
        UsageError: a file or folder cannot be used, or the split has no row.
        UnknownChoiceError: there is no such condition, operating point, split or choice of faces.
        ManifestError: the manifest breaks its contract.

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
    check_batch_size(batch_size)
    folder = check_output(output, manifest)
    judge = _load_detector(detector)
    point = judge.operating_point(at)
    selection = select_rows(manifest, root, split)
    report, number = progress or (lambda _, __: None), len(selection.rows) * len(names)
    report(0, number)
    predictions = predict_rows(
        judge,
        selection.rows,
        _make_origin(judge, selection, point, faces),
        names,
        root=selection.root,
        find=find,
        at=point,
        others=True,
        partial_folder=folder and folder / PARTIAL,
        workers=usable_cores(),
        batch_size=batch_size,
        progress=lambda count: report(count, number),
    )
    return evaluate_predictions(predictions, output=folder, resamples=resamples, seed=seed)


def evaluate_predictions(
    predictions: pa.Table | str | Path,
    *,
    detector: Detector | str | Path | None = None,
    output: str | Path | None = None,
    at: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    r"""Return the figures of a predictions table or its file; no picture is read.

    ``at`` is an operating point of the detector; None: the one of the table. ``detector`` is
    needed for a table that has no operating points, as a training writes it.

    Raises:
        DataError: the table cannot be read.
        UsageError: the table has no operating points, or is of another detector.
        UnknownChoiceError: the operating point is unknown.

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
    >>> first = evaluate_scores(
    ...     folder / "lamp.csv", folder / "faces.csv", output=folder / "out", resamples=100
    ... )
    >>> again = evaluate_predictions(folder / "out" / "predictions.parquet", resamples=100)
    >>> again.findings == first.findings
    True
    """
    table = predictions
    name = "<predictions>"
    if isinstance(table, str | Path):
        name = to_printable(str(predictions))
        table = tables.read_table(Path(table))
    folder = check_output(output)
    table = _choose_point(table, detector, at, name)
    origin = tables.origin_of(table)
    scoring = _require_scoring(origin)
    conditions = labelled_rows(table)["condition"].to_pylist()
    if not conditions:
        raise UsageError(f"{name} has no face with a label")
    result = make_evaluation(
        table,
        DetectorRef(
            name=scoring.detector_name,
            version=scoring.detector_version,
            sha256=origin.detector_sha256,
        ),
        DatasetRef(
            name=scoring.data_name,
            sha256=origin.data_sha256,
            split=scoring.split,
            rows=conditions.count(conditions[0]),
        ),
        _point_of(scoring),
        chosen_faces=scoring.faces,
        cautions=tuple(_cautions(origin, scoring, table)),
        number=resamples,
        seed=seed,
    )
    if folder:
        write_evaluation(result, table, folder)
    return result


def _make_origin(
    detector: Detector, selection: Selection, point: OperatingPoint, faces: str
) -> Origin:
    return Origin(
        detector_sha256=detector.sha256,
        data_sha256=selection.sha256,
        purpose=selection.purpose,
        scoring=Scoring(
            detector_name=detector.spec.name,
            detector_version=detector.spec.version,
            operating_points=tuple(detector.spec.operating_points.values()),
            operating_point=point.name,
            trained_on_sha256=detector.spec.trained_on.data_sha256,
            generators_seen=detector.spec.generators_seen,
            data_name=selection.name,
            split=selection.split,
            faces=faces,
            notes=tuple(selection_notes(selection, detector.spec)),
        ),
    )


def _require_scoring(origin: Origin) -> Scoring:
    if origin.scoring is None:
        raise UsageError("the predictions have no operating points")
    return origin.scoring


def _point_of(scoring: Scoring) -> OperatingPoint:
    points = {point.name: point for point in scoring.operating_points}
    return choose(points, scoring.operating_point, what="operating point")


def _choose_point(
    table: pa.Table, detector: Detector | str | Path | None, at: str | None, name: str
) -> pa.Table:
    """Return the table with the verdicts of an operating point."""
    origin = tables.origin_of(table, name=name)
    judge = None if detector is None else _load_detector(detector)
    if judge and judge.sha256 != origin.detector_sha256:
        raise UsageError(
            f"{name} is of the detector {origin.detector_sha256[:12]}, not of "
            f"{judge.spec.name} ({judge.sha256[:12]})"
        )
    scoring = origin.scoring
    if scoring is None and judge is not None:
        scoring = _describe_table(table, judge, name)
    if scoring is None:
        raise UsageError(
            f"{name} has no operating points: name its detector "
            f"({origin.detector_sha256[:12]}) with --detector"
        )
    scoring = scoring.model_copy(update={"operating_point": at or scoring.operating_point})
    point = _point_of(scoring)
    origin = origin.model_copy(update={"scoring": scoring})
    rows = (
        replace(
            row,
            verdict=verdict_at(point, row.fake_probability, row.cautions.split(",")),
        )
        for row in tables.rows_of(table)
    )
    return tables.make_table(rows, origin)


def _describe_table(table: pa.Table, detector: Detector, name: str) -> Scoring:
    """Return what a table of a training does not have."""
    splits = set(table["split"].to_pylist())
    return Scoring(
        detector_name=detector.spec.name,
        detector_version=detector.spec.version,
        operating_points=tuple(detector.spec.operating_points.values()),
        operating_point=detector.spec.default_operating_point,
        trained_on_sha256=detector.spec.trained_on.data_sha256,
        generators_seen=detector.spec.generators_seen,
        data_name=name,
        split=splits.pop() if len(splits) == 1 else "",
        faces="largest",
        notes=("The table has no cautions of faces: no verdict was withheld.",),
    )


def _cautions(origin: Origin, scoring: Scoring, table: pa.Table) -> Iterator[str]:
    """Yield warnings to read before any figure, most serious first."""
    yield from data_cautions(scoring.split, origin.data_sha256, scoring.trained_on_sha256, table)
    yield from scoring.notes
    yield from threshold_cautions(_point_of(scoring), origin.data_sha256)
    yield from few_groups_cautions(all_faces(table))
    yield from withheld_cautions(all_faces(table))


def check_output(
    output: str | Path | None, manifest: Manifest | str | Path | None = None
) -> Path | None:
    """Return the folder of an evaluation; reject one with anything but an earlier evaluation.

    Raises:
        UsageError: it does, or is not a folder.
    """
    if output is None:
        return None
    folder, shown = Path(output), to_printable(str(output))
    if isinstance(manifest, str | Path):
        files = {f"--output {name}": folder / name for name in (PREDICTIONS, RECORD)}
        refuse_overwriting(files, [manifest])
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown} is not a folder; name one that is new or empty")
    if not folder.exists() or _is_ours(folder):
        return folder
    if any(folder.iterdir()):
        raise UsageError(
            f"{shown} is not empty and holds no earlier evaluation; name a new or empty folder"
        )
    return folder


def _is_ours(folder: Path) -> bool:
    """Return whether the folder holds an earlier evaluation, or the start of one."""
    if {path.name for path in folder.iterdir()} == {PARTIAL}:
        return True
    try:
        Evaluation.read(folder / RECORD)
    except (OSError, ValueError):
        return False
    return True


def _load_detector(detector: Detector | str | Path) -> Detector:
    if isinstance(detector, Detector):
        return detector
    return Detector.load(detector, threads=usable_cores())


def write_evaluation(result: Evaluation, predictions: pa.Table, folder: Path) -> None:
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
        left_out=tuple(left_out(every, REPORTED, against_reals=True)),
        answered=tuple(_count_statuses(every)),
        confusion=tuple(_confusion_counts(predictions, point)),
        coverage=tuple(_coverage(every, predictions)),
        findings=tuple(found),
    )


def _coverage(every: Faces, predictions: pa.Table) -> Iterator[Coverage]:
    """Yield how many faces of each slice were judged, and why the others were not."""
    reasons = replace(every, statuses=np.asarray(reasons_of(predictions), dtype=np.str_))
    for part in slices_with_metrics(reasons, REPORTED, against_reals=True):
        counted = part.faces if part.counted is None else part.counted
        judged = int((counted.statuses == "").sum())
        yield Coverage(
            slice=part.slice,
            condition=part.condition,
            judged=judged,
            not_judged=len(counted) - judged,
            reasons=count_reasons(counted.statuses),
        )


def _count_statuses(every: Faces) -> Iterator[StatusCounts]:
    for condition in dict.fromkeys(every.conditions.tolist()):
        statuses = every.statuses[every.conditions == condition]
        counts = {status: int((statuses == status).sum()) for status in STATUSES}
        yield StatusCounts(condition=condition, **counts)


def _confusion_counts(predictions: pa.Table, point: OperatingPoint) -> Iterator[Confusion]:
    kept = labelled_rows(predictions)
    names = ("condition", "label", "fake_probability", "cautions")
    found: Counter[tuple[str, str, str | None]] = Counter(
        (condition, label, verdict_at(point, probability, cautions.split(",")))
        for condition, label, probability, cautions in zip(
            *(kept[name].to_pylist() for name in names), strict=True
        )
    )
    for condition in dict.fromkeys(kept["condition"].to_pylist()):
        real, fake = (
            tuple(found[condition, label, verdict] for verdict in VERDICTS)
            for label in ("real", "fake")
        )
        yield Confusion(condition=condition, real=real, fake=fake)
