"""What a training carries from step to step, and what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


@dataclass
class State:
    """Network, averaged network, optimiser, and how far and how well it went."""

    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    validations_since_best: int = 0

    def judged(self, score: float) -> bool:
        """Note a validation's score, and return whether it is the best so far."""
        best = score > self.best_score
        if best:
            self.best_score, self.best_step = score, self.step
        self.validations_since_best = 0 if best else self.validations_since_best + 1
        return best

    def checkpoint(self) -> dict[str, Any]:
        """Return all that resuming needs."""
        return {
            "step": self.step,
            "best_score": self.best_score,
            "best_step": self.best_step,
            "validations_since_best": self.validations_since_best,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Become what `checkpoint` returned."""
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step = int(kept["step"])
        self.best_score, self.best_step = float(kept["best_score"]), int(kept["best_step"])
        self.validations_since_best = int(kept["validations_since_best"])

    def averaged_weights(self) -> dict[str, Tensor]:
        """Return the averaged network's weights and statistics as they are now, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.average.module.state_dict().items()}


def averaged_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the averaged network's weights and statistics of a `State.checkpoint`."""
    inside = "module."
    return {
        name.removeprefix(inside): value
        for name, value in checkpoint["average"].items()
        if name.startswith(inside)
    }


def seed_step(seed: int, step: int, process: int) -> None:
    """Decide dropout by seed, step and process alone, so that a resumed step is the same step."""
    state = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of the network's weights and statistics, with warm-up.

    After n updates the decay is min(``decay``, (1 + n) / (10 + n)), so that the first, poor
    weights are soon forgotten. Counters of batches are copied.
    """

    def mix(averages: Sequence[Tensor], currents: Sequence[Tensor], updates: Tensor | int) -> None:
        if torch.is_floating_point(averages[0]):
            now = min(decay, (1 + float(updates)) / (10 + float(updates)))
            get_ema_multi_avg_fn(now)(averages, currents, updates)  # type: ignore[no-untyped-call]
            return
        for average, current in zip(averages, currents, strict=True):
            average.copy_(current)

    return AveragedModel(network, multi_avg_fn=mix, use_buffers=True)
