"""The training loop: warm-up, cosine, weight averaging, validation, checkpoints, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from faceproof.errors import TrainingError
from faceproof.evaluation.metrics import measure
from faceproof.networks import parameter_groups
from faceproof.networks.network import Network
from faceproof.runs import RunFolder
from faceproof.training.recipe import Recipe, ScheduleRecipe
from faceproof.training.stream import PlainFaces, TrainingStream


@dataclass
class State:
    """All that a training carries from step to step; what a checkpoint holds."""

    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_score: float = -1.0
    best_step: int = 0


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


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of the network's weights and statistics, with warm-up.

    After n updates the decay is min(``decay``, (1 + n) / (10 + n)), so that the first, poor
    weights are soon forgotten.
    """

    def mix(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        if not torch.is_floating_point(average):
            return current
        done = float(updates)
        return average.lerp(current, 1 - min(decay, (1 + done) / (10 + done)))

    return AveragedModel(network, avg_fn=mix, use_buffers=True)


class Trainer:
    """Runs a recipe's schedule on a network; leaves ``best.pt`` and ``last.pt`` in the run."""

    def __init__(self, fabric: Fabric, network: Network, recipe: Recipe, run: RunFolder) -> None:
        self._fabric = fabric
        self._recipe = recipe
        self._run = run
        optimizer = torch.optim.AdamW(
            parameter_groups(
                network,
                learning_rate=recipe.optimizer.learning_rate,
                weight_decay=recipe.optimizer.weight_decay,
                backbone_factor=recipe.optimizer.backbone_factor,
            )
        )
        network = network.to(memory_format=torch.channels_last)
        average = averaged(network, recipe.optimizer.average_decay).to(fabric.device)
        self._full_rates = [group["lr"] for group in optimizer.param_groups]
        self._model, wrapped = fabric.setup(network, optimizer)
        self.state = State(network, average, wrapped)

    def run(self, stream: TrainingStream, validation: PlainFaces) -> None:
        """Train to the end of the schedule, from ``last.pt`` where there is one."""
        self._resume()
        schedule = self._recipe.schedule
        started, first = time.monotonic(), self.state.step
        for inputs, targets in self._batches(stream):
            loss = self._step(inputs, targets)
            step = self.state.step
            if step % 10 == 0:
                speed = (step - first) * schedule.batch_size / (time.monotonic() - started)
                self._log(step=step, loss=round(loss, 5), pictures_per_second=round(speed, 2))
            if step % schedule.validate_steps == 0 or step == schedule.steps:
                self._validate(validation)
            if step % schedule.checkpoint_steps == 0 or step == schedule.steps:
                self._save("last.pt", self._checkpoint())

    def _batches(self, stream: TrainingStream) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is left of the schedule, this process's share of each batch."""
        schedule, world = self._recipe.schedule, self._fabric.world_size
        if schedule.batch_size % world:
            raise TrainingError(
                f"batch_size {schedule.batch_size} does not divide by {world} devices"
            )
        numbers = range(
            self.state.step * schedule.batch_size + self._fabric.global_rank,
            schedule.steps * schedule.batch_size,
            world,
        )
        workers = self._recipe.device.loader_workers
        yield from DataLoader(
            stream,
            batch_size=schedule.batch_size // world,
            sampler=numbers,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )

    def _step(self, inputs: Tensor, targets: Tensor) -> float:
        """Take one optimiser step and return its loss."""
        self._set_rates()
        self._model.train()
        inputs = inputs.to(self._fabric.device, memory_format=torch.channels_last)
        targets = targets.to(self._fabric.device, torch.float32)
        smoothing = self._recipe.optimizer.label_smoothing
        logits = self._model(inputs)
        soft = targets * (1 - 2 * smoothing) + smoothing
        loss = nn.functional.binary_cross_entropy_with_logits(logits, soft)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} at step {self.state.step}")
        self._fabric.backward(loss)
        self._fabric.clip_gradients(
            self._model, self.state.optimizer, max_norm=self._recipe.optimizer.clip_norm
        )
        self.state.optimizer.step()
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.average.update_parameters(self.state.network)
        self.state.step += 1
        return float(loss.detach())

    def _set_rates(self) -> None:
        """Set the learning rates of this step; the backbone rests while the head comes first."""
        schedule = self._recipe.schedule
        factor = rate_factor(self.state.step, schedule)
        head_only = self.state.step < schedule.head_first_steps
        for group, full in zip(self.state.optimizer.param_groups, self._full_rates, strict=True):
            rests = head_only and str(group["name"]).startswith("backbone")
            group["lr"] = 0.0 if rests else full * factor

    def _validate(self, faces: PlainFaces) -> None:
        """Score the averaged network on validation faces; keep it where it is the best so far."""
        logits, targets, loss = self._predict(faces)
        chances = torch.sigmoid(logits.double()).numpy()
        score = measure(targets.numpy() > 0.5, chances, names=["roc_auc"])["roc_auc"]
        self._log(
            step=self.state.step, validation_auc=round(score, 5), validation_loss=round(loss, 5)
        )
        if score > self.state.best_score:
            self.state.best_score, self.state.best_step = score, self.state.step
            self._save("best.pt", self.best_weights())

    @torch.no_grad()
    def _predict(self, faces: PlainFaces) -> tuple[Tensor, Tensor, float]:
        """Return logits [N] and targets [N] of the averaged network, and the mean loss."""
        self.state.average.eval()
        logits, targets = [], []
        for inputs, target in DataLoader(faces, batch_size=self._recipe.schedule.batch_size):
            with self._fabric.autocast():
                ready = inputs.to(self._fabric.device, memory_format=torch.channels_last)
                logits.append(self.state.average(ready).float().cpu())
            targets.append(target.float())
        answers, truth = torch.cat(logits), torch.cat(targets)
        loss = nn.functional.binary_cross_entropy_with_logits(answers, truth)
        return answers, truth, float(loss)

    def best_weights(self) -> dict[str, Tensor]:
        """Return the averaged network's state as it is now."""
        return {
            name: tensor.cpu() for name, tensor in self.state.average.module.state_dict().items()
        }

    def _checkpoint(self) -> dict[str, Any]:
        """Return all that resuming needs."""
        return {
            "step": self.state.step,
            "best_score": self.state.best_score,
            "best_step": self.state.best_step,
            "network": self.state.network.state_dict(),
            "average": self.state.average.state_dict(),
            "optimizer": self.state.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def _resume(self) -> None:
        """Take up the run where ``last.pt`` left it."""
        path = self._run.path / "last.pt"
        if not path.exists():
            return
        kept = torch.load(path, map_location="cpu", weights_only=True)
        self.state.network.load_state_dict(kept["network"])
        self.state.average.load_state_dict(kept["average"])
        self.state.optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["random"])
        self.state.step = int(kept["step"])
        self.state.best_score, self.state.best_step = kept["best_score"], int(kept["best_step"])

    def _save(self, name: str, content: dict[str, Any]) -> None:
        """Write a checkpoint that is whole whenever the process dies; the first process alone."""
        if self._fabric.is_global_zero:
            path = self._run.path / name
            part: Path = path.with_suffix(".part")
            torch.save(content, part)
            part.replace(path)

    def _log(self, **values: Any) -> None:
        if self._fabric.is_global_zero:
            self._run.log(**values)
