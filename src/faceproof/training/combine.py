"""`combine` merges several detectors into one with weighted members and one calibration.

Each detector predicts the calibration split and the test split once; all else is a pure function of
these tables. Weights, calibration and thresholds are chosen only on the calibration split. The test
split is read for the final report, which compares each detector with the combination; its own
thresholds are chosen in the same way on the same faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceproof.data.manifest import Manifest
from faceproof.detector import Bundle, Detector, DetectorSpec, write_bundle
from faceproof.detector.bundle import refuse_foreign
from faceproof.detector.detector import renormalise
from faceproof.detector.scorers import usable_cores
from faceproof.errors import DataError, ExportError, TrainingError, UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.findings import MEMBER, measure_cpu_ms, member_findings, speed_finding
from faceproof.evaluation.predict import predict_with_all, replace_scores
from faceproof.export import export_probe_inputs
from faceproof.runs import RunFolder
from faceproof.training.finish import (
    PURPOSES,
    calibrate_spec,
    make_origin,
    report_now_and_then,
    saved_predictions,
    write_reported,
)
from faceproof.training.members import (
    MemberSource,
    Weighting,
    fit_weights,
    label_sources,
    merge_members,
    refuse_unfit,
)
from faceproof.training.preflight import refuse_few_faces
from faceproof.training.recipe import CalibrationRecipe

if TYPE_CHECKING:
    import pyarrow as pa

    from faceproof.detector import Finding

Progress = Callable[[str], None]

_KEYS = ["path", "condition", "status"]
_TOLERANCE = 1e-3  # in logits: float32 rounding of two networks and a change of normalisation


@dataclass(frozen=True)
class Combination:
    """Settings of a combined detector besides its members and its data."""

    name: str
    version: str = "1.0"
    promised: CalibrationRecipe = field(default_factory=CalibrationRecipe)
    conditions: tuple[str, ...] = ("clean", "jpeg-60", "resize-0.5")
    allow_other_data: bool = False
    command: str = "faceproof train combine A B -o OUT"


def combine(
    names: Sequence[str | Path],
    manifest: Manifest,
    output: Path,
    run: RunFolder,
    *,
    how: Combination,
    progress: Progress,
) -> Bundle:
    """Write the combination of the detectors called ``names`` to ``output``; return the bundle.

    Predictions are saved in the run folder, so that an interrupted run resumes with them.

    Raises:
        UsageError: fewer than two detectors, one of them twice, different crops, or training
            data other than ``manifest`` without permission.
        BundleError: a detector is missing or invalid, or ``output`` cannot hold a bundle.
        TrainingError: the data cannot support the promises, or no member separates the classes.
    """
    refuse_foreign(output)
    sources = label_sources([Detector.load(name, threads=usable_cores()) for name in names])
    cautions = refuse_unfit(sources, manifest, allow_other_data=how.allow_other_data)
    for caution in cautions:
        progress(f"CAUTION: {caution}")
    refuse_few_faces(how.promised, manifest, splits=("calibration", "test"))
    asked = _PredictionCache(sources, manifest, run, progress)
    answers = asked.predict_split("calibration", how.promised.conditions)
    weighting = _fit_weighting(answers)
    progress(_describe_weights(sources, weighting))
    spec, files = merge_members(
        sources, weighting, manifest, name=how.name, version=how.version, cautions=cautions
    )
    spec = calibrate_spec(
        spec, _ensemble_predict(answers, spec, weighting), how.promised, manifest, progress=progress
    )
    whole = Detector.load(write_bundle(run.path / "calibrated", spec, files).folder)
    _refuse_other_answers(whole, sources, weighting)
    rivals = [
        replace(source, spec=_calibrate_alone(source, table, manifest, how.promised))
        for source, table in zip(sources, answers, strict=True)
    ]
    tables = asked.predict_split("test", how.conditions)
    report = _ensemble_predict(tables, whole.spec, weighting, sha256=whole.sha256)
    progress("figures, intervals and speed")
    results = tuple(_compare_members(rivals, tables, whole, report))
    spec = DetectorSpec.model_validate({**dict(spec), "results": results})
    return write_reported(spec, files, report, output, manifest=manifest, command=how.command)


@dataclass(frozen=True)
class _PredictionCache:
    """Detectors with a data set; their predictions are saved in a run folder."""

    sources: Sequence[MemberSource]
    manifest: Manifest
    run: RunFolder
    progress: Progress

    def predict_split(self, split: str, conditions: tuple[str, ...]) -> list[pa.Table]:
        """Return each detector's predictions of a split: saved ones, and new ones in one pass."""
        found = {
            source.label: saved_predictions(
                self._path(split, source),
                make_origin(source.detector.sha256, self.manifest, split),
                conditions,
            )
            for source in self.sources
        }
        missing = [source for source in self.sources if found[source.label] is None]
        if missing:
            named = ", ".join(source.label for source in missing)
            self.progress(f"{split}: {named} on {', '.join(conditions)}")
            found |= self._predict_missing(missing, split, conditions)
        return self._require_same_faces([found[source.label] for source in self.sources])

    def _predict_missing(
        self, sources: Sequence[MemberSource], split: str, conditions: tuple[str, ...]
    ) -> dict[str, pa.Table]:
        tables = predict_with_all(
            [source.detector for source in sources],
            self.manifest,
            conditions,
            split=split,
            purpose=PURPOSES[split],
            root=self.manifest.picture_path(""),
            workers=usable_cores(),
            progress=report_now_and_then(self.progress, split),
        )
        for source, table in zip(sources, tables, strict=True):
            predictions.write_table(table, self._path(split, source))
        return {source.label: table for source, table in zip(sources, tables, strict=True)}

    def _require_same_faces(self, tables: list[pa.Table]) -> list[pa.Table]:
        if any(not table.select(_KEYS).equals(tables[0].select(_KEYS)) for table in tables):
            raise DataError(
                f"the predictions saved in {self.run.path} are not of the same faces: remove its "
                "predictions-*.parquet, or use another --run"
            )
        return tables

    def _path(self, split: str, source: MemberSource) -> Path:
        return self.run.path / f"predictions-{split}-{source.label}.parquet"


