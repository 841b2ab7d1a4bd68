"""`lock_run` and `make_fabric`: locks, checks and devices for several processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from faceproof.errors import TrainingError
from faceproof.runs import lock_folder
from faceproof.training.recipe import DeviceRecipe, Recipe

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
_PICTURES_EACH = 2


def is_first_process() -> bool:
    """Return whether this process has rank 0 (torchrun or Fabric), which writes."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Lock a run folder against a second training; its own helper processes may enter.

    Raises:
        UsageError: another training is writing into it.
    """
    if not is_first_process():
        yield
        return
    busy = f"another training is writing to {folder}: wait until it ends, or use another --output"
    with lock_folder(folder, name="run.lock", busy=busy):
        yield


def refuse_uneven(recipe: Recipe) -> None:
    """Reject a batch that cannot be divided, and a number of processes other than the recipe's.

    Raises:
        TrainingError: with the setting to change.
    """
    device, size = recipe.device, recipe.schedule.batch_size
    world = device.devices * device.nodes
    if size % world:
        raise TrainingError(
            f"schedule.batch_size {size} is not divisible by {world} devices: "
            f"set it to {max(1, round(size / world)) * world}"
        )
    if size // world < _PICTURES_EACH:
        raise TrainingError(
            f"schedule.batch_size {size} gives {size // world} picture to each of {world} devices, "
            f"but batch norm needs {_PICTURES_EACH}: set it to {_PICTURES_EACH * world} or more"
        )
    started = int(os.environ.get("WORLD_SIZE", "1")) if _is_under_torchrun() else world
    if started != world:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", started))
        raise TrainingError(
            f"torchrun started {started} processes, but the recipe has {world}: set "
            f"device.devices={here} and device.nodes={started // here}"
        )


def refuse_other_steps(fabric: Fabric, step: int, folder: Path) -> None:
    """Raise an error if processes found different checkpoints, or some of them none.

    Raises:
        TrainingError: in every process, so that none waits for another.
    """
    if fabric.world_size == 1:
        return
    both = torch.tensor([step, -step], device=fabric.device)
    last, first = torch.as_tensor(fabric.all_reduce(both, reduce_op="max")).tolist()
    if last != -first:
        raise TrainingError(
            f"the processes found last.pt of steps {-first} and {last}: {folder} must be the "
            "same folder on all machines; put it on a shared disk"
        )


def make_fabric(device: DeviceRecipe, precision: str) -> Fabric:
    """Return Fabric with the recipe's devices.

    Raises:
        TrainingError: the devices are not available.
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
            f"is not available ({reason}): set both to values that `faceproof doctor` lists"
        ) from error


def kill_helpers(fabric: Fabric) -> None:
    """Kill the helper processes of this one, which could wait for it for a long time.

    torchrun ends its own processes.
    """
    for helper in getattr(fabric.strategy.launcher, "procs", ()):
        helper.kill()


def _is_under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
