"""What a training carries from step to step, and what a checkpoint holds of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from faceproof.training.recipe import ScheduleRecipe


@dataclass
class State:
    """Network, averaged network, optimiser, and how far and how well it went."""

    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_score: float = -1.0
    best_step: int = 0

    def checkpoint(self) -> dict[str, Any]:
        """Return all that resuming needs."""
        return {
            "step": self.step,
            "best_score": self.best_score,
            "best_step": self.best_step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            # Every step seeds itself since `seed_step`; kept while older runs may read this file.
            "random": torch.get_rng_state(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Become what `checkpoint` returned."""
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step = int(kept["step"])
        self.best_score, self.best_step = float(kept["best_score"]), int(kept["best_step"])

    def averaged_weights(self) -> dict[str, Tensor]:
        """Return the averaged network's weights and statistics as they are now, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.average.module.state_dict().items()}


def rate_factor(step: int, schedule: ScheduleRecipe) -> float:
    """Return the share of the full learning rate at ``step``: linear warm-up, then a half cosine.

    >>> short = ScheduleRecipe(steps=10, warmup_steps=2)
    >>> [round(rate_factor(step, short), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


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
