"""From a recipe and a prepared data set to trained weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import read_landmarks
from faceproof.errors import DataError
from faceproof.export import export_onnx
from faceproof.messages import ignore_message, show_clock
from faceproof.networks import (
    build,
    input_defaults,
    load_starting_weights,
    set_trainable,
)
from faceproof.networks.modules import Network, refuse_side
from faceproof.networks.parameters import set_momentum
from faceproof.networks.weight_averaging import average_weights
from faceproof.runs import RunFolder
from faceproof.training.loop import Trainer
from faceproof.training.losses import Teacher as DetectorTeacher
from faceproof.training.origins import (
    averaged_origins,
    resolve_origin,
    write_starting_points,
)
from faceproof.training.preflight import recipe_changes
from faceproof.training.recipe import DeviceRecipe, Recipe
from faceproof.training.run.checkpoint import averaged_weights
from faceproof.training.run.journal import TrainingJournal
from faceproof.training.run.processes import kill_helpers, make_fabric, refuse_uneven
from faceproof.training.run.stopping import TrainingStopped
from faceproof.training.step import Teacher
from faceproof.training.stream import PlainFaces, TrainingStream, make_pictures, select_balanced
from faceproof.training.stream_report import refuse_shortcuts, report_stream
from faceproof.training.validation import renew_statistics

Progress = Callable[[str], None]
_TRIAL_PROBES = 16  # two of each kind; the trained network answers all
Precision = Literal["bf16-mixed", "32-true"]


def fit(
    recipe: Recipe,
    manifest: Manifest,
    run: RunFolder,
    *,
    made: Sequence[Path] = (),
    progress: Progress,
) -> Network:
    """Return the network with the averaged weights of the best validation, trained or resumed.

    ``made`` are the folders of fakes that the recipe has made.
    On several devices each helper process ends here; only the first process returns.

    Raises:
        TrainingError: starting weights that do not fit, a gradient that is not finite, a run
            folder of another network or other data.
        ExportError: the network cannot become a detector, which is tried before it is trained.
        TrainingStopped: Ctrl-C or SIGTERM; ``last.pt`` is written.
    """
    changed = recipe_changes(run, recipe, manifest)
    refuse_uneven(recipe)
    precision = choose_precision(recipe.device)
    if recipe.device.threads:
        torch.set_num_threads(recipe.device.threads)
    fabric = make_fabric(recipe.device, precision)
    fabric.launch()
    fabric.seed_everything(recipe.seed, verbose=False)
    progress = progress if fabric.is_global_zero else ignore_message
    if changed:
        progress(f"goes on with another recipe than it began with: {', '.join(changed)}")
    stream, faces = make_streams(recipe, manifest, made)
    begins = fabric.is_global_zero and recipe.schedule.steps > 0 and not run.read_starts()
    if begins and recipe.resolution is not None:
        _report_shortcuts(recipe, stream, run, progress)
    network = make_starting_network(recipe, stream, run, fabric, progress)
    if fabric.is_global_zero:
        if begins:
            _try_export(recipe, progress)
        run.record_start(
            recipe=recipe.model_dump(mode="json"),
            data_sha256=manifest.sha256,
            rows=manifest.counts(),
            devices=fabric.world_size,
            device=str(fabric.device),
            precision=precision,
        )
    with _end_helpers(fabric), _open_journal(fabric, recipe, run, progress) as journal:
        teacher = _load_teacher(recipe)
        trainer = Trainer(fabric, network, recipe, run, journal=journal, teacher=teacher)
        trainer.run(stream, faces)
    best = trainer.state
    progress(f"best validation AUC {best.best_score:.4f} at step {best.best_step}")
    return load_saved_network(recipe, run)


def _report_shortcuts(
    recipe: Recipe, stream: TrainingStream, run: RunFolder, progress: Progress
) -> None:
    """Report what predicts the label besides the face, keep it in the run, refuse a shortcut."""
    own_width = recipe.resolution.own_width if recipe.resolution else {}
    try:
        report = report_stream(stream, own_width=own_width, seed=recipe.seed)
    except DataError as error:
        progress(str(error))
        return
    report.write(run.path / "stream_report.json")
    for line in report.lines():
        progress(f"shortcuts of the stream: {line}")
    if not recipe.data.allow_shortcuts:
        refuse_shortcuts(report)


def make_starting_network(
    recipe: Recipe, stream: TrainingStream, run: RunFolder, fabric: Fabric, progress: Progress
) -> Network:
    """Return the network before its first step; a resumed run needs no starting weights."""
    name, side = recipe.network.name, recipe.network.preprocessing.crop.size
    network = build(name, head=recipe.network.head)
    refuse_side(network, name, side=side, own=input_defaults(name).size)
    set_trainable(network, recipe.network.trainable, frozen_stages=recipe.network.frozen_stages)
    averaged_origins(recipe.network.averaged_with)  # what cannot be averaged is refused now
    average_weights(deepcopy(network), recipe.network.averaged_with)
    set_momentum(network.backbone, recipe.network.batch_norm_momentum)
    if recipe.network.starting_weights is None or (run.path / "last.pt").exists():
        return network
    points = resolve_origin(
        recipe.network.starting_weights,
        recipe.network.started_from,
        recipe.network.started_from_licence,
    )
    started = load_starting_weights(network, recipe.network.starting_weights)
    progress(f"started from {started}; {points[0].name}, licence {points[0].licence}")
    if fabric.is_global_zero:
        write_starting_points(run.path, points, started.sha256)
    network = network.to(fabric.device).to(memory_format=torch.channels_last)
    if recipe.schedule.steps and (faces := renew_statistics(network, stream, fabric, recipe)):
        progress(f"batch norm statistics anew, from {faces} faces")
    return network


def load_saved_network(recipe: Recipe, run: RunFolder) -> Network:
    """Return the network with the averaged weights of ``best.pt``, or of ``last.pt``.

    Those of ``network.averaged_with`` are part of the mean.
    """
    network = build(recipe.network.name, head=recipe.network.head)
    network.load_state_dict(averaged_weights(run.path, keep=recipe.schedule.keep))
    average_weights(network, recipe.network.averaged_with)
    return network.eval()


def make_streams(
    recipe: Recipe, manifest: Manifest, made: Sequence[Path] = ()
) -> tuple[TrainingStream, PlainFaces]:
    """Return the training stream and the validation faces."""
    data, seen = recipe.data, recipe.schedule.validation_pictures
    landmarks = read_landmarks(data.prepared, made)
    train = manifest.take("train", purpose="fit")
    chosen = select_balanced(manifest.take("validation", purpose="choose"), seen, recipe.seed)
    return (
        TrainingStream(make_pictures(data, train, landmarks), recipe),
        PlainFaces(make_pictures(data, chosen, landmarks), recipe.network.preprocessing),
    )


@contextmanager
def _open_journal(
    fabric: Fabric, recipe: Recipe, run: RunFolder, progress: Progress
) -> Iterator[TrainingJournal]:
    """Give the journal of this process; only the first one's shows and writes."""
    journal = TrainingJournal(
        run, progress, steps=recipe.schedule.steps, show=fabric.is_global_zero
    )
    try:
        yield journal
    finally:
        journal.close()


