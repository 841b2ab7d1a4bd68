"""From a recipe and a prepared data set to trained weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from faceproof.data.manifest import Manifest
from faceproof.data.prepare import read_faces
from faceproof.detector.spec import StartedFrom
from faceproof.networks import build, load_starting_weights, reestimate_batch_norm
from faceproof.networks.network import Network
from faceproof.runs import RunFolder
from faceproof.training.loop import Trainer
from faceproof.training.recipe import DeviceRecipe, Recipe
from faceproof.training.stream import PlainFaces, PreparedPictures, TrainingStream, balanced

Progress = Callable[[str], None]


def fit(recipe: Recipe, manifest: Manifest, run: RunFolder, *, progress: Progress) -> Network:
    """Return the network with the averaged weights of the best validation, trained or resumed.

    Raises:
        TrainingError: starting weights that do not fit, a loss that is no number.
    """
    fabric = _fabric(recipe.device)
    fabric.launch()
    fabric.seed_everything(recipe.seed + fabric.global_rank)
    prepared = recipe.data.prepared
    landmarks = read_faces(prepared / "faces.parquet")
    train = manifest.take("train", purpose="fit")
    seen = balanced(
        manifest.take("validation", purpose="choose"),
        recipe.schedule.validation_pictures,
        recipe.seed,
    )
    stream = TrainingStream(PreparedPictures(prepared, train, landmarks), recipe)
    faces = PlainFaces(PreparedPictures(prepared, seen, landmarks), recipe.network.preprocessing)
    network = starting_network(recipe, stream, run, progress)
    trainer = Trainer(fabric, network, recipe, run)
    if fabric.is_global_zero:
        run.record_start(
            recipe=recipe.model_dump(mode="json"),
            data_sha256=manifest.sha256,
            rows=manifest.counts(),
            devices=fabric.world_size,
            device=str(fabric.device),
            precision=fabric._precision.precision,  # noqa: SLF001
        )
    trainer.run(stream, faces)
    progress(
        f"best validation AUC {trainer.state.best_score:.4f} at step {trainer.state.best_step}"
    )
    return best_network(recipe, run)


def starting_network(
    recipe: Recipe, stream: TrainingStream, run: RunFolder, progress: Progress
) -> Network:
    """Return the network before its first step; a run that goes on needs no starting weights."""
    network = build(recipe.network.name, head=recipe.network.head)
    if recipe.network.starting_weights is None or (run.path / "last.pt").exists():
        return network
    started = load_starting_weights(network, recipe.network.starting_weights)
    progress(f"started from {started}")
    _started_from(recipe, started.sha256).write(run.path / "started_from.json")
    if recipe.network.batch_norm_pictures:
        batches = _inputs(stream, recipe)
        count = max(1, recipe.network.batch_norm_pictures // recipe.schedule.batch_size)
        reestimate_batch_norm(network, islice(batches, count))
        progress(
            f"batch norm statistics re-estimated on {count * recipe.schedule.batch_size} faces"
        )
    return network


def best_network(recipe: Recipe, run: RunFolder) -> Network:
    """Return the network with the weights of ``best.pt``."""
    network = build(recipe.network.name, head=recipe.network.head)
    state = torch.load(run.path / "best.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network.eval()


def started_from(run: RunFolder) -> tuple[StartedFrom, ...]:
    """Return what the run's network started from, empty for random weights."""
    path: Path = run.path / "started_from.json"
    return (StartedFrom.read(path),) if path.exists() else ()


def _started_from(recipe: Recipe, sha256: str) -> StartedFrom:
    """Return what the card says of the starting weights."""
    return StartedFrom(
        name=recipe.network.started_from, licence=recipe.network.started_from_licence, sha256=sha256
    )


def _inputs(stream: TrainingStream, recipe: Recipe) -> Iterator[torch.Tensor]:
    """Yield batches of training inputs without their targets."""
    numbers = range(max(recipe.network.batch_norm_pictures, recipe.schedule.batch_size))
    loader = DataLoader(stream, batch_size=recipe.schedule.batch_size, sampler=numbers)
    for inputs, _ in loader:
        yield inputs


def _fabric(device: DeviceRecipe) -> Fabric:
    """Return the devices and precision that the recipe asks for."""
    if device.threads:
        torch.set_num_threads(device.threads)
    precision = device.precision
    if precision == "auto":
        precision = "bf16-mixed" if _has_bf16(device.accelerator) else "32-true"
    strategy = "ddp" if device.devices > 1 else "auto"
    return Fabric(
        accelerator=device.accelerator,
        devices=device.devices,
        precision=precision,
        strategy=strategy,
    )


def _has_bf16(accelerator: str) -> bool:
    """Whether bf16 is done in hardware: a GPU that says so, or a CPU with matrix tiles."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
