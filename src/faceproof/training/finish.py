"""`finish` turns trained weights into a bundle: export, calibration, final report, card.

The calibration split determines the calibration and the thresholds. The test split is read last,
once, only for the report. Both predictions tables are saved in the run folder and used again for
the same bundle and data, so that an interrupted report resumes cheaply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from faceproof.data.manifest import Manifest
from faceproof.detector import (
    CardFile,
    ChosenOn,
    Detector,
    DetectorSpec,
    Identity,
    OperatingPoint,
    TrainingData,
    calibrate,
    write_bundle,
)
from faceproof.detector.bundle import Bundle, sha256_of
from faceproof.detector.detector import locate
from faceproof.detector.scorers import usable_cores
from faceproof.errors import DataError
from faceproof.evaluation import predictions
from faceproof.evaluation.findings import OF_A_BUNDLE, composition, findings
from faceproof.evaluation.predict import predict
from faceproof.evaluation.predictions import Origin
from faceproof.export import make_member
from faceproof.messages import show_clock
from faceproof.networks.modules import Network
from faceproof.reports.card import card
from faceproof.runs import RunFolder
from faceproof.training.attack_report import FACES, final_findings
from faceproof.training.calibration import fit as fit_calibration
from faceproof.training.operating_points import keep_promises
from faceproof.training.origins import averaged_origins, read_origin, read_starting_points
from faceproof.training.recipe import CalibrationRecipe, Recipe
from faceproof.training.replacement import compare_false_alarms, refuse_more_false_alarms

Progress = Callable[[str], None]

#: Purpose of reading each split, see `Manifest.take`.
PURPOSES = {"validation": "choose", "calibration": "calibrate", "test": "final-report"}

_EXPORTING = "export: torch against onnxruntime"
_TOLD_EVERY = 1000


def load_or_predict(
    bundle: Bundle,
    manifest: Manifest,
    split: str,
    conditions: tuple[str, ...],
    path: Path,
    *,
    root: Path,
    progress: Progress,
) -> pa.Table:
    """Return a detector's predictions of a split, loaded from ``path`` or written there.

    ``root`` is the base folder of the manifest's paths.
    """
    if (
        found := saved_predictions(path, make_origin(bundle.sha256, manifest, split), conditions)
    ) is not None:
        progress(f"reusing this detector's predictions in {path.name}")
        return found
    with show_clock(progress, f"{split}: predictions"):
        made = predict(
            Detector.load(bundle.folder, threads=usable_cores()),
            manifest,
            conditions,
            split=split,
            purpose=PURPOSES[split],
            root=root,
            workers=usable_cores(),
            progress=report_now_and_then(progress, split),
        )
    predictions.write_table(made, path)
    return made


def make_origin(detector_sha256: str, manifest: Manifest, split: str) -> Origin:
    """Return the origin of a detector's predictions of a split."""
    return Origin(
        detector_sha256=detector_sha256, data_sha256=manifest.sha256, purpose=PURPOSES[split]
    )


def saved_predictions(path: Path, wanted: Origin, conditions: tuple[str, ...]) -> pa.Table | None:
    """Return the predictions in a file if origin and conditions match, else None."""
    try:
        found = predictions.read_table(path)
    except DataError:
        return None
    found_conditions = set(found["condition"].unique().to_pylist())
    same = predictions.origin_of(found) == wanted and found_conditions == set(conditions)
    return found if same else None


def report_now_and_then(progress: Progress, split: str) -> Callable[[int], None]:
    """Return a callback that reports every thousandth prediction."""
    reported = 0

    def report(count: int) -> None:
        nonlocal reported
        if count // _TOLD_EVERY > reported:
            reported = count // _TOLD_EVERY
            progress(f"{split}: {count} predictions")

    return report


Files = dict[str, bytes]


