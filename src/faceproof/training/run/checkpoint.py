"""`State` and `restore`: checkpoints of a training, with full disks and damaged files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from faceproof.errors import TrainingError, UsageError
from faceproof.networks.weights import UNREADABLE
from faceproof.outputs import is_disk_full
from faceproof.runs import RunFolder


@dataclass
class State:
    """Network, averaged network, optimiser, step and best score."""

    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_score: float = -1.0
    best_loss: float = math.inf
    best_step: int = 0
    validations_since_best: int = 0

    def record_score(self, score: float, loss: float) -> bool:
        """Record a validation's score and loss, and return whether it is the best so far.

        Of equal scores the lower loss is better: on a few faces an almost untrained network may
        already have an AUC of 1.
        """
        best = (score, -loss) > (self.best_score, -self.best_loss)
        if best:
            self.best_score, self.best_loss, self.best_step = score, loss, self.step
        self.validations_since_best = 0 if best else self.validations_since_best + 1
        return best

    def checkpoint(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {
            "step": self.step,
            "best_score": self.best_score,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "validations_since_best": self.validations_since_best,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Restore the state from a `checkpoint`."""
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step = int(kept["step"])
        self.best_score, self.best_step = float(kept["best_score"]), int(kept["best_step"])
        self.best_loss = float(kept.get("best_loss", math.inf))  # checkpoints up to 0.1.0 lack it
        self.validations_since_best = int(kept["validations_since_best"])

    def averaged_weights(self) -> dict[str, Tensor]:
        """Return the averaged network's current weights and statistics, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.average.module.state_dict().items()}


def _averaged_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the averaged network's weights and statistics of a `State.checkpoint`."""
    inside = "module."
    return {
        name.removeprefix(inside): value
        for name, value in checkpoint["average"].items()
        if name.startswith(inside)
    }


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed dropout by seed, step and process only, so that a resumed step is identical."""
    state = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def make_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of the network's weights and statistics, with warm-up.

    After n updates the decay is min(``decay``, (1 + n) / (10 + n)), so that the initial weights
    soon lose their influence. Batch counters are copied.
    """

    def mix(averages: Sequence[Tensor], currents: Sequence[Tensor], updates: Tensor | int) -> None:
        if torch.is_floating_point(averages[0]):
            now = min(decay, (1 + float(updates)) / (10 + float(updates)))
            get_ema_multi_avg_fn(now)(averages, currents, updates)  # type: ignore[no-untyped-call]
            return
        for average, current in zip(averages, currents, strict=True):
            average.copy_(current)

    return AveragedModel(network, multi_avg_fn=mix, use_buffers=True)


_MB = 1e6


def run_folder(path: Path) -> RunFolder:
    """Return the run folder at ``path``, created if missing.

    Raises:
        UsageError: the folder cannot be created.
    """
    try:
        return RunFolder(path)
    except OSError as error:
        raise UsageError(
            f"run folder {path} cannot be created ({error.strerror}): use another --output"
        ) from error


@contextmanager
def convert_disk_errors(folder: Path, *, needed: int | None = None) -> Iterator[None]:
    """Translate errors of a full disk; ``needed`` is the number of bytes to write.

    Raises:
        TrainingError: the disk is full, with needed and free space and the fix.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch turns the first into the second
        if not is_disk_full(error):
            raise
        raise TrainingError(_full_disk_message(folder, needed)) from error


def size_of(content: Mapping[str, Any]) -> int:
    """Return the bytes of all tensors in a checkpoint, about the size of the file.

    >>> size_of({"step": 3, "network": {"weight": torch.zeros(2, 5)}, "best": [torch.zeros(1)]})
    44
    """
    return sum(_bytes(value) for value in content.values())


def _bytes(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0


def _full_disk_message(folder: Path, needed: int | None) -> str:
    """Return the message for a full disk: needed and free space, and the fix."""
    last = folder / "last.pt"
    kept = last.stat().st_size if last.exists() else None
    takes = f"{needed / _MB:.1f} MB are needed, " if needed is not None else ""
    if needed is None and kept is not None:
        takes = f"a checkpoint of this run takes {kept / _MB:.1f} MB, "
    free = shutil.disk_usage(folder).free / _MB
    goes_on = "resumes from last.pt, which is intact" if kept is not None else "starts from scratch"
    return (
        f"{folder} cannot be written, the disk is full or a limit is reached: {takes}"
        f"{free:.1f} MB are free. Free space and run the same command again: it {goes_on}"
    )


LAST, BEST = "last.pt", "best.pt"


def restore(state: State, folder: Path) -> dict[str, Any] | None:
    """Restore the state from ``last.pt``; return its content, None without the file.

    Raises:
        TrainingError: it is damaged, or has another network or optimiser.
    """
    path = folder / LAST
    if not path.exists():
        return None
    kept = _read(path, _remedy_without_last(folder))
    try:
        state.restore(kept)
    except UNREADABLE as error:
        raise TrainingError(
            f"{path} does not match this recipe ({_first_line(error)}): set the network and "
            "optimizer of the run's first start, or use another --output"
        ) from error
    return kept


def averaged_weights(folder: Path, *, keep: str) -> dict[str, Tensor]:
    """Return the averaged weights of the best validation, or for ``keep`` "last" the last step.

    Raises:
        TrainingError: the file is damaged or missing.
    """
    if keep == "best":
        remedy = "set schedule.keep = 'last' to use the last weights instead"
        state: dict[str, Tensor] = _read(folder / BEST, remedy)
        return state
    return _averaged_state(_read(folder / LAST, _remedy_without_last(folder)))


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """Return the content of a checkpoint."""
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        what = "is damaged" if path.exists() else "is missing"
        raise TrainingError(f"{path} {what} ({_first_line(error)}): {remedy}") from error
    return kept


def _remedy_without_last(folder: Path) -> str:
    """Return the fix for a missing or damaged ``last.pt``."""
    anew = f"delete it and run the same command again to start from scratch in {folder}"
    best = folder / BEST
    if not best.exists():
        return anew
    return (
        f"{anew}; to start from the best weights so far instead, use another --output and "
        f"--set network.starting_weights={best} --set network.started_from=auto "
        "--set network.started_from_licence=auto"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
