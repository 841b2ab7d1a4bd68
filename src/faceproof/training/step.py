"""One optimiser step: parts of the batch, attacks, mixing, losses, sharpness, clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule as FabricModule
from torch import Tensor, nn

from faceproof.errors import TrainingError
from faceproof.training.attacks import attacked, pixel_box
from faceproof.training.losses import distillation, mixed, picture_losses, worst_share
from faceproof.training.optimizers import climbed
from faceproof.training.recipe import Recipe
from faceproof.training.run.checkpoint import seed_step

Teacher = Callable[[Tensor], Tensor]

#: A batch is never cut into parts of fewer pictures: batch norm needs several.
SMALLEST_PART = 2


@dataclass(frozen=True)
class Taken:
    """What one step found: ``figures`` are its mean loss and accuracy, float32 [2].

    They lie on the device: reading them waits for it, which is too slow for every step.
    """

    figures: Tensor

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.figures[0])

    @property
    def accuracy(self) -> float:
        """The share of pictures on the right side of 0.5."""
        return float(self.figures[1])


class Step:
    """Takes optimiser steps on batches; ``parts`` is into how many each batch is cut."""

    def __init__(
        self,
        fabric: Fabric,
        model: FabricModule,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        teacher: Teacher | None = None,
        note: Callable[[str], None],
    ) -> None:
        self._fabric = fabric
        self._model = model
        # Attacks ask this one: the wrapper for several devices prepares to exchange gradients.
        self._bare: nn.Module = model.module
        self._optimizer = optimizer
        self._recipe = recipe
        self._teacher = teacher
        self._note = note
        self._box = pixel_box(recipe.network.preprocessing.input, fabric.device)
        self.parts = recipe.schedule.accumulate

    def __call__(self, inputs: Tensor, targets: Tensor, *, number: int) -> Taken:
        """Take step ``number`` on inputs [N, 3, S, S] and targets [N]; its draws are its own.

        Too little memory for the batch halves its parts, says so, and takes the step again.

        Raises:
            TrainingError: a gradient that is no number, or too little memory for two pictures.
        """
        while True:
            try:
                return self._taken(inputs, targets, number)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._optimizer.zero_grad(set_to_none=True)
                self._halve(len(inputs), error)

    def _taken(self, inputs: Tensor, targets: Tensor, number: int) -> Taken:
        taken = self._gradient(inputs, targets, number)
        if radius := self._recipe.optimizer.sam_radius:
            with climbed(self._model, radius):
                self._optimizer.zero_grad(set_to_none=True)
                self._gradient(inputs, targets, number)
        self._clip(taken, number)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return taken

    def _gradient(self, inputs: Tensor, targets: Tensor, number: int) -> Taken:
        """Leave the gradient of the batch, the sum of its parts', and return what it found."""
        process = self._fabric.global_rank
        seed_step(self._recipe.seed, number, process)
        rng = np.random.default_rng([self._recipe.seed, number, process])
        figures = torch.zeros(2, device=self._fabric.device)
        for part, wanted, last in self._in_parts(inputs, targets):
            with self._fabric.no_backward_sync(self._model, enabled=not last):
                part_loss, logits = self._objective(part, wanted, rng)
                self._fabric.backward(part_loss * (len(part) / len(inputs)))
            right = ((logits > 0) == (wanted > 0.5)).float().mean()
            figures += torch.stack([part_loss.detach(), right]) * (len(part) / len(inputs))
        return Taken(figures)

    def _in_parts(self, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """Yield the batch in ``parts``, on the device, and whether each is the last one."""
        count = min(self.parts, max(1, len(inputs) // SMALLEST_PART))
        both = zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True)
        for index, (part, wanted) in enumerate(both):
            ready = part.to(self._fabric.device, memory_format=torch.channels_last)
            yield ready, wanted.to(self._fabric.device, torch.float32), index == count - 1

    def _objective(
        self, inputs: Tensor, targets: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of one part of a batch, and its logits without gradient."""
        recipe = self._recipe
        inputs, targets = mixed(inputs, targets, recipe.augment, rng)
        if recipe.adversarial.share:
            with self._fabric.autocast():
                inputs = attacked(self._bare, inputs, targets, self._box, recipe.adversarial)
        logits = self._model(inputs)
        losses = picture_losses(logits, targets, recipe.optimizer)
        if self._teacher is not None:
            told = self._teacher(inputs)
            taught = distillation(logits, told, recipe.distil.temperature)
            losses = losses + self._trust(told, targets) * (taught - losses)
        return worst_share(losses, recipe.optimizer.cvar), logits.detach()

    def _trust(self, told: Tensor, targets: Tensor) -> Tensor:
        """Return the teacher's part of each loss, [N]: none where it errs and is not followed."""
        distil = self._recipe.distil
        followed = torch.ones_like(targets)
        if distil.follow == "where_right":
            followed = ((told > 0) == (targets > 0.5)).to(targets.dtype)
        return distil.weight * followed

    def _clip(self, taken: Taken, number: int) -> None:
        """Shorten the gradient, which is the same in every process, and so is its refusal."""
        norm: Any = self._fabric.clip_gradients(
            self._model,
            self._optimizer,
            max_norm=self._recipe.optimizer.clip_norm,
            error_if_nonfinite=False,
        )
        if norm is None or not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient is no number at step {number} (loss {taken.loss:.4g}): "
                "lower optimizer.learning_rate, or set device.precision = '32-true'; "
                "last.pt, where there is one, is of an earlier step"
            )

    def _halve(self, size: int, error: Exception) -> None:
        """Cut batches into twice as many parts from now on.

        Raises:
            TrainingError: parts of two pictures are too large already, or several devices
                would have to agree on it.
        """
        if self._fabric.world_size > 1 or size // (self.parts * 2) < SMALLEST_PART:
            raise TrainingError(
                f"too little memory for {size // self.parts} pictures at once: set "
                f"schedule.accumulate to {self.parts * 2} or more, or a smaller "
                "schedule.batch_size, crop or network; last.pt is of an earlier step"
            ) from error
        self.parts *= 2
        self._note(
            f"too little memory for {2 * size // self.parts} pictures at once: batches are "
            f"computed in {self.parts} parts from now on (schedule.accumulate = {self.parts})"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device, or the machine, refused memory; the CPU's refusal has no class.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return "out of memory" in said or "can't allocate memory" in said