def _fit_weighting(answers: Sequence[pa.Table]) -> Weighting:
    """Return the weights fitted to the detectors' predictions of the calibration split."""
    faces = [predictions.judged_faces(table) for table in answers]
    return fit_weights(faces[0], np.stack([one.logits for one in faces], axis=1))


def _calibrate_alone(
    source: MemberSource, answers: pa.Table, manifest: Manifest, promised: CalibrationRecipe
) -> DetectorSpec:
    """Return a detector's record recalibrated on this data, or its own if that fails."""
    try:
        return calibrate_spec(source.spec, answers, promised, manifest)
    except (TrainingError, UsageError):
        return source.spec


def _describe_weights(sources: Sequence[MemberSource], weighting: Weighting) -> str:
    """Return a description of the chosen weights."""
    shares = ", ".join(
        f"{source.label} {weight:g}"
        for source, weight in zip(sources, weighting.weights, strict=True)
    )
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in weighting.losses.items())
    return f"weights ({weighting.name}): {shares}; log loss on unseen groups: {losses}"


def _ensemble_predict(
    answers: Sequence[pa.Table], spec: DetectorSpec, weighting: Weighting, *, sha256: str = "0" * 64
) -> pa.Table:
    """Return the combination's predictions: the weighted mean of the logits, calibrated."""
    logits = np.stack([predictions.judged_faces(table).logits for table in answers])
    mean = np.average(logits, axis=0, weights=weighting.weights)
    return replace_scores(answers[0], mean, spec.calibration, detector_sha256=sha256)


def _refuse_other_answers(
    whole: Detector, sources: Sequence[MemberSource], weighting: Weighting
) -> None:
    """Reject a bundle whose logits differ from the weighted mean of its members."""
    inputs = export_probe_inputs(whole.preprocessing, 16)
    ours = whole.preprocessing.input
    parts = [
        source.detector.logits(renormalise(inputs, ours, source.spec.preprocessing.input))
        for source in sources
    ]
    expected = np.average(parts, axis=0, weights=weighting.weights)
    found = whole.logits(inputs)
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ExportError(
            f"the combined detector differs from the weighted mean of its members by up to "
            f"{np.abs(found - expected).max():.3g} in logit: it is not written"
        )


def _compare_members(
    rivals: Sequence[MemberSource], tables: Sequence[pa.Table], whole: Detector, report: pa.Table
) -> Iterator[Finding]:
    """Yield the findings of each detector on the test faces, and the combination's speed."""
    data_sha256 = predictions.origin_of(report).data_sha256
    slices = [f"{MEMBER}{rival.label}" for rival in rivals]
    default = whole.spec.default_operating_point
    for slice_, rival, table in zip(slices, rivals, tables, strict=True):
        logits, spec = predictions.judged_faces(table).logits, rival.spec
        ours = replace_scores(
            table, logits, spec.calibration, detector_sha256=rival.detector.sha256
        )
        point = spec.operating_points.get(default, spec.operating_point())
        yield from member_findings(slice_, ours, point)
    for one in member_findings("all", report, whole.operating_point()):
        if one.metric == "tpr_at_fpr_1":
            yield one
    alone = [Detector.load(rival.detector.bundle.folder) for rival in rivals]
    condition = report["condition"][0].as_py()
    for slice_, speed in zip([*slices, "all"], measure_cpu_ms([*alone, whole]), strict=True):
        yield speed_finding(slice_, speed, condition=condition, data_sha256=data_sha256)
