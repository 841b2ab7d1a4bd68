"""`update` trains a detector on a new generator, and accepts or rejects the result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from faceproof.data.manifest import LABELS, Manifest
from faceproof.detector import CardFile, DetectorSpec, write_bundle
from faceproof.detector.bundle import Bundle, sha256_of
from faceproof.detector.detector import locate
from faceproof.detector.spec import OperatingPoint
from faceproof.errors import BundleError, TrainingError, UsageError
from faceproof.evaluation.evaluate import DetectorRef
from faceproof.evaluation.feedback_set import FeedbackSet
from faceproof.evaluation.findings import composition
from faceproof.evaluation.gate import (
    DataSetSummary,
    Gate,
    GateRule,
    Update,
    both_thresholds,
    decide,
)
from faceproof.evaluation.paired import Change, find_changes, pair_predictions
from faceproof.networks.modules import Network
from faceproof.outputs import write_text
from faceproof.records import Record
from faceproof.reports.card import card
from faceproof.reports.update_page import update_markdown, update_page
from faceproof.runs import RunFolder
from faceproof.training.finish import (
    Files,
    calibrate_spec,
    draft_bundle,
    load_or_predict,
    write_reported,
)
from faceproof.training.fit import fit
from faceproof.training.optimizers import epochs_to_steps
from faceproof.training.preflight import doubtful_promises, refuse_poor_data
from faceproof.training.recipe import Recipe
from faceproof.training.run.checkpoint import convert_disk_errors, run_folder
from faceproof.training.run.processes import lock_run
from faceproof.training.updating.recipe import (
    candidate_point_name,
    require_single_member,
    update_recipe,
)
from faceproof.training.updating.regression import (
    ComparedPredictions,
    FeedbackSource,
    collect_gate_cases,
    compare_predictions,
    feedback_cautions,
    summarise_regression,
)
from faceproof.training.updating.sets import (
    PictureSet,
    join_sets,
    old_generators,
    prepare_set,
    read_set,
    refuse_without_splits,
    split_new,
)

if TYPE_CHECKING:
    import pyarrow as pa


FILE = "inputs.json"


class Inputs(Record):
    """The inputs of an output folder; an update with other inputs does not resume in it."""

    detector: str
    data: str
    replay: str | None
    replay_share: float


def _require_same_inputs(inputs: Inputs, output: Path) -> None:
    """Record the inputs of the folder.

    Raises:
        UsageError: it was made from other inputs.
    """
    file = output / FILE
    before = Inputs.read(file) if file.is_file() else inputs
    for key in Inputs.model_fields:
        if getattr(before, key) != getattr(inputs, key):
            raise UsageError(f"{output} has an update with another {key}: use another --output")
    inputs.write(file)


Progress = Callable[[str], None]


@dataclass(frozen=True)
class _PredictionBench:
    """The rows and prepared pictures that both detectors predict."""

    manifest: Manifest
    root: Path
    run: RunFolder
    progress: Progress

    def predict_split(
        self, bundle: Bundle, split: str, conditions: tuple[str, ...], *, who: str
    ) -> pa.Table:
        """Return a detector's predictions of a split, loaded from the run folder or computed."""
        path = self.run.path / f"predictions-{split}-{who}.parquet"
        self.progress(f"{split} as {', '.join(conditions)}: the {who} detector")
        return load_or_predict(
            bundle,
            self.manifest,
            split,
            conditions,
            path,
            root=self.root,
            progress=self.progress,
        )


@dataclass(frozen=True)
class _Candidate:
    """The updated detector before the gate, with its spec and file contents."""

    bundle: Bundle
    spec: DetectorSpec
    files: Files


def _make_candidate(
    recipe: Recipe, old: Bundle, network: Network, bench: _PredictionBench
) -> _Candidate:
    """Return the calibrated candidate, written to the run folder.

    Raises:
        ExportError: torch and ONNX give different logits.
        TrainingError, UsageError: the calibration split cannot support the recipe's promises.
    """
    spec, files = draft_bundle(recipe, bench.manifest, network, bench.run, progress=bench.progress)
    spec = _add_ancestors(spec, old.spec)
    bundle = write_bundle(bench.run.path / "draft", spec, files)
    found = bench.predict_split(bundle, "calibration", recipe.calibration.conditions, who="new")
    spec = calibrate_spec(spec, found, recipe.calibration, bench.manifest, progress=bench.progress)
    return _Candidate(write_bundle(bench.run.path / "calibrated", spec, files), spec, files)


def _add_ancestors(spec: DetectorSpec, old: DetectorSpec) -> DetectorSpec:
    """Return the spec with the old detector's generators added."""
    seen = tuple(sorted({*spec.generators_seen, *old.generators_seen}))
    return DetectorSpec.model_validate({**dict(spec), "generators_seen": seen})


