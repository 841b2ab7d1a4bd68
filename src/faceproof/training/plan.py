"""`plan`: what a training would do, how long it takes and how much disk it needs, without a run.

The time is measured: a few steps of the recipe on this machine, in a temporary folder. Nothing is
written elsewhere, and no starting weights are fetched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from pydantic import Field

from faceproof.data.manifest import SPLITS, Manifest
from faceproof.messages import count_noun, ignore_message
from faceproof.records import Record
from faceproof.runs import RunFolder
from faceproof.training.fit import choose_precision, make_starting_network, make_streams
from faceproof.training.loop import Trainer
from faceproof.training.optimizers import epochs_to_steps
from faceproof.training.preflight import find_doubts, refuse_poor_data
from faceproof.training.recipe import Recipe
from faceproof.training.run.checkpoint import BEST, LAST
from faceproof.training.run.journal import Moment, TrainingJournal
from faceproof.training.run.prepared import open_prepared
from faceproof.training.run.processes import make_fabric

_STEPS = 4  # the first also starts the workers, and is left out


class TrainingPlan(Record):
    """The plan of a training; times in seconds on this machine, sizes in bytes.

    ``step_seconds`` is the median of ``measured_steps`` steps, ``batch_seconds`` the time of a
    batch without learning, as in a validation, of which there are ``validations``.
    """

    network: str
    parameters: int
    rows: dict[str, int]
    made: int = Field(ge=0)
    """Fakes that the recipe makes before the first step; those that exist are not made again."""
    steps: int
    batch_size: int
    epochs: float
    validations: int
    validation_batches: int
    device: str
    precision: str
    devices: int
    measured_steps: int
    step_seconds: float
    batch_seconds: float
    checkpoint_bytes: int
    weights_bytes: int
    doubts: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The estimate: all steps and validations, on one device; calibration and report not."""
        validating = self.validations * self.validation_batches * self.batch_seconds
        return self.steps * self.step_seconds + validating

    @property
    def disk_bytes(self) -> int:
        """Space for both checkpoints, a second copy while one is written, and the detector."""
        return 2 * self.checkpoint_bytes + 4 * self.weights_bytes

    def lines(self) -> Iterator[str]:
        """Yield the plan as lines of text."""
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        faces = self.steps * self.batch_size
        many = f" on {count_noun(self.devices, 'device')}" if self.devices > 1 else ""
        yield f"network: {self.network}, {self.parameters / 1e6:.1f} million parameters"
        yield f"data: {rows} faces"
        if self.made:
            yield f"made fakes: {self.made:,} before the first step; not in the time below"
        yield (
            f"schedule: {self.steps:,} steps of {self.batch_size} faces, {faces:,} faces "
            f"({self.epochs:.1f} epochs), {count_noun(self.validations, 'validation')}{many}"
        )
        left = timedelta(seconds=round(self.seconds))
        yield (
            f"time: about {left}, from {self.step_seconds:.2f} s a step, measured now on "
            f"{count_noun(self.measured_steps, 'step')} ({self.device}, {self.precision}); "
            "calibration, test and export come after it"
        )
        yield f"disk: about {self.disk_bytes / 1e6:,.0f} MB for checkpoints and detector"


