"""Several processes: who is the first, who may write, and what does not go together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from faceproof.errors import TrainingError, UsageError
from faceproof.runs import locked
from faceproof.training.recipe import DeviceRecipe, Recipe

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
_PICTURES_EACH = 2


def first_process() -> bool:
    """Return whether this process is the one that writes, as torchrun and Fabric number them."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a second training out of a run folder; its own helper processes may enter.

    Raises:
        UsageError: another training is writing into it.
    """
    if not first_process():
        yield
        return
    with locked(folder / "run.lock", wait=False) as mine:
        if not mine:
            raise UsageError(
                f"another training is writing into {folder}: wait until it ends, or name another "
                "--output"
            )
        yield


def refuse_uneven(recipe: Recipe) -> None:
    """Refuse a batch that cannot be shared, and processes that the recipe did not ask for.

    Raises:
        TrainingError: naming what to set.
    """
    device, size = recipe.device, recipe.schedule.batch_size
    world = device.devices * device.nodes
    if size % world:
        raise TrainingError(
            f"schedule.batch_size {size} does not divide by {world} devices: "
            f"set it to {max(1, round(size / world)) * world}"
        )
    if size // world < _PICTURES_EACH:
        raise TrainingError(
            f"schedule.batch_size {size} leaves {size // world} picture to each of {world} devices "
            f"and batch norm needs {_PICTURES_EACH}: set it to {_PICTURES_EACH * world} or more"
        )
    started = int(os.environ.get("WORLD_SIZE", "1")) if _by_torchrun() else world
    if started != world:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", started))
        raise TrainingError(
            f"torchrun started {started} processes and the recipe asks for {world}: set "
            f"device.devices={here} and device.nodes={started // here}"
        )


def refuse_other_steps(fabric: Fabric, step: int, folder: Path) -> None:
    """Refuse to go on where processes found different checkpoints, or some of them none.

    Raises:
        TrainingError: in every process, so that none waits for another.
    """
    if fabric.world_size == 1:
        return
    both = torch.tensor([step, -step], device=fabric.device)
    last, first = torch.as_tensor(fabric.all_reduce(both, reduce_op="max")).tolist()
    if last != -first:
        raise TrainingError(
            f"the processes found last.pt of steps {-first} and {last}: {folder} has to be one "
            "folder that all machines see; put it on a disk that they share"
        )


def fabric_for(device: DeviceRecipe, precision: str) -> Fabric:
    """Return the devices that the recipe asks for.

    Raises:
        TrainingError: this machine does not have them.
    """
    try:
        return Fabric(
            accelerator=device.accelerator,
            devices=device.devices,
            precision=precision,
            num_nodes=device.nodes,
            strategy="ddp" if device.devices * device.nodes > 1 else "auto",
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"device.accelerator = {device.accelerator!r} with device.devices = {device.devices} "
            f"cannot be had here ({reason}): set both to what `faceproof doctor` lists"
        ) from error


def kill_helpers(fabric: Fabric) -> None:
    """End the processes that this one started, which may wait for it in an exchange for long.

    Those that torchrun started are ended by torchrun.
    """
    for helper in getattr(fabric.strategy.launcher, "procs", ()):
        helper.kill()


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