def _write_refused(made: _Candidate, gate: Gate, manifest: Manifest, folder: Path) -> Bundle:
    """Write a rejected candidate with a note on that, without figures of the test split."""
    lost = ", ".join(change.slice for change in gate.with_outcome("lost")) or "undecided"
    note = f"REFUSED by the gate of its update ({lost}): kept for inspection, not for use."
    spec = {
        **dict(made.spec),
        "notes": (note, *made.spec.notes),
        "results": (*composition(manifest), *made.spec.results),
    }
    text = card(DetectorSpec.model_validate(spec), command="faceproof update").encode()
    named = CardFile(name="CARD.md", sha256=sha256_of(text))
    final = DetectorSpec.model_validate({**spec, "card": named})
    return write_bundle(folder, final, {**made.files, "CARD.md": text})


def discard(folder: Path) -> None:
    """Remove the bundle of an earlier decision and nothing else."""
    try:
        Bundle.read(folder)
    except BundleError:
        return
    shutil.rmtree(folder)


_ACCEPTED, REFUSED = "bundle", "refused"
RECORD, REPORT, PAGE = "update.json", "update.md", "update.html"
_REPLAY_SHARE = 0.5
_DEFAULT_RULE = GateRule()

_GATED_AS = ("clean",)


@dataclass(frozen=True)
class UpdateOptions:
    """Options of an update.

    ``replay_share`` is the share of old fakes among the fakes drawn; with 0 old pictures are only
    measured. ``at`` names the old detector's operating point to preserve. ``feedback`` is used
    only by the gate, not for training or selection.
    """

    detector: str
    data: Path
    replay: Path | None = None
    replay_share: float = _REPLAY_SHARE
    rule: GateRule = _DEFAULT_RULE
    at: str | None = None
    overrides: tuple[str, ...] = ()
    feedback: FeedbackSource | None = None


@dataclass(frozen=True)
class _UpdateJob:
    """A running update: options, old detector, pictures and folders."""

    wish: UpdateOptions
    old: Bundle
    recipe: Recipe
    new: PictureSet
    replay: PictureSet | None
    bench: _PredictionBench
    feedback: FeedbackSet | None

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.bench.run.path


def update(wish: UpdateOptions, output: Path, *, progress: Progress) -> Update:
    """Run an update and return its record; write ``output/bundle`` or ``output/refused``.

    Finished parts are not repeated. The gate reads the validation split, which selected nothing:
    the schedule is fixed and its last step is used. The test split is read only for an accepted
    detector.

    Raises:
        UsageError, DataError, TrainingError, ExportError: with the fix.
        TrainingStopped: Ctrl-C or SIGTERM during training; the state is saved.
    """
    old = _old_detector(wish.detector)
    point = old.spec.operating_point(wish.at)
    run = run_folder(output)
    with lock_run(run.path), convert_disk_errors(run.path):
        job = _prepare_job(wish, old, run, point, progress)
        network = fit(job.recipe, job.bench.manifest, run, progress=progress)
        made = _make_candidate(job.recipe, old, network, job.bench)
        answers = compare_predictions(job.feedback, job.old, made.bundle, job.folder)
        decided = _decide(job, made, point, answers)
        done = _record(job, decided, _keep(job, made, decided), answers)
        done.write(output / RECORD)
        write_text(output / REPORT, update_markdown(done))
        write_text(output / PAGE, update_page(done))
    return done


def _old_detector(name: str) -> Bundle:
    """Return the detector to update, verified."""
    bundle = Bundle.read(locate(name))
    require_single_member(bundle.spec)
    bundle.verify()
    return bundle


def _prepare_job(
    wish: UpdateOptions, old: Bundle, run: RunFolder, point: OperatingPoint, progress: Progress
) -> _UpdateJob:
    """Return the update with all inputs of the training; raise errors for invalid ones."""
    folder = run.path / "data"
    file = run.path / "recipe.toml"
    recipe = update_recipe(old, point, folder, overrides=wish.overrides, file=file)
    new, replay = _prepare_sets(wish, old, run.path, progress)
    _require_same_inputs(_record_inputs(wish, old, new, replay), run.path)
    manifest = join_sets(new, replay, folder, replay_share=wish.replay_share if replay else 0.0)
    _refuse_one_class(manifest, replay)
    refuse_poor_data(recipe, manifest)
    for note in doubtful_promises(recipe.calibration, manifest):
        progress(note)
    bench = _PredictionBench(manifest, folder, run, progress)
    steps = epochs_to_steps(recipe, manifest.counts()["train"])
    sets = [part for part in (new, replay) if part]
    feedback = collect_gate_cases(wish.feedback, sets, progress) if wish.feedback else None
    return _UpdateJob(wish, old, steps, new, replay, bench, feedback)


