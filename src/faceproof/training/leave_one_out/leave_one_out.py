"""`leave_one_out`: for each generator or source, a detector that never saw it, tested on it.

Each is trained by the recipe in a run folder of its own, one after another. Its checkpoint is
chosen on validation and its thresholds on calibration, both without what is left out. A stopped
run resumes exactly, and a finished one is not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import add_made_fakes
from faceproof.detector.bundle import Bundle
from faceproof.detector.spec import Sha256
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation.audit_result import LEAVE_ONE_OUT, AuditResult
from faceproof.messages import ignore_message
from faceproof.outputs import write_error
from faceproof.records import Document, Record
from faceproof.sources import to_printable
from faceproof.training.forging.pool import make_fakes
from faceproof.training.leave_one_out.checkpoints import read_scores, score_checkpoints
from faceproof.training.leave_one_out.exclusion import (
    Exclusion,
    LeftOut,
    Removed,
    RowCounts,
    adapt_recipe,
    choose_left_out,
    exclude,
    refuse_known_start,
)
from faceproof.training.leave_one_out.summary import FinishedRun, summarise
from faceproof.training.optimizers import epochs_to_steps
from faceproof.training.preflight import refuse_contradicted_origin, refuse_poor_data
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.run.checkpoint import run_folder
from faceproof.training.run.prepared import open_prepared
from faceproof.training.train import hold_run, train_on

Progress = Callable[[str], None]

RESULT, SETTINGS, RECORD = f"{LEAVE_ONE_OUT}.json", "settings.json", "left-out.json"
"""The result and the settings of the folder, and the record of each finished run."""


class LeaveOneOutSettings(Document):
    """What all runs of a folder have in common: the recipe and the prepared data."""

    schema_: Literal["faceproof.leave-one-out-settings/1"] = Field(
        default="faceproof.leave-one-out-settings/1", alias="schema"
    )
    recipe: dict[str, Any]
    data_sha256: Sha256


class Checkpoint(Record):
    """A checkpoint of a run, by its step; ``kept`` is the one that became the detector."""

    step: int
    validation_auc: float
    kept: bool


class LeftOutRun(Document):
    """One finished run: what it did not see, its rows, its checkpoints and its detector."""

    schema_: Literal["faceproof.left-out-run/1"] = Field(
        default="faceproof.left-out-run/1", alias="schema"
    )
    left_out: LeftOut
    data_sha256: Sha256
    rows: dict[str, RowCounts]
    removed: Removed
    checkpoints: tuple[Checkpoint, ...] = Field(min_length=1)
    detector_sha256: Sha256


@dataclass(frozen=True)
class PlannedRun:
    """One training: the rows that it sees, its recipe, and how far it is."""

    exclusion: Exclusion
    recipe: Recipe
    state: Literal["to do", "started", "done"]

    @property
    def steps(self) -> int:
        """The number of optimiser steps."""
        return self.recipe.schedule.steps

    @property
    def checkpoints(self) -> int:
        """The number of validations, each of which keeps a checkpoint."""
        return -(-self.steps // self.recipe.schedule.validate_steps)


def plan_leave_one_out(
    recipe: Recipe,
    output: str | Path,
    *,
    generators: Iterable[str] = (),
    sources: Iterable[str] = (),
    made: Sequence[Path] = (),
) -> tuple[PlannedRun, ...]:
    """Return the trainings that `leave_one_out` runs; only a copy of ``data.store`` is written.

    ``made`` are the folders of fakes that the recipe has made; without them they are not counted.

    Raises:
        UsageError, UnknownChoiceError: nothing can be left out, or not what was named.
        TrainingError: the training starts from a detector that has seen it, keeps one checkpoint
            only, or runs on several devices.
    """
    prepared = open_prepared(recipe, progress=ignore_message)
    left_out = choose_left_out(prepared, generators, sources)
    refuse_known_start(recipe, left_out)
    if recipe.device.devices * recipe.device.nodes > 1:
        raise TrainingError("leave-one-out trains on one device: set device.devices = 1")
    whole = add_made_fakes(prepared, made)
    runs = tuple(_plan_run(recipe, whole, one, Path(output)) for one in left_out)
    for run in runs:
        if run.checkpoints < 2:
            raise TrainingError(
                f"a training of {run.steps} steps is validated once, so there is no choice of a "
                "checkpoint to compare: set schedule.validate_steps to half of that or less"
            )
    return runs


def _plan_run(recipe: Recipe, whole: Manifest, left_out: LeftOut, output: Path) -> PlannedRun:
    exclusion = exclude(whole.at_most(recipe.export.most), left_out)
    folder = output / left_out.folder
    adapted = adapt_recipe(recipe, whole, exclusion)
    adapted = epochs_to_steps(adapted, exclusion.manifest.counts()["train"])
    if (folder / RECORD).is_file():
        return PlannedRun(exclusion, adapted, "done")
    return PlannedRun(exclusion, adapted, "started" if (folder / "last.pt").exists() else "to do")


def leave_one_out(
    recipe: Recipe | str | Path,
    output: str | Path,
    *,
    generators: Iterable[str] = (),
    sources: Iterable[str] = (),
    overrides: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = ignore_message,
) -> AuditResult:
    """Return what detectors without each of ``generators`` and ``sources`` make of them.

    Without any name, each generator that has fakes in training and in test is left out in turn.
    ``recipe`` and ``overrides`` are those of `faceproof.train`. ``output`` is a folder, new, empty
    or of the same recipe and data. It gets a run folder for each training, and the result as
    ``leave-one-out.json``. ``seed`` is that of the bootstrap. ``progress`` is called with each
    message.

    >>> from faceproof import leave_one_out
    >>> leave_one_out("examples/own-data.toml", "left-out", overrides=["schedule.epoch=3"])
    Traceback (most recent call last):
    ...
    faceproof.errors.RecipeError: examples/own-data.toml: schedule.epoch is no key of a recipe, \