def finish(
    recipe: Recipe, manifest: Manifest, network: Network, run: RunFolder, *, progress: Progress
) -> Bundle:
    """Return the finished bundle in the run folder.

    Raises:
        ExportError: torch and ONNX give different logits.
        TrainingError, UsageError: the calibration split cannot support what the recipe promises, or
            false alarms rose over those of the detector that this one replaces.
    """
    spec, files = draft_bundle(recipe, manifest, network, run, progress=progress)
    manifest = manifest.at_most(recipe.export.most)
    bundle = write_bundle(run.path / "draft", spec, files)
    asked = partial(_predict_bundle, manifest=manifest, recipe=recipe, run=run, progress=progress)
    progress(f"calibration on {', '.join(recipe.calibration.conditions)}")
    found = asked(bundle, "calibration", recipe.calibration.conditions)
    spec = calibrate_spec(spec, found, recipe.calibration, manifest, progress=progress)
    bundle = write_bundle(run.path / "calibrated", spec, files)
    if recipe.export.replaces:
        _refuse_worse(bundle, recipe, manifest, run, progress=progress)
    progress(f"final report on {', '.join(recipe.export.conditions)}")
    report = asked(bundle, "test", recipe.export.conditions)
    if recipe.adversarial.share:
        progress(f"attacks on at most {FACES} faces of test")
        under = final_findings(network, bundle, recipe, manifest, workers=usable_cores())
        spec = DetectorSpec.model_validate({**dict(spec), "results": (*spec.results, *under)})
    return write_reported(
        spec,
        files,
        report,
        run.path / "bundle",
        manifest=manifest,
        command=recipe.export.command,
        families=recipe.calibration.families,
    )


def _refuse_worse(
    bundle: Bundle, recipe: Recipe, manifest: Manifest, run: RunFolder, *, progress: Progress
) -> None:
    """Refuse a detector with more false alarms on a family than the one that it replaces.

    Both read validation: test decides nothing.
    """
    old = Bundle.read(locate(str(recipe.export.replaces)))
    conditions, root = recipe.calibration.conditions, recipe.data.prepared
    progress(f"false alarms against {old.spec.name} {old.spec.version}, on validation")
    tables = [
        load_or_predict(
            one, manifest, "validation", conditions, run.path / name, root=root, progress=progress
        )
        for one, name in (
            (old, "predictions-validation-old.parquet"),
            (bundle, "predictions-validation.parquet"),
        )
    ]
    found = compare_false_alarms(
        tables[0],
        tables[1],
        old.spec.operating_points[old.spec.default_operating_point],
        bundle.spec.operating_points[bundle.spec.default_operating_point],
        recipe.calibration.families,
    )
    for one in found:
        progress(
            f"{one.slice} as {one.condition}: false alarms {one.old:.2%} to {one.new:.2%} "
            f"[{one.low:+.2%}, {one.high:+.2%}], n {one.n}"
        )
    refuse_more_false_alarms(found)


def _predict_bundle(
    bundle: Bundle,
    split: str,
    conditions: tuple[str, ...],
    *,
    manifest: Manifest,
    recipe: Recipe,
    run: RunFolder,
    progress: Progress,
) -> pa.Table:
    """Return the bundle's predictions of a split, saved in the run folder."""
    path, root = run.path / f"predictions-{split}.parquet", recipe.data.prepared
    return load_or_predict(bundle, manifest, split, conditions, path, root=root, progress=progress)


def draft_bundle(
    recipe: Recipe, manifest: Manifest, network: Network, run: RunFolder, *, progress: Progress
) -> tuple[DetectorSpec, Files]:
    """Return the spec and files of an uncalibrated detector."""
    preprocessing = recipe.network.preprocessing
    averaged = averaged_origins(recipe.network.averaged_with)
    progress(_EXPORTING)
    with show_clock(progress, _EXPORTING):
        member, files = make_member(
            network,
            preprocessing,
            name=recipe.network.name,
            backbone=recipe.network.name,
            head=recipe.network.head,
        )
    undecided = OperatingPoint(
        name="undecided",
        real_below=0.5,
        fake_from=0.5,
        promise="none: this detector is not calibrated yet",
        chosen_on=ChosenOn(data_sha256=manifest.sha256, n=1),
    )
    spec = DetectorSpec(
        name=recipe.export.name,
        version=recipe.export.version,
        members=(member,),
        preprocessing=preprocessing,
        calibration=Identity(),
        operating_points={"undecided": undecided},
        default_operating_point="undecided",
        trained_on=TrainingData(data_sha256=manifest.sha256, rows=manifest.counts()),
        generators_seen=_training_generators(manifest),
        started_from=tuple(dict.fromkeys((*read_starting_points(run.path), *averaged))),
        licence=recipe.data.licence,
        notes=tuple(dict.fromkeys((*recipe.export.notes, *_origin_notes(recipe)))),
    )
    return spec, files