def plan(recipe: Recipe, *, progress: Callable[[str], None] = ignore_message) -> TrainingPlan:
    """Return the plan of a training, after the checks that the training itself begins with.

    Raises:
        RecipeError, ManifestError, TrainingError: as `train` does, naming what to change.
    """
    manifest = open_prepared(recipe, progress=progress)
    made = sum(sum(one.counts.values()) for one in recipe.made.values())
    training = manifest.counts().get("train", 0)
    training += sum(one.counts.get("train", 0) for one in recipe.made.values())
    recipe = epochs_to_steps(recipe, training)
    if not recipe.made:  # they may be the only fakes of a split
        refuse_poor_data(recipe, manifest)
    schedule = recipe.schedule
    progress(f"measuring {count_noun(_STEPS, 'step')} of {schedule.batch_size} faces")
    measured = _Measured(recipe, manifest)
    statistics = recipe.network.batch_norm_pictures if measured.renews_statistics else 0
    counted = schedule.validation_pictures + statistics
    return TrainingPlan(
        network=recipe.network.name,
        parameters=measured.parameters,
        rows={split: manifest.counts().get(split, 0) for split in SPLITS},
        made=made,
        steps=schedule.steps,
        batch_size=schedule.batch_size,
        epochs=schedule.steps * schedule.batch_size / max(training, 1),
        validations=-(-schedule.steps // schedule.validate_steps),
        validation_batches=-(-counted // schedule.batch_size),
        device=measured.device,
        precision=measured.precision,
        devices=recipe.device.devices * recipe.device.nodes,
        measured_steps=len(measured.step_seconds),
        step_seconds=median(measured.step_seconds),
        batch_seconds=measured.batch_seconds,
        checkpoint_bytes=measured.checkpoint_bytes,
        weights_bytes=measured.weights_bytes,
        doubts=tuple(find_doubts(recipe, manifest)),
    )


class _Stopwatch:
    """A display of a training that notes when each step ended, and when the validation did."""

    def __init__(self) -> None:
        self.steps: dict[int, float] = {}
        self.validated = 0.0

    def __call__(self, _: str) -> None:
        """Drop a line."""

    def show(self, moment: Moment) -> None:
        """Note the time of what is new."""
        now = time.perf_counter()
        self.steps.setdefault(moment.step, now)
        if moment.validation and not self.validated:
            self.validated = now

    def hide(self) -> None:
        """Nothing is shown."""


class _Measured:
    """A short training of a recipe from random weights: its times and the sizes of its files."""

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        short = _shorten(recipe)
        self.renews_statistics = recipe.network.batch_norm == "precise"
        self.precision = choose_precision(recipe.device)
        fabric = make_fabric(short.device, self.precision)
        fabric.launch()
        fabric.seed_everything(recipe.seed, verbose=False)
        self.device = str(fabric.device)
        watch = _Stopwatch()
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder))
            stream, faces = make_streams(short, manifest)
            network = make_starting_network(short, stream, run, fabric, ignore_message)
            self.parameters = sum(one.numel() for one in network.parameters())
            journal = TrainingJournal(run, watch, steps=_STEPS, show=True)
            Trainer(fabric, network, short, run, journal=journal).run(stream, faces)
            self.checkpoint_bytes = (run.path / LAST).stat().st_size
            self.weights_bytes = (run.path / BEST).stat().st_size
        ends = [watch.steps[step] for step in range(1, _STEPS + 1)]
        self.step_seconds = [after - before for before, after in pairwise(ends)]
        batches = -(-len(faces) // short.schedule.batch_size) + self.renews_statistics
        self.batch_seconds = (watch.validated - ends[-1]) / batches


def _shorten(recipe: Recipe) -> Recipe:
    """Return the recipe of the measurement: few steps, all weights learning, one device.

    One batch of faces is validated, and one measures the statistics of batch norm.
    """
    size = recipe.schedule.batch_size
    schedule = {
        "steps": _STEPS,
        "epochs": None,
        "head_first_steps": 0,
        "thaw_steps": 0,
        "warmup_steps": 0,
        "validate_steps": _STEPS,
        "validation_pictures": size,
        "checkpoint_steps": _STEPS,
    }
    network = {"starting_weights": None, "started_from": None, "started_from_licence": None}
    changes = {
        "schedule": schedule,
        "network": {**network, "batch_norm_pictures": size},
        "device": {"devices": 1, "nodes": 1},
        "distil": {"teacher": None},
    }
    content = {
        name: getattr(recipe, name).model_copy(update=update) for name, update in changes.items()
    }
    return recipe.model_copy(update=content)