did you mean 'epochs'?

    Raises:
        RecipeError, ManifestError, TrainingError, ExportError: naming what to change.
        UsageError, UnknownChoiceError: the folder cannot be used, or nothing can be left out.
        TrainingStopped: Ctrl-C or SIGTERM; the same call resumes.
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(recipe), tuple(overrides))
    folder, names, places = Path(output), tuple(generators), tuple(sources)
    prepared = open_prepared(recipe, progress=progress)
    plan_leave_one_out(recipe, folder, generators=names, sources=places)
    _open_folder(folder, recipe, prepared)
    made = make_fakes(recipe, prepared, progress=progress)
    plan = plan_leave_one_out(recipe, folder, generators=names, sources=places, made=made)
    for planned in plan:
        try:
            refuse_poor_data(planned.recipe, planned.exclusion.manifest)
        except TrainingError as error:
            raise TrainingError(
                f"without the {planned.exclusion.left_out.words}: {error}"
            ) from error
    finished = []
    for number, planned in enumerate(plan, start=1):
        words = planned.exclusion.left_out.words
        progress(f"{number} of {len(plan)}: without the {words}")
        finished.append(_finish_run(planned, folder, made, progress))
    result = summarise(recipe, prepared, finished, seed=seed)
    result.write(folder / RESULT)
    return result


def _open_folder(folder: Path, recipe: Recipe, prepared: Manifest) -> None:
    """Make the folder, or check that its runs are of the same recipe and data.

    Raises:
        UsageError: they are not, the folder holds something else, or it cannot be written to.
    """
    file, shown = folder / SETTINGS, to_printable(str(folder))
    settings = LeaveOneOutSettings(
        recipe=recipe.model_dump(mode="json"), data_sha256=prepared.sha256
    )
    if file.is_file():
        _refuse_other_settings(file, settings, shown)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{shown} is not empty and holds no leave-one-out of ours: name a new --output"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.write(file)
    except OSError as error:
        raise write_error(folder, error) from error


#: What may differ between two calls on a folder, as it changes no figure.
_FREE = ("device", "data.prepared", "data.reading", "data.store", "export.command")


def _refuse_other_settings(file: Path, settings: LeaveOneOutSettings, shown: str) -> None:
    try:
        before = LeaveOneOutSettings.read(file)
    except ValueError as error:
        raise UsageError(f"{to_printable(str(file))} cannot be read: name a new folder") from error
    old, new = _leaves(before.recipe), _leaves(settings.recipe)
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(_FREE)
    ]
    if before.data_sha256 != settings.data_sha256:
        differing.insert(0, "the prepared data")
    if differing:
        raise UsageError(
            f"{shown} holds runs of another recipe ({', '.join(differing)} differs): name a new "
            "--output, or repeat the earlier recipe to resume"
        )


def _leaves(value: object, place: str = "") -> dict[str, object]:
    """Return the values of nested tables by their dotted keys."""
    if not isinstance(value, dict):
        return {place: value}
    return {
        key: leaf
        for name, one in value.items()
        for key, leaf in _leaves(one, f"{place}.{name}".lstrip(".")).items()
    }


def _finish_run(
    planned: PlannedRun, folder: Path, made: Sequence[Path], progress: Progress
) -> FinishedRun:
    """Return a finished run: read from its folder, or trained and tested now."""
    exclusion, recipe = planned.exclusion, planned.recipe
    run = run_folder(folder / exclusion.left_out.folder)
    if planned.state == "done":
        progress(f"finished before: {run.path / RECORD}")
        _refuse_other_rows(_read_record(run.path), exclusion, run.path)
    else:
        with hold_run(run):
            refuse_contradicted_origin(recipe, run)
            bundle = train_on(recipe, exclusion.manifest, run, made=made, progress=progress)
            _record_run(planned, bundle, run.path, progress).write(run.path / RECORD)
    record = _read_record(run.path)
    return FinishedRun(
        exclusion=exclusion,
        spec=Bundle.read(run.path / "bundle").spec,
        detector_sha256=record.detector_sha256,
        steps=tuple(one.step for one in record.checkpoints),
        scores=read_scores(recipe, run.path, by_source=exclusion.left_out.kind == "source"),
    )


def _record_run(planned: PlannedRun, bundle: Bundle, run: Path, progress: Progress) -> LeftOutRun:
    """Score the test by all checkpoints, and return the record of the run."""
    exclusion = planned.exclusion
    kept, snapshots = score_checkpoints(
        planned.recipe, exclusion.manifest, bundle, run, progress=progress
    )
    return LeftOutRun(
        left_out=exclusion.left_out,
        data_sha256=exclusion.manifest.sha256,
        rows=exclusion.rows,
        removed=exclusion.removed,
        checkpoints=tuple(
            Checkpoint(step=one.step, validation_auc=one.validation_auc, kept=one is kept)
            for one in snapshots
        ),
        detector_sha256=bundle.sha256,
    )


def _read_record(run: Path) -> LeftOutRun:
    try:
        return LeftOutRun.read(run / RECORD)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{to_printable(str(run / RECORD))} cannot be read: delete it to finish the run again"
        ) from error


def _refuse_other_rows(record: LeftOutRun, exclusion: Exclusion, run: Path) -> None:
    """Refuse a finished run on other rows, such as with other made fakes.

    Raises:
        UsageError: naming the folder to delete.
    """
    if record.data_sha256 != exclusion.manifest.sha256:
        raise UsageError(
            f"{to_printable(str(run))} was trained on other rows: delete it to train it again, or "
            "name a new --output"
        )