def _load_teacher(recipe: Recipe) -> Teacher | None:
    """Return the detector that the recipe distils, if there is one."""
    if recipe.distil.teacher is None:
        return None
    return DetectorTeacher(recipe.distil.teacher, recipe.network.preprocessing)


def _try_export(recipe: Recipe, progress: Progress) -> None:
    """Export a network with random weights, to fail now rather than after hours of training."""
    text = "trial export of the untrained network"
    progress(text)
    with show_clock(progress, text):
        network = build(recipe.network.name, head=recipe.network.head)
        export_onnx(network, recipe.network.preprocessing, probes=_TRIAL_PROBES)


@contextmanager
def _end_helpers(fabric: Fabric) -> Iterator[None]:
    """End the helper processes of a training: in good order, or at once after an error."""
    try:
        yield
        fabric.barrier()
    except TrainingStopped:
        if fabric.is_global_zero:
            raise
    except BaseException:
        kill_helpers(fabric)
        raise
    if not fabric.is_global_zero:
        raise SystemExit


def choose_precision(device: DeviceRecipe) -> Precision:
    """Return the recipe's precision; "auto" is bf16 where it is done in hardware."""
    if device.precision != "auto":
        return device.precision
    if device.accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    # Older versions of torch cannot tell.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    has_bf16 = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return "bf16-mixed" if has_bf16 else "32-true"