def _origin_notes(recipe: Recipe) -> Iterator[str]:
    """Yield a note for each other network that shaped the weights, such as a teacher."""
    if others := [read_origin(other).name or other for other in recipe.network.averaged_with]:
        own = "trained" if recipe.schedule.steps else "starting"
        yield (
            f"The weights are the mean, in equal parts, of the {own} ones and those of "
            f"{', '.join(others)}."
        )
    if recipe.distil.teacher is not None:
        teacher = Bundle.read(locate(recipe.distil.teacher))
        if not any(teacher.sha256 in note for note in recipe.export.notes):
            yield (
                f"Distilled from {teacher.spec.name} {teacher.spec.version}, licence "
                f"{teacher.spec.licence!r} (detector.json SHA-256 {teacher.sha256})."
            )
    for name, wanted in recipe.made.items():
        if wanted.autoencoder is not None and wanted.autoencoder.is_file():
            stated = read_origin(str(wanted.autoencoder))
            yield (
                f"Made fakes of the kind {name}: through the autoencoder "
                f"{stated.name or wanted.autoencoder.name}, licence "
                f"{stated.licence or 'not stated in the file'} "
                f"(SHA-256 {sha256_of(wanted.autoencoder.read_bytes())})."
            )


def calibrate_spec(
    spec: DetectorSpec,
    answers: pa.Table,
    promised: CalibrationRecipe,
    manifest: Manifest,
    *,
    progress: Progress | None = None,
) -> DetectorSpec:
    """Return the spec with calibration and operating points from calibration predictions."""
    faces = predictions.judged_faces(answers)
    fitted = fit_calibration(faces, method=promised.method)
    faces = replace(faces, probabilities=calibrate(faces.logits, fitted.calibration))
    made = keep_promises(faces, promised, data_sha256=manifest.sha256)
    if progress is not None:
        progress(f"calibrated: {fitted}")
        for one in made.unsupported:
            progress(f"not promised, {one.name}: {one.reason}")
    chosen = {
        "calibration": fitted.calibration,
        "operating_points": made.points,
        "default_operating_point": made.default,
        "unsupported": made.unsupported,
    }
    return DetectorSpec.model_validate({**dict(spec), **chosen})


def write_reported(
    spec: DetectorSpec,
    files: Files,
    report: pa.Table,
    folder: Path,
    *,
    manifest: Manifest,
    command: str,
    families: Mapping[str, Sequence[str]] | None = None,
) -> Bundle:
    """Write the bundle with the added results and its card, and return it."""
    found = findings(
        predictions.all_faces(report),
        list(spec.operating_points.values()),
        data_sha256=manifest.sha256,
        metrics=OF_A_BUNDLE,
        families=families,
    )
    results = DetectorSpec.model_validate(
        {**dict(spec), "results": (*composition(manifest), *spec.results, *found)}
    )
    text = card(results, command=command).encode()
    named = CardFile(name="CARD.md", sha256=sha256_of(text))
    final = DetectorSpec.model_validate({**dict(results), "card": named})
    return write_bundle(folder, final, {**files, "CARD.md": text})


def _training_generators(manifest: Manifest) -> tuple[str, ...]:
    """Return the generators of the training split, sorted."""
    return tuple(
        sorted({row.generator for row in manifest.take("train", purpose="fit") if row.is_fake})
    )