def _prepare_sets(
    wish: UpdateOptions, old: Bundle, output: Path, progress: Progress
) -> tuple[PictureSet, PictureSet | None]:
    """Return the new and the old pictures, split and prepared."""
    new, replay = read_set(wish.data), read_set(wish.replay) if wish.replay else None
    if replay is not None:
        refuse_without_splits(replay)
    else:
        progress("NO OLD PICTURES: the update can neither prevent nor measure forgetting;")
        progress("add old pictures with --replay")
    new = split_new(new, replay, progress=progress)
    crop = old.spec.preprocessing.crop
    if replay is not None:
        replay = prepare_set(replay, crop, output / "prepared-replay", progress=progress)
    folder = output / "prepared-new"
    return prepare_set(new, crop, folder, like=replay, progress=progress), replay


def _record_inputs(
    wish: UpdateOptions, old: Bundle, new: PictureSet, replay: PictureSet | None
) -> Inputs:
    return Inputs(
        detector=old.sha256,
        data=new.manifest.sha256,
        replay=replay.manifest.sha256 if replay else None,
        replay_share=wish.replay_share,
    )


def _refuse_one_class(manifest: Manifest, replay: PictureSet | None) -> None:
    """Reject an update with only one class to train on.

    Raises:
        TrainingError: with the missing class.
    """
    learned = manifest.table.filter(pl.col("split") == "train")["label"].unique().to_list()
    for label in LABELS:
        if label not in learned:
            more = "" if replay else ", or old pictures with --replay"
            raise TrainingError(
                f"no {label} faces for training: add {label} faces to the new pictures{more}"
            )


def _decide(
    job: _UpdateJob,
    made: _Candidate,
    old_point: OperatingPoint,
    answers: ComparedPredictions | None,
) -> Gate:
    """Return the gate's decision on the candidate, from validation faces."""
    before = job.bench.predict_split(job.old, "validation", _GATED_AS, who="old")
    after = job.bench.predict_split(made.bundle, "validation", _GATED_AS, who="new")
    return decide(
        pair_predictions(before, after),
        old_point,
        made.spec.operating_point(candidate_point_name(old_point)),
        job.wish.rule,
        old_generators=old_generators(job.replay),
        data_sha256=job.bench.manifest.sha256,
        split="validation",
        feedback=answers.pair if answers else None,
        cautions=feedback_cautions(job.feedback, answers),
    )


def _keep(job: _UpdateJob, made: _Candidate, decided: Gate) -> tuple[Change, ...]:
    """Write the candidate to its folder, and return its changes on test if accepted."""
    if not decided.accepted:
        _write_refused(made, decided, job.bench.manifest, job.folder / REFUSED)
        discard(job.folder / _ACCEPTED)
        return ()
    conditions = job.recipe.export.conditions
    report = job.bench.predict_split(made.bundle, "test", conditions, who="new")
    write_reported(
        made.spec,
        made.files,
        report,
        job.folder / _ACCEPTED,
        manifest=job.bench.manifest,
        command=job.recipe.export.command,
    )
    discard(job.folder / REFUSED)
    before = job.bench.predict_split(job.old, "test", conditions[:1], who="old")
    pair = pair_predictions(before, _select_condition(report, conditions[0]))
    return tuple(find_changes(pair, both_thresholds(decided.old_point, decided.new_point)))


def _select_condition(answers: pa.Table, condition: str) -> pa.Table:
    """Return the predictions under one condition."""
    import pyarrow.compute as pc

    return answers.filter(pc.field("condition") == condition)


def _record(
    job: _UpdateJob, decided: Gate, tested: tuple[Change, ...], answers: ComparedPredictions | None
) -> Update:
    """Return the record of the update."""
    made = Bundle.read(job.folder / (_ACCEPTED if decided.accepted else REFUSED))
    return Update(
        old=_detector_ref(job.old),
        candidate=_detector_ref(made),
        new_data=_summarise_set(job.new),
        replay=_summarise_set(job.replay) if job.replay else None,
        replay_share=job.wish.replay_share if job.replay else 0.0,
        steps=job.recipe.schedule.steps,
        gate=decided,
        feedback=summarise_regression(job.feedback, answers, decided) if job.feedback else None,
        tested=tested,
    )


def _detector_ref(bundle: Bundle) -> DetectorRef:
    return DetectorRef(name=bundle.spec.name, version=bundle.spec.version, sha256=bundle.sha256)


def _summarise_set(found: PictureSet) -> DataSetSummary:
    fakes = found.manifest.table.filter(pl.col("split") == "train", pl.col("label") == "fake")
    counts = dict(fakes.group_by("generator").len().sort("generator").iter_rows())
    return DataSetSummary(
        name=found.name,
        data_sha256=found.manifest.sha256,
        rows=found.manifest.counts(),
        training_fakes=counts,
    )
